"""Memory, streams, events, graphs and kernels, over a driver that does nothing before somebody waits for it."""

import numpy as np
import pytest
from simulated_cuda import PTX

from seatrial import cuda

COUNT = 64


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
