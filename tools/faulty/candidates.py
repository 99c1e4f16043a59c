"""All that a candidate can be: a fault, a pair of faults, the same in another way, or a difference that is no catalogue's.

For: one list by kind and task. Not for: running them (bench/fault_matrix.py).
"""

from __future__ import annotations

from faulty.equal import EQUAL
from faulty.injections import Injection, injections_of, pairs_of
from faulty.outside import OUTSIDE

KINDS = ("faults", "pairs", "equal", "outside")


def candidates_of(kind: str, task: str, level: str = "") -> list[Injection]:
    """kind: one of KINDS. level: only what can be seen there."""
    if kind == "faults":
        return injections_of(task, level=level)
    if kind == "pairs":
        return pairs_of(task, level)
    known = EQUAL if kind == "equal" else OUTSIDE
    return [i for i in known if task in i.tasks and level in ("", *i.levels) and i.is_there()]


def candidate_of(task: str, name: str) -> Injection:
    """By its name, of any kind."""
    return next(i for kind in KINDS for i in candidates_of(kind, task) if i.name == name)
