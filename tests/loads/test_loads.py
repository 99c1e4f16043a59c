"""`seatrial bench` under every kind of load: what the samples must show whatever the machine does meanwhile.

Bounds come from the script (a fake request takes at least its latency) and from the samples themselves, not from how fast
this machine is.
"""

import json
import os
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import psutil
import pytest
from onnx import TensorProto, helper
from processes import SEATRIAL, all_gone, started
from workloads import load_task

from seatrial._native.timing import SpinWork, StageSamples
from seatrial.errors import UsageError
from seatrial.history.records import LoadResult
from seatrial.history.run_folder import RunFolder, new_run
from seatrial.loads.bench import run_bench
from seatrial.loads.clients import Opened
from seatrial.loads.job import serve_load
from seatrial.loads.mlperf import loadgen_settings, run_loadgen
from seatrial.loads.rate_search import RateSearch, read_kept
from seatrial.loads.subject import model_bench
from seatrial.loads.sweep import LoadPoint, Sweep
from seatrial.loads.task import Load
from seatrial.machine.environment import usable_cores
from seatrial.report.highlights import throughput_knee
from seatrial.stats.share import requests_needed
from seatrial.timing import arrivals
from seatrial.warning import Warning

SCRIPT = {"inputs": {"x": {"shape": ["batch", 3, 8, 8]}}, "outputs": {"y": {"shape": ["batch", 3], "values": 0.5}}}
# Two latencies in turn have no median that could be known to 1 %: such a run goes on until its time is up.
RESTLESS = [0.3, 3.0]


@dataclass(frozen=True)
class Run:
    code: int
    stdout: str
    stderr: str
    record: dict
    folder: Path

    @property
    def cells(self):
        return self.record["cells"]

    @property
    def load(self):
        return self.cells[0]["load"]

    def samples(self, cell=0):
        frame = pd.read_parquet(self.folder / "samples.parquet")
        return frame[frame["cell"] == self.cells[cell]["id"]].reset_index(drop=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("loads")
    before = Path.cwd()
    os.chdir(path)
    script("steady", latency_ms=[2])
    script("quick", latency_ms=[0.1])
    script("changing", latency_ms=[1], kernels={"at_ms": 0, "times": 1})
    script("slow", latency_ms=[10])
    script("restless", latency_ms=RESTLESS)
    # One request to open it and 40 to 300 to warm up come first: it hits a measured one.
    script("stalls", latency_ms=[1], stall={"at": 340, "ms": 50})
    relu("small.onnx", [1, 3, 384, 384])
    relu("free.onnx", ["n", 3, "h", "w"])
    Path("trace.csv").write_text("second,user\n10.00,a\n10.05,b\n10.06,c\n10.30,d\n")
    yield path
    os.chdir(before)


def script(name, **changes):
    path = Path(f"{name}.fake.json")
    path.write_text(json.dumps(SCRIPT | changes))
    return path


def relu(name, shape):
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    Path(name).write_bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def measured(bench, folder):
    """Runs a bench and reads what it left; the same words run once."""
    runs = {}

    def call(words):
        if words not in runs:
            results = f"results-{len(runs)}"
            done = bench(*words.split(), "--results", results, "--json", "out.json")
            found = list(Path(results).glob("*/*"))
            record = json.loads(Path("out.json").read_text()) if found else {}
            Path("out.json").unlink(missing_ok=True)
            runs[words] = Run(done.code, done.stdout, done.stderr, record, found[0] if found else Path(results))
        return runs[words]

    return call


SINGLE = "small.onnx --max-time 400ms"
SERVER = "stalls.fake.json --scenario server --rate 300 --arrivals constant --max-time 1500ms"
POISSON = "steady.fake.json --scenario server --rate 40,80 --max-time 500ms --seed 7"
OVERLOAD = "slow.fake.json --scenario server --rate 400 --arrivals constant --max-time 500ms"
PACED = "steady.fake.json --scenario paced --gap 0ms,4ms,20ms --max-time 300ms"
CLIENTS = "small.onnx --scenario multi-stream --clients 1,2 --max-time 300ms"
MIX = "free.onnx --mix x=1x3x8x8@3 --mix x=2x3x768x768@1 --max-time 300ms"
SEARCH = "steady.fake.json --scenario server --find-rate --latency-bound 25ms@p90 --max-time 3s"
DEMO = "demo:candidate --scenario server --rate 6 --max-time 1s"


@pytest.mark.parametrize("words", [SINGLE, SERVER, POISSON, OVERLOAD, PACED, CLIENTS, MIX, DEMO])
def test_stages_of_every_request_add_up(measured, words):
    """Stages share their clock readings; only the last reading, of the whole, is one of its own."""
    run = measured(words)
    assert run.code == 0, run.stderr
    for cell in range(len(run.cells)):
        frame = run.samples(cell)
        stages = [c for c in frame if c.endswith("_ns") and c not in ("start_ns", "end_to_end_ns")]
        assert list(run.cells[cell]["measurement"]["stages"])[: len(stages)] == [c.removesuffix("_ns") for c in stages]
        between = frame["end_to_end_ns"] - frame[stages].sum(axis=1)
        assert (between >= 0).all()
        assert between.median() < 50_000
        shares = [run.cells[cell]["measurement"]["stages"][c.removesuffix("_ns")]["share"] for c in stages]
        assert sum(shares) == pytest.approx(frame[stages].to_numpy().sum() / frame["end_to_end_ns"].sum())


def test_single_stream_of_a_real_model(measured):
    run = measured(SINGLE)
    cell, frame = run.cells[0], run.samples()
    assert cell["id"] == "bench.onnxruntime-cpu.fp32.b1.t1"
    assert (run.load["scenario"], run.load["clients"], run.load["called"]) == ("single-stream", 1, "native")
    assert len(frame) == cell["measurement"]["stages"]["infer"]["p50"]["n"] >= 50
    # One client: a request starts when the one before it is done.
    ends = (frame["start_ns"] + frame["end_to_end_ns"]).to_numpy()
    assert (frame["start_ns"].to_numpy()[1:] >= ends[:-1]).all()
    assert run.load["python_path"]["same_outputs"] is True
    assert "the same outputs" in run.stdout


@pytest.mark.parametrize(("words", "policy"), [
    (SINGLE, "inputs bound in place, outputs read without a copy, shapes fixed when opened"),
    (MIX, "inputs bound in place, outputs allocated in each run, shapes open"),
    (DEMO, "inputs bound in place, outputs read without a copy, shapes fixed when opened"),
])  # fmt: skip
def test_the_record_has_the_policy_of_the_backend_that_was_opened(measured, words, policy):
    run = measured(words)
    assert [c["measurement"]["io_policy"] for c in run.cells] == [policy] * len(run.cells)
    # Lines are folded to the terminal's width.
    assert f"{policy}; warm-up" in " ".join(run.stdout.split())


@pytest.mark.parametrize("cell", [0, 1])
def test_a_sweep_over_clients(measured, cell):
    run = measured(CLIENTS)
    assert [c["id"].rpartition("@")[2] for c in run.cells] == ["multi-stream-c1", "multi-stream-c2"]
    load, frame = run.cells[cell]["load"], run.samples(cell)
    assert load["clients"] == cell + 1
    ends = (frame["start_ns"] + frame["end_to_end_ns"]).to_numpy()
    overlap = (frame["start_ns"].to_numpy()[1:] < ends[:-1]).any()
    assert overlap == (cell == 1), "two clients have requests at the same time, one has not"
    wall_s = (ends.max() - frame["start_ns"].min()) / 1e9
    assert load["requests_per_s"]["value"] == pytest.approx(len(frame) / wall_s)
    assert run.cells[cell]["measurement"]["throughput"]["value"] == pytest.approx(load["requests_per_s"]["value"])


def test_a_sweep_over_clients_names_its_knee(measured):
    run = measured(CLIENTS)
    rates = [c["load"]["requests_per_s"]["value"] for c in run.cells]
    # Which it is depends on the machine's minute; that it is what the intervals say does not.
    may, surely = throughput_knee([LoadResult.model_validate(c["load"]) for c in run.cells])
    knee = str(may) if may == surely else f"{may} to {surely}"
    assert f"knee: {knee} client(s) give 95 % of the best throughput" in run.stdout
    assert f"1 client(s): {rates[0]:.4g} requests/s, 100% of 1 × one client's" in run.stdout
    assert "Throughput by clients" in (run.folder / "report.html").read_text()


@pytest.mark.slow
def test_offline_is_about_throughput(measured):
    run = measured("steady.fake.json --scenario offline --max-time 400ms --batch 4")
    assert run.code == 0, run.stderr
    rate = run.load["requests_per_s"]
    # All samples are there: without --clients every core has one.
    cores = len(usable_cores())
    assert run.load["clients"] == cores
    assert 0 < rate["value"] <= cores / 0.002
    assert rate["interval"][0] <= rate["value"] <= rate["interval"][1]
    assert run.cells[0]["measurement"]["throughput"]["value"] == pytest.approx(4 * rate["value"])
    assert f"offline-c{cores}" in run.stdout


@pytest.mark.slow
@pytest.mark.skipif(len(usable_cores()) < 2, reason="one core")
def test_a_sweep_over_threads(measured):
    run = measured("small.onnx --threads 1,2 --max-time 300ms")
    assert run.code == 0, run.stderr
    assert [(c["id"], c["threads"]) for c in run.cells] == [
        (f"bench.onnxruntime-cpu.fp32.b1.t{n}", n) for n in (1, 2)
    ]  # fmt: skip
    assert [len(c["measurement"]["affinity"]) for c in run.cells] == [1, 2]
    assert all(c["measurement"]["backend_details"]["threads"].startswith(f"{c['threads']} intra-op") for c in run.cells)


@pytest.mark.slow
def test_peak_memory_is_without_the_tables_of_samples(measured):
    """A search's tables have 25 MB more than a single stream's."""
    single, search = (
        measured(w).cells[0]["measurement"]["peak_memory"]["value"]
        for w in ("steady.fake.json --max-time 300ms", SEARCH)
    )
    assert abs(search - single) < 15e6


@pytest.mark.parametrize("load", ["", " --scenario multi-stream --clients 2", " --scenario server --rate 100"])
def test_kernels_that_may_change_want_a_longer_warm_up_than_there_is_time(measured, load):
    """A second of one level does not fit into 0.3 s, however fast the machine is."""
    run = measured(f"changing.fake.json{load} --max-time 300ms")
    (warning,) = [w for w in run.cells[0]["warnings"] if w["code"] in ("unsteady-warm-up", "level-shift")]
    assert run.cells[0]["measurement"]["doubt"] == warning["text"]
    assert warning["cure"].startswith("set kernel_strategy to eager or none")


def test_gaps_have_a_cell_each_and_are_kept(measured):
    run = measured(PACED)
    assert [c["id"].rpartition("@")[2] for c in run.cells] == ["paced-0ms", "paced-4ms", "paced-20ms"]
    for cell, gap_ms in enumerate((0, 4, 20)):
        frame = run.samples(cell)
        ends = (frame["start_ns"] + frame["end_to_end_ns"]).to_numpy()
        idle_ms = (frame["start_ns"].to_numpy()[1:] - ends[:-1]) / 1e6
        assert (idle_ms >= gap_ms).all()
        assert frame["infer_ns"].min() >= 2_000_000, "the gap is no part of a request's time, and the work is all of it"
        assert run.cells[cell]["load"]["gap_s"] == gap_ms / 1e3


@pytest.mark.parametrize(
    ("words", "due_ns"),
    [
        (SERVER, lambda: arrivals.constant(300, 1.5)),
        (POISSON, lambda: arrivals.poisson(40, 0.5, 7)),
        ("steady.fake.json --scenario server --arrivals trace.csv --max-time 1s",
         lambda: arrivals.trace([10.0, 10.05, 10.06, 10.3], 1.0)),
    ],
    ids=["constant", "poisson", "trace"],
)  # fmt: skip
def test_requests_start_when_they_were_due(measured, words, due_ns):
    """To the nanosecond, however late they were begun."""
    run = measured(words)
    assert run.code == 0, run.stderr
    starts = run.samples()["start_ns"].to_numpy()
    # A machine that stands still leaves the last of them unserved, and says so.
    served = len(due_ns()) - run.load["unserved"]
    assert served > 0
    assert (starts - starts[0]).tolist() == (due_ns() - due_ns()[0])[:served].tolist()


def test_a_sweep_over_rates(measured):
    run = measured(POISSON)
    assert [c["id"].rpartition("@")[2] for c in run.cells] == ["server-40", "server-80"]
    assert [c["load"]["rate_per_s"] for c in run.cells] == [40, 80]
    assert [c["load"]["arrivals"] for c in run.cells] == ["poisson"] * 2
    assert "knee" not in run.stdout, "the rate was given, not found"


def lindley(start_ns, service_ns):
    """Waits of a queue with one server that never idles while a request waits: no real server can be faster."""
    wait = np.zeros(len(start_ns))
    for i in range(1, len(start_ns)):
        wait[i] = max(0, wait[i - 1] + service_ns[i - 1] - (start_ns[i] - start_ns[i - 1]))
    return wait


def test_a_stall_is_charged_to_every_request_behind_it(measured):
    run = measured(SERVER)
    frame = run.samples()
    due, queue, infer, latency = (frame[c].to_numpy() for c in ("start_ns", "queue_ns", "infer_ns", "end_to_end_ns"))
    least = lindley(due, infer)
    assert (queue >= least).all()
    assert (latency >= least + infer).all()
    stalled = int(np.argmax(infer))
    assert infer[stalled] >= 50_000_000
    stall_ends = due[stalled] + latency[stalled]
    behind = np.arange(stalled + 1, int(np.searchsorted(due, stall_ends)))
    assert len(behind) >= 14, "a request every 3.3 ms, for 50 ms"
    # In full: what was left of the stall when the request was due is in its latency, and the service of those before it.
    before = np.cumsum(infer[behind]) - infer[behind]
    assert (queue[behind] >= stall_ends - due[behind] + before).all()
    # Until the backlog has drained, not only until the stall is over.
    after = np.arange(behind[-1] + 1, len(due))
    waits = after[least[after] > 0]
    assert len(waits), "at 30 % load the backlog outlives the stall by some requests"
    assert waits[0] == after[0]
    # Fourteen of 450 waited: that is the p99, although a single request in 450 was slow.
    p99_s = run.cells[0]["measurement"]["stages"]["end_to_end"]["p99"]["value"]
    assert p99_s * 1e9 >= np.quantile(least + infer, 0.99, method="inverted_cdf") >= 30_000_000
    service = run.cells[0]["measurement"]["stages"]["service"]
    assert service["p50"]["value"] * 1e9 == pytest.approx(np.quantile(latency - queue, 0.5, method="inverted_cdf"))
    assert "queue" in run.stdout


def test_a_server_that_cannot_keep_up_says_what_was_never_served(measured):
    run = measured(OVERLOAD)
    served = run.cells[0]["measurement"]["stages"]["end_to_end"]["p50"]["n"]
    assert run.load["unserved"] == 200 - served > 0
    assert run.load["requests_per_s"]["value"] <= 1 / 0.010
    warnings = {w["code"]: Warning(**w) for w in run.cells[0]["warnings"]}
    overload, unserved = warnings["overload"], warnings["unserved"]
    assert overload.text.startswith("OVERLOADED: ")
    assert "of the time that 1 client has, so that the queue grows for as long as the run lasts" in overload.text
    assert overload.cure == "lower --rate, or raise --clients"
    assert unserved.text.startswith(f"{200 - served} of 200 requests were not begun when the time was up")
    assert all(str(w) in " ".join(run.stdout.split()) for w in (overload, unserved))
    assert run.cells[0]["measurement"]["converged"] is False
    assert (np.diff(run.samples()["start_ns"]) == 2_500_000).all(), "in the order in which they came, none left out"


def test_a_pipeline_as_a_server(measured):
    run = measured(DEMO)
    assert run.code == 0, run.stderr
    stages = ["queue", "decode", "preprocess", "infer", "postprocess", "end_to_end", "service"]
    assert list(run.cells[0]["measurement"]["stages"]) == stages
    frame = run.samples()
    assert "service_ns" not in frame, "it is the rest of the row, not a column of its own"
    service_s = run.cells[0]["measurement"]["stages"]["service"]["mean"]["value"]
    assert service_s == pytest.approx((frame["end_to_end_ns"] - frame["queue_ns"]).mean() / 1e9)
    assert run.record["images"]["count"] == 32


# So few a second that most find the server idle, however busy the machine: a small one waits behind no large one.
RARE = " --scenario server --rate 40 --max-time 1500ms"


@pytest.mark.parametrize(
    "load", ["", " --scenario multi-stream --clients 2", RARE], ids=["single", "clients", "server"]
)
def test_a_mix_tells_its_shapes_apart(measured, load):
    run = measured(MIX + load)
    assert run.code == 0, run.stderr
    assert run.cells[0]["noise"]["spikes"] == [], "a large shape is no outlier of a small one"
    small, large = run.load["shapes"]
    assert [s["shape"] for s in (small, large)] == ["x=1x3x8x8", "x=2x3x768x768"]
    assert [s["weight"] for s in (small, large)] == [0.75, 0.25]
    # 18432 times the elements. Were rows and shapes out of step, three of four "large" ones would be small.
    assert large["p50"]["value"] > 4 * small["p50"]["value"]
    counts = [s["p50"]["n"] for s in (small, large)]
    total = sum(counts)
    assert total == len(run.samples())
    assert abs(counts[0] - 0.75 * total) <= 5 * (total * 0.75 * 0.25) ** 0.5 + 1
    assert all(s["first"]["value"] > 0 for s in (small, large))
    # Images: one of each small request, two of each large.
    images = (counts[0] + 2 * counts[1]) / total * run.load["requests_per_s"]["value"]
    assert run.cells[0]["measurement"]["throughput"]["value"] == pytest.approx(images)
    assert "x=2x3x768x768" in run.stdout


@pytest.mark.slow
def test_the_highest_rate_under_a_bound(measured):
    run = measured(SEARCH)
    curve, found, likely = (run.load[key] for key in ("curve", "found_rate", "rate_estimate"))
    assert run.code == (0 if found else 3), run.stderr
    assert run.record["verdict"] == ("PASS" if found else "INCONCLUSIVE")
    assert (run.load["bound_s"], run.load["bound_quantile"]) == (0.025, 0.9)
    assert run.load["broken_rate"] <= 501, "faster than a request every 2 ms the queue grows, whatever the bound"
    # In three seconds of a noisy machine there may be nothing that was proved, and latencies that no queue explains.
    if found is not None:
        assert [p["holds"] for p in curve if p["offered_per_s"] == found["value"]] == ["yes"]
        assert found["confidence"] == pytest.approx(0.9)
        assert found["interval"] == [found["value"], run.load["broken_rate"]]
        assert re.search(rf"proved +{found['value']:.4g}/s", run.stdout)
    if likely is not None:
        low, high = likely["interval"]
        assert 0 < low <= likely["value"] <= min(high, 500.5)
        assert re.search(rf"highest rate +{likely['value']:.4g}/s", run.stdout)
    else:
        assert "queue-model" in [w["code"] for w in run.cells[0]["warnings"]]
    rates = [p["offered_per_s"] for p in curve]
    assert len(set(rates)) == len(rates)
    # Every request belongs to one rate; the first tenth, in which the queue fills up, is not judged.
    assert 0.85 * len(run.samples()) < sum(p["n"] for p in curve) < len(run.samples())
    for point in curve:
        assert point["p50"]["value"] <= point["p90"]["value"] <= point["p99"]["value"]
        assert 0 <= point["slow"] <= point["n"] + point["unserved"]
    assert "Rate under a latency bound" in (run.folder / "report.html").read_text()


@pytest.mark.slow
def test_a_search_that_nothing_can_hold_is_refused(measured):
    run = measured("steady.fake.json --scenario server --find-rate --latency-bound 1ms@p90 --max-time 1s")
    assert run.code == 2
    assert "--latency-bound 1.00 ms@p90: no rate can hold it: with nothing else to do p90 of" in run.stderr
    assert not list(run.folder.glob("*/*"))


@pytest.mark.slow
def test_a_search_with_too_little_time_estimates_and_proves_nothing(measured):
    """p99.9 takes 2,995 requests and more, of which a second holds 500."""
    run = measured("steady.fake.json --scenario server --find-rate --latency-bound 250ms@p99.9 --max-time 1s")
    assert run.code == 3, run.stderr
    assert run.load["found_rate"] is None
    assert run.load["curve"]
    (said,) = [w for w in run.cells[0]["warnings"] if w["code"] == "unproved-rate"]
    assert "no rate was proved to hold 250 ms@p99.9" in said["text"]
    assert re.search(r"proved +none", run.stdout)
    assert "no rate was proved" in run.stdout


@pytest.mark.slow
def test_a_percentile_with_too_few_samples_is_refused_with_the_count_still_needed(measured):
    """Whatever the machine does, 300 ms hold 150 requests of 2 ms at most; p75 needs so few that it is seldom refused too."""
    run = measured("steady.fake.json --percentile p99.9 --percentile p75 --max-time 300ms")
    assert run.code == 3, run.stderr
    why = run.load["refused"]["p99.9"]
    needed, more, had = re.search(r"it needs (.*) requests, (.*) more than these (.*);", why).groups()
    needed, more, had = (int(count.replace(",", "")) for count in (needed, more, had))
    assert needed >= requests_needed(0.999, 0.95)
    assert (more, had) == (needed - len(run.samples()), len(run.samples()))
    assert "raise --max-time" in why
    assert sorted([*run.load["percentiles"], *run.load["refused"]]) == ["p75", "p99.9"]
    assert why in " ".join(run.stdout.split())
    assert run.record["verdict"] == "INCONCLUSIVE"


@pytest.mark.parametrize("load", ["", pytest.param(" --scenario multi-stream", marks=pytest.mark.slow)])
def test_a_percentile_with_enough_samples_is_given(measured, load):
    """Measuring goes on for it beyond the point where the median, or the mean, is known."""
    run = measured(f"quick.fake.json --percentile p75 --max-time 6s{load}")
    assert run.code == 0, run.stdout
    asked = run.load["percentiles"]["p75"]
    assert asked["n"] >= requests_needed(0.75, 0.95)
    assert asked["interval"][1] >= asked["value"] >= run.cells[0]["measurement"]["stages"]["end_to_end"]["p50"]["value"]
    assert run.load["refused"] == {}


@pytest.mark.slow
def test_the_time_cap_is_said_aloud(measured):
    run = measured("restless.fake.json --max-time 300ms")
    assert run.code == 0
    assert not run.cells[0]["measurement"]["converged"]
    warning = next(w for w in run.cells[0]["warnings"] if w["code"] == "not-converged")
    assert re.fullmatch(r"raise --max-time (to [\d.]+ \w+ )?or quiet the machine", warning["cure"])
    assert "NOT CONVERGED" in run.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"how": "raise", "message": "<the> script [says] so"}, "<the> script [says] so"),
        ({"how": "segfault"}, "SIGSEGV"),
        ({"how": "kill"}, "SIGKILL"),
        ({"how": "exit"}, "ended with exit status 7"),
    ],
    ids=lambda v: v["how"] if isinstance(v, dict) else "",
)
def test_what_was_measured_outlives_the_process(measured, how, said):
    """The record has every request before the one that broke it, and how it ended; the command fails."""
    script("mortal", latency_ms=RESTLESS, fail={"at": 340, **how})
    run = measured(f"mortal.fake.json --max-time 6s --seed {len(said)}{sum(map(ord, said))}")
    assert run.code == 1, run.stdout + run.stderr
    (cell,) = run.cells
    assert (cell["status"], cell["exit_code"], run.record["status"], run.record["verdict"]) == (
        "failed", 1, "interrupted", "INCONCLUSIVE",
    )  # fmt: skip
    count = len(run.samples())
    # 340 in all, of which one opened it and 40 to 300 warmed it up.
    assert 39 <= count <= 299
    assert cell["measurement"]["stages"]["infer"]["p50"]["n"] == count
    # Nobody was left to tell these, and zero would be a figure.
    assert [cell["measurement"][name] for name in ("load_time", "first_inference", "cold_start", "peak_memory")] == [
        None
    ] * 4
    assert said in cell["reason"]
    assert f"the {count} requests before it are kept" in cell["reason"]
    assert cell["reason"] in run.stderr
    assert run.record["warnings"] == [{"code": "cut-short", "text": cell["reason"], "cure": ""}]
    assert not any(w["code"] == "not-converged" for w in cell["warnings"]), "it had no time to"
    page = (run.folder / "report.html").read_text()
    assert "Cells that failed" in page
    assert said.replace("<", "&lt;").replace(">", "&gt;") in page


@pytest.mark.parametrize("how", ["raise", "segfault"])
def test_a_model_that_fails_at_once_leaves_nothing_but_a_message(measured, how):
    script("stillborn", fail={"at": 0, "how": how})
    run = measured(f"stillborn.fake.json --max-time 300ms --seed {len(how)}")
    assert run.code == 1
    assert "stillborn.fake.json" in run.stderr
    assert ("the script says so" in run.stderr) == (how == "raise")
    assert not list(run.folder.glob("*/*"))


def test_no_time_at_all_is_said_so(measured):
    run = measured("steady.fake.json --max-time 1ns")
    assert run.code == 2, run.stdout
    assert "--max-time 1.00 ns: no request was done in it; raise it" in run.stderr
    assert not list(run.folder.glob("*/*"))


def test_clocks_of_no_gpu_are_not_held(folder):
    subject = model_bench(script("small", latency_ms=1), "fake", batch=1, threads=1, shapes={}, native=False)
    sweep = Sweep([LoadPoint(Load())], 0.3, lock_clocks="1410")
    with pytest.raises(UsageError, match="fake runs on no GPU of NVIDIA's"):
        run_bench(new_run(Path("locked"), "here"), subject, sweep, lambda step, share: None)


@pytest.mark.slow
def test_loads_that_were_measured_survive_one_that_was_not(folder, monkeypatch):
    """The model is gone when the second load of the sweep is to open it: the first is not thrown away."""
    model = script("fleeting", latency_ms=RESTLESS)
    run = new_run(Path("fleeting"), "here")
    subject = model_bench(model, "fake", batch=1, threads=1, shapes={}, native=False)
    sweep = Sweep([LoadPoint(Load(scenario="paced", gap_s=gap)) for gap in (0.001, 0.002)], 0.5)
    save_cell = RunFolder.save_cell

    def and_unlink(run, *cell):
        save_cell(run, *cell)
        model.unlink()

    monkeypatch.setattr(RunFolder, "save_cell", and_unlink)
    outcome = run_bench(run, subject, sweep, lambda step, share: None)
    assert outcome.exit_code == 4
    assert outcome.problem.startswith("bench.fake.fp32.b1.t1@paced-2ms: ")
    assert "fleeting.fake.json can no longer be read" in outcome.problem
    assert [c.id for c in outcome.record.cells] == ["bench.fake.fp32.b1.t1@paced-1ms"]
    assert (outcome.record.status, outcome.record.cells[0].status) == ("interrupted", "ok")
    assert Warning("cut-short", outcome.problem) in outcome.record.warnings
    assert len(pd.read_parquet(run.path / "samples.parquet"))


@pytest.mark.slow
def test_a_model_replaced_while_a_load_runs_leaves_its_samples_and_no_result(folder):
    model = script("replaced", latency_ms=RESTLESS)
    run = new_run(Path("replaced"), "here")
    subject = model_bench(model, "fake", batch=1, threads=1, shapes={}, native=False)

    def replace_it(step, share):
        # Not while it is read: half a file is no model.
        if share:
            script("replaced", latency_ms=[0.1])

    outcome = run_bench(run, subject, Sweep([LoadPoint(Load())], 1), replace_it)
    (cell,) = outcome.record.cells
    assert (cell.status, cell.partial, cell.exit_code, outcome.exit_code) == ("failed", True, 4, 4)
    # Whoever could be asked is gone.
    assert cell.measured.io_policy == ""
    assert "replaced.fake.json changed (sha256" in outcome.problem
    assert len(pd.read_parquet(run.path / "samples.parquet")) == cell.stages["infer"].p50.n


def rows_so_far(pid):
    """In the memory that a bench shares with what it measures."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if "seatrial-samples" in os.readlink(link):
                with link.open("rb") as stream:
                    return len(StageSamples.read(stream.read(1 << 20), 1))
        except (OSError, ValueError):
            continue
    return 0


@pytest.mark.slow
@pytest.mark.cold
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "a cancelled job"])
def test_an_interrupted_measurement_keeps_its_samples(folder, number):
    script("restless", latency_ms=RESTLESS)
    name = f"interrupted-{number}"
    words = ["restless.fake.json", "--max-time", "10min", "--results", name, "--json", f"{name}.json"]
    with started([*SEATRIAL, "bench", *words]) as process:
        while rows_so_far(process.pid) < 100:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 130, stderr
        assert "Traceback" not in stdout + stderr
        assert children
        assert all_gone(children)
    record = json.loads(Path(f"{name}.json").read_text())
    (cell,) = record["cells"]
    assert (record["status"], cell["status"], cell["exit_code"]) == ("interrupted", "failed", 130)
    count = cell["measurement"]["stages"]["infer"]["p50"]["n"]
    assert count >= 100
    assert cell["partial"]
    assert cell["reason"] == f"interrupted; the {count} requests before it are kept"
    (run,) = Path(name).glob("*/*")
    assert len(pd.read_parquet(run / "samples.parquet")) == count
    assert "interrupted" in (run / "report.html").read_text()


@pytest.mark.cold
@pytest.mark.slow
def test_a_cancelled_search_keeps_the_rates_that_were_done(folder):
    script("two", latency_ms=[2.0])
    words = "--scenario server --find-rate --latency-bound 50ms@p50 --max-time 30s --results cut --json cut.json"
    with started([*SEATRIAL, "bench", "two.fake.json", *words.split()]) as process:
        while not list(Path("cut").rglob("search.json")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    (cell,) = json.loads(Path("cut.json").read_text())["cells"]
    assert cell["load"]["curve"]
    assert cell["load"]["broken_rate"] is not None
    assert "it ended before a first rate was measured" not in stdout
    assert f"{cell['load']['curve'][0]['offered_per_s']:.4g}/s" in stdout


@pytest.mark.slow
@pytest.mark.cold
def test_interrupted_before_the_first_sample_nothing_is_left(folder):
    script("loading", load_ms=600_000)
    with started([*SEATRIAL, "bench", "loading.fake.json", "--results", "nothing"]) as process:
        while not (children := psutil.Process(process.pid).children(recursive=True)):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        assert (process.returncode, stderr.strip()) == (130, "error: interrupted")
        assert all_gone(children)
    assert not list(Path("nothing").glob("*/*"))


MLPERF = {
    "mlperf-single-stream": ("small.onnx", "SingleStream", ""),
    "mlperf-multi-stream": ("steady.fake.json", "MultiStream", " --clients 2"),
    "mlperf-offline": ("steady.fake.json", "Offline", ""),
    "mlperf-server": ("steady.fake.json", "Server", " --rate 100 --latency-bound 50ms@p90"),
}


@pytest.mark.slow
@pytest.mark.parametrize("scenario", MLPERF)
def test_mlperfs_own_loadgen(measured, scenario):
    pytest.importorskip("mlperf_loadgen", reason="pip install 'seatrial[mlperf]'")
    model, name, more = MLPERF[scenario]
    run = measured(f"{model} --scenario {scenario} --max-time 300ms{more}")
    assert run.code == 0, run.stderr
    official = run.load["official"]
    assert official["Result is"] in ("VALID", "INVALID")
    assert (official["Scenario"], official["Mode"]) == (name, "PerformanceOnly")
    assert official["version"].startswith("mlcommons-loadgen ")
    assert run.load["scenario"] == scenario
    assert f"{official['Result is']} " in run.stdout
    frame = run.samples()
    if scenario == "mlperf-offline":
        # One query: LoadGen's rate is its samples over the latency of the last.
        assert len(frame) == round(official["Samples per second"] * official["Max latency (ns)"] / 1e9)
    if scenario == "mlperf-multi-stream":
        assert len(frame) % 8 == 0, "a query is eight samples, and each was run"
    # LoadGen's clock runs around ours: for the same requests it can only see more.
    assert official["Mean latency (ns)"] >= frame["end_to_end_ns"].mean() - 1
    assert not list(Path().glob("mlperf_log*")), "its logs are no part of the user's folder"


@pytest.mark.parametrize(
    ("per_s", "single_ns", "multi_ns"),
    [(500, 1_000_000, 8_000_000), (50_000, 10_000, 80_000), (1e9, 5_000, 40_000)],  # at most a million queries in 10 s
)
def test_loadgen_makes_enough_queries_for_the_time(folder, per_s, single_ns, multi_ns):
    """From its own guess of 1 ms it would run out of them, and call a fast model INVALID."""
    lg = pytest.importorskip("mlperf_loadgen", reason="pip install 'seatrial[mlperf]'")
    for scenario, name, expected in (
        ("single-stream", "single_stream", single_ns),
        ("multi-stream", "multi_stream", multi_ns),
    ):
        load = Load(scenario="mlperf", mlperf=f"mlperf-{scenario}")
        task = load_task(Path("steady.fake.json"), load, 10.0)
        settings = loadgen_settings(lg, task, scenario, per_s)
        assert getattr(settings, f"{name}_expected_latency_ns") == expected
        assert settings.min_duration_ms == 10_000


def opened_spin(service_ns):
    """A client of known service time, without a process or a model."""
    return Opened([SpinWork(service_ns)], SimpleNamespace(kernels_change=False), 0.0, 0.0)


def bench_task(load, max_time_s):
    return load_task(Path("steady.fake.json"), load, max_time_s)


def test_loadgen_is_never_answered_without_work(folder):
    """Where our table is full, LoadGen goes on: its result must not be of requests that nobody ran."""
    lg = pytest.importorskip("mlperf_loadgen", reason="pip install 'seatrial[mlperf]'")
    assert lg
    task = bench_task(load=Load(scenario="mlperf", mlperf="mlperf-single-stream"), max_time_s=0.1)
    table = StageSamples(16, 1)
    official, full = run_loadgen(task, [SpinWork(200_000)], [table], 5000.0, lambda *_: None)
    assert full
    assert len(table) == 16
    assert official["Min latency (ns)"] >= 200_000


def test_requests_without_room_in_the_table_are_not_called_unserved(folder):
    table = StageSamples(64, 2)
    task = bench_task(load=Load(scenario="server", rate=2000, arrivals="constant"), max_time_s=60.0)
    found = serve_load(task, opened_spin(10_000), [table], lambda *_: None)
    assert (found.timing.ended, found.unserved, len(table)) == ("full", 0, 64)


@pytest.mark.slow
def test_a_search_ends_where_the_table_is_full_and_judges_no_rate_by_half_its_requests(folder):
    table = StageSamples(600, 2)
    load = Load(scenario="server", bound_s=1.0, bound_quantile=0.5)
    opened = opened_spin(100_000)
    found = RateSearch(bench_task(load=load, max_time_s=60.0), opened, [table], lambda *_: None, folder / "kept").run(7)
    assert (found.timing.ended, found.timing.converged, found.timing.warm_up, len(table)) == ("full", False, 7, 600)
    assert found.search.points == (), "a rate with requests that found no room is no point"
    assert opened.unmeasured[0] > 0, "what was sent to see the capacity came before the table too"
    assert read_kept(folder / "kept") is None


@pytest.mark.slow
def test_what_a_search_had_found_outlives_it(folder):
    table = StageSamples(1 << 15, 2)
    load = Load(scenario="server", bound_s=1.0, bound_quantile=0.5)
    found = RateSearch(
        bench_task(load, max_time_s=1.0), opened_spin(2_000_000), [table], lambda *_: None, folder / "k"
    ).run(0)
    kept = read_kept(folder / "k")
    assert [(p.offered_per_s, p.arrivals, p.holds) for p in kept.points] == [
        (p.offered_per_s, p.arrivals, p.holds) for p in found.search.points
    ]
    assert (kept.held, kept.broke) == (found.search.held, found.search.broke)
    (folder / "k").write_text("{")
    assert read_kept(folder / "k") is None


def test_without_loadgen_the_message_names_the_extra(measured, monkeypatch):
    monkeypatch.setattr("seatrial.loads.mlperf.find_spec", lambda name: None)
    run = measured("steady.fake.json --scenario mlperf-offline --max-time 200ms")
    assert run.code == 5
    assert "MLPerf LoadGen is not installed; python -m pip install 'seatrial[mlperf]'" in run.stderr
    assert not list(run.folder.glob("*/*"))
