"""`bench --soak`: windows, slopes in words, limits, and what is kept of one that was ended early."""

import json
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest
from processes import SEATRIAL, ran, started
from workloads import model_workload

from seatrial._native.timing import SpinWork
from seatrial.errors import UsageError
from seatrial.history.records import SoakResult, SoakWindow
from seatrial.jobs.shared import SharedSamples
from seatrial.jobs.workload import Stopping
from seatrial.loads.clients import Opened
from seatrial.loads.soak.figures import figures_of
from seatrial.loads.soak.job import _Soak
from seatrial.loads.soak.limits import judge
from seatrial.loads.soak.meters import Meter
from seatrial.loads.soak.results import soak_result
from seatrial.loads.soak.task import HUGE_PAGE, MALLOC_STEP, GrowthLimits, SoakPlan, SoakTask
from seatrial.loads.soak.windows import Left, Meters, SoakStart, WindowWriter, read_left
from seatrial.loads.task import Load
from seatrial.noise.counters import COLUMNS, UNREAD
from seatrial.noise.report import summarise
from seatrial.noise.timeline import Timeline
from seatrial.stats.share import LONGEST_RUN
from seatrial.stats.slope import slope_of

S = 1_000_000_000
MS = 1_000_000
MIB = 2.0**20
SCRIPT = {"inputs": {"x": {"shape": ["batch", 3, 8, 8]}}, "outputs": {"y": {"shape": ["batch", 3], "values": 0.5}}}


def rows(starts_ms, durations_ms):
    starts, durations = (np.asarray(v, float) * MS for v in (starts_ms, durations_ms))
    return np.column_stack([starts, durations, durations]).astype(np.int64)


def writer(folder, share=1.0, window_ms=100, meters=Meters()):
    return WindowWriter(folder, SoakStart(0, window_ms * MS, share, 7), lambda: meters, 0)


# Windows ---------------------------------------------------------------------------------------------------------------


def test_requests_belong_to_the_window_in_which_they_ended(tmp_path):
    w = writer(tmp_path)
    w.add(rows([0, 50, 95], [10, 20, 10]))
    w.add(rows([120, 130], [5, 250]))
    w.close_until(500 * MS)
    w.close()
    left = read_left(tmp_path, 3)
    # The one from 95 to 105 ms is the second's, the one from 130 to 380 ms the fourth's.
    assert [x.requests for x in left.windows] == [2, 2, 0, 1, 0]
    assert [x.start_ns for x in left.windows] == [i * 100 * MS for i in range(5)]
    assert left.windows[0].p50_s == pytest.approx(0.010, rel=3e-4)
    assert left.windows[3].longest_s == 0.25
    assert left.windows[2].p50_s is None
    # Of fewer than a hundred the p99 would be the slowest.
    assert all(x.p99_s is None for x in left.windows)
    assert len(left.rows) == 5
    assert left.start.warm_up == 7


def test_a_share_of_the_requests_is_kept_and_windows_count_all(tmp_path):
    w = writer(tmp_path, share=0.1, window_ms=1000)
    for part in np.array_split(np.arange(20_000) * 0.1, 7):
        w.add(rows(part, np.full(len(part), 0.05)))
    w.close_until(2 * S)
    w.close()
    left = read_left(tmp_path, 3)
    assert 1800 <= len(left.rows) <= 2200
    assert sum(x.requests for x in left.windows) == 20_000
    assert left.windows[0].p99_s is not None
    assert (np.diff(left.rows[:, 0]) >= 0).all()


def test_what_was_cut_short_in_the_middle_of_a_line_or_a_row_is_left_out(tmp_path):
    w = writer(tmp_path)
    w.add(rows([0, 50, 120, 230], [10, 20, 10, 5]))
    w.close()
    windows, samples = tmp_path / "windows.jsonl", tmp_path / "samples.i64"
    windows.write_text(windows.read_text()[:-20])
    samples.write_bytes(samples.read_bytes()[:-3])
    left = read_left(tmp_path, 3)
    assert len(left.windows) == 1
    assert len(left.rows) == 3


def test_nothing_left_is_nothing(tmp_path):
    assert read_left(tmp_path, 3).start is None


# The process -------------------------------------------------------------------------------------------------------------


def soak(tmp_path, works, load, *, called="native", soak_s=0.35, capacity=1 << 10):
    (tmp_path / "m.fake.json").write_text(json.dumps(SCRIPT))
    workload = model_workload(tmp_path / "m.fake.json", clients=len(works))
    stopping = Stopping(max_time_s=soak_s, longest_run=LONGEST_RUN)
    task = SoakTask(workload=workload, load=load, stopping=stopping, capacity=capacity, soak_s=soak_s)
    backend = SimpleNamespace(native=called == "native", kernels_change=False)
    shared = SharedSamples.create(len(works), capacity, len(task.stages))
    try:
        opened = Opened(works, backend, 0.0, 0.0)
        timing, unserved = _Soak(task, opened, shared, tmp_path, lambda *_: None).run()
    finally:
        shared.close()
    return timing, unserved, read_left(tmp_path, len(task.stages) + 2)


@pytest.mark.parametrize(
    ("load", "called"),
    [
        (Load(), "native"),
        (Load(), "python"),
        (Load(scenario="paced", gap_s=0.002), "python"),
        (Load(scenario="server", rate=300.0), "native"),
        (Load(scenario="server", rate=300.0), "python"),
    ],
)
def test_no_request_is_lost_between_windows_or_tables(tmp_path, load, called):
    """A table of 256 rows is full many times in between: each row is read once."""
    timing, unserved, left = soak(tmp_path, [SpinWork(300_000)], load, called=called, capacity=1 << 8)
    starts = left.rows[:, 0]
    assert len(np.unique(starts)) == len(starts) > 50
    assert sum(w.requests for w in left.windows) <= len(left.rows)
    ended = left.rows[:, 0] + left.rows[:, -1]
    closed_ns = left.windows[-1].start_ns + int(left.windows[-1].seconds * 1e9)
    assert sum(w.requests for w in left.windows) == pytest.approx((ended <= closed_ns).sum(), abs=2)
    assert timing.ended == "deadline"
    assert unserved <= 2
    assert left.windows[0].memory_bytes > MIB


def test_several_clients_are_read_together(tmp_path):
    _, _, left = soak(tmp_path, [SpinWork(300_000), SpinWork(300_000)], Load(scenario="multi-stream"), capacity=1 << 9)
    assert len(np.unique(left.rows, axis=0)) == len(left.rows) > 100


def test_memory_is_resident_and_swapped_out_without_the_harness_own(tmp_path):
    status = tmp_path / "proc" / "9" / "status"
    status.parent.mkdir(parents=True)
    status.write_text("Name:\tx\nVmRSS:\t  5000 kB\nVmSwap:\t  300 kB\n")
    sensor = tmp_path / "sys/class/hwmon/hwmon3"
    sensor.mkdir(parents=True)
    (sensor / "name").write_text("k10temp\n")
    (sensor / "temp1_input").write_text("51250\n")
    process = SimpleNamespace(pid=9, children=lambda recursive: [])
    read = Meter(process, 100 * 1024, tmp_path).read()
    assert (read.memory_bytes, read.processes, read.cpu_celsius) == (5200 * 1024, 1, 51.25)
    status.unlink()
    assert Meter(process, 0, tmp_path).read().memory_bytes is None


# Slopes in words ----------------------------------------------------------------------------------------------------------


def windows(count, seconds=15.0, **figures):
    """figures: functions of the hour."""

    def value(name, figure, hour):
        return round(figure(hour)) if name == "memory_bytes" else figure(hour)

    return [
        SoakWindow(
            start_ns=int(i * seconds * 1e9),
            seconds=seconds,
            requests=1000,
            **{k: value(k, f, i * seconds / 3600) for k, f in figures.items()},
        )
        for i in range(count)
    ]


def noisy(level, per_h, noise, seed=0):
    rng = np.random.default_rng(seed)
    return lambda hour: level + per_h * hour + noise * rng.normal()


def said(figures, name):
    return next(f for f in figures if f.name == name)


def test_what_moves_what_does_not_and_what_cannot_be_told():
    made = windows(
        108,
        p50_s=noisy(0.005, 0, 0.00002),
        p99_s=noisy(0.009, 0, 0.004, seed=3),
        memory_bytes=noisy(100 * MIB, 12 * MIB, 0.3 * MIB),
        cpu_celsius=noisy(60, -20, 0.4),
    )
    figures, missing = figures_of(made, 1800, gpu=False)
    memory, p50, p99 = said(figures, "memory"), said(figures, "latency-p50"), said(figures, "latency-p99")
    assert memory.word == "moves"
    low, high = memory.interval_per_h
    assert low < 12 * MIB < high
    assert memory.said.startswith("memory grows by 1")
    assert " MiB/h [" in memory.said
    assert p50.word == "steady"
    assert p50.said.startswith("latency p50 did not move: slope within ±")
    assert p50.said.endswith(" %/h")
    assert p99.word == "unknown"
    assert "latency p99: not enough to tell" in p99.said
    assert "--soak of about " in p99.said
    assert said(figures, "cpu-temperature").said.startswith("CPU temperature falls by ")
    assert set(missing) == {"cpu-clock"}


def test_too_short_is_never_no_drift():
    figures, _ = figures_of(windows(12, p50_s=lambda _: 0.005, memory_bytes=lambda _: 100 * MIB), 60, gpu=False)
    for figure in figures:
        assert figure.word == "unknown"
        assert figure.interval_per_h is None
        assert "not enough: 12 windows behind the warm-up, and a slope takes 20; raise --soak to 2 min" in figure.said


def test_no_window_at_all_is_no_error():
    figures, missing = figures_of([], 60, gpu=False)
    assert {f.word for f in figures} == {"unknown"}
    assert missing == {}


def result(made, **more):
    left = Left(SoakStart(0, int(made[0].seconds * 1e9), 1.0, 0), tuple(made), np.zeros((0, 3), np.int64))
    return soak_result(
        left, 1800, more.get("noise"), more.get("on_gpu", False), more.get("gpu_missing", ""), more.get("cut", "")
    )


def test_the_warm_up_is_in_no_slope_and_said():
    """Memory that fills up in the first tenth and then stands still did not grow."""
    made = windows(120, p50_s=lambda _: 0.005, memory_bytes=lambda hour: (100 + 50 * min(hour / 0.05, 1)) * MIB)
    soak = result(made)
    assert soak.left_out_s == 180
    assert said(soak.figures, "memory").word == "steady"


def test_gpu_figures_come_from_the_watch():
    table = np.full((36_001, len(COLUMNS)), UNREAD, np.int64)
    at = np.arange(len(table))
    fields = {"time_ns": at * 50 * MS, "gpu_clock_mhz": 1980 - at // 60, "gpu_clock_reasons": np.where(at < 600, 4, 0)}
    fields |= {
        "gpu_energy_mj": at // 2 * 2 * 5000,
        "gpu_memory_bytes": 0 * at + 2**30,
        "frequency_khz": 0 * at + 3_000_000,
    }
    for name, values in fields.items():
        table[:, COLUMNS.index(name)] = values
    made = windows(120, p50_s=lambda _: 0.005)
    soak = result(made, noise=summarise(Timeline((0,), table)), on_gpu=True)
    assert said(soak.figures, "gpu-clock").said.startswith("GPU clock falls by 1,200 MHz/h")
    assert said(soak.figures, "gpu-memory").word == "steady"
    assert said(soak.figures, "cpu-clock").word == "steady"
    assert [w.gpu_slowed for w in soak.windows[:3]] == [("the power cap",), ("the power cap",), ()]
    assert soak.missing["gpu-power"] == "the driver does not tell it"
    # 5 J every twentieth of a second are 100 W; a thousand requests in 15 s.
    low, high = soak.energy.gross_interval_j
    assert low < 1.5 < high
    assert soak.energy.net_j is None


def test_on_a_gpu_that_nobody_can_read_the_reason_stands_in_its_place():
    soak = result(
        windows(120, p50_s=lambda _: 0.005), on_gpu=True, gpu_missing="nvidia-ml-py is not installed; pip install it"
    )
    assert soak.missing["gpu-memory"] == "nvidia-ml-py is not installed; pip install it"


# Limits -----------------------------------------------------------------------------------------------------------------


def decided(soak, on_gpu=False, **limits):
    return {d.check: d.verdict for d in judge(GrowthLimits(**limits), soak, "cell", on_gpu)}


@pytest.mark.parametrize(("limit", "verdict"), [(40, "PASS"), (5, "FAIL"), (12, "INCONCLUSIVE")])
def test_a_limit_is_judged_by_the_whole_interval(limit, verdict):
    soak = result(windows(120, p50_s=lambda _: 0.005, memory_bytes=noisy(100 * MIB, 12 * MIB, 0.3 * MIB)))
    assert decided(soak, memory_bytes=limit * MIB) == {"memory growth": verdict}


def test_latency_is_judged_as_a_share_of_itself():
    soak = result(windows(120, p50_s=noisy(0.005, 0.0005, 0.00001), p99_s=noisy(0.009, 0, 0.004)))
    assert decided(soak, latency=0.2) == {"latency p50 growth": "PASS"}
    assert decided(soak, latency=0.05) == {"latency p50 growth": "FAIL"}
    assert decided(soak, latency=0.02, latency_percentile="p99") == {"latency p99 growth": "INCONCLUSIVE"}


@pytest.mark.parametrize("count", [5, 22])
def test_a_soak_that_is_too_short_passes_nothing(count):
    """Also where nothing was seen to move: 22 windows of a second could hide a leak of 10 MiB/h in one step of malloc's."""
    soak = result(windows(count, seconds=1.0, p50_s=lambda _: 0.005, memory_bytes=lambda _: 100 * MIB))
    assert decided(soak, memory_bytes=10 * MIB, latency=0.0001) == {
        "memory growth": "INCONCLUSIVE", "latency p50 growth": "INCONCLUSIVE",
    }  # fmt: skip


def test_memory_that_stood_still_for_half_an_hour_passes():
    soak = result(windows(120, p50_s=lambda _: 0.005, memory_bytes=lambda _: 100 * MIB))
    assert decided(soak, memory_bytes=10 * MIB) == {"memory growth": "PASS"}
    assert said(soak.figures, "memory").interval_per_h[1] < 10 * MALLOC_STEP


def test_where_every_mapping_gets_huge_pages_one_of_those_may_hide_a_leak():
    made = windows(120, p50_s=lambda _: 0.005, memory_bytes=lambda _: 100 * MIB)
    left = Left(SoakStart(0, 15 * 10**9, 1.0, 0, memory_step=HUGE_PAGE), tuple(made), np.zeros((0, 3), np.int64))
    assert decided(soak_result(left, 1800, None, False, "", ""), memory_bytes=10 * MIB) == {
        "memory growth": "INCONCLUSIVE"
    }


def test_a_pass_of_what_stood_still_says_what_it_cannot_rule_out():
    soak = result(windows(120, memory_bytes=lambda _: 100 * MIB))
    (decision,) = judge(GrowthLimits(memory_bytes=10 * MIB), soak, "cell", False)
    assert decision.reason.endswith("steps that are rarer and larger than what was seen are not ruled out")


@pytest.mark.parametrize(
    ("growth", "limit", "words"),
    [
        (lambda hour: 20 * max(0.0, hour - 0.25), 18, "speeds up"),
        (lambda hour: 20 * min(hour, 0.2), 2, "comes to rest"),
    ],
)
def test_what_begins_late_or_has_ended_is_no_growth_of_the_whole(growth, limit, words):
    rng = np.random.default_rng(5)
    soak = result(windows(120, memory_bytes=lambda hour: (100 + growth(hour) + 0.05 * rng.normal()) * MIB))
    (decision,) = judge(GrowthLimits(memory_bytes=limit * MIB), soak, "cell", False)
    assert decision.verdict == "INCONCLUSIVE"
    assert f"but it {words}: in the later half by " in decision.reason


@pytest.mark.parametrize("figure", ["p50", "p99"])
def test_windows_that_lack_a_latency_are_no_pass(figure):
    """They are the slow ones: of a process that hangs at the end, or whose requests become too few for a p99."""
    made = windows(120, p50_s=noisy(0.005, 0, 0.00001), p99_s=noisy(0.009, 0, 0.00001))
    made[-10:] = [w.model_copy(update={f"{figure}_s": None}) for w in made[-10:]]
    soak = result(made)
    (decision,) = judge(GrowthLimits(latency=0.1, latency_percentile=figure), soak, "cell", False)
    assert decision.verdict == "INCONCLUSIVE"
    assert f"latency {figure}: not told: 10 of 108 windows lack it" in decision.reason


def test_memory_of_a_gpu_that_nobody_could_read_is_no_pass():
    soak = result(windows(120, memory_bytes=lambda _: 100 * MIB), on_gpu=True, gpu_missing="no driver; install it")
    decisions = {d.check: d for d in judge(GrowthLimits(memory_bytes=10 * MIB), soak, "cell", on_gpu=True)}
    assert decisions["memory growth"].verdict == "PASS"
    assert decisions["GPU memory growth"].verdict == "INCONCLUSIVE"
    assert decisions["GPU memory growth"].reason == "not measured: no driver; install it"


def test_one_that_was_ended_early_says_so_in_its_reason():
    soak = result(windows(120, memory_bytes=noisy(100 * MIB, 60 * MIB, 0.1 * MIB)), cut="interrupted")
    (decision,) = judge(GrowthLimits(memory_bytes=MIB), soak, "cell", False)
    assert decision.verdict == "FAIL"
    assert decision.reason.endswith("of the time until it ended: interrupted")


@pytest.mark.parametrize(
    "load",
    [
        Load(scenario="server", bound_s=0.1),
        Load(scenario="mlperf", mlperf="mlperf-offline"),
        Load(scenario="server", arrivals="trace"),
    ],
)
def test_loads_without_a_steady_stream_are_refused(load):
    with pytest.raises(UsageError, match="leave soak away"):
        SoakPlan(60).check(load)


def test_the_record_holds_it():
    soak = result(windows(120, p50_s=noisy(0.005, 0, 0.00002), memory_bytes=lambda _: 100 * MIB))
    assert SoakResult.model_validate_json(soak.model_dump_json()) == soak


# The command --------------------------------------------------------------------------------------------------------------


def bench(folder, *words):
    command = [*SEATRIAL, "bench", "m.fake.json", *words, "--results", "results", "--json", "out.json"]
    done = ran(command, cwd=folder)
    path = folder / "out.json"
    return done, json.loads(path.read_text()) if path.exists() else None


def scripted(folder, **fields):
    (folder / "m.fake.json").write_text(json.dumps(SCRIPT | fields))


@pytest.mark.slow
def test_a_leak_of_known_size_is_found_and_fails(tmp_path):
    """What leaked follows from how many requests ran: their own slope, times the bytes of each."""
    leak = 20_000
    # At times of their own: how many requests run in a window does not depend on what else the machine does.
    scripted(tmp_path, latency_ms=[0.5], leak_bytes=leak)
    load = ("--scenario", "server", "--rate", "100", "--arrivals", "constant")
    done, record = bench(
        tmp_path, *load, "--soak", "12s", "--max-memory-growth", "10MiB/h", "--max-latency-growth", "1%/h@p99"
    )
    soak = record["cells"][0]["soak"]
    memory = next(f for f in soak["figures"] if f["name"] == "memory")
    behind = [
        w for w in soak["windows"] if w["start_ns"] >= soak["windows"][0]["start_ns"] + soak["left_out_s"] * 1e9 - 1
    ]
    hours = [(w["start_ns"] / 1e9 + w["seconds"] / 2) / 3600 for w in behind]
    known = slope_of(hours, np.cumsum([w["requests"] for w in behind]) * leak).value
    low, high = memory["interval_per_h"]
    # malloc rounds each up by at most 64 bytes.
    assert low <= known * (1 + 64 / leak)
    assert known <= high
    assert memory["word"] == "moves"
    assert {d["check"]: d["verdict"] for d in record["decisions"]}["memory growth"] == "FAIL"
    assert (done.returncode, record["verdict"]) == (1, "FAIL")
    assert "memory grows by" in done.stdout
    page = next((tmp_path / "results").rglob("report.html")).read_text()
    assert 'id="soak"' in page
    assert 'id="soak-0-' in page
    # What was decided still follows from the files.
    assert (
        ran([*SEATRIAL, "report", next((tmp_path / "results").rglob("record.json")).parent], cwd=tmp_path).returncode
        == 0
    )


@pytest.mark.slow
def test_a_drift_of_known_slope_is_found(tmp_path):
    """Ten per cent of the first second's latency a second: more than a busy machine's own comings and goings."""
    scripted(tmp_path, latency_ms=[5], drift_per_s=0.1)
    _, record = bench(tmp_path, "--soak", "15s")
    p50 = next(f for f in record["cells"][0]["soak"]["figures"] if f["name"] == "latency-p50")
    # A busy machine adds to latency, and may make it grow or fall on its own: the script's part is at least in reach.
    low, high = p50["interval_per_h"]
    assert low <= 0.1 * 0.005 * 3600 <= high
    assert p50["change_per_h"] > 0


@pytest.mark.slow
def test_ctrl_c_keeps_and_reports_what_there_is(tmp_path):
    scripted(tmp_path, latency_ms=[2])
    command = [*SEATRIAL, "bench", "m.fake.json", "--soak", "30min", "--results", "results", "--json", "out.json"]
    with started(command, cwd=tmp_path) as process:
        patience = time.monotonic() + 120
        while not any(f.stat().st_size > 20_000 for f in tmp_path.rglob("samples.i64")) and time.monotonic() < patience:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    record = json.loads((tmp_path / "out.json").read_text())
    (cell,) = record["cells"]
    assert (cell["status"], cell["partial"], record["verdict"]) == ("failed", True, "INCONCLUSIVE")
    assert cell["soak"]["cut_short"] == "interrupted"
    # Rows of 24 bytes.
    assert cell["soak"]["kept"] >= 20_000 // 24
    assert "ended early: interrupted" in " ".join(out.split())
    assert "did not move" not in out
