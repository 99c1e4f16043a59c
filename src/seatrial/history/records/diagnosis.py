"""Where two pipelines part and what explains it: `seatrial parity`'s answer. Schema seatrial.parity/1.

For: the shape of that JSON file. Not for: parity of a trial's cells (parity.py).
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field

from seatrial.history.records.inside import InsideOfPlan
from seatrial.history.records.subject import Environment
from seatrial.history.records.values import Frozen
from seatrial.warning import Warning

PARITY_SCHEMA = "seatrial.parity/1"
ParityVerdict = Literal["EQUAL", "DIFFER", "INCONCLUSIVE"]


class StageDifference(Frozen):
    """One stage that both sides show. start: the stage of the candidate's from whose values the reference went on. metric: what
    `value` is, a mean over images; floor: what the reference differs from itself by; images: so many differ, `of` so many."""

    stage: str
    start: str
    metric: str
    value: float
    floor: float
    images: int
    of: int
    largest: float | None = None
    """max |Δ|, of images and tensors whose shapes agree."""
    shape: str = ""
    """What the difference looks like where no fault explains it."""
    held: str = ""
    """By what it is held, where not value by value: outputs of less precision."""


class OtherFault(Frozen):
    """An explanation that is not the one. same: it does the very same to every picture, so that none tells them apart."""

    fault: str
    what: str
    explained: float
    same: bool = False


class FaultEffect(Frozen):
    """What the fault does to the task: the reference's own results with and without it, on so many images, drawn at random of
    all that were compared. metric: what agrees. moved_px: by so much a side of a matched box moves at most, in pixels."""

    metric: str
    without: float
    within: float
    interval: tuple[float | None, float | None] | None = None
    images: int = 0
    moved_px: float | None = None


class Diagnosis(Frozen):
    """A known mistake that, made in the reference, gives what the candidate gave. explained: the share of the difference, on
    images that it was not found on; exact: whether nothing stays. confirmed: on so many images. alike: faults that these
    images cannot tell from it, and `telling` the picture that would. evidence: of one that shows otherwise than by being made
    in the reference, which then explains no share: what shows it."""

    fault: str
    what: str
    stage: str
    explained: float | None = None
    exact: bool = False
    confirmed: int = 0
    again: int = 0
    """Of these, such as it was found on too: of few images that differ there are no others."""
    evidence: str = ""
    runner_up: OtherFault | None = None
    alike: tuple[OtherFault, ...] = ()
    telling: str = ""
    effect: FaultEffect | None = None
    """Of this fault alone, whatever else the candidate does."""
    together: FaultEffect | None = None
    """Of the first of a pair of faults: of both at once."""
    open_between: tuple[float, float] | None = None
    """Of a threshold: any value between these does the same to all of these images."""
    twin: bool = False
    """The other mistake of that name, such as antialiasing where the reference has none."""
    fix: str = ""
    """What the candidate must do; of a pipeline of the plan that is declared otherwise, its line and what belongs there."""
    at: str = ""
    """The line of the plan that says what the reference does; '' of a mistake that no key is about."""


class Invariant(Frozen):
    """What must hold of one side alone, such as that a row of a batch is what the image gives alone. holds: None where it was
    not tried; `said` has why."""

    name: str
    holds: bool | None
    said: str
    side: Literal["reference", "candidate"] = "candidate"


class WorstImage(Frozen):
    """name: of the image; stage and value: where and by how much it differs most."""

    name: str
    stage: str
    value: float


class TaskFigure(Frozen):
    """Both sides in the task's terms. Of an agreement `candidate` alone: with the reference. Else of both against the truth,
    with `drop`, the reference's less the candidate's, and its interval; paired over images, at 95 % a side."""

    metric: str
    candidate: float
    reference: float | None = None
    drop: float | None = None
    interval: tuple[float | None, float | None] | None = None
    said: str = ""


class ParityRecord(Frozen):
    """near: what explains most where nothing explains enough. too_little: what the candidate gives that says so little
    that any of `near` may be the mistake. inside: where raw outputs differ, and both models are here."""

    schema_: str = Field(PARITY_SCHEMA, alias="schema", serialization_alias="schema")
    verdict: ParityVerdict
    reason: str
    reference: str
    candidate: str
    images: int
    stages: tuple[StageDifference, ...] = ()
    task: tuple[TaskFigure, ...] = ()
    first_divergence: StageDifference | None = None
    diagnosis: tuple[Diagnosis, ...] = ()
    near: tuple[OtherFault, ...] = ()
    too_little: str = ""
    inside: InsideOfPlan | None = None
    invariants: tuple[Invariant, ...] = ()
    worst_images: tuple[WorstImage, ...] = ()
    warnings: tuple[Warning, ...] = ()
    declared: tuple[str, ...] = ()
    """What the plan itself says differently of both, where both are its own."""
    tried: int = 0
    created: str = ""
    left: int = 0
    """Mistakes that were not tried, as time was up."""
    wall_s: float = 0.0
    environment: Environment | None = None

    @property
    def outputs_differ(self) -> bool:
        """Beyond their tolerance; or within that of a lesser precision, where results disagree all the same."""
        outputs = next((s for s in self.stages if s.stage == "outputs"), None)
        if outputs is None:
            return False
        within = self.verdict == "DIFFER" and self.first_divergence is None
        return outputs.images > 0 or (within and outputs.value > 0)

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = self.model_dump(mode="json", by_alias=True)
        return data

    def json_bytes(self) -> bytes:
        return json.dumps(self.to_json(), indent=1, ensure_ascii=False).encode()
