"""Arrays to the native kernels: strides, addresses and lifetimes. Not for: arithmetic (csrc) or settings (preprocess).

What the kernels take as it is: any row stride, also negative; three channels in reverse order (a `[..., ::-1]` view). Other
strides are copied once. The output's rows must be contiguous; other outputs are written through a temporary.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial._native.kernels import Jobs, Values
from seatrial.kernels import reference
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.images import U8, Planes, size_of, yuv_coefficients
from seatrial.kernels.reference import Normalisation

# In the order of preprocess.hpp's enum.
INTERPOLATIONS = ("nearest", "linear", "area", "cubic", "antialias_linear", "antialias_cubic")
_LONGEST_ROW = 2**31 - 1


@lru_cache(maxsize=64)
def values_for(n: Normalisation, planar: bool, gray: bool, reversed: bool) -> Values:
    """The reference's own results for all 256 levels of each channel: what native code repeats can't differ from it."""
    levels = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], len(n.mean), axis=2)
    tables = np.ascontiguousarray(reference.to_values(levels, n)[:, 0].T)
    floats = None
    if n.dtype in ("float32", "float16"):
        with np.errstate(over="ignore"):
            floats = np.ascontiguousarray(reference.normalise(levels, n.scale, n.mean, n.std)[:, 0].T)
    return Values(tables, floats, n.scale, n.mean, n.std, planar=planar, gray=gray, reversed=reversed)


def preprocess(
    images: Iterable[tuple[U8 | Planes, Geometry]],
    out: npt.NDArray[Any],
    values: Values,
    *,
    interpolation: str,
    pad_value: int,
    planar: bool,
    yuv: tuple[str, str],
    threads: int,
) -> None:
    """Each image into its slot of `out` (len(images), *tensor), on at most `threads` threads, without the GIL.

    ValueError where `out` overlaps an image or a row is too long.
    """
    direct = _writable_in_place(out, planar)
    target = out if direct else np.empty(out.shape, out.dtype)
    # Bytes from channel to channel and from row to row; the first is not used without planes.
    channel_stride, row_stride = target.strides[1:3] if planar else (0, target.strides[1])
    address = target.ctypes.data
    kind = INTERPOLATIONS.index(interpolation)
    jobs = Jobs()
    for i, (image, geometry) in enumerate(images):
        _check_row(image)
        pixels, reversed, chroma = _addressed(image)
        height, width, channels = pixels.shape
        for kept in (pixels, *(chroma or ())):
            if np.may_share_memory(kept, target) and _overlap(kept, target):
                raise ValueError("out: expected memory of its own, got an array that overlaps the image")
        given = None
        if chroma is not None:
            u, v = chroma
            given = (u.ctypes.data, v.ctypes.data, u.strides[0], u.strides[1], yuv_coefficients(*yuv))
        start = pixels.ctypes.data - (2 if reversed else 0)
        source = (start, pixels.strides[0], height, width, channels, reversed, given)
        slot = (address + i * target.strides[0], channel_stride, row_stride)
        jobs.add(*source, geometry, kind, pad_value, *slot, (pixels, chroma))
    jobs.run(values, threads)
    if not direct:
        out[...] = target


def _check_row(image: U8 | Planes) -> None:
    """ValueError for a row whose byte offsets leave int32. Rows of planes become four bytes a pixel on the way."""
    height_width = size_of(image)
    channels = 4 if isinstance(image, Planes) else image.shape[2]
    if height_width[1] * channels > _LONGEST_ROW:
        raise ValueError(
            f"image: expected rows of at most {_LONGEST_ROW} bytes, got {height_width[1]} pixels of {channels}; cut it up"
        )


def _overlap(image: npt.NDArray[Any], out: npt.NDArray[Any]) -> bool:
    """Whether a byte belongs to both; an overlap too tangled to rule out counts as one."""
    try:
        return np.shares_memory(image, out, max_work=10_000)  # type: ignore[arg-type]  # any number is taken
    except np.exceptions.TooHardError:
        return True


def _writable_in_place(out: npt.NDArray[Any], planar: bool) -> bool:
    """Whether each row lies in one piece: pixels side by side, aligned."""
    wanted = (out.itemsize,) if planar else (out.shape[3] * out.itemsize, out.itemsize)
    inner = zip(out.shape[-len(wanted) :], out.strides[-len(wanted) :], wanted, strict=True)
    # An axis of length 1 may have any stride.
    return out.flags.aligned and all(size == 1 or stride == want for size, stride, want in inner)


def _addressed(image: U8 | Planes) -> tuple[U8, bool, tuple[U8, U8] | None]:
    """The pixels (H, W, C) side by side in memory; whether their channels run backwards; chroma planes of equal strides."""
    if isinstance(image, Planes):
        y, u, v = image.y, image.u, image.v
        y = y if y.strides[1] == 1 or y.shape[1] == 1 else np.ascontiguousarray(y)
        if u.strides != v.strides or not (u.strides[1] in (1, 2) or u.shape[1] == 1):
            u, v = np.ascontiguousarray(u), np.ascontiguousarray(v)
        return y[..., None], False, (u, v)
    _, width, channels = image.shape
    beside = width == 1 or image.strides[1] == channels
    if beside and (channels == 1 or image.strides[2] == 1):
        return image, False, None
    if beside and channels == 3 and image.strides[2] == -1:
        return image, True, None
    return np.ascontiguousarray(image), False, None
