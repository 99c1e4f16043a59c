"""Arrays and streams of other libraries, by stand-ins that say of their memory what torch, cupy and pycuda say."""

import ctypes
import gc
import weakref

import numpy as np
import pytest

from seatrial import cuda
from seatrial._native.dlpack import Taken, give
from seatrial.cuda.element_types import of_dlpack, to_dlpack

SHAPE = (2, 3, 4)


class Interface:
    """`__cuda_array_interface__` over device memory, as cupy and pycuda have it."""

    def __init__(self, buffer, **changes) -> None:
        self.buffer = buffer
        described = {"shape": SHAPE, "typestr": "<f4", "data": (buffer.pointer, False), "version": 3, "strides": None}
        self.__cuda_array_interface__ = described | changes


class Capsule:
    """DLPack over device memory, as torch and cupy have it; `asked` is the stream it was asked for."""

    def __init__(self, buffer, *, device=(2, 0), dtype=(2, 32), strides=None, read_only=False, old=False) -> None:
        self.buffer, self.device, self.dtype, self.read_only, self.old = buffer, device, dtype, read_only, old
        self.strides = (12, 4, 1) if strides is None else strides
        self.asked: list[object] = []

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, *, stream=None, **more):
        if self.old and more:
            raise TypeError("unexpected keyword argument 'max_version'")
        self.asked.append(stream)
        versioned = not self.old
        pointer = getattr(self.buffer, "pointer", self.buffer)
        return give(
            pointer, SHAPE, self.strides, self.dtype, self.device, self, read_only=self.read_only, versioned=versioned
        )


@pytest.fixture
def context(simulated):
    return cuda.Context()


@pytest.fixture
def buffer(context):
    return cuda.DeviceBuffer(context, 96)


@pytest.mark.parametrize("make", [Interface, Capsule, lambda b: Capsule(b, old=True)])
def test_an_array_comes_in_without_a_copy_and_is_kept(context, buffer, make):
    given = make(buffer)
    array = cuda.as_device_array(given, context)
    assert (array.pointer, array.shape, array.dtype, array.strides) == (buffer.pointer, SHAPE, np.float32, (48, 16, 4))
    assert array.is_contiguous
    assert not array.read_only
    alive = weakref.ref(given)
    del given
    gc.collect()
    assert alive() is not None
    del array
    gc.collect()
    assert alive() is None


def test_an_array_goes_out_and_comes_back(context):
    array = cuda.DeviceArray.empty(context, SHAPE, np.int16)
    for way in (
        cuda.as_device_array(Interface(array.owner, **array.__cuda_array_interface__), context),
        cuda.as_device_array(array, context),
    ):
        assert (way.pointer, way.shape, way.dtype) == (array.pointer, SHAPE, np.int16)
    for version in (None, (0, 8), (1, 1)):
        taken = Taken(array.__dlpack__(max_version=version))
        assert (taken.pointer, taken.shape, taken.strides) == (array.pointer, SHAPE, (12, 4, 1))
        assert (taken.dtype, taken.device, taken.read_only) == ((0, 16, 1), (2, 0), False)
    assert array.__dlpack_device__() == (2, 0)
    assert repr(array) == "DeviceArray([2, 3, 4], int16, device 0)"


def test_a_capsule_that_nobody_takes_frees_its_array(context):
    array = cuda.DeviceArray.empty(context, SHAPE, np.int16)
    alive = weakref.ref(array)
    capsules = [array.__dlpack__(), array.__dlpack__(max_version=(1, 0))]
    del array
    gc.collect()
    assert alive() is not None
    capsules.clear()
    gc.collect()
    assert alive() is None


def test_a_capsule_is_taken_once(context):
    capsule = cuda.DeviceArray.empty(context, SHAPE, np.int16).__dlpack__()
    Taken(capsule)
    with pytest.raises(BufferError, match="expected a DLPack capsule that nobody has taken yet"):
        Taken(capsule)
    with pytest.raises(BufferError, match="expected a DLPack capsule"):
        Taken(3)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (
            lambda b: np.zeros(4),
            ValueError,
            r"expected an array on CUDA device 0, got one in the host's memory; copy it there",
        ),
        (lambda b: [1, 2], TypeError, "with __dlpack__ or __cuda_array_interface__, got list; copy it there"),
        (lambda b: Capsule(b, device=(2, 1)), ValueError, "expected an array on device 0, got one on device 1"),
        (lambda b: Capsule(b, device=(10, 0)), ValueError, "got one in a device of DLPack's type 10"),
        (lambda b: Capsule(b, dtype=(2, 4)), ValueError, "got DLPack's code 2 of 4 bits in 1 lanes; convert it before"),
        (lambda b: Capsule(b, dtype=(17, 4)), ValueError, "DLPack's code 17 of 4 bits"),
        (
            lambda b: Capsule(b, strides=(1, 4, 12)),
            ValueError,
            r"expected an array in C order, got strides \(4, 16, 48\) bytes",
        ),
        (
            lambda b: Capsule(0),
            ValueError,
            r"expected memory, got a null pointer for shape \[2, 3, 4\]; was it freed\?",
        ),
        (lambda b: Capsule(1 << 40), ValueError, "expected an array on device 0, got one on the host"),
        (
            lambda b: Interface(b, typestr=">f4"),
            ValueError,
            r"in this machine's byte order \(<\), got '>f4'; swap their bytes",
        ),
        (
            lambda b: Interface(b, typestr="<V2"),
            ValueError,
            "elements that are numbers, got '<V2'; hand bfloat16 and float8 over",
        ),
        (lambda b: Interface(b, version=1), ValueError, "of version 2 or 3, got version 1; update the array's library"),
        (lambda b: Interface(b, version=4), ValueError, "of version 2 or 3, got version 4"),
        (lambda b: Interface(b, mask=b), ValueError, "expected an array without a mask"),
        (lambda b: Interface(b, stream=0), ValueError, "got 0, which could be either"),
        (lambda b: Interface(b, data=(0, False)), ValueError, "got a null pointer"),
        (lambda b: Interface(b, data=(None, False)), ValueError, "got a null pointer"),
        (lambda b: Interface(b, strides=(4, 8, 24)), ValueError, "expected an array in C order"),
        (
            lambda b: Interface(b, shape=(1 << 20,)),
            ValueError,
            r"expected memory of 4194304 bytes for shape \[1048576\] of float32, got an allocation that has 96 from there on",
        ),
        (lambda b: Interface(b, data=(b.pointer + 4, False)), ValueError, "expected memory of 96 bytes .* has 92 from"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_helps(context, buffer, make, error, text):
    with pytest.raises(error, match=text):
        cuda.as_device_array(make(buffer), context)


@pytest.mark.parametrize(
    ("strides", "text"),
    [
        ((32,), "expected memory of 100 bytes .* has 96 from"),
        ((-4,), r"got strides \(-4,\) bytes that lead out of it"),
        ((-(1 << 50),), r"that lead out of it"),
    ],
)
def test_strides_that_lead_out_of_the_memory_are_refused(context, buffer, strides, text):
    with pytest.raises(ValueError, match=text):
        cuda.as_device_array(Interface(buffer, shape=(4,), strides=strides), context, contiguous=False)


def test_a_stream_of_another_device_is_refused(simulated):
    simulated.script("devices 2")
    context, other = cuda.Context(), cuda.Context(1)
    array = cuda.DeviceArray.empty(context, SHAPE, np.int16)
    with pytest.raises(ValueError, match="expected a stream of device 0, got one of device 1; make it there"):
        cuda.as_device_array(array, context, stream=cuda.Stream(other, 1))
    with pytest.raises(ValueError, match="expected a stream of device 0, got one of device 1"):
        cuda.DeviceArray.empty(context, SHAPE, np.int16, stream=cuda.Stream(other, 1))
    with pytest.raises(ValueError, match="expected a stream of device 0, got one of device 1"):
        cuda.as_stream(cuda.Stream(other, 1), context)


@pytest.mark.parametrize("kind", ["interface", "capsule"])
def test_a_read_only_array_is_read(context, buffer, kind):
    given = Interface(buffer, data=(buffer.pointer, True)) if kind == "interface" else Capsule(buffer, read_only=True)
    array = cuda.as_device_array(given, context)
    assert array.read_only
    assert array.__cuda_array_interface__["data"] == (buffer.pointer, True)
    with pytest.raises(ValueError, match="expected an array that can be written, got a read-only one; copy it"):
        cuda.as_device_array(given, context, writable=True)
    assert Taken(array.__dlpack__(max_version=(1, 0))).read_only
    with pytest.raises(BufferError, match="a read-only array needs a taker that knows DLPack 1"):
        array.__dlpack__()


def test_strides_are_kept_where_they_are_asked_for(context, buffer):
    array = cuda.as_device_array(Capsule(buffer, strides=(1, 8, 2)), context, contiguous=False)
    assert array.__cuda_array_interface__["strides"] == array.strides == (4, 32, 8)
    assert Taken(array.__dlpack__()).strides == (1, 8, 2)
    # A dimension of one element has no stride to speak of.
    assert cuda.DeviceArray(context, buffer.pointer, (1, 4), np.float32, strides=(999, 4)).is_contiguous


def test_an_empty_array_has_no_memory_to_check(context):
    array = cuda.as_device_array(Interface(cuda.DeviceBuffer(context, 1), shape=(0, 4), data=(0, False)), context)
    assert (array.size, array.nbytes, array.__cuda_array_interface__["data"][0]) == (0, 0, 0)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_types_that_numpy_does_not_have_go_by_dlpack(context, name):
    array = cuda.DeviceArray.empty(context, SHAPE, name)
    taken = Taken(array.__dlpack__())
    assert of_dlpack(*taken.dtype) == array.dtype
    assert array.dtype.name == name
    assert not hasattr(array, "__cuda_array_interface__")


@pytest.mark.parametrize("dtype", ["b1", "i1", "u1", "i2", "u2", "f2", "i4", "u4", "f4", "i8", "u8", "f8", "c8", "c16"])
def test_types_go_both_ways(dtype):
    assert of_dlpack(*to_dlpack(np.dtype(dtype)), 1) == np.dtype(dtype)


def written_on(context, buffer, value):
    """A stream on which something still writes to the buffer, for 2 ms."""
    stream = cuda.Stream(context)
    stream.fill(buffer, value)
    return stream


def read_on(stream, array):
    """What an array holds for work on this stream, without waiting for any other."""
    got = cuda.PinnedBuffer(array.context, array.nbytes)
    stream.copy_to_host(got, array)
    stream.synchronize()
    return got.as_array().copy()


def test_the_taker_waits_for_the_stream_that_the_interface_names(simulated, context, buffer):
    simulated.script("copy_ns 2000000")
    writes, reads = written_on(context, buffer, 5), cuda.Stream(context)
    array = cuda.as_device_array(Interface(buffer, stream=writes.handle), context, stream=reads)
    assert (read_on(reads, array) == 5).all()


def test_without_a_stream_to_wait_on_the_host_waits(simulated, context, buffer):
    simulated.script("copy_ns 2000000")
    writes = written_on(context, buffer, 6)
    array = cuda.as_device_array(Interface(buffer, stream=writes.handle), context)
    assert (read_on(cuda.Stream(context), array) == 6).all()


def test_a_dlpack_array_taken_without_a_stream_is_ready(simulated, context, buffer):
    simulated.script("copy_ns 2000000")
    ours = cuda.DeviceArray(
        context, buffer.pointer, (96,), np.uint8, stream=written_on(context, buffer, 12), owner=buffer
    )
    theirs = type("T", (), {"__dlpack__": ours.__dlpack__, "__dlpack_device__": ours.__dlpack_device__})()
    array = cuda.as_device_array(theirs, context)
    assert (read_on(cuda.Stream(context), array) == 12).all()


def test_an_interface_from_before_streams_is_waited_for_as_a_whole(simulated, context, buffer):
    simulated.script("copy_ns 2000000")
    writes = written_on(context, buffer, 7)
    array = cuda.as_device_array(Interface(buffer, version=2), context, stream=cuda.Stream(context))
    assert (read_on(cuda.Stream(context), array) == 7).all()
    assert writes.is_own


def test_an_interface_that_names_no_stream_is_ready(simulated, context, buffer):
    writes, reads = written_on(context, buffer, 8), cuda.Stream(context)
    array = cuda.as_device_array(Interface(buffer, stream=None), context, stream=reads)
    assert (read_on(reads, array) != 8).all(), "whoever says so answers for it"
    writes.synchronize()


@pytest.mark.parametrize(("stream", "asked"), [("own", "handle"), (None, 1), (0, 1), (2, 2)])
def test_a_dlpack_array_is_asked_for_on_our_stream(context, buffer, stream, asked):
    own = cuda.Stream(context)
    given = Capsule(buffer)
    at = own if stream == "own" else None if stream is None else cuda.Stream(context, stream)
    cuda.as_device_array(given, context, stream=at)
    assert given.asked == [own.handle if asked == "handle" else asked]


def test_who_takes_our_array_waits_for_our_stream(simulated, context, buffer):
    simulated.script("copy_ns 2000000")
    writes, reads = written_on(context, buffer, 9), cuda.Stream(context)
    array = cuda.DeviceArray(context, buffer.pointer, (96,), np.uint8, stream=writes, owner=buffer)
    assert array.__cuda_array_interface__["stream"] == writes.handle
    array.__dlpack__(stream=reads.handle)
    assert (read_on(reads, array) == 9).all()
    with pytest.raises(
        ValueError, match="expected 1 for the legacy default stream or 2 for the thread's; 0 could be either"
    ):
        array.__dlpack__(stream=0)


@pytest.mark.parametrize(("stream", "handle"), [(None, 1), (2, 2)])
def test_who_takes_it_on_a_default_stream_waits_too(simulated, context, buffer, stream, handle):
    writes = written_on(context, buffer, 10)
    array = cuda.DeviceArray(context, buffer.pointer, (96,), np.uint8, stream=writes, owner=buffer)
    array.__dlpack__(stream=stream)
    assert (read_on(cuda.Stream(context, handle), array) == 10).all()


def test_minus_one_waits_for_nobody(simulated, context, buffer):
    writes, reads = written_on(context, buffer, 11), cuda.Stream(context)
    cuda.DeviceArray(context, buffer.pointer, (96,), np.uint8, stream=writes, owner=buffer).__dlpack__(stream=-1)
    assert simulated.count("cuStreamWaitEvent") == 0
    writes.synchronize()
    reads.synchronize()


def test_an_array_is_not_handed_to_another_device_or_copied(context):
    array = cuda.DeviceArray.empty(context, SHAPE, np.int16)
    with pytest.raises(BufferError, match=r"expected device \(2, 0\), where the array is, got \(1, 0\); copy it"):
        array.__dlpack__(dl_device=(1, 0))
    with pytest.raises(BufferError, match="expected copy to be None or False"):
        array.__dlpack__(copy=True)
    odd = cuda.DeviceArray(context, array.pointer, (2,), np.int16, strides=(3,))
    with pytest.raises(BufferError, match=r"expected strides of whole elements, got \(3,\) bytes for int16"):
        odd.__dlpack__()
    with pytest.raises(ValueError, match="expected a shape from 0 on and a stride for each dimension"):
        cuda.DeviceArray(context, array.pointer, (2, 2), np.int16, strides=(3,))


def test_streams_of_other_libraries(context):
    own = cuda.Stream(context)
    kinds = {
        "cuda.core": type("S", (), {"__cuda_stream__": lambda self: (0, own.handle)}),
        "pycuda": type("S", (), {"handle": own.handle}),
        "torch": type("S", (), {"cuda_stream": own.handle}),
        "cupy": type("S", (), {"ptr": own.handle}),
        "numba": type("S", (), {"handle": ctypes.c_void_p(own.handle)}),
    }
    for kind in kinds.values():
        given = kind()
        taken = cuda.as_stream(given, context)
        assert (taken.handle, taken.is_own) == (own.handle, False)
    assert cuda.as_stream(own, context) is own
    assert cuda.as_stream(own.handle, context).handle == own.handle
    assert cuda.as_stream(0, context).handle == 0
    assert own.__cuda_stream__() == (0, own.handle)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ("stream", TypeError, "expected a stream with __cuda_stream__ or .handle, or its handle, got str"),
        (True, TypeError, "got bool"),
        (-1, ValueError, "expected a stream's handle, got -1"),
        (
            type("S", (), {"__cuda_stream__": lambda self: (1, 3)})(),
            ValueError,
            "__cuda_stream__ of version 0, got version 1",
        ),
    ],
)
def test_what_is_no_stream(context, given, error, text):
    with pytest.raises(error, match=text):
        cuda.as_stream(given, context)


def test_a_stream_of_another_context_is_refused(simulated, context):
    with pytest.raises(
        ValueError, match="expected a stream of device 0's primary context, got one of another context; make it"
    ):
        cuda.as_stream(simulated.foreign_stream(), context)
    simulated.forget()


def test_memory_of_another_device_is_refused(simulated):
    simulated.script("devices 2")
    there = cuda.DeviceBuffer(cuda.Context(1), 96)
    with pytest.raises(ValueError, match="expected an array on device 0, got one on device 1; copy it there"):
        cuda.as_device_array(Interface(there), cuda.Context(0))
    with pytest.raises(ValueError, match="expected memory of device 0, got memory of device 1"):
        cuda.Request(cuda.Stream(cuda.Context(0)), [cuda.Slot(print, [(there, bytes(96))])])
