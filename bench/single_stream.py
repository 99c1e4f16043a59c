"""Does our single stream say what a bare C loop and MLPerf LoadGen say of the same model?

    python bench/single_stream.py MODEL.onnx=INPUT:1x3x224x224 ...

One process, one thread, rounds in random order: a loop of plain C (bare_loop.c, compiled here), our native loop, and the
real LoadGen on the same work. Prints p50 and p90 of each and their ratios to the bare loop's with 95 % intervals over rounds.
LoadGen's own overhead is named in two ways: by what it says of work that keeps a core busy for just as long as the model, a
known time; and by how much more it says of the model than we saw of the same requests. Its requests come from Python one by
one, which cools the caches: so do ours in "a call a request", without LoadGen. First, what our loop adds to a call, on an
identity model.
"""

from __future__ import annotations

import ctypes
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from seatrial._native.ort import LoadedModel, Request
from seatrial._native.timing import NO_DEADLINE_NS, SpinWork, StageSamples, Work, closed_loop, now_ns
from seatrial.backends.onnxruntime.native import library_path
from seatrial.stats.sample import percentile_estimate

ROUNDS, REQUESTS = 40, 100


class Bare:
    """bare_loop.c with one model; its buffers stay here."""

    def __init__(self, folder: Path, model: Path, x: np.ndarray, loaded: LoadedModel) -> None:
        shared = folder / f"bare-{model.stem}.so"
        source = Path(__file__).with_name("bare_loop.c")
        subprocess.run(["cc", "-O2", "-w", "-shared", "-fPIC", str(source), "-o", str(shared), "-ldl"], check=True)
        self.library = ctypes.CDLL(str(shared))
        self.library.bare_total_ns.restype = ctypes.c_int64
        (name, _, _), (output, _, _) = loaded.inputs[0], loaded.outputs[0]
        # An output whose size the file leaves open: one run says it.
        request = Request(loaded)
        request.bind_input(0, x)
        request.leave_output(0)
        request.run()
        self.x, self.y = x, np.zeros_like(request.fetch(0))
        ints = [(ctypes.c_int64 * a.ndim)(*a.shape) for a in (self.x, self.y)]
        code = self.library.bare_open(
            str(library_path()).encode(), str(model).encode(),
            name.encode(), ctypes.c_void_p(x.ctypes.data), ints[0], ctypes.c_size_t(x.ndim), ctypes.c_size_t(x.nbytes),
            output.encode(), ctypes.c_void_p(self.y.ctypes.data), ints[1], ctypes.c_size_t(self.y.ndim),
            ctypes.c_size_t(self.y.nbytes),
        )  # fmt: skip
        assert code == 0, code

    def timed_ns(self, count: int) -> np.ndarray:
        out = (ctypes.c_int64 * count)()
        assert self.library.bare_timed(count, out) == 0
        return np.array(out)


def open_ours(model: Path, x: np.ndarray, like: np.ndarray | None = None) -> tuple[LoadedModel, Request | None]:
    loaded = LoadedModel(str(library_path()), str(model))
    if like is None:
        return loaded, None
    request = Request(loaded)
    request.bind_input(0, x)
    request.bind_output(0, np.zeros_like(like))
    return loaded, request


def identity_model(folder: Path) -> Path:
    tensors = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 8]) for n in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", tensors[:1], tensors[1:])
    path = folder / "identity.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def overhead(folder: Path) -> None:
    """Nanoseconds that the timed loop adds to a call, over a loop with no clock in it."""
    path = identity_model(folder)
    x = np.zeros((1, 8), np.float32)
    bare = Bare(folder, path, x, open_ours(path, x)[0])
    _, request = open_ours(path, x, bare.y)
    assert request
    calls, added, alone = 20_000, [], []
    for _ in range(31):
        total = bare.library.bare_total_ns(calls) / calls
        samples = StageSamples(calls, 1)
        began = now_ns()
        closed_loop(request, samples, deadline_ns=began + 10**11, most=calls)
        added.append((now_ns() - began) / calls - total)
        alone.append(total)
    # Rounds of so many calls are not requests: slow ones need not come in runs of twenty.
    e = percentile_estimate(added, 0.5, longest_run=1)
    print(
        f"identity model: a bare call {np.median(alone):.0f} ns; our loop adds {e.value:.0f} ns ({e.low:.0f} to {e.high:.0f})"
    )


def loadgen_round(request: Work, folder: Path) -> tuple[np.ndarray, dict[str, int]]:
    """Our latencies of LoadGen's requests, and LoadGen's own percentiles of them, nanoseconds."""
    import mlperf_loadgen as lg

    samples = StageSamples(REQUESTS * 4, 1)

    def issue(queries: list) -> None:
        for query in queries:
            closed_loop(request, samples, deadline_ns=NO_DEADLINE_NS, most=1)
            lg.QuerySamplesComplete([lg.QuerySampleResponse(query.id, 0, 0)])

    settings = lg.TestSettings()
    settings.scenario, settings.mode = lg.TestScenario.SingleStream, lg.TestMode.PerformanceOnly
    settings.min_query_count = settings.max_query_count = REQUESTS
    settings.min_duration_ms = 0
    logs, output = lg.LogSettings(), lg.LogOutputSettings()
    output.outdir, output.copy_summary_to_stdout = str(folder), False
    logs.log_output, logs.enable_trace = output, False
    sut = lg.ConstructSUT(issue, lambda: None)
    qsl = lg.ConstructQSL(8, 8, lambda _: None, lambda _: None)
    lg.StartTestWithLogSettings(sut, qsl, settings, logs, str(folder / "audit.config"))
    lg.DestroyQSL(qsl)
    lg.DestroySUT(sut)
    lines = (folder / "mlperf_log_summary.txt").read_text().splitlines()
    found = {
        q: int(line.split(":")[1]) for line in lines for q in ("50.00", "90.00") if line.startswith(f"{q} percentile")
    }
    return samples.to_array()[:, -1], {"p50": found["50.00"], "p90": found["90.00"]}


def compare(model: Path, shape: tuple[int, ...], folder: Path) -> None:
    x = np.random.default_rng(0).random(shape).astype(np.float32)
    bare = Bare(folder, model, x, open_ours(model, x)[0])
    _, request = open_ours(model, x, bare.y)
    assert request
    ours_table = lambda: StageSamples(REQUESTS, 1)  # noqa: E731
    durations: dict[str, list[np.ndarray]] = {
        "bare C loop": [], "seatrial": [], "seatrial, a call a request": [], "LoadGen, timed by us": []
    }  # fmt: skip
    official: list[dict[str, int]] = []
    order = [*durations, "LoadGen, known work"]
    bare.timed_ns(50), closed_loop(request, StageSamples(50, 1), deadline_ns=NO_DEADLINE_NS, most=50)
    known_ns = int(np.median(bare.timed_ns(REQUESTS)))
    own_ns: dict[str, list[int]] = {"p50": [], "p90": []}
    for turn in range(ROUNDS):
        random.Random(turn).shuffle(order)
        for who in order:
            if who == "bare C loop":
                durations[who].append(bare.timed_ns(REQUESTS))
            elif who == "seatrial":
                table = ours_table()
                closed_loop(request, table, deadline_ns=NO_DEADLINE_NS, most=REQUESTS)
                durations[who].append(table.to_array()[:, -1])
            elif who == "seatrial, a call a request":
                table = ours_table()
                for _ in range(REQUESTS):
                    closed_loop(request, table, deadline_ns=NO_DEADLINE_NS, most=1)
                    # As much of Python as LoadGen's binding runs in between.
                    [random.random() for _ in range(100)]
                durations[who].append(table.to_array()[:, -1])
            elif who == "LoadGen, known work":
                for p, said_ns in loadgen_round(SpinWork(known_ns), folder)[1].items():
                    own_ns[p].append(said_ns - known_ns)
            else:
                inner, said = loadgen_round(request, folder)
                durations[who].append(inner)
                official.append(said)
    print(f"\n{model.stem} {'x'.join(map(str, shape))}: {ROUNDS} rounds of {REQUESTS} requests each, in random order")
    base = {
        q: np.array([np.quantile(d, q, method="inverted_cdf") for d in durations["bare C loop"]]) for q in (0.5, 0.9)
    }
    for who, rounds in durations.items():
        line = f"  {who:26}"
        for q in (0.5, 0.9):
            values = np.array([np.quantile(d, q, method="inverted_cdf") for d in rounds])
            e = percentile_estimate(values / base[q], 0.5)
            line += (
                f"  p{q * 100:.0f} {np.median(values) / 1e6:.4f} ms, × bare {e.value:.4f} ({e.low:.4f} to {e.high:.4f})"
            )
        print(line)
    for p, q in (("p50", 0.5), ("p90", 0.9)):
        inner = np.array([np.quantile(d, q, method="inverted_cdf") for d in durations["LoadGen, timed by us"]])
        said = np.array([o[p] for o in official])
        own = float(np.median(own_ns[p]))
        e = percentile_estimate((said - own) / base[q], 0.5)
        print(
            f"  LoadGen says {p} {np.median(said) / 1e6:.4f} ms. Its own: {own / 1e3:.1f} µs of known work, "
            f"{np.median(said - inner) / 1e3:.1f} µs more than we saw of its requests. Without the former "
            f"× bare {e.value:.4f} ({e.low:.4f} to {e.high:.4f})"
        )


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        overhead(folder)
        for text in sys.argv[1:]:
            path, _, rest = text.partition("=")
            _, _, shape = rest.partition(":")
            compare(Path(path), tuple(map(int, shape.split("x"))), folder)


if __name__ == "__main__":
    main()
