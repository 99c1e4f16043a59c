"""Preprocess: one uint8 image to one tensor, and the geometry to bring results back. Public as seatrial.Preprocess.

For: settings, checked, and which engine runs. Not for: pixels (csrc, reference.py) or memory (native_preprocess.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import DataError
from seatrial.kernels import native_preprocess, reference
from seatrial.kernels.arguments import ENGINES, ArgumentError, finite_numbers, is_whole, one_of, size_hw
from seatrial.kernels.geometry import VARYING, Geometry, fit
from seatrial.kernels.images import INPUT_COLORS, MATRICES, RANGES, U8, ImageLike, Planes, check_image, size_of
from seatrial.kernels.quantisation import checked_quantisation

MODES = ("letterbox", "stretch", "resize_center_crop", "pad", *VARYING)
# The words that an argument may be.
WORDS: dict[str, Sequence[str]] = {
    "mode": MODES,
    "interpolation": reference.INTERPOLATIONS,
    "pad_anchor": ("center", "top_left"),
    "color": ("rgb", "bgr", "gray"),
    "input_color": INPUT_COLORS,
    "yuv_matrix": MATRICES,
    "yuv_range": RANGES,
    "engine": ENGINES,
    "layout": ("nchw", "nhwc"),
    "dtype": ("float32", "float16", "uint8", "int8"),
    "scaling": ("any", "down", "up"),
    "to_stride": ("pad", "stretch"),
}
# Arguments that only modes with an input of each image's own size read.
_OF_VARYING = {"stride": 32, "scaling": "any", "to_stride": "pad"}


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Resize, colour order, (x * scale - mean) / std, layout and dtype, in that order.

    Args:
        size: (height, width) of the model's input, pixels; with rect and keep_ratio, what it lies in.
        mode: letterbox (keep aspect, pad), stretch, resize_center_crop, or pad (no resize); rect (a letterbox without the
            padding that the stride does not need) and keep_ratio (short and long side at most those of size, whichever way the
            image stands) give each image an input of its own size: one image a batch, or images of one input size.
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
        stride: with rect and keep_ratio: sides are multiples of it.
        scaling: with these: any; down never enlarges; up never reduces, whatever the size.
        to_stride: with these: pad to the next multiple, or stretch to the nearest, as PaddleOCR's detectors do.

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
    stride: int = 32
    scaling: str = "any"
    to_stride: str = "pad"

    def __post_init__(self) -> None:
        self._set("size", size_hw(self.size))
        if not isinstance(self.dtype, str) and self.dtype in (np.float32, np.float16, np.uint8, np.int8):
            self._set("dtype", np.dtype(self.dtype).name)
        for name, words in WORDS.items():
            one_of(name, getattr(self, name), words)
        if self.input_color == "gray" and self.color != "gray":
            raise ArgumentError("input_color", "a one-channel gray image cannot become colour; expected 'bgr' or 'rgb'")
        if not is_whole(self.pad_value) or not 0 <= self.pad_value <= 255:
            raise ArgumentError("pad_value", f"expected a whole grey level from 0 to 255, got {self.pad_value!r}")
        short = self.resize_short
        if short is not None and (not is_whole(short) or short < 1):
            raise ArgumentError("resize_short", f"expected a positive whole number of pixels, got {short!r}")
        if not is_whole(self.stride) or self.stride < 1:
            raise ArgumentError("stride", f"expected a positive whole number of pixels, got {self.stride!r}")
        for name, default in _OF_VARYING.items():
            if not self.varies and getattr(self, name) != default:
                raise ArgumentError(name, f"expected mode {' or '.join(VARYING)} with it, got mode {self.mode!r}")
        self._set("scale", finite_numbers("scale", self.scale, 1)[0])
        for name in ("mean", "std"):
            values = finite_numbers(name, getattr(self, name), self.channels)
            self._set(name, values)
        # As float32, which they are used in: there 1e-50 is zero.
        if not all(map(np.float32, self.std)):
            raise ArgumentError("std", f"expected finite values other than zero, got {self.std}")
        plain = self.scale == 1 and not any(self.mean) and all(v == 1 for v in self.std)
        scale, zero_point = checked_quantisation(self.dtype, self.quant_scale, self.zero_point, plain)
        self._set("quant_scale", scale)
        self._set("zero_point", zero_point)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @property
    def channels(self) -> int:
        """Of the tensor."""
        return 1 if self.color == "gray" else 3

    @property
    def varies(self) -> bool:
        """Whether each image has an input of its own size."""
        return self.mode in VARYING

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image's tensor, without the batch; where it varies, of one that fills the size."""
        return self.shape_of(self.size)

    def shape_of(self, input_hw: tuple[int, int]) -> tuple[int, int, int]:
        """Shape of one image's tensor of that size."""
        (h, w), c = input_hw, self.channels
        return (c, h, w) if self.layout == "nchw" else (h, w, c)

    def geometry(self, source_hw: tuple[int, int]) -> Geometry:
        """How an image of (height, width) lies in the tensor. DataError where it cannot be fitted."""
        if len(source_hw) != 2:
            raise ArgumentError("source_hw", f"expected (height, width), got {tuple(source_hw)}; give image.shape[:2]")
        h, w = (int(v) for v in source_hw)
        if h < 1 or w < 1:
            raise DataError(f"expected an image of at least 1 × 1 pixels, got {h} × {w}")
        short = self.resize_short or round(min(self.size) / 0.875)
        own = (self.stride, self.scaling, self.to_stride)
        return fit((h, w), self.size, self.mode, self.pad_anchor, short, *own)

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
        return self.batch_with_geometries(images, out, threads)[0]

    def batch_with_geometries(
        self, images: Sequence[ImageLike], out: npt.NDArray[Any] | None = None, threads: int = 1
    ) -> tuple[npt.NDArray[Any], list[Geometry]]:
        """As batch, and the geometry of each image beside it, as `geometry` gives it: what a decoder brings results back by."""
        if not is_whole(threads) or threads < 1:
            raise ArgumentError("threads", f"expected a positive whole number, got {threads!r}")
        if not isinstance(images, Sequence | np.ndarray) or isinstance(images, str | bytes):
            raise ArgumentError("images", f"expected a list of images, got {type(images).__name__}")
        checked: list[U8 | Planes] = []
        geometries: list[Geometry] = []
        for i, image in enumerate(images):
            try:
                checked.append(check_image(image, self.input_color))
                geometries.append(self.geometry(size_of(checked[-1])))
            except (ArgumentError, DataError) as e:
                if len(images) == 1:
                    raise
                where = f"image {i} of the batch"
                if isinstance(e, ArgumentError):
                    raise ArgumentError(where, e.text) from None
                raise DataError(e.text, subject=where) from None
        sizes = list(dict.fromkeys(g.input_hw for g in geometries))
        if len(sizes) > 1:
            found = " and ".join(f"{h} × {w}" for h, w in sizes[:2])
            raise ArgumentError(
                "images",
                f"mode {self.mode} gives inputs of unlike sizes ({found}), which are no batch; give them one by one",
            )
        out = self._check_out(out, len(checked), sizes[0] if sizes else self.size)
        if self.engine == "native":
            self._native(checked, geometries, out, min(int(threads), max(1, len(checked))))
        else:
            for slot, one, geometry in zip(out, checked, geometries, strict=True):
                self._reference(one, geometry, slot)
        return out, geometries

    def _native(
        self, images: list[U8 | Planes], geometries: list[Geometry], out: npt.NDArray[Any], threads: int
    ) -> None:
        planar = self.layout == "nchw"
        values = native_preprocess.values_for(self._normalisation, planar, self._makes_gray, self._reverses)
        native_preprocess.preprocess(
            zip(images, geometries, strict=True),
            out,
            values,
            planar=planar,
            interpolation=self.interpolation,
            pad_value=self.pad_value,
            yuv=(self.yuv_matrix, self.yuv_range),
            threads=threads,
        )

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
        values = reference.to_values(coloured, self._normalisation)
        slot[...] = values.transpose(2, 0, 1) if self.layout == "nchw" else values

    @cached_property
    def _normalisation(self) -> reference.Normalisation:
        return reference.Normalisation(self.scale, self.mean, self.std, self.dtype, self.quant_scale, self.zero_point)

    @property
    def _makes_gray(self) -> bool:
        return self.color == "gray" and self.input_color != "gray"

    @property
    def _reverses(self) -> bool:
        """Whether the image's channels run R, G, B where B, G, R is wanted, or the other way; for grey: run R, G, B."""
        if self.color == "gray":
            return self.input_color in ("rgb", "rgba")
        return (self.input_color in ("rgb", "rgba")) != (self.color == "rgb")

    def _check_out(self, out: npt.NDArray[Any] | None, count: int, input_hw: tuple[int, int]) -> npt.NDArray[Any]:
        expected = (count, *self.shape_of(input_hw))
        if out is None:
            return np.empty(expected, self.dtype)
        if not isinstance(out, np.ndarray):
            raise ArgumentError(
                "out", f"expected a NumPy array of {self.dtype} and shape {expected}, got {type(out).__name__}"
            )
        if out.shape != expected or out.dtype != self.dtype:
            raise ArgumentError(
                "out", f"expected {self.dtype} of shape {expected}, got {out.dtype} of shape {out.shape}"
            )
        if not out.flags.writeable:
            raise ArgumentError("out", "expected a writeable array, got a read-only one")
        if count > 1 and out.strides[0] == 0:
            raise ArgumentError(
                "out", "expected a slot for each image, got one that all share (a batch stride of zero)"
            )
        return out
