"""Decisions gathered into the rows that people read: one a check and pipeline, its worst cell in front."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from seatrial.history.records import CellRecord, Decision, Record, configuration
from seatrial.units import format_value
from seatrial.warning import COUNTED, Warning

_SEVERITY = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}


@dataclass(frozen=True)
class Row:
    """worst decides the row's verdict; `cells` is how many decisions it stands for, `bad` how many of them don't pass, and
    `alike` how many have the row's verdict."""

    worst: Decision
    pipeline: str
    cells: int
    bad: int
    alike: int
    set_by_nobody: bool = False
    """Its limit is a default that judged nothing: no plan says who is right."""

    @property
    def value(self) -> str:
        return "–" if self.worst.value is None else format_value(self.worst.value, self.worst.unit)

    @property
    def limit(self) -> str:
        if self.worst.limit is None:
            return "–"
        if self.set_by_nobody:
            return "none set"
        sign = "≥" if self.lower_is_worse else "≤"
        return f"{sign} {format_value(self.worst.limit, self.worst.unit)}"

    @property
    def lower_is_worse(self) -> bool:
        return lower_is_worse(self.worst)

    @property
    def count(self) -> str:
        """How many have the row's verdict, and of how many, where that is no PASS."""
        return f"{self.alike}/{self.cells}" if self.bad else str(self.cells)

    @property
    def where(self) -> str:
        """The worst cell without its pipeline, which has a column of its own."""
        return configuration(self.worst.cell)


def lower_is_worse(decision: Decision) -> bool:
    first = decision.check.split()[0]
    return first in ("throughput", "accuracy", "agreement", "computed_in") or decision.check in (
        "parity results",
        "parity SQNR",
    )


def rows_of(record: Record) -> list[Row]:
    return group_decisions(record.decisions, record.cells, (record.plan.resolved or {}).get("parity") or {})


def group_decisions(
    decisions: Sequence[Decision], cells: Sequence[CellRecord], parity: Mapping[str, Any] = MappingProxyType({})
) -> list[Row]:
    """Rows in the order of the checks; failures and doubts first within a check, then the tightest margin.

    parity: the plan's.
    """
    pipeline_of = {c.id: c.pipeline for c in cells}
    groups: dict[tuple[str, str], list[Decision]] = {}
    for d in decisions:
        groups.setdefault((d.group or d.check, pipeline_of.get(d.cell, "")), []).append(d)
    rows = []
    for (_, pipeline), members in groups.items():
        worst = min(members, key=_badness)
        bad = sum(d.verdict != "PASS" for d in members)
        alike = sum(d.verdict == worst.verdict for d in members)
        rows.append(Row(worst, pipeline, len(members), bad, alike, _set_by_nobody(worst, parity)))
    return sorted(rows, key=lambda r: _SEVERITY[r.worst.verdict])


def _set_by_nobody(d: Decision, parity: Mapping[str, Any]) -> bool:
    """Between pipelines a default limit can be held, but not broken: which of the two is right it cannot say."""
    ours = {"fraction": "agreement", "dB": "sqnr"}.get(d.unit)
    between = d.check.startswith("agreement with ") and ours is not None
    return between and d.verdict != "PASS" and parity.get(ours or "") is None


def _badness(d: Decision) -> tuple[int, float]:
    if d.value is None:  # what passes without a figure was identical, and is nobody's worst
        return _SEVERITY[d.verdict], float("inf") if d.verdict == "PASS" else float("-inf")
    return _SEVERITY[d.verdict], d.value if lower_is_worse(d) else -d.value


def group_warnings(record: Record) -> dict[Warning, list[str]]:
    """Every warning of a run once, with the cells that it concerns; none where it is of the run as a whole."""
    cells: dict[Warning, list[str]] = {}
    reasons = {c.reason for c in record.cells if c.status == "failed"}
    for warning in record.warnings:
        if str(warning) not in reasons:
            cells.setdefault(warning, [])
    unknown = sum(w.code == "not-converged" for c in record.cells for w in c.warnings)
    for cell in record.cells:
        for warning in cell.warnings:
            # Of many cells, one line says it; what to do about it is the same for all.
            if warning.code == "not-converged" and unknown > 1:
                warning = Warning("not-converged", "NOT CONVERGED", warning.cure)
            cells.setdefault(warning, []).append(cell.id)
    return cells


def alike_warnings(cells_of: Mapping[Warning, Sequence[str]]) -> list[tuple[list[Warning], list[str]]]:
    """Those of cells that differ in their figures alone, together, with all cells that they concern."""
    alike: dict[tuple[str, str], list[Warning]] = {}
    for warning, found in cells_of.items():
        alike.setdefault((warning.code, _kind(warning) if found else str(warning)), []).append(warning)
    return [(ws, list(dict.fromkeys(cell for w in ws for cell in cells_of[w]))) for ws in alike.values()]


def _kind(warning: Warning) -> str:
    """Equal for cells' warnings that differ in their figures alone, units included where the code says so. A number behind a
    letter is part of a name, such as fp16."""
    return "" if warning.code in COUNTED else re.sub(r"(?<![A-Za-z\d])\d[\d.,]*", "0", str(warning))
