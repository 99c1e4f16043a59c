"""What only a device can answer of seatrial.cuda: real times, real bandwidth, real neighbours.

    python -m pytest -m gpu -n 0 tests/gpu/test_cuda.py

torch, cupy and pycuda are used where they are installed; a test without its library is skipped.
"""

import numpy as np
import pytest
from simulated_cuda import PTX

from seatrial import cuda
from seatrial._native.timing import NO_DEADLINE_NS, StageSamples, closed_loop, now_ns, open_loop
from seatrial.cuda import captured, check_transfers

pytestmark = pytest.mark.gpu
MIB = 1 << 20


@pytest.fixture(scope="module")
def context() -> cuda.Context:
    try:
        cuda.load()
        return cuda.Context()
    except cuda.CudaUnavailableError as e:
        pytest.skip(str(e))


@pytest.fixture(scope="module")
def torch(context):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no device")
    torch.zeros(1, device="cuda")
    return torch


def pairs(stream, enqueue, rounds=10) -> np.ndarray:
    """Milliseconds of `enqueue` by our events, each between two marks."""
    timer = cuda.EventTimer(stream, rounds)
    enqueue()
    timer.start()
    for _ in range(rounds):
        enqueue()
        timer.mark()
    return timer.intervals_ns() * 1e-6


def slot(context, stream, count=MIB, graph=True):
    sent, got, there = (
        cuda.PinnedBuffer(context, count),
        cuda.PinnedBuffer(context, count),
        cuda.DeviceBuffer(context, count),
    )
    sent.as_array()[:] = np.arange(count, dtype=np.uint8)
    got.as_array()[:] = 0
    kernel = cuda.Module(context, PTX).function("add_one")

    def enqueue(_handle: int) -> None:
        kernel.launch(stream, (count + 255) // 256, 256, [there, np.uint64(count)])

    enqueue(stream.handle)
    stream.synchronize()
    return cuda.Slot(captured(stream, enqueue) if graph else enqueue, [(there, sent)], [(got, there)])


def is_answered(of: cuda.Slot) -> bool:
    (_, sent), (got, _) = of.to_device[0], of.to_host[0]
    return bool((got.as_array() == sent.as_array() + 1).all())


def test_the_device_says_what_it_is(context):
    device = context.device
    assert device.compute_capability >= (5, 0)
    assert device.l2_bytes > 0
    free, total = context.memory_info()
    assert 0 < free <= total <= device.total_memory_bytes


def test_event_times_are_those_of_torch(context, torch):
    theirs = torch.cuda.Stream()
    ours = cuda.as_stream(theirs, context)
    x = torch.randn(64 * MIB, device="cuda")
    y = torch.empty_like(x)
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    ratios = []
    with torch.cuda.stream(theirs):
        y.copy_(x)
        for _ in range(7):
            timer = cuda.EventTimer(ours, 1)
            timer.start()
            first.record()
            for _ in range(20):
                y.copy_(x)
            last.record()
            timer.mark()
            mine = timer.intervals_ns()[0] * 1e-6
            ratios.append(mine / first.elapsed_time(last))
    # Our marks lie around theirs.
    assert np.median(ratios) == pytest.approx(1, abs=0.01), ratios


def test_copies_are_as_fast_as_torchs(context, torch):
    count = 256 * MIB
    stream = cuda.Stream(context)
    theirs = torch.cuda.ExternalStream(stream.handle)
    here, there, other = (
        cuda.PinnedBuffer(context, count),
        cuda.DeviceBuffer(context, count),
        cuda.DeviceBuffer(context, count),
    )
    their_here = torch.empty(count, dtype=torch.uint8, pin_memory=True)
    their_there, their_other = (torch.empty(count, dtype=torch.uint8, device="cuda") for _ in range(2))

    def on(copy):
        def enqueue():
            with torch.cuda.stream(theirs):
                copy()

        return enqueue

    for ours, torchs in (
        (lambda: stream.copy_to_device(there, here), on(lambda: their_there.copy_(their_here, non_blocking=True))),
        (lambda: stream.copy_to_host(here, there), on(lambda: their_here.copy_(their_there, non_blocking=True))),
        (lambda: stream.copy_on_device(other, there), on(lambda: their_other.copy_(their_there))),
    ):
        mine, reference = np.median(pairs(stream, ours)), np.median(pairs(stream, torchs))
        print(f"{count / mine / 1e6:.1f} GB/s, torch {count / reference / 1e6:.1f} GB/s")
        assert mine <= 1.1 * reference


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"synchronisation": "block"},
        {"transfers": False},
        {"hold": True},
        {"flush_bytes": 64 * MIB},
    ],
    ids=str,
)
@pytest.mark.parametrize("graph", [True, False], ids=["graph", "function"])
def test_requests_answer_and_their_clocks_agree(context, settings, graph):
    stream = cuda.Stream(context)
    made = slot(context, stream, graph=graph)
    request = cuda.Request(stream, [made], **settings)
    request.run()
    samples = StageSamples(300, len(request.stage_names))
    closed_loop(request, samples, deadline_ns=NO_DEADLINE_NS, most=300)
    assert request.checked == len(samples) == 300
    device, least, most = request.clocks_ns
    print(
        dict(zip((*request.stage_names, "all"), np.median(samples.to_array()[:, 1:], 0), strict=True)),
        device,
        least,
        most,
    )
    if request.transfers:
        assert is_answered(made)


def test_pipelined_requests_overlap(context):
    stream = cuda.Stream(context)
    slots = [slot(context, stream, 32 * MIB) for _ in range(2)]
    periods = []
    for count in (1, 2):
        request = cuda.Request(stream, slots[:count])
        samples = StageSamples(100, 5)
        closed_loop(request, samples, deadline_ns=NO_DEADLINE_NS, most=100)
        periods.append(np.median(np.diff(samples.to_array()[:, 0])))
    assert all(is_answered(s) for s in slots)
    print(f"synchronous {periods[0] * 1e-6:.3f} ms, pipelined {periods[1] * 1e-6:.3f} ms a request")
    assert periods[1] < 0.95 * periods[0]


def test_requests_are_paced(context):
    stream = cuda.Stream(context)
    made = slot(context, stream)
    request = cuda.Request(stream, [made])
    request.run()
    check = cuda.Slot(lambda handle: None, made.to_device)
    unchanged = cuda.Request(stream, [check])
    unchanged.run()
    check_transfers(stream, check)
    samples = StageSamples(100, 6)
    open_loop([request], [samples], np.arange(100) * 2_000_000, first_ns=now_ns(), deadline_ns=NO_DEADLINE_NS)
    assert len(samples) == 100


def test_a_held_stream_has_no_gaps_between_launches(context):
    stream = cuda.Stream(context)
    nothing = cuda.Module(context, PTX).function("nothing")

    def enqueue(_handle: int) -> None:
        for _ in range(50):
            nothing.launch(stream, 1, 1, [])

    medians = []
    for hold in (False, True):
        request = cuda.Request(stream, [cuda.Slot(enqueue)], transfers=False, hold=hold)
        request.run()
        samples = StageSamples(100, 3)
        closed_loop(request, samples, deadline_ns=NO_DEADLINE_NS, most=100)
        medians.append(np.median(samples.to_array()[:, 3]))
    print(f"50 empty kernels: {medians[0] * 1e-3:.1f} µs, held {medians[1] * 1e-3:.1f} µs")
    assert medians[1] < medians[0]


def test_torch_gives_and_takes_without_a_copy(context, torch):
    stream = cuda.Stream(context)
    given = torch.arange(MIB, device="cuda", dtype=torch.int32)
    array = cuda.as_device_array(given, context, stream=stream, writable=True)
    assert array.pointer == given.data_ptr()
    stream.fill(array, 0)
    back = torch.from_dlpack(
        cuda.DeviceArray(context, array.pointer, array.shape, array.dtype, stream=stream, owner=array)
    )
    assert back.data_ptr() == given.data_ptr()
    assert int(back.abs().sum()) == 0
    half = torch.ones(8, device="cuda", dtype=torch.bfloat16)
    assert cuda.as_device_array(half, context).dtype.name == "bfloat16"
    with pytest.raises(ValueError, match="expected an array in C order"):
        cuda.as_device_array(torch.zeros(4, 8, device="cuda").T, context)
    with pytest.raises(ValueError, match="got one in the host's memory"):
        cuda.as_device_array(torch.zeros(4), context)


def test_torch_keeps_its_context(context, torch):
    before = torch.zeros(4, device="cuda")
    with cuda.Context():
        torch.ones(4, device="cuda")
    assert float((before + torch.ones(4, device="cuda")).sum()) == 4


def test_cupy_gives_and_takes_without_a_copy(context):
    cupy = pytest.importorskip("cupy")
    stream = cuda.Stream(context)
    given = cupy.arange(1000, dtype=cupy.float32)
    array = cuda.as_device_array(given, context, stream=stream)
    assert array.pointer == given.data.ptr
    assert cupy.from_dlpack(array).data.ptr == cupy.asarray(array).data.ptr == given.data.ptr
    assert cuda.as_stream(cupy.cuda.Stream(non_blocking=True), context).handle


def test_pycuda_gives_and_takes_without_a_copy(context):
    driver = pytest.importorskip("pycuda.driver")
    gpuarray = pytest.importorskip("pycuda.gpuarray")
    driver.init()
    theirs = driver.Device(0).retain_primary_context()
    theirs.push()
    try:
        given = gpuarray.to_gpu(np.arange(6, dtype=np.float32).reshape(2, 3))
        array = cuda.as_device_array(given, context)
        assert array.pointer == int(given.gpudata)
        got, stream = np.zeros((2, 3), np.float32), cuda.as_stream(driver.Stream(), context)
        stream.copy_to_host(got, array)
        stream.synchronize()
        assert (got == np.arange(6).reshape(2, 3)).all()
        own = cuda.DeviceArray.empty(context, (2, 3), np.float32)
        taken = gpuarray.GPUArray((2, 3), np.float32, gpudata=own.pointer, base=own)
        taken.fill(4)
        assert (taken.get() == 4).all()
        del given, array, taken
    finally:
        theirs.pop()


def test_out_of_memory_is_told_from_what_is_free(context):
    _, total = context.memory_info()
    with pytest.raises(
        cuda.OutOfDeviceMemoryError, match=r"^cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY \(2\).* free on device 0; use"
    ):
        cuda.DeviceBuffer(context, 2 * total)


def test_the_ptx_compiler_says_the_line(context):
    with pytest.raises(cuda.CudaError, match=r"cuModuleLoadDataEx.*its log: .*line"):
        cuda.Module(context, PTX.replace("ld.param.u64", "ld.parm.u64"))
