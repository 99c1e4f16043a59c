"""A known mistake as a change of the reference's own pipeline. Not for: which there are (mutations/), or trying them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from seatrial.diagnosis.way import Way


@dataclass(frozen=True, eq=False)
class Mutation:
    """fault: its stable name (seatrial.faults). what: what the candidate does, as a clause: 'feeds BGR'. stage: whose step it
    changes. change: the reference with the mistake in it; raises PlanError, ModelError or ValueError where it cannot be made.
    key: of the plan, whose value the candidate does not keep to, such as 'preprocess.color'. parameters: how many numbers were
    fitted to the candidate's own values, 0 for what is merely tried: of two explanations the one with fewer is meant. value: of
    a single number in the plan, the number. twin: see faults.Fault."""

    fault: str
    what: str
    stage: str
    change: Callable[[Way], Way]
    key: str = ""
    parameters: int = 0
    value: float | None = None
    twin: bool = False


def with_mutations(way: Way, mutations: Sequence[Mutation]) -> Way:
    """The way with all of the mistakes in it. Raises what their changes raise."""
    for m in mutations:
        way = m.change(way)
    return way


def setting(fault: str, what: str, stage: str, section: str, **values: Any) -> Mutation:
    """One that other values in the plan would make. Its key is the first of them."""
    key, first = f"{section}.{next(iter(values))}", next(iter(values.values()))
    value = first if len(values) == 1 and isinstance(first, float) else None
    return Mutation(fault, what, stage, lambda way: way.with_settings(section, **values), key, value=value)
