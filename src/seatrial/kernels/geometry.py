"""Where each source pixel lands in the model's input, and the way back. For: boxes and masks. Not for: pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seatrial.errors import DataError

# Resizing 1 × 20000 so that its short side is 256 would make 1.3 billion pixels: refuse before memory does.
MAX_RESIZED_PIXELS = 1 << 28
# Modes that give each image an input of its own size.
VARYING = ("rect", "keep_ratio")


@dataclass(frozen=True)
class Geometry:
    """The map from source pixels to input pixels: x_input = x_source * scale_x + offset_x; likewise y.

    Coordinates are continuous with pixel edges at integers, so that a scale maps edges to edges exactly.
    `resized_hw` is the whole source after the resize, `input_hw` the tensor; a crop has negative offsets.
    """

    source_hw: tuple[int, int]
    resized_hw: tuple[int, int]
    input_hw: tuple[int, int]
    offset_x: int
    offset_y: int

    def __post_init__(self) -> None:
        # Kernels divide by these sides.
        if min(*self.source_hw, *self.resized_hw, *self.input_hw) < 1:
            raise ValueError(
                f"Geometry: expected sides of at least one pixel, got source {self.source_hw}, resized {self.resized_hw}, "
                f"input {self.input_hw}"
            )

    @property
    def scale_x(self) -> float:
        return self.resized_hw[1] / self.source_hw[1]

    @property
    def scale_y(self) -> float:
        return self.resized_hw[0] / self.source_hw[0]

    def to_image(self, boxes_xyxy: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Boxes (N, 4) in input pixels to source pixels, clipped to the source; a new float32 array."""
        boxes = _check(boxes_xyxy)
        height, width = self.source_hw
        out = np.empty_like(boxes)
        out[:, 0::2] = np.clip((boxes[:, 0::2] - self.offset_x) / self.scale_x, 0, width)
        out[:, 1::2] = np.clip((boxes[:, 1::2] - self.offset_y) / self.scale_y, 0, height)
        return out.astype(np.float32)

    def points_to_image(self, points_xy: npt.NDArray[np.floating], clip: bool = True) -> npt.NDArray[np.float32]:
        """Points (…, 2) in input pixels to source pixels, clipped to the source unless told not to; a new float32 array."""
        points = np.asarray(points_xy, np.float64)
        points = (points - [self.offset_x, self.offset_y]) / [self.scale_x, self.scale_y]
        with np.errstate(over="ignore"):
            return (np.clip(points, 0, self.source_hw[::-1]) if clip else points).astype(np.float32)

    def to_input(self, boxes_xyxy: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Boxes (N, 4) in source pixels to input pixels, not clipped; a new float32 array."""
        boxes = _check(boxes_xyxy)
        out = np.empty_like(boxes)
        out[:, 0::2] = boxes[:, 0::2] * self.scale_x + self.offset_x
        out[:, 1::2] = boxes[:, 1::2] * self.scale_y + self.offset_y
        return out.astype(np.float32)


def _check(boxes_xyxy: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    boxes = np.asarray(boxes_xyxy, dtype=np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes_xyxy: expected shape (N, 4), got {boxes.shape}")
    return boxes


def fit(
    source_hw: tuple[int, int],
    input_hw: tuple[int, int],
    mode: str,
    pad_anchor: str = "center",
    resize_short: int | None = None,
    stride: int = 32,
    scaling: str = "any",
    to_stride: str = "pad",
) -> Geometry:
    """The geometry of one preprocessing mode. DataError where the source cannot be fitted.

    letterbox: largest scale that keeps the whole image, aspect kept, the rest padded. stretch: both sides to size.
    resize_center_crop: short side to `resize_short`, then the centre (torchvision's Resize and CenterCrop).
    pad: no resize; the image must not be larger than the input.
    rect and keep_ratio: of such a size that the image lies in it, so that each image has an input of its own: see _own_size.
    """
    (h, w), (out_h, out_w) = source_hw, input_hw
    if mode in VARYING:
        return _own_size(source_hw, input_hw, mode, pad_anchor, stride, scaling, to_stride)
    if mode == "stretch":
        return Geometry(source_hw, input_hw, input_hw, 0, 0)
    if mode == "letterbox":
        ratio = min(out_h / h, out_w / w)
        # An extreme aspect rounds to zero rows; one row is the least that can be resized to.
        resized = (min(out_h, max(1, round(h * ratio))), min(out_w, max(1, round(w * ratio))))
    elif mode == "pad":
        resized = source_hw
        if h > out_h or w > out_w:
            raise DataError(
                f"mode 'pad' does not resize: expected an image of at most {out_h} × {out_w} (height × width), "
                f"got {h} × {w}; use mode 'letterbox', a larger size, or leave the image out"
            )
    elif mode == "resize_center_crop":
        short = resize_short or max(out_h, out_w)
        resized = (short, int(short * w / h)) if h <= w else (int(short * h / w), short)
        if resized[0] * resized[1] > MAX_RESIZED_PIXELS:
            raise DataError(
                f"resizing {h} × {w} (height × width) to a short side of {short} would make {resized[0]} × {resized[1]} "
                f"pixels, expected at most {MAX_RESIZED_PIXELS}; use mode 'letterbox' or leave the image out"
            )
        return Geometry(source_hw, resized, input_hw, _centred(out_w - resized[1]), _centred(out_h - resized[0]))
    else:
        raise ValueError(
            f"mode: expected letterbox, stretch, resize_center_crop, pad, rect or keep_ratio, got {mode!r}"
        )
    return _padded(source_hw, resized, input_hw, pad_anchor)


def _padded(
    source_hw: tuple[int, int], resized_hw: tuple[int, int], input_hw: tuple[int, int], pad_anchor: str
) -> Geometry:
    if pad_anchor == "top_left":
        return Geometry(source_hw, resized_hw, input_hw, 0, 0)
    spare_h, spare_w = input_hw[0] - resized_hw[0], input_hw[1] - resized_hw[1]
    # An odd spare row goes to the bottom, as Ultralytics' letterbox rounds (half - 0.1).
    return Geometry(source_hw, resized_hw, input_hw, spare_w // 2, spare_h // 2)


def _own_size(
    source_hw: tuple[int, int],
    limit_hw: tuple[int, int],
    mode: str,
    pad_anchor: str,
    stride: int,
    scaling: str,
    to_stride: str,
) -> Geometry:
    """An input as large as the image needs, its sides multiples of `stride`.

    rect: as large as lies in the limit, sides rounded half to even, as Ultralytics' rect. keep_ratio: the short side at most
    the limit's short one, the long at most its long one, whichever way the image stands, sides rounded half up, as mmcv's
    rescale_size and detectron2's ResizeShortestEdge; torchvision's GeneralizedRCNNTransform and DETR cut them, a pixel apart.
    scaling: any; down never enlarges, up never reduces and so passes the limit over. to_stride: pad to the next multiple, or
    stretch to the nearest (PaddleOCR's detectors).
    """
    (h, w), (limit_h, limit_w) = source_hw, limit_hw
    if mode == "rect":
        ratio = min(limit_h / h, limit_w / w)
    else:
        ratio = min(min(limit_hw) / min(source_hw), max(limit_hw) / max(source_hw))
    ratio = min(ratio, 1.0) if scaling == "down" else max(ratio, 1.0) if scaling == "up" else ratio
    if to_stride == "stretch":
        # PaddleOCR cuts to whole pixels before it rounds to multiples.
        resized = (
            max(stride, round(int(h * ratio) / stride) * stride),
            max(stride, round(int(w * ratio) / stride) * stride),
        )
        return _small_enough(Geometry(source_hw, resized, resized, 0, 0))
    whole = round if mode == "rect" else _half_up
    resized = max(1, whole(h * ratio)), max(1, whole(w * ratio))
    input_hw = -(-resized[0] // stride) * stride, -(-resized[1] // stride) * stride
    return _small_enough(_padded(source_hw, resized, input_hw, pad_anchor))


def _half_up(side: float) -> int:
    return int(side + 0.5)


def _small_enough(geometry: Geometry) -> Geometry:
    """DataError where one image would take all memory."""
    (h, w), source = geometry.input_hw, geometry.source_hw
    if h * w > MAX_RESIZED_PIXELS:
        raise DataError(
            f"resizing {source[0]} × {source[1]} (height × width) would make an input of {h} × {w} pixels, expected at most "
            f"{MAX_RESIZED_PIXELS}; use mode 'letterbox' or leave the image out"
        )
    return geometry


def _centred(spare: int) -> int:
    """Offset of the centre crop as torchvision rounds it: half to even where it cuts, down where it pads."""
    return spare // 2 if spare >= 0 else -round(-spare / 2)
