"""Decoded results as plain arrays on disk. For: passing a cell's results to the parent. Not for: reading (stored.py), judging.

One .npz a cell: no pickles, so that reading it can't run code.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from seatrial.errors import PlanError, ResultsError
from seatrial.history.files import why_not_written
from seatrial.kernels import oriented, polygons
from seatrial.kernels.results import (
    Classification,
    DenseMap,
    Detections,
    Embedding,
    Instances,
    Labels,
    OrientedBoxes,
    Poses,
    SemanticMask,
    Text,
    TextRegions,
)

Result = Detections | Classification | Labels | SemanticMask | DenseMap | Embedding | Text | None
# The most specific first: instances, poses, oriented boxes and regions of text are detections too.
KINDS = (
    Instances,
    Poses,
    OrientedBoxes,
    TextRegions,
    Detections,
    Classification,
    Labels,
    SemanticMask,
    DenseMap,
    Embedding,
    Text,
)
Values = Mapping[str, npt.NDArray[Any]]


def check_result(result: Any, whose: str = "the Python postprocess") -> Result:
    """One result of a user's own code, as its plain kind with sound arrays. PlanError says what is wrong with it."""
    kind = next((k for k in KINDS if isinstance(result, k)), None)
    if result is None:
        return None
    if kind is None:
        raise PlanError(
            f"{whose} gave a {type(result).__name__}; expected one of "
            f"seatrial's {', '.join(k.__name__ for k in KINDS)}, or None for each image"
        )
    try:
        return sound_result(kind, {name: np.asarray(getattr(result, name)) for name in kind.__dataclass_fields__})
    except ValueError as e:
        raise PlanError(f"{whose} gave {e}") from None


def sound_result(kind: type, values: Values) -> Result:
    """A result of one of KINDS from its fields. ValueError says which are not sound, and what was expected."""
    for name, value in values.items():
        gaps = kind is DenseMap and value.dtype.kind == "f"  # NaN says there that there is no value
        if value.dtype.kind not in "fiu" or not (np.isfinite(value) | (np.isnan(value) & gaps)).all():
            raise ValueError(f"{kind.__name__}.{name} of {value.dtype}; expected finite numbers")
    if kind is SemanticMask and values["class_ids"].dtype.kind == "f":
        raise ValueError(
            f"SemanticMask.class_ids of {values['class_ids'].dtype}; expected whole class numbers: "
            "class_ids.astype(np.uint8), whose 255 is no class"
        )
    if kind is not SemanticMask and (ids := values.get("class_ids")) is not None and (ids != np.floor(ids)).any():
        raise ValueError(f"{kind.__name__}.class_ids of {ids.dtype} that are not whole; expected class numbers from 0")
    if not _SOUND[kind](values):
        shapes = ", ".join(f"{name} {value.shape}" for name, value in values.items())
        raise ValueError(f"{kind.__name__} of {shapes}; see seatrial.{kind.__name__} for the shapes")
    sound: Result = kind(**values)
    return sound


def _sound_detections(v: Values) -> bool:
    count = len(v["scores"]) if v["scores"].ndim == 1 else -1
    return v["boxes_xyxy"].shape == (count, 4) and v["class_ids"].shape == (count,)


def _sound_instances(v: Values) -> bool:
    """Masks that begin where the one before ends, each as long as the image has pixels."""
    runs, starts, hw = v["runs"], v["run_starts"], v["source_hw"]
    if not _sound_detections(v) or (runs.ndim, starts.shape, hw.shape) != (1, (len(v["scores"]) + 1,), (2,)):
        return False
    if any(x.dtype.kind not in "iu" for x in (runs, starts, hw)) or (runs < 0).any():
        return False
    if starts[0] != 0 or starts[-1] != len(runs) or (np.diff(starts) < 1).any():
        return False
    return not len(runs) or bool((np.add.reduceat(runs.astype(np.int64), starts[:-1]) == hw.prod()).all())


def _sound_poses(v: Values) -> bool:
    points, sigmas = v["keypoints"], v["sigmas"]
    count = sigmas.shape[0] if sigmas.ndim == 1 and len(sigmas) and (sigmas > 0).all() else -1
    return _sound_detections(v) and points.shape == (len(v["scores"]), count, 3)


def _sound_oriented(v: Values) -> bool:
    """Quadrilaterals of which IoU can be told: what bends inwards, crosses itself or has no area is none."""
    corners = v["corners_xy"]
    return (
        _sound_detections(v)
        and corners.shape == (len(v["scores"]), 4, 2)
        and bool(oriented.are_convex_with_area(corners).all())
    )


def _sound_regions(v: Values) -> bool:
    """Regions without area may be there: a letter that lies outside of the image but for its edge."""
    corners = v["polygons"]
    if not _sound_detections(v) or corners.shape != (len(v["scores"]), 4, 2):
        return False
    return bool(polygons.are_convex_or_flat(corners).all())


def _sound_text(v: Values) -> bool:
    """Whole numbers that are Unicode's, without halves of surrogate pairs."""
    points = v["code_points"]
    if points.ndim != 1 or v["score"].shape != () or (points.size and points.dtype.kind not in "iu"):
        return False
    return bool(((points >= 0) & (points < 0x110000) & ((points < 0xD800) | (points > 0xDFFF))).all())


def _sound_classes(v: Values) -> bool:
    return v["class_ids"].ndim == 1 and v["scores"].shape == v["class_ids"].shape and v["scores"].size > 0


def _repeated(v: Values) -> bool:
    """A class that is there twice would be found twice."""
    return len(np.unique(v["class_ids"])) < len(v["class_ids"])


_SOUND: dict[type, Callable[[Values], bool]] = {
    Instances: _sound_instances,
    Poses: _sound_poses,
    OrientedBoxes: _sound_oriented,
    TextRegions: _sound_regions,
    Text: _sound_text,
    Detections: _sound_detections,
    Classification: _sound_classes,
    Labels: lambda v: v["class_ids"].ndim == 1 and v["scores"].shape == v["class_ids"].shape and not _repeated(v),
    SemanticMask: lambda v: v["class_ids"].ndim == 2,
    DenseMap: lambda v: v["values"].ndim == 2 and v["values"].size > 0,
    Embedding: lambda v: v["vector"].ndim == 1,
}


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
