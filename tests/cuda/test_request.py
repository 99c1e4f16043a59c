"""Requests on a device under the timing loops: answers, rows, modes, and whatever can go wrong in one."""

import numpy as np
import pytest
from simulated_cuda import PTX

from seatrial import cuda
from seatrial._native.timing import NO_DEADLINE_NS, MixWork, StageSamples, closed_loop, closed_loops, now_ns, open_loop
from seatrial.cuda import captured, check_transfers
from seatrial.stats.stopping import StoppingRule
from seatrial.timing.measure import measure

BYTES, US = 64, 1000
COPY_NS, KERNEL_NS = 20 * US, 100 * US
SCRIPT = f"copy_ns {COPY_NS}; kernel_ns {KERNEL_NS}"


class Rig:
    """Slots that add one to each byte."""

    def __init__(self) -> None:
        self.context = cuda.Context()
        self.stream = cuda.Stream(self.context)
        self.kernel = cuda.Module(self.context, PTX).function("add_one")
        self.outputs: list[np.ndarray] = []
        self.inputs: list[np.ndarray] = []

    def slot(self, graph=True, pinned=True, compute=None) -> cuda.Slot:
        memory = (lambda: cuda.PinnedBuffer(self.context, BYTES)) if pinned else (lambda: np.zeros(BYTES, np.uint8))
        sent, got, there = memory(), memory(), cuda.DeviceBuffer(self.context, BYTES)
        self.inputs.append(np.frombuffer(sent, np.uint8))
        self.outputs.append(np.frombuffer(got, np.uint8))
        self.inputs[-1][:] = range(BYTES)

        def enqueue(handle: int) -> None:
            assert handle == self.stream.handle
            self.kernel.launch(self.stream, 1, BYTES, [there, np.uint64(BYTES)])

        return cuda.Slot(
            compute or (captured(self.stream, enqueue) if graph else enqueue), [(there, sent)], [(got, there)]
        )


@pytest.fixture
def rig(simulated) -> Rig:
    simulated.script(SCRIPT)
    return Rig()


def rows(request, most=5, **loop):
    samples = StageSamples(most + 1, len(request.stage_names))
    assert closed_loop(request, samples, deadline_ns=NO_DEADLINE_NS, most=most, **loop) == "count"
    return dict(zip(("start", *request.stage_names, "all"), samples.to_array().T, strict=True))


@pytest.mark.parametrize("graph", [True, False], ids=["graph", "function"])
@pytest.mark.parametrize("synchronisation", ["spin", "block"])
def test_a_request_answers_and_its_row_says_where_the_time_went(rig, synchronisation, graph):
    request = cuda.Request(rig.stream, [rig.slot(graph)], synchronisation=synchronisation)
    assert request.stage_names == ("enqueue", "wait", "h2d", "compute", "d2h")
    rig.inputs[0][:] = 7
    row = rows(request)
    assert (rig.outputs[0] == 8).all()
    assert len(row["all"]) == 5
    # An operation starts when it is enqueued, or when the one before it ends.
    assert (row["h2d"] >= COPY_NS).all()
    assert (row["compute"] >= KERNEL_NS).all()
    assert (row["d2h"] >= COPY_NS).all()
    assert (row["enqueue"] + row["wait"] <= row["all"]).all()
    assert (row["h2d"] + row["compute"] + row["d2h"] <= row["all"]).all()
    device, least, most = request.clocks_ns
    assert least <= device <= most
    assert request.checked == 5


def test_without_transfers_nothing_is_copied(rig, simulated):
    request = cuda.Request(rig.stream, [rig.slot()], transfers=False)
    assert request.stage_names == ("enqueue", "wait", "compute")
    copies = simulated.count("cuMemcpyHtoDAsync"), simulated.count("cuMemcpyDtoHAsync")
    assert (rows(request)["compute"] >= KERNEL_NS).all()
    assert (simulated.count("cuMemcpyHtoDAsync"), simulated.count("cuMemcpyDtoHAsync")) == copies


def test_a_held_stream_has_no_gaps(rig):
    request = cuda.Request(rig.stream, [rig.slot(graph=False)], hold=True)
    request.run()
    row = rows(request)
    # To the device's clock, whose floats of milliseconds are made whole.
    for name, expected in (("h2d", COPY_NS), ("compute", KERNEL_NS), ("d2h", COPY_NS)):
        assert (abs(row[name] - expected) <= 1).all()
    assert (rig.outputs[0] == np.arange(1, BYTES + 1)).all()


def test_a_held_stream_wants_everything_loaded_before(rig):
    request = cuda.Request(rig.stream, [rig.slot()], hold=True)
    with pytest.raises(ValueError, match=r"expected run\(\) before a request that holds its stream"):
        rows(request)
    request.run()
    rows(request)


def test_a_hold_gives_up_where_what_is_behind_it_waits_for_the_stream(rig):
    # A function may wait for the stream itself, which no list of copies tells.
    slot = rig.slot(compute=lambda handle: rig.stream.synchronize())
    request = cuda.Request(rig.stream, [slot], hold=True, hold_limit_ns=5_000_000)
    request.run()
    with pytest.raises(
        ValueError, match="the stream was held for 5 ms and then let go: something that was enqueued behind"
    ):
        rows(request)


def test_memory_that_is_not_pinned_cannot_be_behind_a_hold(rig):
    with pytest.raises(ValueError, match="hold: expected pinned host memory"):
        cuda.Request(rig.stream, [rig.slot(pinned=False)], hold=True)
    request = cuda.Request(rig.stream, [rig.slot(pinned=False)])
    assert not request.pinned
    rows(request)
    assert (rig.outputs[1] == np.arange(1, BYTES + 1)).all()
    assert cuda.Request(rig.stream, [rig.slot()]).pinned


def test_a_flushed_cache_costs_the_request_nothing(rig, simulated):
    simulated.script("copy_ns 5000000; kernel_ns 1000")
    flush_bytes = rig.context.device.l2_bytes
    request = cuda.Request(rig.stream, [rig.slot()], transfers=False, flush_bytes=flush_bytes, hold=True)
    request.run()
    row = rows(request, most=3)
    assert simulated.count("cuMemsetD8Async") == 3
    # A flush takes 5 ms: rows start behind it, and lie that far apart.
    assert (np.diff(row["start"]) >= 5_000_000).all()
    assert (abs(row["compute"] - 1000) <= 1).all()


def test_pipelined_requests_overlap_and_each_row_is_one_requests_own(rig):
    request = cuda.Request(rig.stream, [rig.slot(), rig.slot()])
    assert request.is_pipelined
    row = rows(request, most=8)
    assert len(row["all"]) == 8
    # From the second one on, a request starts before the one in front of it has ended.
    ends = row["start"] + row["all"]
    assert (row["start"][1:] < ends[:-1]).all()
    assert (row["enqueue"] + row["wait"] == row["all"]).all()
    assert (row["compute"] >= KERNEL_NS).all()
    for each in rig.outputs:
        assert (each == np.arange(1, BYTES + 1)).all()


def test_nothing_of_a_pipeline_is_in_flight_behind_a_loop(rig, simulated):
    request = cuda.Request(rig.stream, [rig.slot(), rig.slot(), rig.slot()])
    rows(request, most=4)
    assert simulated.count("pending") == 0
    assert request.checked == 4
    assert len(rows(request, most=4)["all"]) == 4


def test_what_comes_between_requests_in_flight_is_refused(rig):
    request = cuda.Request(rig.stream, [rig.slot(), rig.slot()])
    for loop in (closed_loop, lambda work, samples, **more: closed_loops([work], [samples], **more)):
        with pytest.raises(
            ValueError, match="expected requests of one slot with a gap between them, got pipelined ones"
        ):
            loop(request, StageSamples(9, 5), deadline_ns=NO_DEADLINE_NS, most=4, gap_ns=1)
    with pytest.raises(ValueError, match="of one slot with other kinds of requests between them"):
        MixWork([request, request], [0, 1])
    rows(cuda.Request(rig.stream, [rig.slot()]), most=2, gap_ns=1000)


def test_requests_are_paced_by_the_open_loop(rig):
    request = cuda.Request(rig.stream, [rig.slot()])
    samples = StageSamples(4, 6)
    due = np.arange(4) * 500 * US
    assert open_loop([request], [samples], due, first_ns=now_ns(), deadline_ns=NO_DEADLINE_NS) == "count"
    table = samples.to_array()
    assert (np.diff(table[:, 0]) == 500 * US).all()
    assert (table[:, 5] >= COPY_NS).all()


@pytest.mark.parametrize("settings", [{"slots": 2}, {"flush_bytes": 4096}])
def test_what_cannot_start_when_it_is_due_is_refused_by_the_open_loop(rig, settings):
    slots = [rig.slot() for _ in range(settings.pop("slots", 1))]
    request = cuda.Request(rig.stream, slots, **settings)
    with pytest.raises(
        ValueError, match=r"starts when it can and not when it is due: it is for a closed loop of 5 stages; pace"
    ):
        open_loop([request], [StageSamples(4, 6)], [0], first_ns=now_ns(), deadline_ns=NO_DEADLINE_NS)


def test_clients_on_threads_of_their_own(rig, simulated):
    other = Rig()
    works = [cuda.Request(r.stream, [r.slot(graph=False)]) for r in (rig, other)]
    tables = [StageSamples(4, 5) for _ in works]
    assert closed_loops(works, tables, deadline_ns=NO_DEADLINE_NS, most=4) == "count"
    assert [len(t) for t in tables] == [4, 4]
    assert simulated.count("depth") == 0


def test_a_throttled_device_shows(rig, simulated):
    request = cuda.Request(rig.stream, [rig.slot(graph=False)], hold=True)
    request.run()
    # Of two kernels a request, one holds.
    simulated.script(SCRIPT + "; throttle 6 5")
    assert list(np.round(rows(request, most=6)["compute"] / KERNEL_NS, 3)) == [1, 1, 1, 5, 5, 5]


@pytest.mark.parametrize(
    ("place", "skip"),
    [("before the inputs", 0), ("behind the inputs", 1), ("behind the computation", 2), ("behind the outputs", 3)],
)
def test_an_event_that_was_never_recorded_is_named(rig, simulated, place, skip):
    request = cuda.Request(rig.stream, [rig.slot()])
    simulated.script(f"{SCRIPT}; unrecorded {skip}")
    with pytest.raises(
        cuda.CudaError, match=rf"^cuEventElapsedTime: .*\(400\).*; the event {place} was never recorded;"
    ):
        rows(request)
    simulated.script(SCRIPT)
    rows(request)


@pytest.mark.parametrize("skip", range(4))
def test_an_event_that_was_not_recorded_again_is_no_time(rig, simulated, skip):
    request = cuda.Request(rig.stream, [rig.slot()])
    rows(request, most=4)
    simulated.script(f"{SCRIPT}; unrecorded {4 + skip}")
    with pytest.raises(
        cuda.CudaError, match="not recorded this time|one of the two clocks is wrong|cuEventElapsedTime"
    ):
        rows(request)


@pytest.mark.parametrize("slots", [1, 2])
def test_a_device_whose_clock_is_fast_is_found_in_the_first_request(rig, simulated, slots):
    request = cuda.Request(rig.stream, [rig.slot() for _ in range(slots)])
    simulated.script(SCRIPT + "; clock_scale 1e6")
    with pytest.raises(
        cuda.ClockDisagreementError, match="ms for a request, but by the host's clock it was 0.0000 ms to"
    ):
        rows(request)


def test_a_device_whose_clock_is_slow_is_found_over_a_loop(rig, simulated):
    request = cuda.Request(rig.stream, [rig.slot()])
    simulated.script(SCRIPT + "; clock_scale 0.001")
    with pytest.raises(cuda.ClockDisagreementError, match="ms for 40 requests, but by the host's clock it was"):
        rows(request, most=40)


# What a request asks of the driver, each time.
CALLS = [
    "cuCtxPushCurrent",
    "cuEventRecord",
    "cuMemcpyHtoDAsync",
    "cuGraphLaunch",
    "cuMemcpyDtoHAsync",
    "cuEventElapsedTime",
]


@pytest.mark.parametrize(
    ("name", "slots", "settings"),
    [
        *((name, slots, {}) for name in [*CALLS, "cuEventQuery"] for slots in (1, 2)),
        *(("cuEventSynchronize", slots, {"synchronisation": "block"}) for slots in (1, 2)),
        *((name, 1, {"flush_bytes": 64}) for name in ("cuMemsetD8Async", "cuStreamSynchronize")),
        ("cuLaunchKernel", 1, {"hold": True}),
        ("cuStreamWaitEvent", 2, {}),
    ],
)
def test_a_call_that_fails_ends_the_loop_and_is_named(rig, simulated, name, slots, settings):
    request = cuda.Request(rig.stream, [rig.slot() for _ in range(slots)], **settings)
    request.run()
    rows(request)
    simulated.script(f"{SCRIPT}; fail {name} 719")
    with pytest.raises(
        cuda.CudaError, match=rf"^{name}: CUDA_ERROR_LAUNCH_FAILED \(719\): .*; the device's context is lost"
    ):
        rows(request)
    simulated.script(SCRIPT)
    assert len(rows(request)["all"]) == 5, "a fault that passed leaves nothing behind"


def test_rows_before_a_failure_stay(rig, simulated):
    request = cuda.Request(rig.stream, [rig.slot()])
    simulated.script(f"{SCRIPT}; fail cuGraphLaunch 999 3")
    samples = StageSamples(9, 5)
    with pytest.raises(cuda.CudaError, match="cuGraphLaunch"):
        closed_loop(request, samples, deadline_ns=NO_DEADLINE_NS, most=9)
    assert len(samples) == 3


def test_a_lost_device_ends_the_loop(rig, simulated):
    request = cuda.Request(rig.stream, [rig.slot()])
    simulated.script(f"{SCRIPT}; lost_after 40")
    with pytest.raises(cuda.CudaError, match=r"\(999\)"):
        rows(request, most=100)
    simulated.script(SCRIPT)


def test_what_computes_may_raise_or_say_that_it_failed(rig):
    def broken(_handle: int) -> None:
        raise ZeroDivisionError("of its own")

    with pytest.raises(ZeroDivisionError, match="of its own"):
        rows(cuda.Request(rig.stream, [rig.slot(compute=broken)]))
    refusing = cuda.Request(rig.stream, [rig.slot(compute=lambda handle: False)])
    with pytest.raises(cuda.CudaError, match="what computes gave False: it enqueued nothing"):
        refusing.run()
    with pytest.raises(cuda.CudaError, match="what computes gave False"):
        rows(refusing)


def test_copies_that_are_made_once_are_found(rig, simulated):
    simulated.script(SCRIPT + "; copies_at_bind")
    slot = rig.slot()
    # The kernel writes over its input: without it, the device shall hold what the host does.
    slot = cuda.Slot(lambda handle: None, slot.to_device, slot.to_host)
    request = cuda.Request(rig.stream, [slot])
    request.run()
    check_transfers(rig.stream, slot)
    rig.inputs[0][:] = 200
    request.run()
    with pytest.raises(
        cuda.CudaError, match="input 0 on the device is not what the host holds: it was not copied in this run"
    ):
        check_transfers(rig.stream, slot)
    simulated.script(SCRIPT)
    request.run()
    check_transfers(rig.stream, slot)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda r: cuda.Request(r.stream, []), ValueError, "expected at least one slot, got none"),
        (
            lambda r: cuda.Request(r.stream, [r.slot(), r.slot()], hold=True),
            ValueError,
            "one request at a time, got 2 slots",
        ),
        (
            lambda r: cuda.Request(r.stream, [r.slot()], synchronisation="yield"),
            ValueError,
            "'spin' or 'block', got 'yield'",
        ),
        (
            lambda r: cuda.Request(r.stream, [r.slot()], hold_limit_ns=0),
            ValueError,
            "hold_limit_ns: expected at least 1",
        ),
        (
            lambda r: cuda.Request(r.stream, [cuda.Slot(3)]),
            TypeError,
            "compute: expected a Graph or a callable, got int",
        ),
        (
            lambda r: cuda.Request(r.stream, [cuda.Slot(print, [(cuda.DeviceBuffer(r.context, 8), bytes(9))])]),
            ValueError,
            "expected as many bytes on both sides, got 9 to copy to 8",
        ),
        (lambda r: cuda.Request(r.stream, [r.slot()]).run(1), IndexError, "slot: expected 0 to 0, got 1"),
    ],
)
def test_what_does_not_fit_is_refused(rig, make, error, text):
    with pytest.raises(error, match=text):
        make(rig)


def sharing(rig, what: str) -> list[cuda.Slot]:
    """Two slots that have something in common."""
    a, b = rig.slot(), rig.slot()
    [(there, sent)], [(got, _)] = a.to_device, a.to_host
    [(there_b, sent_b)], [(got_b, _)] = b.to_device, b.to_host
    return {
        "graph": [a, cuda.Slot(a.compute, b.to_device, b.to_host)],
        "inputs": [a, cuda.Slot(b.compute, [(there, sent_b)], b.to_host)],
        "outputs": [a, cuda.Slot(b.compute, b.to_device, [(got_b, there)])],
        "results": [a, cuda.Slot(b.compute, b.to_device, [(got, there_b)])],
        "chained": [a, cuda.Slot(b.compute, [(there_b, got)], b.to_host)],
        "inside": [cuda.Slot(a.compute, [(there, sent), (there, sent_b)], a.to_host)],
        "answers": [cuda.Slot(a.compute, a.to_device, [(got, there), (got, there_b)])],
    }[what]


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("graph", "expected a graph of its own for each slot, got one in two slots"),
        ("inputs", "expected device memory of its own for each slot"),
        ("outputs", "expected device memory of its own for each slot"),
        ("results", "expected host memory of its own for each slot's outputs"),
        ("chained", "expected host memory of its own for each slot's outputs"),
        ("inside", "expected memory of its own for each input and each output"),
        ("answers", "expected memory of its own for each input and each output"),
    ],
)
def test_requests_that_would_write_over_each_other_are_refused(rig, what, text):
    with pytest.raises(ValueError, match=text):
        cuda.Request(rig.stream, sharing(rig, what))


def test_slots_may_send_the_same_input_and_share_where_nothing_is_copied(rig):
    a, b = rig.slot(), rig.slot()
    [(_, sent)], [(there_b, _)] = a.to_device, b.to_device
    rows(cuda.Request(rig.stream, [a, cuda.Slot(b.compute, [(there_b, sent)], b.to_host)]))
    rows(cuda.Request(rig.stream, [a, a], transfers=False))


def test_captures_that_go_wrong_leave_the_stream_free(rig):
    with pytest.raises(
        ValueError, match="the stream captured nothing: launched, the graph would do nothing in no time"
    ):
        captured(rig.stream, lambda handle: None)
    with pytest.raises(cuda.CudaError, match=r"^cuStreamSynchronize: .*\(900\).*run what is captured once before"):
        captured(rig.stream, lambda handle: rig.stream.synchronize())
    with pytest.raises(cuda.CudaError, match="what was to be captured gave False"):
        captured(rig.stream, lambda handle: False)
    assert captured(rig.stream, rig.slot(graph=False).compute).nodes == 1


@pytest.mark.parametrize("slots", [1, 2])
def test_the_measuring_loop_times_it_like_any_work(rig, slots):
    request = cuda.Request(rig.stream, [rig.slot() for _ in range(slots)])
    found = measure(request, len(request.stage_names), 60_000_000, StoppingRule("median", 0.5), lambda share: None)
    assert found.ended in ("converged", "deadline")
    assert found.table_ns.shape[1] == 7
    assert (found.table_ns[:, 4] >= KERNEL_NS).all()
