"""Truth of a dense map, such as a depth: a CSV with columns image,map that names .npy or 16-bit PNG files beside it.

For: which file is which image's, and its values. Not for: errors against them (dense.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import DataError, count_of, short_list
from seatrial.images.files import ImageFile
from seatrial.parity.coco import ONLY_THOSE, not_annotated
from seatrial.parity.csv_rows import header_of, rows_of
from seatrial.warning import Warning

# Of a map's pixels, and times the next value, from which one value stands for something else than a depth.
MANY, FAR = 0.01, 3


@dataclass(frozen=True)
class ValueMap:
    """scale: what one unit of the file is, in the unit of the pipeline's values, such as 0.001 m."""

    path: Path
    scale: float
    hw: tuple[int, int]


def names_maps(text: str) -> bool:
    return "map" in header_of(text)


def map_files(path: Path, text: str) -> list[Path]:
    """All that the CSV names, whether they are there or not."""
    return sorted({path.parent / file for _, file in rows_of(path, text, ("image", "map")) if file})


def read_value_maps(
    path: Path, text: str, images: Sequence[ImageFile], map_scale: float | None
) -> tuple[dict[str, ValueMap], list[Warning]]:
    """By the name of each image of the trial. A third column map_scale goes before the plan's images.map_scale.

    DataError where an image has no map, or two; where a file cannot be read; where nothing says the unit of whole numbers.
    """
    names = {i.name for i in images}
    found: dict[str, tuple[str, str]] = {}
    others = []
    for name, file, scale in rows_of(path, text, ("image", "map"), ("map_scale",)):
        if found.get(name, (file, scale)) != (file, scale):
            raise DataError(f"{path}: {name} has map {found[name][0]!r} in one row and {file!r} in another; keep one")
        if name in names:
            found[name] = (file, scale)
        else:
            others.append(name)
    missing = [i.name for i in images if not found.get(i.name, ("",))[0]]
    if missing:
        raise DataError(
            f"{path}: no map for {len(missing)} of {count_of(len(images), 'image')}: {not_annotated(missing, others)}; add one "
            f"for each, or {ONLY_THOSE}"
        )
    maps = {i.name: _value_map(path, *found[i.name], map_scale) for i in images}
    if not others:
        return maps, []
    said = f"maps of {count_of(len(others), 'image')} that the trial does not have are left out: {short_list(others)}"
    return maps, [Warning("unknown-images", said).of(path.name)]


def _value_map(csv_path: Path, file: str, scale: str, map_scale: float | None) -> ValueMap:
    path = csv_path.parent / file
    try:
        own = float(scale) if scale else map_scale
    except ValueError:
        own = math.nan
    if own is not None and not (math.isfinite(own) and own > 0):
        raise DataError(f"{csv_path}: expected a map_scale above 0 for {file}, got {scale!r}")
    if path.suffix.lower() == ".npy":
        array = _npy(path)
        if array.ndim != 2 or array.dtype.kind not in "fiu" or not array.size:
            raise DataError(
                f"{path}: expected numbers of shape (height, width), got {array.dtype} of shape {array.shape}"
            )
        if own is None and array.dtype.kind != "f":
            raise _no_scale(path, f"whole numbers ({array.dtype})")
        return ValueMap(path, 1.0 if own is None else own, (array.shape[0], array.shape[1]))
    if path.suffix.lower() == ".png":
        hw = _png_hw(path)
        if own is None:
            raise _no_scale(path, "whole numbers")
        return ValueMap(path, own, hw)
    raise DataError(f"{csv_path}: expected maps as .npy or 16-bit .png files, got {file!r}")


def _no_scale(path: Path, what: str) -> DataError:
    return DataError(
        f"{path}: the map holds {what}, and nothing says their unit; give images.map_scale, what one is in the unit of the "
        "model's values, such as 0.001 where millimetres are written and metres are meant"
    )


def _npy(path: Path) -> npt.NDArray[np.float64]:
    try:
        array: npt.NDArray[np.float64] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array
    except (OSError, ValueError, EOFError) as e:
        raise DataError(
            f"{path}: the map cannot be read ({e}); expected a .npy file of numbers, without pickles"
        ) from None


def _png_hw(path: Path) -> tuple[int, int]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            mode, (width, height) = image.mode, image.size
    except (OSError, ValueError, SyntaxError) as e:
        raise DataError(f"{path}: the map cannot be read ({e}); expected a 16-bit grey PNG") from None
    if not mode.startswith("I"):
        raise DataError(f"{path}: expected a 16-bit grey PNG, got one of mode {mode}; 8 bits are too few for a depth")
    return height, width


def values_of(truth: ValueMap) -> npt.NDArray[np.float64]:
    """(H, W) in the pipeline's unit; NaN where the file has 0, NaN or infinity: there nothing is known."""
    stored = _stored(truth.path)[0].astype(np.float64)
    return np.where(np.isfinite(stored) & (stored != 0), stored * truth.scale, np.nan)


def _stored(path: Path) -> tuple[npt.NDArray[Any], float]:
    """What the file holds, and the greatest number that it could."""
    if path.suffix.lower() == ".npy":
        array = _npy(path)
        return np.asarray(array), float(np.iinfo(array.dtype.name).max) if array.dtype.kind in "iu" else math.inf
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image), 65535.0


def far_values(truth: Mapping[str, ValueMap]) -> list[Warning]:
    """Maps in which many pixels hold one greatest value that stands for something: the greatest that a file can hold, or one
    far above all others. Errors would be those of the sky alone."""
    found = []
    for name, own in truth.items():
        stored, limit = _stored(own.path)
        values = stored[np.isfinite(stored) & (stored != 0)]
        top = values.max(initial=0)
        others = values[values < top]
        next_best = float(others.max(initial=0))
        if top == limit or top > FAR * next_best > 0:
            share = 1 - others.size / values.size
            found += [(name, f"{top:.6g}", share)] if share > MANY else []
    if not found:
        return []
    name, top, share = found[0]
    said = (
        f"{len(found)} of {count_of(len(truth), 'map')} of the truth hold one value in many pixels that is the greatest there "
        f"is, or far above all others, first of {name} ({top} in {share:.0%}): sky, or no depth at all?"
    )
    return [Warning("far-values", said, "write 0 or NaN where nothing is known")]


def check_map_sizes(
    truth: Mapping[str, ValueMap], images: Sequence[ImageFile], sizes_hw: Sequence[tuple[int, int]]
) -> None:
    """DataError where a map is not as large as its image is decoded."""
    for image, hw in zip(images, sizes_hw, strict=True):
        own = truth[image.name]
        if own.hw != tuple(hw):
            raise DataError(
                f"{own.path}: the map is {own.hw[0]} × {own.hw[1]} (height × width), but {image.name} decodes to {hw[0]} × "
                f"{hw[1]}; give maps of the images' own size; if EXIF turns the image, set decode.exif: ignore"
            )
