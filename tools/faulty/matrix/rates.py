"""Rates with their intervals, and the confusion matrix. For: rows of trial.py. Not for: making them."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from scipy.stats import beta

from faulty.matrix.trial import ASKED, BROKE

Row = dict[str, Any]
NOTHING = "(none)"
BROKEN = "(broke)"


def interval(right: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's, exact."""
    rest = (1 - confidence) / 2
    low = beta.ppf(rest, right, count - right + 1) if right else 0.0
    high = beta.ppf(1 - rest, right + 1, count - right) if right < count else 1.0
    return float(low), float(high)


def named_first(row: Row) -> str:
    if row["state"] == BROKE:
        return BROKEN
    return next(iter(row["named"]), None) or NOTHING


def is_right(row: Row) -> bool:
    """A fault: named first. A pair: both named. No fault: none named."""
    if row["state"] == BROKE:
        return False
    if row["kind"] in ("equal", "outside"):
        return not [n for n in row["named"] if n]
    if row["kind"] == "pairs":
        return set(row["injected"]) <= set(row["named"])
    return named_first(row) in (*row["injected"], *row["also"])


def counted(rows: list[Row]) -> list[Row]:
    """Those of which something could be told."""
    return [r for r in rows if r["state"] in (ASKED, BROKE)]


def matrix(rows: list[Row]) -> dict[str, dict[str, int]]:
    """What was injected, and how often what was named first."""
    out: dict[str, Counter[str]] = defaultdict(Counter)
    for row in counted(rows):
        out["+".join(row["injected"])][named_first(row)] += 1
    return {fault: dict(names.most_common()) for fault, names in sorted(out.items())}


# What other work on the machine takes is in the first alone.
TIMES = {"seconds": "seconds", "CPU seconds": "cpu_seconds"}


def groups(rows: list[Row]) -> dict[tuple[str, str], list[Row]]:
    """By kind and level."""
    out: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        out[row["kind"], row["level"]].append(row)
    return out


def summary(rows: list[Row]) -> dict[str, Any]:
    out = {}
    for (kind, level), own in groups(rows).items():
        tried = counted(own)
        right = sum(map(is_right, tried))
        by_task = {
            t: [sum(is_right(r) for r in tried if r["task"] == t), sum(r["task"] == t for r in tried)]
            for t in sorted({r["task"] for r in tried})
        }
        out[f"{kind} {level}"] = {
            "right": right, "of": len(tried), "interval": interval(right, len(tried)) if tried else None, "by_task": by_task,
            "states": dict(Counter(r["state"] for r in own)), "confusion": matrix(own),
            "seconds": spread([r["seconds"] for r in tried]),
            "cpu_seconds": spread([r["cpu_seconds"] for r in tried if "cpu_seconds" in r]),
        }  # fmt: skip
    return out


def spread(seconds: list[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    ordered = sorted(seconds)
    return {"median": ordered[len(ordered) // 2], "p90": ordered[int(len(ordered) * 0.9)], "most": ordered[-1]}


def _said(found: dict[str, float]) -> str:
    return f"median {found['median']:.1f}, nine in ten within {found['p90']:.1f}, most {found['most']:.1f}"


def printed(rows: list[Row]) -> str:
    lines = []
    for name, found in summary(rows).items():
        kind = name.split()[0]
        word = {"faults": "named first", "pairs": "both named", "equal": "none named", "outside": "none named"}[kind]
        lines.append(f"\n## {name}\n")
        if found["interval"]:
            low, high = found["interval"]
            tasks = ", ".join(f"{t} {a}/{b}" for t, (a, b) in found["by_task"].items())
            lines.append(f"{word}: {found['right']} of {found['of']} ({low:.1%} to {high:.1%}); {tasks}")
            lines += [f"{title} a diagnosis: {_said(found[key])}" for title, key in TIMES.items() if found[key]]
        lines.append("; ".join(f"{state}: {count}" for state, count in found["states"].items()) + "\n")
        lines.append("| injected | named first |\n|---|---|")
        lines += [
            f"| {fault} | {', '.join(f'{n} {c}' for n, c in names.items())} |"
            for fault, names in found["confusion"].items()
        ]
    return "\n".join(lines)


def wrong_ones(rows: list[Row]) -> str:
    """One line for each, to be looked at."""
    lines = []
    for row in counted(rows):
        if is_right(row):
            continue
        first = (row.get("diagnosis") or [{}])[0]
        why = row.get("said", "").splitlines()[-1:] or [
            f"explained {first.get('explained')}, runner-up {first.get('runner_up')}"
        ]
        lines.append(f"{row['key']}: {', '.join(map(str, row.get('named', []))) or named_first(row)}; {why[0]}")
    return "\n".join(lines)
