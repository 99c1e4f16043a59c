"""What two sides of a comparison are: a cell of the plan, by name. Not for: taps and answers, which are files.

A side is written as cells' ids are: PIPELINE, or PIPELINE.BACKEND.PRECISION.bBATCH.tTHREADS with any part left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, get_args

from seatrial.errors import PlanError, did_you_mean
from seatrial.plan.fields import Precision
from seatrial.plan.load import PlanFile
from seatrial.plan.reference import baseline_name

PRECISIONS: tuple[str, ...] = get_args(Precision)


@dataclass(frozen=True)
class Side:
    """backend: a name of the plan's matrix. What is not said is the reference configuration's."""

    pipeline: str
    backend: str
    precision: str
    batch: int
    threads: int

    @property
    def id(self) -> str:
        return f"{self.pipeline}.{self.backend}.{self.precision}.b{self.batch}.t{self.threads}"


def reference_side(plan: PlanFile, pipeline: str | None = None) -> Side:
    """The configuration that the plan compares with."""
    p, m = plan.plan, plan.plan.matrix
    given = p.parity.reference if p.parity else None
    return Side(
        pipeline or baseline_name(p),
        (given and given.backend) or m.backend_names[0],
        (given and given.precision) or m.precisions[0],
        (given and given.batch) or m.batch_sizes[0],
        (given and given.threads) or m.threads[0],
    )


def side_of(plan: PlanFile, text: str) -> Side:
    """PlanError where a part names nothing of the plan."""
    names = sorted(plan.plan.pipelines, key=len, reverse=True)
    pipeline = next((n for n in names if text == n or text.startswith(f"{n}.")), None)
    if pipeline is None:
        raise PlanError(
            f"{plan.path}: no pipeline is called {text!r}{did_you_mean(text, names)}; expected one of "
            f"{', '.join(plan.plan.pipelines)}, with .BACKEND.PRECISION.bBATCH.tTHREADS behind it where another cell is meant"
        )
    base = reference_side(plan, pipeline)
    found: dict[str, Any] = {}
    backends = plan.plan.matrix.backend_names
    for part in filter(None, text[len(pipeline) :].split(".")):
        number = re.fullmatch(r"([bt])([1-9]\d*)", part)
        if part in backends:
            found["backend"] = part
        elif part in PRECISIONS:
            found["precision"] = part
        elif number:
            found["batch" if number[1] == "b" else "threads"] = int(number[2])
        else:
            known = [*backends, *PRECISIONS]
            raise PlanError(
                f"{text}: {part!r} is no backend of the plan's matrix and no precision{did_you_mean(part, known)}; expected "
                f"one of {', '.join(known)}, or b4 for a batch and t2 for threads"
            )
    return replace(base, **found)
