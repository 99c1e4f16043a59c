"""What both sides have at one stage of an image, as pictures for a page: images as they are, tensors by the reference's scale,
raw outputs as heat, results drawn on the image.

Not for: which images (diagnosis), or the page (report/parity_page.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from seatrial.drawing.difference import difference
from seatrial.drawing.encoded import encoded
from seatrial.drawing.heat import scale_of
from seatrial.drawing.results import PALETTE, U8, Look, Names, draw, name_of
from seatrial.errors import count_of, printable
from seatrial.kernels.results import Classification, Detections, Labels, SemanticMask, Text
from seatrial.pipeline.results import Result
from seatrial.report.parity_page import StagePicture

Array = npt.NDArray[Any]
# Pixels: a page shows three beside each other.
LARGEST = 340
# Of what both sides have alike, which the page shows small.
OF_BOTH = 170
SIZE_WH = (LARGEST, LARGEST)
# Classes that a note names.
MOST_NAMED = 3


def image_picture(image: str, stage: str, reference: U8, candidate: U8, color: str = "bgr") -> StagePicture:
    """Of a decoded or resized image, (H, W, C) uint8. color: how both have their channels: bgr, rgb or gray."""
    same = np.array_equal(reference, candidate)
    return _picture(image, stage, _as_bgr(reference, color), _as_bgr(candidate, color), same=same)


def input_picture(image: str, reference: Array, candidate: Array, color: str = "rgb") -> StagePicture:
    """Of a tensor, (1, C, H, W) or (1, H, W, C): black and white are the reference's least and greatest value, so that a
    candidate on another scale looks so."""
    right, other = _hwc(reference), _hwc(candidate)
    finite = right[np.isfinite(right)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    one, two = (_as_bgr(_levels(values, low, high), color) for values in (right, other))
    return _picture(image, "input", one, two, same=np.array_equal(right, other))


def outputs_picture(image: str, reference: Sequence[Array], candidate: Sequence[Array]) -> StagePicture:
    """All outputs one below the other, each folded to about a square, in colours from the reference's least to its greatest."""
    pairs = list(zip(reference, candidate, strict=True))
    right, other = (
        np.vstack([_heat(own, r) for own, (r, _) in zip(side, pairs, strict=True)]) for side in (reference, candidate)
    )
    return _picture(image, "outputs", right, other, same=all(np.array_equal(r, c) for r, c in pairs))


def results_picture(
    image: str, pixels_bgr: U8, reference: Result, candidate: Result, names: Names = None, stage: str = "results"
) -> StagePicture:
    """pixels_bgr: the decoded image, (H, W, 3). stage: also that of boxes before NMS."""
    both = [name_of(k, names) for r in (reference, candidate) for k in _class_ids(r)]
    colours = {name: PALETTE[k % len(PALETTE)] for k, name in enumerate(dict.fromkeys(both))}
    look = Look(names, colours, scale_of((reference, candidate)))
    right, other = (draw(pixels_bgr, r, look, SIZE_WH) for r in (reference, candidate))
    said = [_said(r, names) for r in (reference, candidate)]
    note = f"reference: {said[0]}; candidate: {said[1]}" if all(said) else ""
    return _picture(image, stage, right, other, note, _are_same(reference, candidate))


def _are_same(reference: Result, candidate: Result) -> bool:
    """To the last bit, which a drawing does not show."""
    if type(reference) is not type(candidate):
        return False
    own, other = (vars(r) if r is not None else {} for r in (reference, candidate))
    return all(np.array_equal(own[k], other[k]) for k in own)


def _said(result: Result, names: Names) -> str:
    """Of what cannot be drawn."""
    if isinstance(result, Classification | Labels):
        best = list(zip(result.class_ids.tolist(), result.scores.tolist(), strict=True))[:MOST_NAMED]
        return ", ".join(f"{name_of(k, names)} {score:.2f}" for k, score in best) or "no label"
    if isinstance(result, Text):
        return f"“{printable(result.text)}”"
    if isinstance(result, Detections):
        return count_of(len(result), "object")
    return ""


def _picture(image: str, stage: str, reference: U8, candidate: U8, note: str = "", same: bool = False) -> StagePicture:
    """The difference is of the pixels themselves; all three are made smaller afterwards. same: of the values, of which a
    picture may not show all."""
    if same:
        return StagePicture(image, stage, encoded(_small(reference, OF_BOTH)), b"", b"", note=note, same=True)
    between = difference(reference, candidate)
    reference_picture, candidate_picture, difference_picture = (
        encoded(_small(p)) for p in (reference, candidate, between.pixels)
    )
    if reference.shape != candidate.shape:
        note = f"{_size(reference)} against {_size(candidate)} pixels"
    return StagePicture(image, stage, reference_picture, candidate_picture, difference_picture, between.factor, note)


def _class_ids(result: Result) -> list[int]:
    if isinstance(result, Detections | SemanticMask):
        return [int(k) for k in np.unique(result.class_ids)]
    return []


def _as_bgr(pixels: U8, color: str) -> U8:
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    bgr = pixels[..., 2::-1] if color == "rgb" else pixels[..., :3]
    return np.ascontiguousarray(bgr)


def _hwc(tensor: Array) -> npt.NDArray[np.float32]:
    values = np.asarray(tensor[0] if tensor.ndim == 4 else tensor, np.float32)
    first = values.ndim == 3 and values.shape[0] in (1, 3) and values.shape[2] not in (1, 3)
    return values.transpose(1, 2, 0) if first else values


def _levels(values: npt.NDArray[np.float32], low: float, high: float) -> U8:
    scaled = np.nan_to_num((values - low) * (255 / ((high - low) or 1.0)), nan=0.0, posinf=255.0, neginf=0.0)
    return np.asarray(np.rint(np.clip(scaled, 0, 255)), np.uint8)


def _heat(own: Array, reference: Array) -> U8:
    values, scale = np.asarray(own, np.float32).ravel(), np.asarray(reference, np.float32)
    finite = scale[np.isfinite(scale)]
    low, high = (float(v) for v in np.percentile(finite, (0.5, 99.5))) if finite.size else (0.0, 1.0)
    side = max(1, math.isqrt(max(0, values.size - 1)) + 1)
    folded = np.full(side * side, low, np.float32)
    folded[: values.size] = values
    levels = cv2.resize(_levels(folded.reshape(side, side), low, high), SIZE_WH, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), np.uint8)


def _small(pixels: U8, largest: int = LARGEST) -> U8:
    scale = largest / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _size(pixels: U8) -> str:
    return f"{pixels.shape[1]} × {pixels.shape[0]}"
