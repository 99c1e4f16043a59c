"""How a percentile is shown where too few requests were taken to bound it from above: what is known, and what is missing.

And which percentiles are shown at all. For: tables of the terminal and the page. Not for: the bound itself (stats).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from seatrial.history.records import Measured, Record, StageSummary
from seatrial.stages import END_TO_END
from seatrial.units import format_seconds

ALWAYS = ("p90", "p99")


def asked_percentiles(budgets: Iterable[Mapping[str, Any]]) -> list[str]:
    """Above the median, those of the whole pipeline that a plan's budgets limit, and that a record keeps of each cell."""
    ours = [b for b in budgets if b.get("metric") == "latency" and b.get("stage") in (None, END_TO_END)]
    asked = {str(b.get("at")) for b in ours} & set(StageSummary.model_fields)
    return sorted(asked - {"p50"})


def asked_of(record: Record) -> list[str]:
    """By the plan that it was measured by."""
    return asked_percentiles((record.plan.resolved or {}).get("budgets", ()))


def shown_percentiles(asked: Sequence[str]) -> list[str]:
    """Above the median: a limit on p95 is read beside a p95."""
    return sorted({*ALWAYS, *asked}, key=lambda p: float(p[1:]))


def bounded(m: Measured, text: Callable[[float], str] = format_seconds, above: float = -math.inf) -> str:
    """The percentile; without an upper bound '≥' the value that it surely reaches, or '–' where there is none.

    above: what is shown of a lower percentile: a '≥' below that says nothing, and is '–' too.
    """
    low, high = m.interval or (None, None)
    if high is not None:
        return text(m.value)
    return "–" if low is None or low < above else f"≥ {text(low)}"


def median(m: Measured, text: Callable[[float], str] = format_seconds) -> str:
    """What was seen; with a '?' where nothing bounds it from above. Of requests that nobody served nothing was seen."""
    if m.interval is not None and m.interval[1] is not None:
        return text(m.value)
    return bounded(m, text) if any(w.code == "unserved" for w in m.warnings) else f"{text(m.value)}?"


def in_a_row(p50: Measured, tail: Iterable[Measured], text: Callable[[float], str] = format_seconds) -> list[str]:
    """Those of one sample, ascending, as they are shown beside each other."""
    shown, above = [median(p50, text)], p50.value
    for m in tail:
        low, high = m.interval or (None, None)
        shown.append(bounded(m, text, above))
        above = max(above, m.value if high is not None else above if low is None else low)
    return shown


def tail_of(summary: StageSummary, names: Sequence[str], text: Callable[[float], str] = format_seconds) -> list[str]:
    """The percentiles of these names, as they are shown behind the median."""
    return in_a_row(summary.p50, [getattr(summary, name) for name in names], text)[1:]


def missing(percentiles: Iterable[tuple[str, Measured, str]]) -> list[str]:
    """Why some have no upper bound: a line a percentile, given with its name and as it is shown, of the one with the fewest
    requests. In front stand the signs that it explains: '≥', '–', or '?' behind a median."""
    unbounded = [(p, m, text) for p, m, text in percentiles if not m.interval or m.interval[1] is None]
    lines: dict[str, str] = {}
    signs: dict[str, set[str]] = {}
    for p, m, text in sorted(unbounded, key=lambda each: each[1].n):
        for warning in m.warnings:
            if warning.code != "no-lower-bound":
                about = p if warning.code == "no-upper-bound" else warning.code
                lines.setdefault(about, str(warning))
                signs.setdefault(about, set()).add("?" if text.endswith("?") else text[:1])
    return [f"{', '.join(sorted(signs[about], reverse=True))}: {line}" for about, line in lines.items()]
