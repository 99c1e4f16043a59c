"""What a soak prints: each figure's slope in words, what was left out of it, what slowed the machine, and each limit's verdict.

For: the terminal. Not for: the plot (soak_plot.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console

from seatrial.errors import count_of
from seatrial.history.records import Decision, SoakResult
from seatrial.report.hanging import hanging, sentence
from seatrial.units import format_seconds

_MARKS = {"moves": ("  ~ ", "yellow"), "steady": ("  = ", "green"), "unknown": ("  ? ", "yellow")}
_VERDICTS = {
    "PASS": ("  ✓ PASS: ", "green"),
    "FAIL": ("  ✗ FAIL: ", "red"),
    "INCONCLUSIVE": ("  ? INCONCLUSIVE: ", "yellow"),
}


def print_soak(out: Console, soak: SoakResult, decisions: Sequence[Decision]) -> None:
    """decisions: of its cell."""
    sentence(out, soak_scope(soak))
    for figure in soak.figures:
        hanging(out, _MARKS[figure.word], figure.said)
    for line in soak_notes(soak):
        sentence(out, line, "dim")
    for d in decisions:
        hanging(out, _VERDICTS[d.verdict], f"{d.check}: {d.reason}")


def soak_scope(soak: SoakResult) -> str:
    """What the slopes are of."""
    windows = f"{count_of(len(soak.windows), 'window')} of {_time(soak.window_s)}"
    said = f"soak: {soak.requests:,} requests in {_time(soak.measured_s)}, {windows}"
    said += f"; the first {_time(soak.left_out_s)} are warm-up and in no slope"
    return f"{said}; ended early: {soak.cut_short}" if soak.cut_short else said


def soak_notes(soak: SoakResult) -> Iterator[str]:
    """What else is to be known of them, each a line."""
    yield from slowed(soak)
    if soak.kept < soak.requests:
        yield (
            f"percentiles of the whole are of {soak.kept:,} of the {soak.requests:,} requests, drawn by chance; those of "
            f"windows are of all, within {soak.bin_width / 2:.2%}"
        )
    if any(f.by_range for f in soak.figures):
        names = ", ".join(f.name.replace("-", " ") for f in soak.figures if f.by_range)
        yield f"{names}: it hardly moved, or by a few steps: its interval is bounded by what was seen, not a line's"
    for name, why in soak.missing.items():
        yield f"{name.replace('-', ' ')}: not measured: {why}"
    if soak.energy:
        yield from _energy(soak)


def slowed(soak: SoakResult) -> Iterator[str]:
    """What held the machine back, in how many windows."""
    counts = {
        "a CPU limit stopped the process": sum(bool(w.throttled_s) for w in soak.windows),
        "heat slowed the cores": sum(bool(w.heat_events) for w in soak.windows),
    }
    for reason in dict.fromkeys(r for w in soak.windows for r in w.gpu_slowed):
        counts[f"the GPU's clock was held down ({reason})"] = sum(reason in w.gpu_slowed for w in soak.windows)
    for said, count in counts.items():
        if count:
            yield f"{said} in {count} of {count_of(len(soak.windows), 'window')}"


def _energy(soak: SoakResult) -> Iterator[str]:
    e = soak.energy
    assert e is not None
    for name, value, interval in (("gross", e.gross_j, e.gross_interval_j), ("net of idle", e.net_j, e.net_interval_j)):
        if value is not None and interval is not None:
            yield f"energy a request, {name}: {value:.4g} J [{interval[0]:.4g}, {interval[1]:.4g}]"
    if e.missing:
        yield f"energy: {e.missing}"


def _time(seconds: float) -> str:
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return format_seconds(seconds)
