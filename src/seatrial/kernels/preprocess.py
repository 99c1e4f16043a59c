"""Preprocess: one uint8 image to one tensor, and the geometry to bring results back. Public as seatrial.Preprocess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import DataError, did_you_mean
from seatrial.kernels import reference
from seatrial.kernels.geometry import Geometry, fit

MODES = ("letterbox", "stretch", "resize_center_crop", "pad")
COLORS = ("rgb", "bgr", "gray")
LAYOUTS = ("nchw", "nhwc")
DTYPES = ("float32", "float16", "uint8")
ANCHORS = ("center", "top_left")


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Resize, colour order, (x * scale - mean) / std, layout and dtype, in that order.

    Args:
        size: (height, width) of the model's input, pixels.
        mode: letterbox (keep aspect, pad), stretch, resize_center_crop, or pad (no resize).
        interpolation: linear, nearest, area, cubic (as OpenCV), antialias_linear or antialias_cubic (as Pillow).
        pad_value: grey level 0 to 255 of the padding, before scaling.
        pad_anchor: center, or top_left as YOLOX and many mobile pipelines do.
        color: what the model expects: rgb, bgr or gray (one channel, BT.601 as OpenCV's cvtColor).
        input_color: what the images are; OpenCV decodes to bgr.
        scale, mean, std: (x * scale - mean) / std in float32; mean and std per channel in the order of `color`.
        layout: nchw or nhwc.
        dtype: float32, float16 (rounded from float32) or uint8 (needs scale 1, mean 0, std 1).
        resize_short: with resize_center_crop, the short side after the resize; by default size / 0.875.

    Raises:
        ValueError: an argument is not one of the above; the message names the nearest word.
    """

    size: tuple[int, int]
    mode: str = "letterbox"
    interpolation: str = "linear"
    pad_value: int = 114
    pad_anchor: str = "center"
    color: str = "rgb"
    input_color: str = "bgr"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    layout: str = "nchw"
    dtype: str = "float32"
    resize_short: int | None = None

    def __post_init__(self) -> None:
        size = tuple(self.size) if isinstance(self.size, Sequence) else (self.size, self.size)
        if len(size) != 2 or not all(isinstance(v, int | np.integer) and v > 0 for v in size):
            raise ValueError(f"size: expected (height, width) of positive integers, got {self.size!r}")
        _one_of("mode", self.mode, MODES)
        _one_of("interpolation", self.interpolation, reference.INTERPOLATIONS)
        _one_of("pad_anchor", self.pad_anchor, ANCHORS)
        _one_of("color", self.color, COLORS)
        _one_of("input_color", self.input_color, COLORS)
        _one_of("layout", self.layout, LAYOUTS)
        _one_of("dtype", self.dtype, DTYPES)
        if self.input_color == "gray" and self.color != "gray":
            raise ValueError("input_color: a one-channel gray image cannot become colour; expected 'bgr' or 'rgb'")
        if not isinstance(self.pad_value, int | np.integer) or not 0 <= self.pad_value <= 255:
            raise ValueError(f"pad_value: expected a whole grey level from 0 to 255, got {self.pad_value}")
        short = self.resize_short
        if short is not None and (not isinstance(short, int | np.integer) or short < 1):
            raise ValueError(f"resize_short: expected a positive whole number of pixels, got {self.resize_short}")
        channels = self.channels
        for name in ("mean", "std"):
            values = tuple(float(v) for v in np.atleast_1d(getattr(self, name)).tolist())
            if channels == 1 and len(values) == 3 and len(set(values)) == 1:
                values = values[:1]
            if len(values) != channels:
                raise ValueError(f"{name}: expected {channels} value(s), one a channel, got {len(values)}")
            object.__setattr__(self, name, values)
        # As float32, which they are used in: there 1e-50 is zero.
        used = {name: np.array(getattr(self, name)).astype(np.float32) for name in ("scale", "mean", "std")}
        for name, values32 in used.items():
            if not np.isfinite(values32).all() or (name == "std" and not values32.all()):
                wanted = "finite values other than zero" if name == "std" else "finite numbers"
                raise ValueError(f"{name}: expected {wanted}, got {getattr(self, name)}")
        plain = self.scale == 1 and not any(self.mean) and all(v == 1 for v in self.std)
        if self.dtype == "uint8" and not plain:
            raise ValueError(
                "dtype: uint8 keeps raw levels and needs scale 1, mean 0 and std 1; expected float32 or float16"
            )
        object.__setattr__(self, "size", (int(size[0]), int(size[1])))

    @property
    def channels(self) -> int:
        return 1 if self.color == "gray" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image's tensor, without the batch."""
        (h, w), c = self.size, self.channels
        return (c, h, w) if self.layout == "nchw" else (h, w, c)

    def geometry(self, source_hw: tuple[int, int]) -> Geometry:
        """How an image of (height, width) lies in the tensor. DataError where it cannot be fitted."""
        h, w = (int(v) for v in source_hw)
        if h < 1 or w < 1:
            raise DataError(f"expected an image of at least 1 × 1 pixels, got {h} × {w}")
        short = self.resize_short or round(min(self.size) / 0.875)
        return fit((h, w), self.size, self.mode, self.pad_anchor, short)

    def __call__(self, image_hwc: npt.NDArray[np.uint8], out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        """One HWC (or HW grey) uint8 image, any strides, to (1, *shape). Writes into `out` where given and returns it.

        ValueError where the image or `out` has another shape or dtype than expected; DataError where it can't be fitted.
        """
        image = self._checked(image_hwc)
        out = self._checked_out(out, 1)
        self._write(image, out[0])
        return out

    def batch(self, images: Sequence[npt.NDArray[np.uint8]], out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        """Images of any sizes to (len(images), *shape); `out` as in __call__."""
        out = self._checked_out(out, len(images))
        for slot, image in zip(out, images, strict=True):
            self._write(self._checked(image), slot)
        return out

    def _write(self, image_hwc: npt.NDArray[np.uint8], slot: npt.NDArray[Any]) -> None:
        placed = reference.place(
            image_hwc, self.geometry((image_hwc.shape[0], image_hwc.shape[1])), self.interpolation, self.pad_value
        )
        coloured = self._recoloured(placed)
        values: npt.NDArray[Any] = coloured
        if self.dtype != "uint8":
            values = reference.normalise(coloured, self.scale, self.mean, self.std)
        slot[...] = values.transpose(2, 0, 1) if self.layout == "nchw" else values

    def _recoloured(self, image_hwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        if self.color == self.input_color:
            return image_hwc
        if self.color == "gray":
            import cv2

            code = cv2.COLOR_BGR2GRAY if self.input_color == "bgr" else cv2.COLOR_RGB2GRAY
            gray: npt.NDArray[np.uint8] = cv2.cvtColor(image_hwc, code)[..., None]
            return gray
        return image_hwc[..., ::-1]

    def _checked(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        channels = 1 if self.input_color == "gray" else 3
        array = np.asarray(image)
        if array.ndim == 2 and channels == 1:
            array = array[..., None]
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != channels or 0 in array.shape:
            raise ValueError(
                f"image: expected uint8 of shape (height, width, {channels}) for input_color '{self.input_color}', "
                f"got {array.dtype} of shape {array.shape}; decode with seatrial.decode_image or convert it first"
            )
        # OpenCV takes only some strides and Pillow none; one copy here beats silent garbage there.
        return np.ascontiguousarray(array)

    def _checked_out(self, out: npt.NDArray[Any] | None, count: int) -> npt.NDArray[Any]:
        expected = (count, *self.shape)
        if out is None:
            return np.empty(expected, self.dtype)
        if out.shape != expected or out.dtype != self.dtype:
            raise ValueError(f"out: expected {self.dtype} of shape {expected}, got {out.dtype} of shape {out.shape}")
        if not out.flags.writeable:
            raise ValueError("out: expected a writeable array, got a read-only one")
        return out


def _one_of(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(
            f"{name}: expected one of {', '.join(known)}, got {value!r}{did_you_mean(str(value), list(known))}"
        )
