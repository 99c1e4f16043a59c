"""The words of `bench --soak` to a plan of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seatrial.cli.words import time_s
from seatrial.errors import UsageError
from seatrial.units import fraction, size_bytes

DEFAULT_MAX_TIME = "10 s"


def soak_of(soak: str, memory: str, latency: str, max_time: str, percentile: list[str] | None) -> Any:
    """A SoakPlan; None where no soak is asked for. UsageError for options that do not go together."""
    from seatrial.loads.soak.task import GrowthLimits, SoakPlan

    if not soak:
        for name, given in (("--max-memory-growth", memory), ("--max-latency-growth", latency)):
            if given:
                raise UsageError(f"{name} is a limit of a soak; give --soak too, such as --soak 30min")
        return None
    if max_time != DEFAULT_MAX_TIME:
        raise UsageError("--max-time: a soak goes on for as long as --soak says; leave one of the two away")
    if percentile:
        raise UsageError(
            "--percentile: a soak keeps p50 and p99 of each window; leave it away, or bench without --soak"
        )
    growth, _, name = latency.partition("@")
    if name not in ("", "p50", "p99"):
        raise UsageError(
            f"--max-latency-growth: a soak keeps p50 and p99 of each window, got {name!r}; give 2%/h or 2%/h@p99"
        )
    return SoakPlan(
        time_s("--soak", soak),
        GrowthLimits(
            memory_bytes=_per_hour("--max-memory-growth", memory, size_bytes, "10MiB/h") if memory else None,
            latency=_per_hour("--max-latency-growth", growth, fraction, "2%/h") if latency else None,
            latency_percentile="p99" if name == "p99" else "p50",
        ),
    )


def _per_hour(option: str, text: str, parse: Callable[[str], float], example: str) -> float:
    amount, slash, unit = text.rpartition("/")
    if not slash or unit.strip() != "h":
        raise UsageError(f"{option}: expected a growth in an hour, such as {example}, got {text!r}")
    try:
        value = parse(amount)
    except ValueError as e:
        raise UsageError(f"{option}: {e}; an hour's, such as {example}") from None
    if value < 0:
        raise UsageError(f"{option}: expected a growth of zero or more, such as {example}, got {text!r}")
    return value
