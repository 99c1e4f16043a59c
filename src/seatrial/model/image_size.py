"""Which size of picture a model takes: by its input's shape and by what exporters write into its metadata.

For: made-up inputs, first plans, and words on a size that a runtime refused. Not for: asking the graph (fitting.py).
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from seatrial.errors import printable
from seatrial.model.file import ModelInfo, TensorInfo

Dim = int | str | None
Size = tuple[int, int]
LEAST_SIDE, LARGEST_SIDE = 8, 1 << 14


def layout_of(image: TensorInfo) -> tuple[str, int, tuple[int, int]]:
    """Of an input with four dimensions: 'nchw' or 'nhwc', its channels, and where height and width stand in its shape."""
    shape = image.shape
    if shape[3] in (1, 3) and shape[1] not in (1, 3):
        return "nhwc", 3 if shape[3] == 3 else 1, (1, 2)
    return "nchw", 1 if shape[1] == 1 else 3, (2, 3)


def image_input(info: ModelInfo) -> TensorInfo | None:
    """The only input with four dimensions of numbers; None where there is none, or where several may be the picture."""
    found = [i for i in info.inputs if len(i.shape) == 4 and i.dtype != "object"]
    return found[0] if len(found) == 1 else None


def main_input(info: ModelInfo) -> TensorInfo:
    """image_input where it is known, else the first; of a model that has inputs."""
    return image_input(info) or info.inputs[0]


def open_sides(image: TensorInfo) -> bool:
    """Whether the model leaves its picture's height or width to whoever runs it."""
    return any(not isinstance(image.shape[axis], int) for axis in layout_of(image)[2])


def stated_size(info: ModelInfo) -> Size | None:
    """Height and width that the metadata names, as Ultralytics writes it ('imgsz': one side, or both); None where it names none
    that can be meant."""
    try:
        given = ast.literal_eval(info.metadata.get("imgsz", ""))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    sides = list(given) if isinstance(given, list | tuple) else [given]
    if not 1 <= len(sides) <= 2 or not all(type(s) is int and LEAST_SIDE <= s <= LARGEST_SIDE for s in sides):
        return None
    stride = stated_stride(info) or 1
    return (sides[0], sides[-1]) if not any(s % stride for s in sides) else None


def unread_size(info: ModelInfo) -> str:
    """What the metadata has for a size where that can be none, for people; '' where there is none, or a sound one."""
    text = info.metadata.get("imgsz", "")
    if not text or stated_size(info):
        return ""
    stride = f", in multiples of its stride of {stated_stride(info)}" if stated_stride(info) else ""
    return f"imgsz {printable(text[:40])!r} in the metadata is no height and width{stride}: it is not used"


def stated_stride(info: ModelInfo) -> int | None:
    """What sides are multiples of by the metadata, as Ultralytics writes it ('stride')."""
    try:
        stride = int(float(info.metadata.get("stride", "")))
    except (ValueError, OverflowError):
        return None
    return stride if 1 < stride <= LARGEST_SIDE else None


def sized(image: TensorInfo, batch: int, size: Size, channels: int | None = None) -> tuple[int, ...]:
    """The input's shape for pictures of that size; what the model fixes stays."""
    layout, own_channels, (high, wide) = layout_of(image)
    open_dims = {0: batch, high: size[0], wide: size[1], (1 if layout == "nchw" else 3): channels or own_channels}
    return tuple(d if isinstance(d, int) else open_dims[axis] for axis, d in enumerate(image.shape))


def size_in(image: TensorInfo, shape: Sequence[int]) -> Size:
    """Height and width within a whole shape of the input."""
    high, wide = layout_of(image)[2]
    return shape[high], shape[wide]


def size_words(size: Size) -> str:
    """'320', or '320 × 640'."""
    return str(size[0]) if size[0] == size[1] else f"{size[0]} × {size[1]}"
