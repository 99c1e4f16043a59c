"""Decoded results as plain arrays on disk and back. For: passing a cell's results to the parent. Not for: judging.

One .npz a cell: no pickles, so that reading it can't run code.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from seatrial.errors import PlanError, ResultsError
from seatrial.history.files import why_not_written
from seatrial.kernels.postprocess import Classification, Detections, Embedding, SemanticMask

Result = Detections | Classification | SemanticMask | Embedding | None


def check_result(result: Any) -> Result:
    """One result of a user's own stage, as its plain kind with sound arrays. PlanError says what is wrong with it."""
    kind = next((k for k in (Detections, Classification, SemanticMask, Embedding) if isinstance(result, k)), None)
    if result is None:
        return None
    if kind is None:
        raise PlanError(
            f"the Python postprocess gave a {type(result).__name__}; expected seatrial.Detections, Classification, "
            "SemanticMask, Embedding or None for each image"
        )
    values = {name: np.asarray(getattr(result, name)) for name in kind.__dataclass_fields__}
    for name, value in values.items():
        if value.dtype.kind not in "fiu" or not np.isfinite(value).all():
            raise PlanError(
                f"the Python postprocess gave {kind.__name__}.{name} of {value.dtype}; expected finite numbers"
            )
    if kind is Detections:
        count = len(values["scores"]) if values["scores"].ndim == 1 else -1
        sound = values["boxes_xyxy"].shape == (count, 4) and values["class_ids"].shape == (count,)
    elif kind is Classification:
        sound = (
            values["class_ids"].ndim == 1
            and values["scores"].shape == values["class_ids"].shape
            and values["scores"].size > 0
        )
    else:
        sound = next(iter(values.values())).ndim == (2 if kind is SemanticMask else 1)
    if not sound:
        shapes = ", ".join(f"{name} {value.shape}" for name, value in values.items())
        raise PlanError(
            f"the Python postprocess gave {kind.__name__} of {shapes}; see seatrial.{kind.__name__} for the shapes"
        )
    return kind(**values)


class ResultsWriter:
    """Writes results into one .npz as they come, and keeps none: what its process holds is the pipeline's memory alone.

    The file is whole only when the `with` block has ended. ResultsError where it can't be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0
        self._raw_count = 0

    def __enter__(self) -> Self:
        with self._telling():
            self._archive = zipfile.ZipFile(self._path, "w", zipfile.ZIP_STORED)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ResultsError) if error else contextlib.nullcontext(), self._telling():
            if error is None:
                self._write("count", np.array(self._count))
                self._write("raw_count", np.array(self._raw_count))
            self._archive.close()

    def add(self, result: Result) -> None:
        """The next image's."""
        with self._telling():
            if result is not None:
                self._write(f"{self._count}.kind", np.array(type(result).__name__))
                for name, value in vars(result).items():
                    self._write(f"{self._count}.{name}", value)
        self._count += 1

    def add_raw(self, outputs: Sequence[npt.NDArray[Any]]) -> None:
        """The next of the first images' outputs, without the batch."""
        with self._telling():
            for k, output in enumerate(outputs):
                self._write(f"raw.{self._raw_count}.{k}", output)
        self._raw_count += 1

    def add_specials(self, signatures: npt.NDArray[np.int64]) -> None:
        """(images, outputs, 4): where NaN and infinity are, of all images; see parity/specials.py."""
        with self._telling():
            self._write("specials", signatures)

    def _write(self, name: str, value: npt.ArrayLike) -> None:
        array = np.asarray(value, order="C")
        with self._archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
            np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array))
            # As it lies: np.save would copy up to 16 MiB of it at a time, which would count as the pipeline's.
            stream.write(
                array.reshape(-1).view(np.uint8).data if array.size and array.dtype.kind in "fiub" else array.tobytes()
            )

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            raise ResultsError(f"{self._path}: cannot be written: {why_not_written(e)}") from e


def load_results_file(path: Path) -> tuple[list[Result], list[list[npt.NDArray[Any]]]]:
    kinds = {k.__name__: k for k in (Detections, Classification, SemanticMask, Embedding)}
    with np.load(path, allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    fields: dict[int, dict[str, Any]] = {}
    raw: list[list[npt.NDArray[Any]]] = [[] for _ in range(int(arrays["raw_count"]))]
    for name, value in arrays.items():
        parts = name.split(".")
        if parts[0].isdigit():
            fields.setdefault(int(parts[0]), {})[parts[1]] = value
        elif parts[0] == "raw":
            raw[int(parts[1])].append(value)
    results: list[Result] = []
    for i in range(int(arrays["count"])):
        own = fields.get(i)
        results.append(kinds[str(own.pop("kind"))](**own) if own else None)
    return results, raw


def load_specials(path: Path) -> npt.NDArray[np.int64] | None:
    """(images, outputs, 4) as the writer got them; None where it got none."""
    with np.load(path, allow_pickle=False) as data:
        return np.asarray(data["specials"], np.int64) if "specials" in data.files else None
