"""Readable NumPy, OpenCV and Pillow versions of every kernel: the definition that native kernels must equal.

For: being obviously right. Not for: speed. Each function states its formula; none keeps state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from seatrial.kernels.geometry import Geometry
from seatrial.kernels.images import Planes, yuv_coefficients

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

OPENCV_INTERPOLATION = {
    "linear": cv2.INTER_LINEAR,
    "nearest": cv2.INTER_NEAREST,
    "area": cv2.INTER_AREA,
    "cubic": cv2.INTER_CUBIC,
}
# Pillow widens the filter's support on downscale (antialias), as torchvision does with antialias=True.
PILLOW_INTERPOLATION = {
    "antialias_linear": Image.Resampling.BILINEAR,
    "antialias_cubic": Image.Resampling.BICUBIC,
}
INTERPOLATIONS = (*OPENCV_INTERPOLATION, *PILLOW_INTERPOLATION)


def resize(image_hwc: U8, size_hw: tuple[int, int], interpolation: str) -> U8:
    """uint8 HWC to uint8 HWC of `size_hw`; a source that has that size already comes back unchanged."""
    if image_hwc.shape[:2] == size_hw:
        return image_hwc
    height, width = size_hw
    out: U8
    if interpolation in PILLOW_INTERPOLATION:
        out = _antialiased(image_hwc, size_hw, PILLOW_INTERPOLATION[interpolation])
    else:
        # Keyword, not position: the third positional argument of cv2.resize is dst, and a wrong one is ignored silently.
        out = cv2.resize(image_hwc, (width, height), interpolation=OPENCV_INTERPOLATION[interpolation])
    return out if out.ndim == 3 else out[..., None]


def _antialiased(image_hwc: U8, size_hw: tuple[int, int], filter: Image.Resampling) -> U8:
    """Pillow's resize, one axis at a time in the order that Pillow 13 chooses; older ones always took the width first.

    Each pass rounds to uint8, so that the order shows: up to a few levels where both axes change much.
    """
    (source_h, source_w), (height, width) = image_hwc.shape[:2], size_hw
    less_high, less_wide = source_h - height, source_w - width
    between = (source_w, height) if less_high > 0 and less_high > 2 * less_wide else (width, source_h)
    # Pillow takes one channel only without its axis; OpenCV takes the axis and drops it.
    pillow = Image.fromarray(image_hwc[..., 0] if image_hwc.shape[2] == 1 else image_hwc)
    return np.asarray(pillow.resize(between, filter).resize((width, height), filter))


def place(image_hwc: U8, geometry: Geometry, interpolation: str, pad_value: int) -> U8:
    """Resizes, then pads or crops to geometry.input_hw. A crop that exceeds the image is padded."""
    resized = resize(image_hwc, geometry.resized_hw, interpolation)
    out_h, out_w = geometry.input_hw
    top, left = geometry.offset_y, geometry.offset_x
    if (top, left) == (0, 0) and resized.shape[:2] == (out_h, out_w):
        return resized
    canvas = np.full((out_h, out_w, image_hwc.shape[2]), pad_value, np.uint8)
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + resized.shape[0], out_h), min(left + resized.shape[1], out_w)
    canvas[y0:y1, x0:x1] = resized[y0 - top : y1 - top, x0 - left : x1 - left]
    return canvas


def gray(image_hwc: U8, reversed: bool) -> U8:
    """(H, W, 1): BT.601 luma of B, G, R, or of R, G, B where reversed, as OpenCV rounds it."""
    out: U8 = cv2.cvtColor(np.ascontiguousarray(image_hwc), cv2.COLOR_RGB2GRAY if reversed else cv2.COLOR_BGR2GRAY)
    return out[..., None]


def normalise(image_hwc: U8, scale: float, mean: tuple[float, ...], std: tuple[float, ...]) -> F32:
    """(x * scale - mean) / std in float32, each operation rounded to float32, per channel."""
    scaled: F32 = image_hwc.astype(np.float32) * np.float32(scale)
    centred: F32 = np.subtract(scaled, np.asarray(mean, np.float32))
    return np.divide(centred, np.asarray(std, np.float32), dtype=np.float32)


def quantise(values: F32, scale: float, zero_point: int, dtype: str) -> npt.NDArray[Any]:
    """ONNX QuantizeLinear: round(x / scale) with halves to even, plus zero_point, saturated to uint8 or int8."""
    limits = np.iinfo(dtype)
    with np.errstate(over="ignore"):
        levels = np.rint(np.divide(values, np.float32(scale))) + np.float32(zero_point)
    return np.clip(levels, limits.min, limits.max).astype(dtype)


@dataclass(frozen=True)
class Normalisation:
    """What a level becomes: (x * scale - mean) / std of its channel, then rounded to dtype, or quantised to it."""

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype: str = "float32"
    quant_scale: float | None = None
    zero_point: int = 0


def to_values(image_hwc: U8, n: Normalisation) -> npt.NDArray[Any]:
    """Levels to the tensor's numbers: float32 by normalise, then rounded to float16 or quantised; raw uint8 as they are."""
    if n.dtype == "uint8" and n.quant_scale is None:
        return image_hwc
    with np.errstate(over="ignore"):
        values = normalise(image_hwc, n.scale, n.mean, n.std)
        return (
            values.astype(n.dtype) if n.quant_scale is None else quantise(values, n.quant_scale, n.zero_point, n.dtype)
        )


def yuv_to_bgr(planes: Planes, matrix: str, value_range: str) -> U8:
    """(H, W, 3) from half-resolution chroma, each chroma sample repeated over 2 × 2 pixels, in 20-bit fixed point."""
    offset, y_gain, u_to_b, u_to_g, v_to_g, v_to_r = yuv_coefficients(matrix, value_range)
    height, width = planes.y.shape
    u, v = (
        np.repeat(np.repeat(p, 2, axis=0), 2, axis=1)[:height, :width].astype(np.int32) - 128
        for p in (planes.u, planes.v)
    )
    luma = np.maximum(planes.y.astype(np.int32) - offset, 0) * y_gain + (1 << 19)
    bgr = np.stack([luma + u_to_b * u, luma + u_to_g * u + v_to_g * v, luma + v_to_r * v], axis=-1) >> 20
    out: U8 = np.clip(bgr, 0, 255).astype(np.uint8)
    return out


def exp32(x: F32) -> F32:
    """exp in float32 whose every operation is written down, so that any machine and the native kernel give the same bits.

    Cody and Waite: x = n ln 2 + r with |r| <= ln 2 / 2, ln 2 in two parts so that n * 0.693359375 is exact; the polynomial is
    the one of Cephes' expf. Less than 1 ulp from the true value; NumPy's own exp differs from one processor to the next.
    """
    f = np.float32
    clipped = np.clip(np.nan_to_num(x, nan=0.0), f(-104), f(89))
    n = np.rint(clipped * f(1.44269504088896341))
    r = (clipped - n * f(0.693359375)) - n * f(-2.12194440e-4)
    p = np.full_like(r, f(1.9875691500e-4))
    for c in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        p = p * r + f(c)
    with np.errstate(over="ignore"):
        out: F32 = np.ldexp((p * (r * r) + r) + f(1), n.astype(np.int32))
    return np.where(np.isnan(x), x, out)


def _sum16(values: F32) -> F32:
    """Sum over the last axis in 16 float64 sums, element i in sum i % 16, added in halves; rounded to float32."""
    missing = -values.shape[-1] % 16
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)]).astype(np.float64)
    total = np.zeros((*values.shape[:-1], 16))
    for begin in range(0, padded.shape[-1], 16):
        total = total + padded[..., begin : begin + 16]
    for width in (8, 4, 2, 1):
        total = total[..., :width] + total[..., width:]
    return total.astype(np.float32)


def softmax(logits: npt.NDArray[np.floating]) -> F32:
    """exp(x - max) / sum over the last axis, in float32; a row with a NaN is NaN."""
    x = logits.astype(np.float32)
    with np.errstate(invalid="ignore"):
        e = exp32(x - x.max(axis=-1, keepdims=True))
        out: F32 = np.divide(e, _sum16(e))
    return out


def sigmoid(logits: npt.NDArray[np.floating]) -> F32:
    """1 / (1 + exp(-x)) in float32, without overflow at either end."""
    x = logits.astype(np.float32)
    e = exp32(-np.abs(x))
    out: F32 = np.where(x >= 0, np.float32(1), e) / (np.float32(1) + e)
    return out


def top_k(scores: F32, k: int) -> I64:
    """Indices of the k largest scores, descending; ties by lower index; NaN last."""
    return np.argsort(-scores, kind="stable")[:k]


def iou_one_to_many(box_xyxy: F32, boxes_xyxy: F32) -> F32:
    """Intersection over union of one box with (N, 4) boxes, float32; zero where the union is empty."""
    w = np.minimum(box_xyxy[2], boxes_xyxy[:, 2]) - np.maximum(box_xyxy[0], boxes_xyxy[:, 0])
    h = np.minimum(box_xyxy[3], boxes_xyxy[:, 3]) - np.maximum(box_xyxy[1], boxes_xyxy[:, 1])
    inter = np.maximum(w, 0) * np.maximum(h, 0)
    area = (box_xyxy[2] - box_xyxy[0]) * (box_xyxy[3] - box_xyxy[1])
    areas = (boxes_xyxy[:, 2] - boxes_xyxy[:, 0]) * (boxes_xyxy[:, 3] - boxes_xyxy[:, 1])
    union = area + areas - inter
    out: F32 = np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)
    return out


def nms(boxes_xyxy: F32, scores: F32, class_ids: I64, iou: float, class_agnostic: bool, most: int) -> I64:
    """Greedy non-maximum suppression: indices of the boxes kept, by descending score, ties by lower index.

    A box is suppressed where its IoU with a kept one (of its class, unless agnostic) is above `iou`, not at it.
    Stops once `most` are kept: what comes later has a lower score and can't push any of them out.
    """
    order = top_k(scores, len(scores))
    kept: list[int] = []
    while len(order) and len(kept) < most:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        suppressed = iou_one_to_many(boxes_xyxy[best], boxes_xyxy[rest]) > iou
        if not class_agnostic:
            suppressed &= class_ids[rest] == class_ids[best]
        order = rest[~suppressed]
    return np.asarray(kept, np.int64)


def argmax_mask(scores_chw: npt.NDArray[Any], geometry: Geometry) -> U8 | npt.NDArray[np.uint16]:
    """Class of each source pixel (H, W): argmax over channels, then nearest with half-pixel centres.

    The scores may be smaller than the input by any factor. A source pixel that a crop cut away is 255;
    ties go to the lower class. uint8 up to 255 classes, else uint16 with 65535 for 255.
    """
    classes = np.argmax(scores_chw, axis=0)
    wide, ignored = mask_kind(scores_chw.shape[0])
    rows, columns = cells(geometry, classes.shape)
    mask: U8 | npt.NDArray[np.uint16] = classes[rows][:, columns].astype(np.uint16 if wide else np.uint8)
    mask[(rows < 0)[:, None] | (columns < 0)[None, :]] = ignored
    return mask


def mask_kind(classes: int) -> tuple[bool, int]:
    """Whether a mask of so many classes needs uint16, and which value is left for 'no class': the dtype's largest."""
    if classes > 65535:
        raise ValueError(f"segmentation: expected at most 65535 classes, got {classes}")
    return classes > 255, 65535 if classes > 255 else 255


def cells(geometry: Geometry, cells_hw: tuple[int, ...]) -> tuple[I64, I64]:
    """The row and the column of scores that each source row and column takes; -1 where a crop cut it away."""
    (in_h, in_w), (h, w), (resized_h, resized_w) = geometry.input_hw, geometry.source_hw, geometry.resized_hw
    return (
        _cells(h, resized_h, geometry.offset_y, in_h, cells_hw[0]),
        _cells(w, resized_w, geometry.offset_x, in_w, cells_hw[1]),
    )


def _cells(source: int, resized: int, offset: int, inputs: int, count: int) -> I64:
    # In whole numbers, units of 1 / (2 * source) of an input pixel: a centre on a cell's edge must not be rounded off it.
    centres = (2 * np.arange(source, dtype=np.int64) + 1) * resized + 2 * source * offset
    end = 2 * source * inputs
    nearest = np.clip(centres * count // end, 0, count - 1)
    return np.where((centres < 0) | (centres >= end), -1, nearest)
