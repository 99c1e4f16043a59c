"""What the plan itself says of a comparison: how its two sides are declared, and which line a mistake is against.

For: words of a record that only who reads the plan can add. Not for: what the sides really do (diagnose.py).
"""

from __future__ import annotations

from typing import Any

from seatrial.cells.preflight import Ready
from seatrial.diagnosis.sides import Side
from seatrial.faults.lines import line_of
from seatrial.faults.names import NAMES
from seatrial.history.records.diagnosis import Diagnosis
from seatrial.plan.load import PlanFile

_SAID = (str, int, float, tuple, list)


def declared(ready: Ready, side: Side, other: Side | None) -> tuple[str, ...]:
    """What the plan itself says differently of both; it may say so while the code does otherwise."""
    if other is None:
        return ()
    own, theirs = (ready.plan.plan.pipelines[s.pipeline].model_dump() for s in (side, other))
    found = [
        f"{key}: {_said(a)} against {_said(b)}"
        for key, (a, b) in _pairs(own, theirs).items()
        if a != b and key != "extends"
    ]
    names = ("backend", "precision", "batch", "threads")
    pairs = [(n, getattr(side, n), getattr(other, n)) for n in names]
    return (*found, *(f"{n}: {a} against {b}" for n, a, b in pairs if a != b))


def _pairs(a: dict[str, Any], b: dict[str, Any], within: str = "") -> dict[str, tuple[Any, Any]]:
    """Values of both by dotted key."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in dict.fromkeys((*a, *b)):
        x, y = a.get(key), b.get(key)
        if isinstance(x, dict) and isinstance(y, dict):
            found |= _pairs(x, y, f"{within}{key}.")
        else:
            found[within + key] = (x, y)
    return found


def with_fix(d: Diagnosis, plan: PlanFile, reference: str, candidate: str) -> Diagnosis:
    """at: the plan's line that says what the reference does, with its value. fix: what the candidate must do; of a pipeline of
    the plan that is declared otherwise, its own line and what belongs there; of code of one's own, and of logs, with the usual
    line of such code. Both '' of a mistake that no key is about.

    reference, candidate: pipelines; candidate: '' where it is none of the plan's.
    """
    assert d.fault in NAMES
    if not d.at:
        return d
    keys = d.at.split(".")
    value = _value(plan, reference, keys)
    where = plan.where(("pipelines", reference, *keys))
    if not isinstance(value, _SAID):
        return d.model_copy(update={"at": where})
    own = _value(plan, candidate, keys) if candidate else value
    if isinstance(own, _SAID) and own != value:
        fix = f"{plan.where(('pipelines', candidate, *keys))}: {_said(value)}, not {_said(own)}"
    else:
        in_code = not candidate or own is None
        line = f"; in code: {line_of(d.fault, _said(value), value, d.twin)}" if in_code else ""
        fix = f"the candidate must do what {d.at}: {_said(value)} says; it {d.what}{line}"
    return d.model_copy(update={"at": f"{where}: {_said(value)}", "fix": fix})


def _value(plan: PlanFile, pipeline: str, keys: list[str]) -> object:
    value: object = plan.plan.pipelines[pipeline]
    for key in keys:
        value = getattr(value, key, None)
    return value


def _said(value: object) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_said, value))}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
