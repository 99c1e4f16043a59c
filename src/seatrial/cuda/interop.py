"""Arrays and streams of torch, cupy, pycuda and others, in and out without a copy.

For: `__cuda_array_interface__` (version 3 and 2), DLPack (1 and the form before) and `__cuda_stream__`. Not for: host memory,
or converting what does not fit: it is refused with the word that does it.

Who hands an array over says on which stream it is still written; who takes it makes its own stream wait. Both happen on the
device: the host waits only where one side names no stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from seatrial._native.cuda import Context, DeviceBuffer, Stream
from seatrial._native.dlpack import Taken, give
from seatrial.cuda.element_types import as_dtype, of_dlpack, of_typestr, to_dlpack, to_typestr

_CUDA, _CUDA_HOST, _CUDA_MANAGED = 2, 3, 13
_DEVICES = {1: "the host's memory", _CUDA_HOST: "pinned memory of the host"}
_LEGACY, _PER_THREAD = 1, 2


class DeviceArray:
    """A view of device memory: shape, element type, strides in bytes, and the stream on which it is ready.

    stream: None where nothing is written to it any more. It keeps its owner, and is taken by others through
    `__cuda_array_interface__` and `__dlpack__`, as by torch.from_dlpack(array).
    """

    def __init__(
        self,
        context: Context,
        pointer: int,
        shape: Sequence[int],
        dtype: npt.DTypeLike,
        *,
        strides: Sequence[int] | None = None,
        read_only: bool = False,
        stream: Stream | None = None,
        owner: object = None,
    ) -> None:
        self.context = context
        self.pointer = pointer
        self.shape = tuple(int(s) for s in shape)
        self.dtype = as_dtype(dtype)
        self.strides = c_strides(self.shape, self.dtype.itemsize) if strides is None else tuple(int(s) for s in strides)
        self.read_only = read_only
        self.stream = stream
        self.owner = owner
        if any(s < 0 for s in self.shape) or len(self.strides) != len(self.shape):
            raise ValueError(
                f"expected a shape from 0 on and a stride for each dimension, got {self.shape} and {self.strides}"
            )
        if stream is not None:
            _check_device(stream, context)

    @classmethod
    def empty(
        cls, context: Context, shape: Sequence[int], dtype: npt.DTypeLike, *, stream: Stream | None = None
    ) -> Self:
        """New memory, with whatever it holds."""
        kind = as_dtype(dtype)
        buffer = DeviceBuffer(context, prod(shape) * kind.itemsize)
        return cls(context, buffer.pointer, shape, kind, stream=stream, owner=buffer)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def is_contiguous(self) -> bool:
        """In C order; strides of dimensions of one element say nothing."""
        plain = c_strides(self.shape, self.dtype.itemsize)
        return not self.size or all(s == p for n, s, p in zip(self.shape, self.strides, plain, strict=True) if n != 1)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        typestr = to_typestr(self.dtype)
        if typestr is None:
            raise AttributeError(f"__cuda_array_interface__ has no name for {self.dtype}; take the array by DLPack")
        return {
            "shape": self.shape,
            "typestr": typestr,
            "data": (self.pointer if self.size else 0, self.read_only),
            "version": 3,
            "strides": None if self.is_contiguous else self.strides,
            # 0 is ambiguous there: it could be either default stream.
            "stream": None if self.stream is None else self.stream.handle or _LEGACY,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return _CUDA, self.context.ordinal

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> object:
        """stream: the taker's, which waits for this array's; None: the legacy default stream; -1: nobody waits."""
        if dl_device is not None and tuple(dl_device) != self.__dlpack_device__():
            raise BufferError(
                f"expected device {self.__dlpack_device__()}, where the array is, got {tuple(dl_device)}; copy it"
            )
        if copy:
            raise BufferError(
                "expected copy to be None or False: the array is handed over as it is; copy it behind that"
            )
        versioned = max_version is not None and max_version[0] >= 1
        if self.read_only and not versioned:
            raise BufferError("a read-only array needs a taker that knows DLPack 1 (max_version); copy it before")
        if any(s % self.dtype.itemsize for s in self.strides):
            raise BufferError(f"expected strides of whole elements, got {self.strides} bytes for {self.dtype}")
        if stream == 0:
            raise ValueError(
                "stream: expected 1 for the legacy default stream or 2 for the thread's; 0 could be either"
            )
        if stream != -1 and self.stream is not None and (stream or _LEGACY) != (self.stream.handle or _LEGACY):
            Stream(self.context, stream or _LEGACY).wait_for(self.stream)
        elements = tuple(s // self.dtype.itemsize for s in self.strides)
        dtype, device = to_dlpack(self.dtype), self.__dlpack_device__()
        return give(
            self.pointer, self.shape, elements, dtype, device, self, read_only=self.read_only, versioned=versioned
        )

    def __repr__(self) -> str:
        return f"DeviceArray({list(self.shape)}, {self.dtype}, device {self.context.ordinal})"


def c_strides(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Bytes from one element to the next of each dimension, in C order."""
    return tuple(itemsize * prod(shape[i + 1 :]) for i in range(len(shape)))


def as_device_array(
    given: Any, context: Context, *, stream: Stream | None = None, writable: bool = False, contiguous: bool = True
) -> DeviceArray:
    """An array of whatever library, as it lies on the context's device. The result keeps it alive.

    stream: where it will be used, which waits for what its owner still does with it; None: the host waits. ValueError where it
    is not what was asked for: on another device or the host, read-only, not in C order, of another byte order, without memory.
    """
    if stream is not None:
        _check_device(stream, context)
    if isinstance(given, DeviceArray):
        array = given
        _await(array.stream, stream)
    elif hasattr(given, "__dlpack__") and hasattr(given, "__dlpack_device__"):
        array = _from_dlpack(given, context, stream)
    elif hasattr(given, "__cuda_array_interface__"):
        array = _from_interface(given, context, stream)
    else:
        raise TypeError(
            f"expected an array on a device, with __dlpack__ or __cuda_array_interface__, got {type(given).__name__}; copy it "
            "there"
        )
    if array.size:
        if not array.pointer:
            raise ValueError(f"expected memory, got a null pointer for shape {list(array.shape)}; was it freed?")
        where = context.pointer_device(array.pointer)
        if where != context.ordinal:
            place = "the host" if where is None else f"device {where}"
            raise ValueError(f"expected an array on device {context.ordinal}, got one on {place}; copy it there")
    if writable and array.read_only:
        raise ValueError("expected an array that can be written, got a read-only one; copy it")
    if contiguous and not array.is_contiguous:
        raise ValueError(
            f"expected an array in C order, got strides {array.strides} bytes for shape {list(array.shape)} of {array.dtype}; "
            "make it contiguous (torch: .contiguous(), cupy: ascontiguousarray)"
        )
    if array.size:
        _check_extent(array, context)
    return array


def _check_extent(array: DeviceArray, context: Context) -> None:
    """Its library may say anything: a copy of more than is there reads another's memory, or ends the context."""
    spans = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)]
    low, high = sum(s for s in spans if s < 0), sum(s for s in spans if s > 0) + array.dtype.itemsize
    first = array.pointer + low
    if first < 0 or context.pointer_device(first) != context.ordinal:
        raise ValueError(
            f"expected memory from the array's first element on, got strides {array.strides} bytes that lead out of it"
        )
    if (there := context.allocated_bytes(first, high - low)) < high - low:
        raise ValueError(
            f"expected memory of {high - low} bytes for shape {list(array.shape)} of {array.dtype}, got an allocation that has "
            f"{there} from there on; was it freed, or is its shape another's?"
        )


def _from_dlpack(given: Any, context: Context, stream: Stream | None) -> DeviceArray:
    kind, ordinal = (int(each) for each in given.__dlpack_device__())
    if kind not in (_CUDA, _CUDA_MANAGED):
        where = _DEVICES.get(kind, f"a device of DLPack's type {kind}")
        raise ValueError(f"expected an array on CUDA device {context.ordinal}, got one in {where}; copy it there")
    if ordinal != context.ordinal and kind == _CUDA:
        raise ValueError(f"expected an array on device {context.ordinal}, got one on device {ordinal}; copy it there")
    target = _LEGACY if stream is None else stream.handle or _LEGACY
    try:
        capsule = given.__dlpack__(stream=target, max_version=(1, 0))
    except TypeError:
        # From before DLPack 1.
        capsule = given.__dlpack__(stream=target)
    if stream is None:
        Stream(context, _LEGACY).synchronize()
    taken = Taken(capsule)
    dtype = of_dlpack(*taken.dtype)
    strides = None if taken.strides is None else tuple(s * dtype.itemsize for s in taken.strides)
    return DeviceArray(
        context,
        taken.pointer,
        taken.shape,
        dtype,
        strides=strides,
        read_only=taken.read_only,
        stream=stream,
        owner=taken,
    )


def _from_interface(given: Any, context: Context, stream: Stream | None) -> DeviceArray:
    interface = given.__cuda_array_interface__
    version = interface.get("version", 0)
    if version not in (2, 3):
        raise ValueError(
            f"expected __cuda_array_interface__ of version 2 or 3, got version {version}; update the array's library"
        )
    if interface.get("mask") is not None:
        raise ValueError("expected an array without a mask; apply the mask before")
    dtype = of_typestr(interface["typestr"])
    pointer, read_only = interface["data"]
    written = interface.get("stream")
    if written == 0:
        raise ValueError(
            "stream: expected 1 or 2 for a default stream in __cuda_array_interface__, got 0, which could be either"
        )
    if version < 3:
        # It does not say which stream still writes.
        context.synchronize()
    else:
        _await(None if written is None else Stream(context, written, given), stream)
    return DeviceArray(
        context, pointer or 0, interface["shape"], dtype,
        strides=interface.get("strides"), read_only=bool(read_only), stream=stream, owner=given,
    )  # fmt: skip


def _await(written: Stream | None, stream: Stream | None) -> None:
    if written is None:
        return
    if stream is None:
        written.synchronize()
    elif stream.handle != written.handle:
        stream.wait_for(written)


def _check_device(stream: Stream, context: Context) -> None:
    """A default stream's handle is the same number on every device."""
    if stream.context.ordinal != context.ordinal:
        raise ValueError(
            f"expected a stream of device {context.ordinal}, got one of device {stream.context.ordinal}; make it there"
        )


def as_stream(given: Any, context: Context) -> Stream:
    """A stream of whatever library, kept alive: `__cuda_stream__` (cuda.core), `.handle` (pycuda), `.cuda_stream` (torch),
    `.ptr` (cupy), or the handle as a number. ValueError where it is of another context."""
    if isinstance(given, Stream):
        _check_device(given, context)
        return given
    handle: Any = given if isinstance(given, int | np.integer) and not isinstance(given, bool) else None
    if hasattr(given, "__cuda_stream__"):
        version, handle = given.__cuda_stream__()
        if version != 0:
            raise ValueError(f"expected __cuda_stream__ of version 0, got version {version}")
    for name in ("handle", "cuda_stream", "ptr"):
        if handle is None:
            handle = getattr(given, name, None)
    if handle is None:
        raise TypeError(f"expected a stream with __cuda_stream__ or .handle, or its handle, got {type(given).__name__}")
    # numba's is a ctypes pointer, whose null is None.
    handle = int(getattr(handle, "value", handle) or 0)
    if handle < 0:
        raise ValueError(f"expected a stream's handle, got {handle}")
    return Stream(context, handle, given)
