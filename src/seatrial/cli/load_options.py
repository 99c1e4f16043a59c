"""The loads that a bench's options ask for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seatrial.cli.words import (
    count,
    latency_bound_of,
    mix_of,
    rate_per_s,
    several,
    time_s,
)
from seatrial.errors import UsageError, did_you_mean

SCENARIOS = ("single-stream", "multi-stream", "offline", "server", "paced")


MLPERF = ("mlperf-single-stream", "mlperf-multi-stream", "mlperf-offline", "mlperf-server")


def loads_of(
    scenario: str,
    clients: str,
    threads: Sequence[int | None],
    rate: str,
    arrivals: str,
    gap: str,
    find_rate: bool,
    latency_bound: str,
    mix: list[str] | None,
) -> list[Any]:
    """Every load that the options ask for, and a UsageError for options that do not go together."""
    from seatrial.loads.sweep import LoadPoint
    from seatrial.loads.task import Load

    known = (*SCENARIOS, *MLPERF)
    if scenario not in known:
        raise UsageError(
            f"--scenario: expected one of {', '.join(known)}, got {scenario!r}{did_you_mean(scenario, list(known))}"
        )
    server = scenario in ("server", "mlperf-server")
    for name, given, where in (
        ("--rate", rate, server),
        ("--find-rate", find_rate, scenario == "server"),
        ("--latency-bound", latency_bound, server),
        ("--gap", gap, scenario == "paced"),
        ("--arrivals", arrivals != "poisson", scenario == "server"),
    ):
        if given and not where:
            scenarios = {
                "--gap": "paced",
                "--rate": "server or mlperf-server",
                "--latency-bound": "server or mlperf-server",
            }
            raise UsageError(
                f"{name} belongs to --scenario {scenarios.get(name, 'server')}, not {scenario}; change one of the two"
            )
    counts = several("--clients", clients, lambda c: count("--clients", c), str) if clients else [1]
    if scenario in ("single-stream", "paced", "mlperf-single-stream") and counts != [1]:
        raise UsageError(f"--clients: {scenario} has one client; use --scenario multi-stream or server for more")
    fields: dict[str, Any] = {"mix": mix_of(mix)}
    if scenario.startswith("mlperf-"):
        fields |= {"mlperf": scenario, "scenario": "mlperf"}
    else:
        fields["scenario"] = scenario
    if server and arrivals not in ("poisson", "constant"):
        from seatrial.timing.arrivals import read_trace

        if rate or find_rate:
            raise UsageError("--rate and --find-rate: a recorded trace has its own rate; leave them away, or the trace")
        if not Path(arrivals).exists():
            near = did_you_mean(arrivals, ["poisson", "constant"])
            raise UsageError(
                f"--arrivals: expected poisson, constant or a file of seconds, one a line; no file is called {arrivals!r}{near}"
            )
        fields |= {"arrivals": "trace", "arrivals_s": read_trace(Path(arrivals))}
    elif server:
        fields["arrivals"] = arrivals
    if latency_bound:
        fields |= latency_bound_of(latency_bound)
    if find_rate:
        if not latency_bound:
            raise UsageError("--find-rate needs --latency-bound, such as 50ms@p99")
        if rate:
            raise UsageError("--find-rate looks for the rate itself; leave --rate away")
    elif latency_bound and scenario == "server":
        raise UsageError("--latency-bound is what --find-rate searches with; give --find-rate too")
    rates: list[float | None] = [*several("--rate", rate, rate_per_s, "{:g}".format)] if rate else [None]
    if server and not rate and not find_rate and fields.get("arrivals") != "trace":
        search = ", or --find-rate with --latency-bound" if scenario == "server" else ""
        raise UsageError(f"--scenario {scenario} needs --rate, such as 20 requests a second{search}")
    gaps = several("--gap", gap, lambda g: time_s("--gap", g, zero=True), lambda s: f"{s * 1e3:g}ms") if gap else [0.0]
    if scenario == "paced" and not gap:
        raise UsageError("--scenario paced needs --gap, such as 20ms, or several: 0ms,5ms,50ms")
    return [
        LoadPoint(Load(**fields, rate=r, gap_s=g), None if scenario == "offline" and not clients else c, t)
        for t in threads
        for c in counts
        for r in rates
        for g in gaps
    ]
