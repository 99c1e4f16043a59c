"""What an image may be: interleaved uint8 of 1, 3 or 4 channels, or a camera's NV12 and I420 planes.

For: checking what came and giving it one shape. Not for: decoding files (images/decode.py), resizing or colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.kernels.arguments import ArgumentError

U8 = npt.NDArray[np.uint8]
ImageLike = npt.NDArray[np.uint8] | Sequence[npt.NDArray[np.uint8]]

CHANNELS = {"bgr": 3, "rgb": 3, "bgra": 4, "rgba": 4, "gray": 1}
YUV = ("nv12", "i420")
INPUT_COLORS = (*CHANNELS, *YUV)
MATRICES = ("bt601", "bt709")
RANGES = ("limited", "full")

# Red's and blue's part of luma: ITU-R BT.601-7 and BT.709-6.
_LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


@dataclass(frozen=True)
class Planes:
    """y (H, W); u and v (ceil(H / 2), ceil(W / 2)), which may be views into one plane: uint8, any row stride."""

    y: U8
    u: U8
    v: U8


def yuv_coefficients(matrix: str, value_range: str) -> tuple[int, int, int, int, int, int]:
    """(y_offset, y_gain, u_to_b, u_to_g, v_to_g, v_to_r): integers with 20 fractional bits, but for y_offset.

    BT.601 in limited range has OpenCV's constants, which are rounded to three digits, so that both give the same pixels.
    """
    if (matrix, value_range) == ("bt601", "limited"):
        return 16, 1220542, 2116026, -409993, -852492, 1673527
    red, blue = _LUMA[matrix]
    green = 1 - red - blue
    luma, chroma = (1.0, 1.0) if value_range == "full" else (255 / 219, 255 / 224)
    parts = (
        luma,
        2 * (1 - blue) * chroma,
        -2 * blue * (1 - blue) / green * chroma,
        -2 * red * (1 - red) / green * chroma,
        2 * (1 - red) * chroma,
    )
    y_gain, u_to_b, u_to_g, v_to_g, v_to_r = (round(p * (1 << 20)) for p in parts)
    return (0 if value_range == "full" else 16), y_gain, u_to_b, u_to_g, v_to_g, v_to_r


def size_of(image: U8 | Planes) -> tuple[int, int]:
    """(height, width) in pixels."""
    plane = image.y if isinstance(image, Planes) else image
    return plane.shape[0], plane.shape[1]


def check_image(image: ImageLike, input_color: str) -> U8 | Planes:
    """(H, W, C) uint8 with the channels that `input_color` has, or Planes; views, nothing is copied. ValueError else."""
    if input_color in YUV:
        return _planes(image, input_color)
    channels = CHANNELS[input_color]
    array = np.asarray(image)
    if array.ndim == 2 and channels == 1:
        array = array[..., None]
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != channels or 0 in array.shape:
        raise ArgumentError(
            "image",
            f"expected uint8 of shape (height, width, {channels}) for input_color '{input_color}', "
            f"got {array.dtype} of shape {array.shape}; decode with seatrial.decode_image or convert it first",
        )
    return array


def _planes(image: ImageLike, input_color: str) -> Planes:
    if isinstance(image, tuple | list):
        return _separate_planes([np.asarray(p) for p in image], input_color)
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 2 or 0 in array.shape or array.shape[0] % 3 or array.shape[1] % 2:
        raise ArgumentError(
            "image",
            f"expected uint8 of shape (height * 3 / 2, width) with even height and width for input_color "
            f"'{input_color}', got {array.dtype} of shape {array.shape}; odd sizes go as planes: {_wanted(input_color)}",
        )
    width = array.shape[1]
    height = array.shape[0] // 3 * 2
    if input_color == "nv12":
        # Splitting the last axis is a view for any row stride.
        chroma = array[height:].reshape(height // 2, width // 2, 2)
        return Planes(array[:height], chroma[..., 0], chroma[..., 1])
    if not array.flags.c_contiguous:
        raise ArgumentError(
            "image",
            "expected a contiguous array for input_color 'i420', whose chroma rows are half as long, got row stride "
            f"{array.strides[0]} for width {width}; give the planes apart: (y, u, v)",
        )
    u, v = array[height:].reshape(2, height // 2, width // 2)
    return Planes(array[:height], u, v)


def _separate_planes(planes: list[npt.NDArray[Any]], input_color: str) -> Planes:
    shapes = ", ".join(f"{p.dtype} {p.shape}" for p in planes)
    if all(p.dtype == np.uint8 and 0 not in p.shape for p in planes) and planes and planes[0].ndim == 2:
        half = tuple((side + 1) // 2 for side in planes[0].shape)
        if input_color == "nv12" and len(planes) == 2:
            y, uv = planes
            if uv.ndim == 2 and uv.shape == (half[0], 2 * half[1]):
                uv = uv.reshape(*half, 2)
            if uv.shape == (*half, 2):
                return Planes(y, uv[..., 0], uv[..., 1])
        if input_color == "i420" and len(planes) == 3 and all(p.shape == half for p in planes[1:]):
            return Planes(*planes)
    raise ArgumentError("image", f"expected uint8 planes {_wanted(input_color)}, got {shapes or 'none'}")


def _wanted(input_color: str) -> str:
    half = "(ceil(height / 2), ceil(width / 2)"
    chroma = f"u and v {half})" if input_color == "i420" else f"uv {half}, 2)"
    return f"y (height, width) and {chroma}"
