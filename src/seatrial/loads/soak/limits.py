"""What a user does not want to grow, against what a soak found. For: verdicts from intervals. Not for: the slopes
themselves."""

from __future__ import annotations

from collections.abc import Iterator

from seatrial.errors import flag
from seatrial.gate.decisions import decision
from seatrial.history.records import Decision, SoakFigure, SoakResult, Verdict
from seatrial.loads.soak.figures import between, named, spoken
from seatrial.loads.soak.task import GrowthLimits
from seatrial.units import format_bytes


def judge(limits: GrowthLimits, soak: SoakResult, cell_id: str, on_gpu: bool) -> Iterator[Decision]:
    """PASS: the whole interval lies at or below the limit; FAIL: above it; INCONCLUSIVE: neither, or nobody knows, or the later
    half alone says the opposite: what began late, or has ended, is no growth of the whole.

    A limit on memory is one on a GPU's memory too, where the load is on one: a leak there is a leak.
    """
    if limits.memory_bytes is not None:
        for name in ("memory", *(("gpu-memory",) if on_gpu else ())):
            allowed = f"{format_bytes(limits.memory_bytes)}/h" if limits.memory_bytes else "0 B/h"
            yield _decision(soak, name, limits.memory_bytes, "B/h", allowed, cell_id)
    if limits.latency is not None:
        name = f"latency-{limits.latency_percentile}"
        figure = soak.figure(name)
        level = figure.level if figure and figure.level else 0.0
        yield _decision(soak, name, limits.latency * level, "s/h", f"{limits.latency * 100:g} %/h", cell_id)


def _decision(soak: SoakResult, name: str, limit: float, unit: str, allowed: str, cell_id: str) -> Decision:
    figure = soak.figure(name)
    verdict, reason = _verdict(figure, limit, allowed, soak.missing.get(name, ""))
    if soak.cut_short:
        reason += f"; of the time until it ended: {soak.cut_short}"
    value = figure.change_per_h if figure else None
    return decision(f"{named(name)} growth", verdict, reason, cell_id, value=value, limit=limit, unit=unit)


def _verdict(figure: SoakFigure | None, limit: float, allowed: str, missing: str) -> tuple[Verdict, str]:
    if figure is None:
        return "INCONCLUSIVE", f"not measured: {missing or 'nobody told it'}"
    if figure.interval_per_h is None:
        return "INCONCLUSIVE", figure.said
    low, high = figure.interval_per_h
    late = figure.late_interval_per_h
    if late and (high <= limit < late[0] or late[1] <= limit < low):
        change = "speeds up" if late[0] > limit else "comes to rest"
        reason = f"{between(figure)} (95 %), but it {change}: in the later half by {spoken(figure, late)}"
        return "INCONCLUSIVE", f"{reason}, and {allowed} lies in between; raise {flag('soak')}"
    if high <= limit:
        unseen = "; steps that are rarer and larger than what was seen are not ruled out" if figure.by_range else ""
        return "PASS", f"{between(figure)} (95 %), all of it within {allowed}{unseen}"
    if low > limit:
        return "FAIL", f"{between(figure)} (95 %), all of it above {allowed}"
    return "INCONCLUSIVE", f"{between(figure)} (95 %), and {allowed} lies in between; raise {flag('soak')}"
