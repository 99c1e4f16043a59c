"""The structs that kernels read, as NumPy dtypes: csrc/cuda/preprocess/body.hpp's Image and Settings, field by field.

For: bytes. Not for: what goes into them (preprocess.py).
"""

from __future__ import annotations

import numpy as np

_TAPS = np.dtype(
    [("first", np.uint64), ("length", np.uint64), ("weights", np.uint64), ("stride", np.int64)],
)

IMAGE = np.dtype(
    [
        ("pixels", np.uint64),
        ("u", np.uint64),
        ("v", np.uint64),
        ("slot", np.int64),
        ("columns", _TAPS),
        ("rows", _TAPS),
        ("row_stride", np.int32),
        ("chroma_stride", np.int32),
        ("width", np.int32),
        ("height", np.int32),
        ("channels", np.int32),
        ("chroma_step", np.int32),
        ("left", np.int32),
        ("top", np.int32),
        ("shown_width", np.int32),
        ("shown_height", np.int32),
        ("begin_x", np.int32),
        ("begin_y", np.int32),
        ("box_width", np.int32),
        ("box_height", np.int32),
        ("box_scale", np.float32),
        ("padding", np.int32),
    ]
)

SETTINGS = np.dtype(
    [
        ("tables", np.uint64),
        ("channel_stride", np.int64),
        ("row_stride", np.int32),
        ("out_width", np.int32),
        ("out_height", np.int32),
        ("images", np.int32),
        ("type", np.int32),
        ("form", np.int32),
        ("planar", np.int32),
        ("makes_gray", np.int32),
        ("reversed", np.int32),
        ("channels", np.int32),
        ("pad", np.int32),
        ("yuv", np.int32, 6),
        ("added", np.int32, 3),
        ("scale", np.float32),
        ("mean", np.float32, 3),
        ("std", np.float32, 3),
        ("reciprocal", np.float32, 3),
    ]
)

# In the order of body.hpp's enums: the two parts of a kernel's name.
METHODS = ("copy", "nearest", "linear", "halve", "box", "runs", "cubic", "width_first", "height_first")
KINDS = ("gray", "color", "planes")
TYPES = {"float32": 0, "float16": 1, "uint8": 2, "int8": 2}
# Of Form, shared with csrc/preprocess/preprocess.hpp.
FROM_TABLE = 0
