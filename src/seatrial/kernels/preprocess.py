"""Preprocess: one uint8 image to one tensor, and the geometry to bring results back. Public as seatrial.Preprocess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import DataError, did_you_mean
from seatrial.kernels import native_preprocess, reference
from seatrial.kernels.geometry import Geometry, fit
from seatrial.kernels.images import INPUT_COLORS, MATRICES, RANGES, U8, ImageLike, Planes, checked_image, size_of

MODES = ("letterbox", "stretch", "resize_center_crop", "pad")
COLORS = ("rgb", "bgr", "gray")
LAYOUTS = ("nchw", "nhwc")
DTYPES = ("float32", "float16", "uint8", "int8")
ENGINES = ("native", "reference")
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
        input_color: what the images are: bgr (as OpenCV decodes), rgb, bgra, rgba (alpha is dropped), gray, nv12 or i420.
        yuv_matrix, yuv_range: bt601 or bt709, limited or full: how nv12 and i420 become colours.
        scale, mean, std: (x * scale - mean) / std in float32; mean and std per channel in the order of `color`.
        layout: nchw or nhwc.
        dtype: float32, float16 (rounded from float32), uint8 or int8. Without quant_scale, uint8 keeps raw levels and
            needs scale 1, mean 0, std 1.
        quant_scale, zero_point: for uint8 and int8: round(value / quant_scale) + zero_point, saturated, as ONNX's
            QuantizeLinear.
        engine: native (C++, one pass), or reference (OpenCV, Pillow and NumPy: slower, for checking). linear, nearest,
            area and both antialias give the same tensor; cubic at most one level of 255 apart.
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
    yuv_matrix: str = "bt601"
    yuv_range: str = "limited"
    quant_scale: float | None = None
    zero_point: int = 0
    engine: str = "native"

    def __post_init__(self) -> None:
        size = tuple(self.size) if isinstance(self.size, Sequence) else (self.size, self.size)
        if len(size) != 2 or not all(isinstance(v, int | np.integer) and v > 0 for v in size):
            raise ValueError(f"size: expected (height, width) of positive integers, got {self.size!r}")
        _one_of("mode", self.mode, MODES)
        _one_of("interpolation", self.interpolation, reference.INTERPOLATIONS)
        _one_of("pad_anchor", self.pad_anchor, ANCHORS)
        _one_of("color", self.color, COLORS)
        _one_of("input_color", self.input_color, INPUT_COLORS)
        _one_of("yuv_matrix", self.yuv_matrix, MATRICES)
        _one_of("yuv_range", self.yuv_range, RANGES)
        _one_of("engine", self.engine, ENGINES)
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
            # -0.0 is 0.0: they are equal, and so must be what they do.
            object.__setattr__(self, name, tuple(v + 0.0 for v in values))
        # As float32, which they are used in: there 1e-50 is zero.
        used = {name: np.array(getattr(self, name)).astype(np.float32) for name in ("scale", "mean", "std")}
        for name, values32 in used.items():
            if not np.isfinite(values32).all() or (name == "std" and not values32.all()):
                wanted = "finite values other than zero" if name == "std" else "finite numbers"
                raise ValueError(f"{name}: expected {wanted}, got {getattr(self, name)}")
        object.__setattr__(self, "scale", float(self.scale) + 0.0)
        self._check_quantisation()
        object.__setattr__(self, "size", (int(size[0]), int(size[1])))

    def _check_quantisation(self) -> None:
        if self.quant_scale is None:
            plain = self.scale == 1 and not any(self.mean) and all(v == 1 for v in self.std)
            if self.dtype == "uint8" and not plain:
                raise ValueError(
                    "dtype: uint8 keeps raw levels and needs scale 1, mean 0 and std 1; expected float32 or float16, or a "
                    "quant_scale"
                )
            if self.dtype == "int8":
                raise ValueError("dtype: int8 needs a quant_scale; expected the model's input scale and zero_point")
            if self.zero_point:
                raise ValueError(f"zero_point: expected a quant_scale with it, got zero_point {self.zero_point} alone")
            return
        if self.dtype not in ("uint8", "int8"):
            raise ValueError(f"quant_scale: expected dtype uint8 or int8 with it, got {self.dtype}")
        # As float32, which it is used in.
        if not 0 < np.float32(self.quant_scale) < np.inf:
            raise ValueError(f"quant_scale: expected a positive finite number, got {self.quant_scale}")
        limits = np.iinfo(self.dtype)
        if not isinstance(self.zero_point, int | np.integer) or not limits.min <= self.zero_point <= limits.max:
            raise ValueError(
                f"zero_point: expected a whole number from {limits.min} to {limits.max} for {self.dtype}, got {self.zero_point}"
            )

    @property
    def channels(self) -> int:
        """Of the tensor."""
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

    def __call__(self, image: ImageLike, out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        """One image to (1, *shape). Writes into `out` where given and returns it.

        The image is uint8: (H, W, C) of any strides, (H, W) grey, or NV12 and I420 as (H * 3 / 2, W) or as planes.

        ValueError where the image or `out` has another shape or dtype than expected; DataError where it can't be fitted.
        """
        return self.batch([image], out)

    def batch(
        self, images: Sequence[ImageLike], out: npt.NDArray[Any] | None = None, threads: int = 1
    ) -> npt.NDArray[Any]:
        """Images of any sizes to (len(images), *shape); `out` as in __call__.

        The native engine works on at most `threads` threads, without the GIL; the reference on one, whatever is asked.
        """
        if isinstance(threads, bool) or not isinstance(threads, int | np.integer) or threads < 1:
            raise ValueError(f"threads: expected a positive whole number, got {threads!r}")
        checked = [checked_image(image, self.input_color) for image in images]
        geometries = [self.geometry(size_of(image)) for image in checked]
        out = self._checked_out(out, len(checked))
        if self.engine == "native":
            self._native(checked, geometries, out, min(int(threads), max(1, len(checked))))
        else:
            for slot, image, geometry in zip(out, checked, geometries, strict=True):
                self._reference(image, geometry, slot)
        return out

    def _native(
        self, images: list[U8 | Planes], geometries: list[Geometry], out: npt.NDArray[Any], threads: int
    ) -> None:
        planar = self.layout == "nchw"
        values = native_preprocess.values_for(
            self.scale, self.mean, self.std, self.dtype, self.quant_scale, self.zero_point,
            planar, self._makes_gray, self._reverses,
        )  # fmt: skip
        native_preprocess.preprocess(
            images, geometries, out, values,
            interpolation=self.interpolation, pad_value=self.pad_value, planar=planar,
            yuv=(self.yuv_matrix, self.yuv_range), threads=threads,
        )  # fmt: skip

    def _reference(self, image: U8 | Planes, geometry: Geometry, slot: npt.NDArray[Any]) -> None:
        if isinstance(image, Planes):
            image = reference.yuv_to_bgr(image, self.yuv_matrix, self.yuv_range)
        # OpenCV takes only some strides and Pillow none; one copy here beats silent garbage there.
        image_hwc = np.ascontiguousarray(image[..., :3])
        placed = reference.place(image_hwc, geometry, self.interpolation, self.pad_value)
        if self._makes_gray:
            coloured = reference.gray(placed, self._reverses)
        else:
            coloured = placed[..., ::-1] if self._reverses else placed
        values = reference.to_values(
            coloured, self.scale, self.mean, self.std, self.dtype, self.quant_scale, self.zero_point
        )
        slot[...] = values.transpose(2, 0, 1) if self.layout == "nchw" else values

    @property
    def _makes_gray(self) -> bool:
        return self.color == "gray" and self.input_color != "gray"

    @property
    def _reverses(self) -> bool:
        """Whether the image's channels run R, G, B where B, G, R is wanted, or the other way; for grey: run R, G, B."""
        if self.color == "gray":
            return self.input_color in ("rgb", "rgba")
        return (self.input_color in ("rgb", "rgba")) != (self.color == "rgb")

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
