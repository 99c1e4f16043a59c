"""A stage's difference in one sentence: what its values have become, where it lies, or that it looks like chance.

For: what no known mistake explains. Not for: its size, which the record has beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.shapes.clause import (
    LEAST_SAID,
    LEAST_VALUES,
    MOST_IMAGES,
    MOST_PIXELS,
    MOST_RESULTS,
    Clause,
    best_of,
    percent,
)
from seatrial.diagnosis.shapes.forms import Pair, place_forms, value_forms
from seatrial.diagnosis.shapes.outputs import outputs_said, tensors_said
from seatrial.diagnosis.shapes.places import noise, places
from seatrial.diagnosis.shapes.results import results_said
from seatrial.diagnosis.stages import DECODED, INPUT, OUTPUTS, RESIZED
from seatrial.diagnosis.tensors import as_hwc
from seatrial.errors import count_of
from seatrial.kernels.results import DenseMap, Embedding

Array = npt.NDArray[Any]
MOST_SAID = 3
NO_FORM = "no form that is known here"


def shape_of(
    stage: str,
    sides: Sequence[tuple[Any, Any]],
    names: Sequence[str] = (),
    sizes_hw: Sequence[tuple[int, int] | None] = (),
) -> str:
    """sides: the reference's and the candidate's value of images that differ, the most different first. names: of outputs.
    sizes_hw: of the images. '' where nothing can be said."""
    if not sides:
        return ""
    if stage in (DECODED, RESIZED, INPUT, OUTPUTS):
        return _arrays(stage, sides[:MOST_IMAGES], names)
    kept = sides[:MOST_RESULTS]
    maps = [(_plain(r), _plain(c)) for r, c in kept]
    if all(r is not None and c is not None for r, c in maps):
        return _arrays(INPUT, maps[:MOST_IMAGES], ())
    sizes = [*sizes_hw, *[None] * len(kept)][: len(kept)]
    return _joined(results_said(kept, sizes)) or "too little differs to tell its form"


def _plain(result: Any) -> Array | None:
    """A map or a vector: an array like any other."""
    if isinstance(result, DenseMap):
        return np.asarray(result.values)
    return np.asarray(result.vector) if isinstance(result, Embedding) else None


def _arrays(stage: str, sides: Sequence[tuple[Any, Any]], names: Sequence[str]) -> str:
    flat = [_list(side) for pair in sides for side in pair]
    first, second = flat[::2], flat[1::2]
    unlike = [
        (r, c) for rs, cs in zip(first, second, strict=True) for r, c in zip(rs, cs, strict=False) if r.shape != c.shape
    ]
    if any(len(r) != len(c) for r, c in zip(first, second, strict=True)):
        return f"{count_of(len(second[0]), 'output')} instead of {len(first[0])}"
    if unlike:
        r, c = unlike[0]
        of = sum(len(x) for x in first)
        return f"another shape, in {len(unlike)} of {of}: {_shape(c)} instead of {_shape(r)}"
    special = _special(first, second)
    few = sum(int((r != c).sum()) for rs, cs in zip(first, second, strict=True) for r, c in zip(rs, cs, strict=True))
    if special:
        return special
    if few < LEAST_VALUES:
        return f"too little to tell its form: {count_of(few, 'value')} in {count_of(len(first), 'image')}"
    if stage == OUTPUTS:
        return _joined(outputs_said(names, list(zip(first, second, strict=True)))) or NO_FORM
    images = _as_images([(rs[0], cs[0]) for rs, cs in zip(first, second, strict=True)])
    if images is None:
        alike = [(r[0], c[0]) for r, c in zip(first, second, strict=True) if r[0].shape == first[0][0].shape]
        return _joined(tensors_said(alike)) or NO_FORM
    return _joined(_images_said(images)) or NO_FORM


def _images_said(pairs: Sequence[Pair]) -> list[Clause]:
    """What explains it, and where it lies; and by chance, where neither is known."""
    tried = [*value_forms(pairs), *place_forms(pairs)]
    form = best_of(tried)
    where = places(pairs)[:1]
    found = [*([form] if form else []), *where]
    if found:
        return found
    by_chance = noise(pairs)
    if by_chance:
        return [by_chance]
    nearest = max(tried, key=lambda c: c.explained, default=None)
    if nearest is None or nearest.explained < LEAST_SAID:
        return []
    return [Clause(nearest.explained, f"{NO_FORM}; at best, {nearest.said}")]


def _list(value: Any) -> list[Array]:
    return [np.asarray(v) for v in value] if isinstance(value, list | tuple) else [np.asarray(value)]


def _as_images(pairs: Sequence[tuple[Array, Array]]) -> list[Pair] | None:
    """Within the pixels that a clear answer takes; None of what is no image."""
    found: list[Pair] = []
    pixels = 0
    for r, c in pairs:
        try:
            sides = [_hwc(x) for x in (r, c)]
        except ValueError:
            return None
        if found and sides[0].shape[2] != found[0].reference.shape[2]:
            continue
        whole = r.dtype == np.uint8 and c.dtype == np.uint8
        found.append(Pair(sides[0].astype(np.float32), sides[1].astype(np.float32), whole))
        pixels += sides[0].shape[0] * sides[0].shape[1]
        if pixels > MOST_PIXELS:
            break
    return found


def _hwc(values: Array) -> Array:
    if values.ndim == 4:
        return as_hwc(values)
    if values.ndim == 2 and min(values.shape) > 1:
        return values[..., None]
    if values.ndim == 3:
        return values
    raise ValueError("no image")


def _special(first: Sequence[Sequence[Array]], second: Sequence[Sequence[Array]]) -> str:
    odd = every = 0
    for rs, cs in zip(first, second, strict=True):
        for r, c in zip(rs, cs, strict=True):
            if r.dtype.kind == "f" or c.dtype.kind == "f":
                odd += int((np.isfinite(r) != np.isfinite(c)).sum())
            every += r.size
    if not odd:
        return ""
    share = odd / every
    where = f"{percent(share)} of the values" if share >= 0.01 else count_of(odd, "value")
    return f"NaN or infinity on one side alone, in {where}"


def _shape(values: Array) -> str:
    return " × ".join(map(str, values.shape))


def _joined(clauses: Sequence[Clause]) -> str:
    return "; ".join(c.said for c in clauses[:MOST_SAID])
