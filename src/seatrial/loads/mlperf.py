"""MLPerf's own LoadGen on our backend, for those who must quote it. Needs `mlcommons-loadgen` (extra: mlperf).

LoadGen decides when requests come and what the result is; the work is the same as in our own loops, and each request is
timed by both, so that what LoadGen and its Python binding add can be named. Not for: a submission, which needs a real data set
and an accuracy run.
"""

from __future__ import annotations

import queue
import re
import tempfile
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seatrial._native.timing import NO_DEADLINE_NS, StageSamples, Work, closed_loop
from seatrial.errors import BackendUnavailableError
from seatrial.loads.task import LoadTask

# What the official rules ask of a server; taken where the command names no bound of its own.
SERVER_QUANTILE, SERVER_BOUND_NS = 0.99, 100_000_000
LIBRARY_SIZE = 64
# LoadGen makes all its queries before it sends the first; each takes some hundred bytes.
MOST_QUERIES = 1_000_000
_LINE = re.compile(r"^\s*(.+?)\s*:\s*(.+?)\s*$")


def check_loadgen() -> None:
    """BackendUnavailableError with the cure where LoadGen is not installed."""
    if find_spec("mlperf_loadgen") is None:
        raise BackendUnavailableError(
            "MLPerf LoadGen is not installed; python -m pip install 'seatrial[mlperf]'",
            option="scenario",
            value="mlperf-…",
        )


def run_loadgen(
    task: LoadTask, works: list[Work], tables: list[StageSamples], per_s: float, tell: Callable[[str, float], None]
) -> tuple[dict[str, Any], bool]:
    """Runs one LoadGen performance test; gives its summary's results by LoadGen's own names, and whether a table was full.

    per_s: about how many samples a second all clients can do.
    """
    check_loadgen()
    import mlperf_loadgen as lg

    scenario = task.load.mlperf.removeprefix("mlperf-")
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    problems: list[BaseException] = []
    full = False

    def once(client: int) -> None:
        # LoadGen goes on where our table is full; an answer without work behind it would be an untrue result.
        nonlocal full
        if closed_loop(works[client], tables[client], deadline_ns=NO_DEADLINE_NS, most=1) == "full":
            full = True
            closed_loop(works[client], StageSamples(1, tables[client].stages), deadline_ns=NO_DEADLINE_NS, most=1)

    def answer(client: int, samples: Any) -> None:
        for sample in samples:
            if not problems:
                try:
                    once(client)
                except BaseException as e:  # LoadGen waits for every sample, also for those that failed
                    problems.append(e)
            lg.QuerySamplesComplete([lg.QuerySampleResponse(sample.id, 0, 0)])

    def serve(client: int) -> None:
        while (samples := waiting.get()) is not None:
            answer(client, samples)

    # LoadGen's thread must be free again at once where requests overlap; else it waits for the answer itself.
    direct = scenario == "single-stream"
    threads = (
        [] if direct else [threading.Thread(target=serve, args=(c,), daemon=True) for c in range(task.workload.clients)]
    )
    for thread in threads:
        thread.start()

    def issue(samples: Any) -> None:
        if direct:
            answer(0, samples)
            return
        for sample in samples:
            waiting.put([sample])

    tell("MLPerf LoadGen", 0.0)
    with tempfile.TemporaryDirectory() as folder:
        sut = lg.ConstructSUT(issue, lambda: None)
        qsl = lg.ConstructQSL(LIBRARY_SIZE, LIBRARY_SIZE, lambda _: None, lambda _: None)
        try:
            # An empty file of its own: LoadGen would read 'audit.config' from the working folder.
            audit = Path(folder, "audit.config")
            lg.StartTestWithLogSettings(
                sut, qsl, loadgen_settings(lg, task, scenario, per_s), _log_settings(lg, folder), str(audit)
            )
        finally:
            lg.DestroyQSL(qsl)
            lg.DestroySUT(sut)
            for _ in threads:
                waiting.put(None)
        if problems:
            raise problems[0]
        return _summary(Path(folder, "mlperf_log_summary.txt")), full


def loadgen_settings(lg: Any, task: LoadTask, scenario: str, per_s: float) -> Any:
    settings = lg.TestSettings()
    settings.mode = lg.TestMode.PerformanceOnly
    settings.scenario = {
        "single-stream": lg.TestScenario.SingleStream,
        "multi-stream": lg.TestScenario.MultiStream,
        "offline": lg.TestScenario.Offline,
        "server": lg.TestScenario.Server,
    }[scenario]
    duration_ms = max(1, int(task.stopping.max_time_s * 1000))
    settings.min_duration_ms = settings.max_duration_ms = duration_ms
    settings.min_query_count = 1
    # LoadGen makes as many queries as this rate gives in the shortest duration: with too low a rate they end before it.
    per_s = min(per_s, MOST_QUERIES / task.stopping.max_time_s)
    # Half of what the warm-up took, which also looked at its samples: LoadGen must not make too few queries.
    settings.single_stream_expected_latency_ns = max(1, int(0.5e9 / per_s))
    settings.multi_stream_expected_latency_ns = max(1, int(settings.multi_stream_samples_per_query * 0.5e9 / per_s))
    if scenario == "server":
        settings.server_target_qps = task.load.rate
        settings.server_target_latency_ns = int(task.load.bound_s * 1e9) if task.load.bound_s else SERVER_BOUND_NS
        settings.server_target_latency_percentile = task.load.bound_quantile if task.load.bound_s else SERVER_QUANTILE
    if scenario == "offline":
        # One query holds all samples.
        settings.offline_expected_qps = per_s
        settings.max_duration_ms = 0
    return settings


def _log_settings(lg: Any, folder: str) -> Any:
    output = lg.LogOutputSettings()
    output.outdir = folder
    output.copy_summary_to_stdout = False
    settings = lg.LogSettings()
    settings.log_output = output
    settings.enable_trace = False
    return settings


def _summary(path: Path) -> dict[str, Any]:
    """'Result is', latencies and rates of LoadGen's summary; the settings that it repeats are left out."""
    found: dict[str, Any] = {"version": _version()}
    if not path.is_file():
        return found
    for line in path.read_text("utf-8", "replace").splitlines():
        if line.startswith("Test Parameters Used"):
            break
        match = _LINE.match(line)
        if match and match[2].strip() and not match[1].startswith(("=", "*")):
            found[match[1]] = _number(match[2])
    return found


def _number(text: str) -> Any:
    try:
        return float(text) if "." in text or "e" in text else int(text)
    except ValueError:
        return text


def _version() -> str:
    from importlib.metadata import version

    return f"mlcommons-loadgen {version('mlcommons-loadgen')}"
