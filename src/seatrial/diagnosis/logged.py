"""A log's arrays as the model has them: its batch dimension, its type, the order of its outputs.

For: what is a log's way of writing, and no difference. Not for: reading logs (seatrial.taps).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.stages import INPUT
from seatrial.diagnosis.tolerances import EXACT

Array = npt.NDArray[Any]


def in_shape(given: Array, shape: tuple[int, ...]) -> Array:
    """With the reference's batch dimension, where one side has it and the other has not."""
    if given.shape != shape and given.size == math.prod(shape):
        short, long = sorted((given.shape, shape), key=len)
        if (1, *short) == tuple(long):
            return given.reshape(shape)
    return given


def in_type(given: Array, dtype: Any) -> Array:
    """A log of the input in another type than the model's, in the model's where that changes no value."""
    with np.errstate(invalid="ignore", over="ignore"):
        cast = given.astype(dtype, copy=False)
    return cast if EXACT[INPUT].holds(given, cast) else given


def outputs_in_order(given: Mapping[str, Array], names: Sequence[str]) -> list[Array]:
    """As the model has them, by its names; of a log that calls some otherwise, in its own order."""
    return [given[n] for n in names] if set(names) <= set(given) else list(given.values())
