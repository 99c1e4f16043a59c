"""What is tried: candidates by task, level and set of pictures. For: a list that is the same each time, so that shards fit."""

from __future__ import annotations

from dataclasses import dataclass

from faulty import answers
from faulty.candidates import candidates_of
from faulty.injections.injection import LEVELS, Injection
from faulty.tasks import TASKS


@dataclass(frozen=True)
class Cell:
    """kind: faults, pairs, equal or outside. first: which set of pictures."""

    kind: str
    level: str
    task: str
    injection: Injection
    first: int = 0

    @property
    def key(self) -> str:
        return "|".join((self.kind, self.level, self.task, self.injection.name, str(self.first)))


def all_cells(kinds: list[str], levels: list[str], tasks: list[str], fault: str, sets: int) -> list[Cell]:
    """sets: how many sets of pictures the pairs without a fault are tried on; faults are tried on one."""
    out = []
    for kind in kinds:
        for level in levels or LEVELS:
            for task in tasks or TASKS:
                if level == "answers" and task not in answers.TASKS:
                    continue
                for injection in candidates_of(kind, task, level):
                    if fault and not fault_is(injection, fault):
                        continue
                    firsts = range(sets) if kind == "equal" else range(1)
                    out += [Cell(kind, level, task, injection, first) for first in firsts]
    return out


def fault_is(injection: Injection, wanted: str) -> bool:
    return wanted in (*injection.faults, injection.name, injection.variant)
