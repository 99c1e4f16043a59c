"""The whole: run.json at a run's start, record.json at its end."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from seatrial.history.records.cell import CellRecord
from seatrial.history.records.comparison import Comparison
from seatrial.history.records.diagnosis import ParityRecord
from seatrial.history.records.subject import Environment, ImagesSection, ModelSection, Picture, PlanSection
from seatrial.history.records.values import Frozen, Measured
from seatrial.warning import Warning

SCHEMA: Literal["seatrial.record/2"] = "seatrial.record/2"
RUN_SCHEMA: Literal["seatrial.run/2"] = "seatrial.run/2"
# Which way of making precisions new records are of.
CONVERSIONS = 4
Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]


class NoiseFloor(Frozen):
    """What the medians of one cell differed by in a second process: what no budget on time can tell apart.

    shares: by stage, the further end of the interval of both medians' ratio, less one. at_least: stages of which a median has
    no interval; their shares are what was seen, and the floor is higher.
    """

    cell: str
    first: Measured
    again: Measured
    shares: dict[str, float]
    at_least: tuple[str, ...] = ()


class Decision(Frozen):
    """One check: what was asked, what came, and why that is the verdict."""

    check: str
    verdict: Verdict
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    reason: str
    cell: str = ""
    against: str = ""
    """The reference cell, where the value is of two cells."""
    group: str = ""
    evidence: str = ""


class RunStart(Frozen):
    """run.json, written first: what --resume compares, and what is known of a run without a record.

    subject: a trial's plan, a bench's model, or what is compared. environment: of a trial, before its first cell.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    schema_: Literal["seatrial.run/2"] = Field(RUN_SCHEMA, alias="schema")
    kind: Literal["trial", "bench", "compare"]
    created: str
    subject: tuple[str, ...]
    identity: dict[str, Any] = {}
    environment: Environment | None = None


class Record(Frozen):
    # `schema` is pydantic's own word; the file says "schema".
    schema_: Literal["seatrial.record/2"] = SCHEMA
    id: str
    created: str
    kind: Literal["trial", "bench", "compare"] = "trial"
    status: Literal["complete", "interrupted"] = "complete"
    verdict: Verdict
    conversions: int = 1
    """How precisions are made: under 1, int8 was what int8-u8 is now, and is read as that."""
    rules: str = ""
    """Which rules judged it, such as seatrial.rules/2; records from before they had a name do not say."""
    wall_s: float
    plan: PlanSection
    images: ImagesSection
    models: dict[str, ModelSection]
    environment: Environment
    cells: tuple[CellRecord, ...]
    decisions: tuple[Decision, ...]
    comparisons: tuple[Comparison, ...] = ()
    noise_floor: NoiseFloor | None = None
    """Of a trial with budgets on time."""
    pictures: tuple[Picture, ...] = ()
    warnings: tuple[Warning, ...] = ()
    diagnoses: tuple[ParityRecord, ...] = ()
    """Of a trial's pipelines whose answers failed: where they part from what they are held against, and why."""

    def to_json(self) -> dict[str, Any]:
        data = self.model_dump(mode="json", by_alias=True)
        return {"schema": data.pop("schema_"), **data}
