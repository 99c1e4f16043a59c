"""A device's memory beside the host's: where a backend's tensors lie, and what was free before.

For: backend.py, which binds them. Not for: copying, or what computes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from seatrial.backends.base import TensorSpec
from seatrial.cuda import Context, CudaError, DeviceBuffer, PinnedBuffer
from seatrial.errors import BackendUnavailableError
from seatrial.model.file import TensorInfo

Array = npt.NDArray[Any]


@dataclass
class Buffers:
    """One tensor: on the device, and in pinned host memory as an array."""

    spec: TensorSpec
    device: DeviceBuffer
    pinned: PinnedBuffer
    array: Array


@dataclass(frozen=True)
class Place:
    """The device's primary context, and what was free in it before the engine was loaded."""

    context: Context
    free_at_first: int

    @classmethod
    def of_first_device(cls, name: str) -> Self:
        try:
            context = Context()
            return cls(context, context.memory_info()[0])
        except CudaError as e:
            raise BackendUnavailableError(f"{name}: {e}") from e

    @property
    def free_bytes(self) -> int:
        return self.context.memory_info()[0]


def size_of(spec: TensorSpec) -> int:
    return math.prod(d or 0 for d in spec.shape) * np.dtype(spec.dtype).itemsize


def buffers_of(spec: TensorSpec, place: Place) -> Buffers:
    """OutOfDeviceMemoryError where the device has no room, CudaError where the host has none."""
    size = size_of(spec)
    device, pinned = DeviceBuffer(place.context, max(1, size)), PinnedBuffer(place.context, max(1, size))
    array = pinned.as_array()[:size].view(spec.dtype).reshape(tuple(d or 0 for d in spec.shape))
    # The first run comes before any feeds: an index of whatever lay there would end the device's context.
    array[...] = 0
    return Buffers(spec, device, pinned, array)


def in_order(tensors: Sequence[TensorInfo], slots: list[Buffers]) -> list[Buffers]:
    """As the file has the tensors, which an engine does not keep."""
    order = {t.name: i for i, t in enumerate(tensors)}
    return sorted(slots, key=lambda slot: order.get(slot.spec.name, len(order)))
