"""Mistakes of how pixels lie in memory: axes by reshape, and views whose memory is read as if it were the array's own.

For: tensors and images of the right shape with pixels in the wrong places. Not for: which values they have (values.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.at import At
from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.stages import DECODED, INPUT, RESIZED
from seatrial.diagnosis.tensors import as_hwc, channel_axis, like_hwc
from seatrial.diagnosis.way import Step, Way
from seatrial.images.orientation import read_orientation
from seatrial.plan import pipelines

Array = npt.NDArray[Any]
_KEY = "preprocess.layout"
# Bytes that rows begin at multiples of, where a library or a device pads them.
_ALIGNMENTS = (4, 16, 32, 64, 128, 256)
# Pixels by which a frame is wider than the region of it that is taken.
_WIDER = (1, 2, 4, 8, 16, 32, 64)


def memory_mutations(way: Way) -> Iterator[Mutation]:
    pre = way.spec.preprocess
    planar = not isinstance(pre, pipelines.Preprocess) or pre.layout == "nchw"
    said = "reshapes HWC to CHW" if planar else "reshapes CHW to HWC"
    yield _laid("layout-reshape", f"{said}, which shuffles the pixels", _reshaped)
    yield _laid("layout-reshape", "swaps height and width", _sides_swapped)
    yield _laid(
        "non-contiguous", f"hands over the memory of a view that only says {'CHW' if planar else 'HWC'}", _reshaped
    )
    yield _laid("non-contiguous", "hands over the memory of an image that was only viewed transposed", _as_it_lies)
    yield _laid("non-contiguous", "hands over the memory of a view that runs its channels backwards", _reversed_view)
    what = "hands over the memory of a view that runs its channels backwards and says CHW"
    yield _laid("non-contiguous", what, _reversed_planar_view)
    if isinstance(pre, pipelines.Preprocess):
        yield from _images()
    if isinstance(pre, pipelines.Preprocess) and pre.mode == "resize_center_crop":
        what = "hands over the memory of a view of the centre, with the rows of the whole image"
        yield Mutation("non-contiguous", what, RESIZED, _cropped_view, _KEY)
    what = "hands over the memory of an image that was only viewed turned by its orientation"
    yield Mutation("non-contiguous", what, DECODED, _turned_view, _KEY)


def _images() -> Iterator[Mutation]:
    for bytes_ in _ALIGNMENTS:
        what = f"reads rows that are padded to {bytes_} bytes as if they were not"
        yield _read("resized", what, partial(_aligned, bytes_))
    for bytes_ in (64, 128, 256):
        what = f"reads rows that are padded to the next {bytes_} bytes, always by some, as if they were not"
        yield _read("resized", what, partial(_beyond, bytes_))
    for pixels in _WIDER:
        yield wider_frame(pixels)
    for (down, across), what in (((2, 2), "row and column"), ((2, 1), "row"), ((1, 2), "column")):
        said = f"reads the memory of a view of every second {what} as if it were the view's own"
        yield Mutation("non-contiguous", said, RESIZED, _sliced(down, across), _KEY)
    said = "reads the decoded image from where a view that runs its channels backwards begins"
    yield Mutation("non-contiguous", said, RESIZED, lambda way: way.before(RESIZED, _late), _KEY)


def _aligned(bytes_: int, row: int) -> int:
    return -(-row // bytes_) * bytes_


def _beyond(bytes_: int, row: int) -> int:
    return (row // bytes_ + 1) * bytes_


def wider_frame(pixels: int, parameters: int = 0) -> Mutation:
    what = f"reads a region of a frame that is {pixels} pixels wider as if its rows were no longer"
    return _read("decoded", what, lambda row: row + 3 * pixels, parameters)


def pitched(pitch: int) -> Mutation:
    return _read("resized", f"reads rows that are {pitch} bytes apart as if they were not", lambda _row: pitch, 1)


def _read(stage: str, what: str, pitch: Callable[[int], int], parameters: int = 0) -> Mutation:
    """pitch: of a row's own bytes, how far apart they lie."""

    def change(way: Way) -> Way:
        def read(at: At) -> At:
            return At(_sheared(at.value, pitch(at.value.shape[1] * at.value.shape[2])), at.geometry)

        return way.behind(RESIZED, read) if stage == "resized" else way.before(RESIZED, read)

    return Mutation("non-contiguous", what, RESIZED, change, _KEY, parameters)


def _sheared(image: Array, pitch: int) -> Array:
    height, row = image.shape[0], image.shape[1] * image.shape[2]
    if pitch <= row:
        return image
    memory = np.zeros((height, pitch), image.dtype)
    memory[:, :row] = image.reshape(height, row)
    return memory.reshape(-1)[: height * row].reshape(image.shape).copy()


def _sliced(down: int, across: int) -> Callable[[Way], Way]:
    def change(way: Way) -> Way:
        def read(at: At) -> At:
            shape = at.value[::down, ::across].shape
            return At(
                np.ascontiguousarray(at.value).reshape(-1)[: int(np.prod(shape))].reshape(shape).copy(), at.geometry
            )

        return way.before(RESIZED, read)

    return change


def _late(at: At) -> At:
    """What lies behind the last pixel is not known."""
    memory = np.ascontiguousarray(at.value).reshape(-1)
    late = np.concatenate([memory[2:], memory[-2:]]).reshape(at.value.shape)
    return At(np.ascontiguousarray(late[..., ::-1]), at.geometry)


def _cropped_view(way: Way) -> Way:
    own = way.resize

    def read(step: Step, at: At) -> At:
        made = step(at)
        g = own.kernel.geometry(at.value.shape[:2])
        if min(-g.offset_x, -g.offset_y) < 0 or g.resized_hw == g.input_hw:
            return made
        whole = own.sampled(at.value, g.resized_hw).reshape(-1)
        begin = (-g.offset_y * g.resized_hw[1] - g.offset_x) * at.value.shape[2]
        return At(whole[begin : begin + made.value.size].reshape(made.value.shape).copy(), made.geometry)

    return way.wrapped(RESIZED, lambda step: lambda at: read(step, at))


def _turned_view(way: Way) -> Way:
    stored = way.with_settings("decode", exif="ignore").steps[DECODED]

    def decode(step: Step, at: At) -> At:
        image = step(at)
        return At(stored(at).value.reshape(image.value.shape)) if read_orientation(at.value) > 1 else image

    return way.wrapped(DECODED, lambda step: lambda at: decode(step, at))


def _laid(fault: str, what: str, change: Callable[[Array], Array]) -> Mutation:
    """change: of the tensor."""

    def changed(way: Way) -> Way:
        def lay(at: At) -> At:
            as_hwc(at.value)  # no image, no axes
            return At(np.ascontiguousarray(change(at.value)).reshape(at.value.shape), at.geometry)

        return way.behind(INPUT, lay)

    return Mutation(fault, what, INPUT, changed, _KEY)


def _reshaped(tensor: Array) -> Array:
    """The right shape with the pixels in the order of the other layout."""
    return tensor.transpose((0, 2, 3, 1) if channel_axis(tensor) == 1 else (0, 3, 1, 2))


def _sides_swapped(tensor: Array) -> Array:
    return tensor.swapaxes(2, 3) if channel_axis(tensor) == 1 else tensor.swapaxes(1, 2)


def _as_it_lies(tensor: Array) -> Array:
    """A (W, H, C) view read as if it were (H, W, C): what `.data` of a transposed view gives."""
    hwc = np.ascontiguousarray(as_hwc(tensor))
    h, w, c = hwc.shape
    return like_hwc(hwc.reshape(w, h, c).swapaxes(0, 1).reshape(h, w, c), tensor)


def _backwards(tensor: Array) -> Array:
    """The memory that a view of reversed channels looks at, from where the view begins: two values late."""
    memory = np.ascontiguousarray(as_hwc(tensor)[..., ::-1]).reshape(-1)
    return np.concatenate([memory[2:], memory[:2]])


def _reversed_view(tensor: Array) -> Array:
    return like_hwc(_backwards(tensor).reshape(as_hwc(tensor).shape), tensor)


def _reversed_planar_view(tensor: Array) -> Array:
    return _backwards(tensor)
