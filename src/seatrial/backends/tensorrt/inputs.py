"""A run's inputs: in host memory, from where they are copied to the device, or on it already, where they are read as they lie.

For: what is taken, and at which addresses a context reads. Not for: memory of its own (buffers.py), or what computes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seatrial.backends.tensorrt.buffers import Buffers
from seatrial.cuda import DeviceArray, Stream, as_device_array
from seatrial.errors import CellError

# Of every address that TensorRT is given.
ALIGNMENT_BYTES = 256
_CUDA, _CUDA_MANAGED = 2, 13

OnDevice = Mapping[str, DeviceArray]


class Inputs:
    """Of one context. slots: its inputs with memory of their own, at which it reads what comes from the host."""

    def __init__(self, context: Any, stream: Stream, slots: Sequence[Buffers]) -> None:
        self._context, self._stream, self._slots = context, stream, slots
        self._bound = {s.spec.name: s.device.pointer for s in slots}

    def take(self, feeds: Mapping[str, Any]) -> OnDevice:
        """Those of the feeds that lie on the device, for which the stream waits; what the others hold now is in pinned memory.

        CellError where one is not what the engine takes.
        """
        there = {}
        for slot in self._slots:
            given = feeds[slot.spec.name]
            if isinstance(given, np.ndarray):
                _check(slot, given.shape, given.dtype)
                np.copyto(slot.array, given)
            else:
                there[slot.spec.name] = self._taken(slot, given)
        return there

    def _taken(self, slot: Buffers, given: Any) -> DeviceArray:
        name = slot.spec.name
        if not _is_on_device(given):
            raise CellError(
                f"input {name}: expected a NumPy array, or one on the device with __cuda_array_interface__ or __dlpack__, got "
                f"{type(given).__name__}; np.asarray makes the first"
            )
        try:
            array = as_device_array(given, self._stream.context, stream=self._stream)
        except (ValueError, TypeError, BufferError) as e:
            raise CellError(f"input {name}: {e}") from e
        _check(slot, array.shape, array.dtype)
        if array.pointer % ALIGNMENT_BYTES:
            raise CellError(
                f"input {name}: expected device memory at a multiple of {ALIGNMENT_BYTES} bytes, got {array.pointer:#x}, as a "
                "view into another array has it; copy it (torch: .clone(), cupy: .copy())"
            )
        return array

    def bind(self, there: OnDevice) -> None:
        """From now on the context reads these where they lie, and the others in their own memory."""
        for slot in self._slots:
            name = slot.spec.name
            pointer = there[name].pointer if name in there else slot.device.pointer
            if self._bound[name] != pointer:
                if not self._context.set_tensor_address(name, pointer):
                    raise CellError(f"input {name}: the library does not take its memory")
                self._bound[name] = pointer

    def copy_in(self, there: OnDevice) -> None:
        for slot in self.from_host(there):
            self._stream.copy_to_device(slot.device, slot.pinned)

    def from_host(self, there: OnDevice) -> list[Buffers]:
        return [s for s in self._slots if s.spec.name not in there]


def addresses_of(there: OnDevice) -> dict[str, int]:
    return {name: array.pointer for name, array in there.items()}


def _is_on_device(given: Any) -> bool:
    if hasattr(given, "__cuda_array_interface__"):
        return True
    return hasattr(given, "__dlpack_device__") and int(given.__dlpack_device__()[0]) in (_CUDA, _CUDA_MANAGED)


def _check(slot: Buffers, shape: tuple[int, ...], dtype: Any) -> None:
    if tuple(shape) != slot.array.shape or dtype != slot.array.dtype:
        raise CellError(
            f"input {slot.spec.name}: expected {slot.array.dtype.name}{list(slot.array.shape)}, got "
            f"{getattr(dtype, 'name', dtype)}{list(shape)}"
        )
