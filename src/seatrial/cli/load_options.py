"""The loads that a bench's options ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class LoadOptions:
    """As typed: empty is not given."""

    scenario: str
    clients: str
    threads: Sequence[int | None]
    rate: str
    arrivals: str
    gap: str
    find_rate: bool
    latency_bound: str
    mix: list[str] | None


def loads_of(o: LoadOptions) -> list[Any]:
    """Every load that the options ask for, and a UsageError for options that do not go together."""
    from seatrial.loads.sweep import LoadPoint
    from seatrial.loads.task import Load

    known = (*SCENARIOS, *MLPERF)
    if o.scenario not in known:
        raise UsageError(
            f"--scenario: expected one of {', '.join(known)}, got {o.scenario!r}{did_you_mean(o.scenario, list(known))}"
        )
    server = o.scenario in ("server", "mlperf-server")
    for name, given, where in (
        ("--rate", o.rate, server),
        ("--find-rate", o.find_rate, o.scenario == "server"),
        ("--latency-bound", o.latency_bound, server),
        ("--gap", o.gap, o.scenario == "paced"),
        ("--arrivals", o.arrivals != "poisson", o.scenario == "server"),
    ):
        if given and not where:
            scenarios = {
                "--gap": "paced",
                "--rate": "server or mlperf-server",
                "--latency-bound": "server or mlperf-server",
            }
            raise UsageError(
                f"{name} belongs to --scenario {scenarios.get(name, 'server')}, not {o.scenario}; change one of the two"
            )
    counts = several("--clients", o.clients, lambda c: count("--clients", c), str) if o.clients else [1]
    if o.scenario in ("single-stream", "paced", "mlperf-single-stream") and counts != [1]:
        raise UsageError(f"--clients: {o.scenario} has one client; use --scenario multi-stream or server for more")
    fields: dict[str, Any] = {"mix": mix_of(o.mix)}
    if o.scenario.startswith("mlperf-"):
        fields |= {"mlperf": o.scenario, "scenario": "mlperf"}
    else:
        fields["scenario"] = o.scenario
    if server and o.arrivals not in ("poisson", "constant"):
        from seatrial.timing.arrivals import read_trace

        if o.rate or o.find_rate:
            raise UsageError("--rate and --find-rate: a recorded trace has its own rate; leave them away, or the trace")
        if not Path(o.arrivals).exists():
            near = did_you_mean(o.arrivals, ["poisson", "constant"])
            raise UsageError(
                f"--arrivals: expected poisson, constant or a file of seconds, one a line; no file is called "
                f"{o.arrivals!r}{near}"
            )
        fields |= {"arrivals": "trace", "arrivals_s": read_trace(Path(o.arrivals))}
    elif server:
        fields["arrivals"] = o.arrivals
    if o.latency_bound:
        fields |= latency_bound_of(o.latency_bound)
    if o.find_rate:
        if not o.latency_bound:
            raise UsageError("--find-rate needs --latency-bound, such as 100ms@p95")
        if o.rate:
            raise UsageError("--find-rate looks for the rate itself; leave --rate away")
    elif o.latency_bound and o.scenario == "server":
        raise UsageError("--latency-bound is what --find-rate searches with; give --find-rate too")
    rates: list[float | None] = [*several("--rate", o.rate, rate_per_s, "{:g}".format)] if o.rate else [None]
    if server and not o.rate and not o.find_rate and fields.get("arrivals") != "trace":
        search = ", or --find-rate with --latency-bound" if o.scenario == "server" else ""
        raise UsageError(f"--scenario {o.scenario} needs --rate, such as 20 requests a second{search}")
    gaps = (
        several("--gap", o.gap, lambda g: time_s("--gap", g, zero=True), lambda s: f"{s * 1e3:g}ms") if o.gap else [0.0]
    )
    if o.scenario == "paced" and not o.gap:
        raise UsageError("--scenario paced needs --gap, such as 20ms, or several: 0ms,5ms,50ms")
    return [
        LoadPoint(Load(**fields, rate=r, gap_s=g), None if o.scenario == "offline" and not o.clients else c, t)
        for t in o.threads
        for c in counts
        for r in rates
        for g in gaps
    ]
