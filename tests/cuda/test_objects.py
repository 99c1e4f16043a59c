"""Memory, streams, events, graphs and kernels, over a driver that does nothing before somebody waits for it."""

import gc
import re
import weakref
from pathlib import Path

import numpy as np
import pytest
from simulated_cuda import PTX

from seatrial import cuda

COUNT = 64
PAGE = Path(__file__).parents[2] / "docs/cuda.md"


def test_bytes_go_to_the_device_and_back(simulated):
    context = cuda.Context()
    stream, there = cuda.Stream(context), cuda.DeviceBuffer(context, COUNT)
    sent, got = cuda.PinnedBuffer(context, COUNT), cuda.PinnedBuffer(context, COUNT)
    np.frombuffer(sent, np.uint8)[:] = range(COUNT)
    stream.copy_to_device(there, sent)
    stream.copy_to_host(got, there)
    assert np.frombuffer(got, np.uint8)[1] != 1, "nothing happens before the stream is waited for"
    stream.synchronize()
    assert (np.frombuffer(got, np.uint8) == range(COUNT)).all()


def test_a_kernel_reads_its_arguments_when_it_is_launched(simulated):
    context = cuda.Context()
    stream, there, got = cuda.Stream(context), cuda.DeviceBuffer(context, COUNT), np.zeros(COUNT, np.uint8)
    stream.fill(there, 7)
    cuda.Module(context, PTX).function("add_one").launch(stream, 1, COUNT, [there, np.uint64(COUNT)])
    stream.copy_to_host(got, there)
    assert (got == 8).all(), "memory that is not pinned is there when the call returns"


def test_out_of_memory_says_what_was_asked_for_and_what_is_free(simulated):
    simulated.script("memory 1048576")
    with pytest.raises(cuda.OutOfDeviceMemoryError) as e:
        cuda.DeviceBuffer(cuda.Context(), 3 << 20)
    assert str(e.value) == (
        "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory; asked for 3 MiB (3145728 bytes), 1 MiB of 1 MiB free on "
        "device 0; use a smaller batch, or end what else holds the device's memory (`nvidia-smi` lists it)"
    )


def test_out_of_the_hosts_memory_is_not_told_as_the_devices(simulated):
    simulated.script("fail cuMemHostAlloc 2")
    with pytest.raises(cuda.CudaError) as e:
        cuda.PinnedBuffer(cuda.Context(), 3 << 20)
    assert not isinstance(e.value, cuda.OutOfDeviceMemoryError)
    assert str(e.value) == (
        "cuMemHostAlloc: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory; asked for 3 MiB (3145728 bytes) of the host's memory, "
        "pinned; free memory of the host, or raise the limits of this process or its container on memory and on what of it is "
        "locked (`ulimit -l`)"
    )


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_graph_keeps_what_it_launches(simulated, by_hand):
    context = cuda.Context()
    stream, got = cuda.Stream(context), np.zeros(4, np.uint8)

    def graph_of():
        there, kernel = cuda.DeviceBuffer(context, 4), cuda.Module(context, PTX).function("add_one")
        stream.fill(there, 7)

        def enqueue(_handle):
            # By another object for the same stream, as a library that is given the handle has it.
            own = stream if by_hand else cuda.Stream(context, stream.handle)
            kernel.launch(own, 1, 4, [there, np.uint64(4)])
            own.copy_to_host(got, there)

        if not by_hand:
            return cuda.captured(stream, enqueue)
        stream.begin_capture()
        enqueue(0)
        return stream.end_capture()

    graph = graph_of()
    gc.collect()
    graph.launch(stream)
    stream.synchronize()
    assert (got == 8).all()
    del graph
    gc.collect()
    assert (simulated.alive()["memory"], simulated.alive()["modules"]) == (0, 0)


def test_what_is_given_up_during_a_capture_is_freed_and_the_capture_goes_on(simulated):
    context = cuda.Context()
    stream = cuda.Stream(context)
    nothing = cuda.Module(context, PTX).function("nothing")
    given_up = [
        cuda.DeviceBuffer(context, 4),
        cuda.PinnedBuffer(context, 4),
        cuda.Module(context, PTX),
        cuda.Event(context),
    ]

    def enqueue(_handle):
        nothing.launch(stream, 1, 1, [])
        given_up.clear()

    graph = cuda.captured(stream, enqueue)
    assert graph.nodes == 1
    alive = simulated.alive()
    assert (alive["memory"], alive["pinned"], alive["modules"], alive["events"]) == (0, 0, 1, 0)
    # What is asked for is still refused: it would not be there when the graph is launched.
    with pytest.raises(cuda.CudaError, match=r"^cuMemAlloc: .*\(900\).*run what is captured once before"):
        cuda.captured(stream, lambda _handle: cuda.DeviceBuffer(context, 4))


def test_the_first_example_of_the_page_runs(simulated):
    names: dict[str, object] = {}
    exec(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)[0], names)
    got = np.zeros(1 << 20, np.uint8)
    names["stream"].copy_to_host(got, names["there"])
    assert (got == 7).all()
    assert simulated.count("depth") == 0


def test_contexts_are_current_in_their_blocks(simulated):
    context, other = cuda.Context(), cuda.Context()
    with context, other:
        assert simulated.count("depth") == 2
        assert context.is_pinned(cuda.PinnedBuffer(context, 8).device_pointer)
        assert not context.is_pinned(cuda.DeviceBuffer(context, 8).pointer)
    assert simulated.count("depth") == 0


def test_a_context_left_current_inside_a_block_is_told_and_stays(simulated):
    simulated.script("devices 2")
    context, other = cuda.Context(), cuda.Context(1)
    with pytest.raises(ValueError, match="another context was left current inside this one's block"), context:
        other.__enter__()
    other.__exit__()
    context.__exit__()
    assert simulated.count("depth") == 0


def test_streams_wait_for_each_other_on_the_device(simulated):
    simulated.script("copy_ns 2000000")
    context = cuda.Context()
    first, second = cuda.Stream(context), cuda.Stream(context)
    there, got = cuda.DeviceBuffer(context, COUNT), cuda.PinnedBuffer(context, COUNT)
    first.fill(there, 3)
    second.copy_to_host(got, there)
    second.synchronize()
    assert (got.as_array() != 3).all(), "nobody said that the second waits for the first"
    second.wait_for(first)
    second.copy_to_host(got, there)
    second.synchronize()
    assert (got.as_array() == 3).all()


def test_a_context_that_cannot_be_pushed_takes_no_other_from_its_thread(simulated):
    context = cuda.Context()
    with context:
        simulated.script("fail cuCtxPushCurrent 719")
        with pytest.raises(cuda.CudaError, match="^cuCtxPushCurrent: "):
            context.synchronize()
        assert simulated.count("depth") == 1


@pytest.mark.parametrize("handle", [None, 1, 2])
def test_a_stream_waits_for_one_of_another_device(simulated, handle):
    simulated.script("devices 2; copy_ns 2000000")
    first, second = cuda.Context(), cuda.Context(1)
    there, got = cuda.DeviceBuffer(second, COUNT), cuda.PinnedBuffer(first, COUNT)
    writes, reads = cuda.Stream(second, handle), cuda.Stream(first)
    writes.fill(there, 3)
    reads.wait_for(writes)
    reads.copy_to_host(got, there)
    reads.synchronize()
    assert (got.as_array() == 3).all(), "a default stream has the same handle on every device"


def test_what_is_of_another_device_is_not_taken_for_this_ones(simulated):
    simulated.script("devices 2; copy_ns 2000000")
    first, second = cuda.Context(), cuda.Context(1)
    with pytest.raises(ValueError, match="expected a stream of device 0, the event's, got one of device 1"):
        cuda.Event(first).record(cuda.Stream(second, 1))
    there, got, stream = cuda.DeviceBuffer(first, COUNT), cuda.PinnedBuffer(second, COUNT), cuda.Stream(first)
    graph = cuda.captured(stream, lambda handle: stream.fill(there, 4))
    target = cuda.Stream(second, 1)
    graph.launch(target)
    target.copy_to_host(got, there)
    target.synchronize()
    assert (got.as_array() == 4).all(), "in the order of the stream that was named"


def gapped(context):
    """The left half of a picture."""
    whole = cuda.DeviceArray.empty(context, (4, 4), np.uint8)
    return cuda.DeviceArray(context, whole.pointer, (4, 2), np.uint8, strides=(4, 1), owner=whole)


@pytest.mark.parametrize(
    "copy",
    [
        lambda s, array: s.copy_to_device(array, bytes(8)),
        lambda s, array: s.copy_to_host(bytearray(8), array),
        lambda s, array: s.copy_on_device(array, cuda.DeviceBuffer(s.context, 8)),
        lambda s, array: s.copy_on_device(cuda.DeviceBuffer(s.context, 8), array),
        lambda s, array: s.fill(array, 1),
        lambda s, array: cuda.Request(s, [cuda.Slot(print, [(array, bytes(8))])]),
        lambda s, array: cuda.Request(s, [cuda.Slot(print, [], [(bytearray(8), array)])]),
    ],
)
def test_an_array_with_gaps_is_not_copied_as_if_it_had_none(simulated, copy):
    context = cuda.Context()
    with pytest.raises(ValueError, match=r"in one piece, got an array of strides \(4, 1\) bytes for shape \[4, 2\]"):
        copy(cuda.Stream(context), gapped(context))


@pytest.mark.parametrize(
    "write",
    [
        lambda s, array: s.copy_to_device(array, bytes(8)),
        lambda s, array: s.copy_on_device(array, cuda.DeviceBuffer(s.context, 8)),
        lambda s, array: s.fill(array, 1),
        lambda s, array: cuda.Request(s, [cuda.Slot(print, [(array, bytes(8))])]),
    ],
)
def test_a_read_only_array_is_not_written(simulated, write):
    context = cuda.Context()
    buffer = cuda.DeviceBuffer(context, 8)
    array = cuda.DeviceArray(context, buffer.pointer, (8,), np.uint8, read_only=True, owner=buffer)
    with pytest.raises(ValueError, match="that can be written, got a read-only array; copy it"):
        write(cuda.Stream(context), array)
    cuda.Stream(context).copy_to_host(bytearray(8), array)


@pytest.mark.parametrize("layout", ["transposed", "strided"])
def test_host_memory_in_another_order_is_not_copied_as_it_lies(simulated, layout):
    context = cuda.Context()
    host = np.zeros((2, 4), np.uint8).T if layout == "transposed" else np.zeros((2, 8), np.uint8)[:, ::2]
    there = cuda.DeviceArray.empty(context, host.shape, np.uint8)
    stream = cuda.Stream(context)
    for copy in (stream.copy_to_device, lambda array, here: stream.copy_to_host(here, array)):
        with pytest.raises(
            ValueError, match="expected host memory in C order and one piece, got a transposed or strided"
        ):
            copy(there, host)


@pytest.mark.parametrize("way", ["copy_to_device", "copy_to_host", "copy_on_device"])
def test_sizes_of_both_sides_of_a_copy_are_alike(simulated, way):
    context = cuda.Context()
    stream = cuda.Stream(context)
    device, other, host = cuda.DeviceBuffer(context, 8), cuda.DeviceBuffer(context, 9), bytearray(9)
    pair = {"copy_to_device": (device, host), "copy_to_host": (host, device), "copy_on_device": (device, other)}[way]
    with pytest.raises(ValueError, match=r"expected as many bytes on both sides, got \d to copy to \d"):
        getattr(stream, way)(*pair)


def test_read_only_host_memory_is_not_written(simulated):
    context = cuda.Context()
    with pytest.raises(BufferError):
        cuda.Stream(context).copy_to_host(bytes(8), cuda.DeviceBuffer(context, 8))


def test_an_event_is_done_when_what_came_before_it_is(simulated):
    simulated.script("copy_ns 30000000")
    context = cuda.Context()
    stream, event = cuda.Stream(context), cuda.Event(context, sleeps=True)
    there = cuda.DeviceBuffer(context, 8)
    assert event.is_done, "it stands for nothing yet"
    stream.fill(there, 1)
    event.record(stream)
    event.synchronize()
    assert event.is_done
    assert there.nbytes == 8


def test_kernels_for_later_cards_say_which(simulated):
    simulated.script("capability 61")
    with pytest.raises(cuda.CudaUnavailableError) as e:
        cuda.Module(cuda.Context(), PTX)
    assert str(e.value) == (
        "the kernels need compute capability 7.5 or later, and device 0 has 6.1; use a later card, or do on the CPU what they do"
    )
    simulated.script("capability 75")
    cuda.Module(cuda.Context(), PTX)


def test_a_temporary_lives_until_a_device_that_reads_it_by_itself_has(simulated):
    """Where pageable memory is not staged (GH200), the call returns before the copy has read it."""
    simulated.script("reads_pageable")
    context = cuda.Context()
    stream, there, got = cuda.Stream(context), cuda.DeviceBuffer(context, COUNT), np.zeros(COUNT, np.uint8)
    given = np.arange(COUNT, dtype=np.uint8)
    kept = weakref.ref(given)
    stream.copy_to_device(there, given)
    del given
    gc.collect()
    assert kept() is not None
    stream.synchronize()
    assert kept() is None
    stream.copy_to_host(got, there)
    stream.synchronize()
    assert (got == range(COUNT)).all()
    # Of pinned memory, which its owner keeps, nothing is.
    pinned = cuda.PinnedBuffer(context, COUNT)
    own = weakref.ref(pinned.as_array())
    stream.copy_to_device(there, pinned)
    assert own() is None
    # Nor is more and more of it.
    arrays = []
    for _ in range(200):
        array = np.zeros(COUNT, np.uint8)
        arrays.append(weakref.ref(array))
        stream.copy_to_device(there, array)
    del array
    assert sum(a() is not None for a in arrays) < 70
