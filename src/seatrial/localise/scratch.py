"""Edited models on the disk, each with its external data beside it: runtimes follow no path out of a model's folder.

For: models that are run once and thrown away. Not for: conversions that are kept (precision/variants.py).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from seatrial.errors import ResultsError
from seatrial.model.external_data import all_tensors


@dataclass
class Scratch:
    """folder: empty, and removed by who made it."""

    folder: Path
    _numbers: count[int] = field(default_factory=count)

    def write(self, proto: Any, data_folder: Path) -> Path:
        """The model's path, in a folder of its own. data_folder: where its external data lies."""
        own = self.folder / str(next(self._numbers))
        try:
            own.mkdir()
            for name in _external(proto):
                (own / name).parent.mkdir(parents=True, exist_ok=True)
                _link(data_folder / name, own / name)
            path = own / "model.onnx"
            path.write_bytes(proto.SerializeToString())
        except OSError as e:
            raise ResultsError(
                f"{own}: an edited model cannot be written: {e.strerror or e}; make room, or set TMPDIR to another folder"
            ) from None
        return path

    def drop(self, path: Path) -> None:
        shutil.rmtree(path.parent, ignore_errors=True)


def _external(proto: Any) -> list[str]:
    import onnx

    return sorted(
        {
            entry.value
            for tensor in all_tensors(proto)
            if tensor.data_location == onnx.TensorProto.EXTERNAL
            for entry in tensor.external_data
            if entry.key == "location"
        }
    )


def _link(source: Path, target: Path) -> None:
    """A hard link: of a symbolic one runtimes say that it leads out of the folder. A copy where the disks are two."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
