"""Preprocessing on a card, seen from the host: tables of taps, and the kernels' body. Nothing is checked: use seatrial.cuda."""

import numpy as np
import numpy.typing as npt

from seatrial.kernels.geometry import Geometry

IMAGE_BYTES: int
"""Size of csrc/cuda/preprocess/body.hpp's Image."""
SETTINGS_BYTES: int
"""Size of its Settings."""
BLOCK: tuple[int, int]
"""Threads of a block, across and down."""
THREAD_ROWS: int
"""Rows of the tensor that a thread writes."""

_I32 = npt.NDArray[np.int32]
_Table = tuple[_I32, _I32, _I32, int]

def tables(
    geometry: Geometry, interpolation: int
) -> tuple[int, tuple[int, int], tuple[int, int], _Table, _Table, tuple[int, int, float]]:
    """(method, shown columns and rows of the resized image as (begin, count), the columns' table and the rows' as
    (first, length, weights, stride), box (width, height, scale)). interpolation: as preprocess.hpp's enum."""

def run(method: int, kind: int, images: int, out: int, settings: bytes) -> None:
    """One launch on the host: images is the address of an array of Image, out of the tensor."""
