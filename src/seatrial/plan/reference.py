"""Which pipeline and which cell the others are compared with, by the plan alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from seatrial.history.records import CellRecord
from seatrial.plan.models import Plan


class Configuration(Protocol):
    """What a cell and its record have in common."""

    @property
    def pipeline(self) -> str: ...
    @property
    def backend(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def batch(self) -> int: ...
    @property
    def threads(self) -> int: ...


def baseline_name(plan: Plan) -> str:
    """The pipeline that others are judged against: parity's reference, else regression's, else the first."""
    if plan.parity and plan.parity.reference.pipeline:
        return plan.parity.reference.pipeline
    return plan.regression.against if plan.regression else next(iter(plan.pipelines))


def reference_cell(plan: Plan, cells: Sequence[CellRecord], pipeline: str | None = None) -> CellRecord | None:
    """The reference cell, or the one of the same configuration in another pipeline."""
    wanted = pipeline or baseline_name(plan)
    return next((c for c in cells if c.pipeline == wanted and is_reference_configuration(plan, c)), None)


def is_reference_configuration(plan: Plan, cell: Configuration) -> bool:
    """Whether the cell has the reference's backend, precision, batch and threads, whatever its pipeline."""
    given, m = plan.parity.reference if plan.parity else None, plan.matrix
    return (
        cell.backend == ((given and given.backend) or m.backend_names[0])
        and cell.precision == ((given and given.precision) or m.precisions[0])
        and cell.batch == ((given and given.batch) or m.batch_sizes[0])
        and cell.threads == ((given and given.threads) or m.threads[0])
    )
