"""What a parity record says, in words that terminal and page share. Not for: one finding (finding_words.py), or layout
(parity_text.py, parity_page.py)."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.errors import count_of
from seatrial.history.records.diagnosis import (
    Diagnosis,
    Invariant,
    ParityRecord,
    StageDifference,
    TaskFigure,
)
from seatrial.history.records.inside import InsideOfPlan
from seatrial.report.finding_words import effects_said, near_said, title_of

STAGES = {
    "encoded": "encoded file",
    "decoded": "decoded image",
    "resized": "resized image",
    "input": "input tensor",
    "outputs": "raw outputs",
    "candidates": "boxes before NMS",
    "results": "results",
}


def stage_said(stage: str) -> str:
    return STAGES.get(stage, stage)


def number_said(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def task_said(figure: TaskFigure) -> str:
    """Both sides in the task's terms, with the interval."""
    ends = ["?" if v is None else f"{v:.3f}" for v in figure.interval or (None, None)]
    if figure.reference is None or figure.drop is None:
        return f"{figure.candidate:.3f} ({ends[0]} to {ends[1]}): {figure.said}"
    sides = f"{figure.reference:.3f} of the reference, {figure.candidate:.3f} of the candidate"
    return f"{sides}; a drop of {figure.drop:.3f} ({ends[0]} to {ends[1]}): {figure.said}"


def is_unexplained(record: ParityRecord) -> bool:
    """Whether mistakes were tried, and none is it: of two models, which differ on purpose, none is tried."""
    return record.verdict == "DIFFER" and not record.diagnosis and record.tried + record.left > 0


def _sentence(said: str) -> str:
    return f"{said[0].upper()}{said[1:]}." if said else ""


def nothing_said(record: ParityRecord) -> list[str]:
    """Where pipelines part and no known mistake explains it: all that is known instead."""
    first = record.first_divergence
    tried = count_of(record.tried, "known mistake")
    said = [f"none of {tried} that were tried explains it"]
    if record.left and not record.tried:
        said = ["time was up before any known mistake had been tried"]
    elif record.left:
        said = [
            f"time was up after {record.tried} of {count_of(record.tried + record.left, 'known mistake')}, none explains it"
        ]
    if record.too_little:
        said = [f"{record.too_little}, which is too little to tell which of {tried} it is"]
    if first is not None:
        said.append(f"they part at the {stage_said(first.stage)}, {images_said(first)}")
    said += shapes_said(record)
    near = [n for n in record.near if n.explained > 0]
    if near:
        said.append(f"{'any of these would do that' if record.too_little else 'nearest'}: {near_said(near)}")
    return said


def beside_said(record: ParityRecord) -> list[str]:
    """What is not explained beside what is."""
    said = shapes_said(record)
    if record.too_little:
        would = f": any of these would do that: {near_said(record.near)}" if record.near else ""
        said.append(f"{record.too_little}, which is too little to tell why{would}")
    return said


def tried_said(record: ParityRecord) -> str:
    """'143 known mistakes were tried, 12 more were not, as time was up'; '' where there was nothing to explain."""
    if not record.tried and not record.left:
        return ""
    tried = f"{count_of(record.tried, 'known mistake')} {'was' if record.tried == 1 else 'were'} tried"
    left = f", {record.left} more {'was' if record.left == 1 else 'were'} not, as time was up" if record.left else ""
    return tried + left


def alone_said(record: ParityRecord) -> list[str]:
    """What ✓ does not say, where somebody may read it as more: of stages that agree beside a verdict that is not EQUAL."""
    said = [f"{stage_said(s.stage)}: {s.held}" for s in record.stages if s.held]
    if record.verdict == "INCONCLUSIVE" and any(not s.images for s in record.stages):
        said.append(
            "✓ is of a stage by itself, begun at the candidate's own values, and not of the pipeline up to there"
        )
    return said


def shapes_said(record: ParityRecord) -> list[str]:
    """What the difference looks like at each stage where nothing explains it, by itself and with its largest."""
    return [
        f"the difference of the {stage_said(s.stage)} looks like this: {s.shape}"
        + (f"; at most {number_said(s.largest)}" if s.largest is not None else "")
        for s in record.stages
        if s.shape
    ]


def inside_said(inside: InsideOfPlan) -> str:
    """'the models differ: …; first at Conv /model/…'."""
    first = f"; first at {inside.jumps[0].said}" if inside.jumps else ""
    return f"{_INSIDE[inside.verdict]}: {inside.reason}{first}"


_INSIDE = {"equal": "the models are equal", "differ": "the models differ", "not enough": "not enough to tell"}


def inside_how(record: ParityRecord) -> str:
    """'' where the models need no search, or had one."""
    if record.inside is not None or not record.outputs_differ:
        return ""
    return "to find the node that makes the raw outputs differ, search both models: seatrial parity A.onnx B.onnx"


def invariants_said(invariants: Sequence[Invariant]) -> list[tuple[bool | None, str]]:
    """A line each for what does not hold; what holds of a side, or was not tried for one reason, shares a line."""
    lines: dict[tuple[str, bool | None, str], list[str]] = {}
    for i in invariants:
        lines.setdefault((i.side, i.holds, "" if i.holds else i.said), []).append(i.name)
    return [
        (holds, f"the {side} by itself: {', '.join(names)}{f': {said}' if said else ''}")
        for (side, holds, said), names in sorted(lines.items(), key=lambda line: _ORDER[line[0][1]])
    ]


_ORDER = {False: 0, None: 1, True: 2}


def is_first(record: ParityRecord, s: StageDifference) -> bool:
    """Whether the pipelines part there."""
    first = record.first_divergence
    return first is not None and (first.stage, first.start) == (s.stage, s.start)


def metrics_said(stages: Sequence[StageDifference]) -> str:
    """What the numbers of each stage are, those of one metric together."""
    by_metric: dict[str, list[str]] = {}
    for s in stages:
        by_metric.setdefault(s.metric, []).append(stage_said(s.stage))
    if len(by_metric) == 1:
        return next(iter(by_metric))
    return "; ".join(f"{metric} ({', '.join(names)})" for metric, names in by_metric.items())


def images_said(s: StageDifference) -> str:
    return f"in {'all ' if s.images == s.of > 1 else f'{s.images} of '}{count_of(s.of, 'image')}"


def head_said(record: ParityRecord) -> str:
    """All of it in a few words."""
    if record.verdict == "INCONCLUSIVE":
        return "Not known"
    if record.verdict == "EQUAL":
        return "Both are equal" + "".join(f", but: {title_of(d)}" for d in record.diagnosis)
    if record.too_little and not record.diagnosis:
        return "They differ, and there is too little to tell why"
    if not record.diagnosis:
        return "They differ, and no known mistake explains it" if is_unexplained(record) else "They differ"
    if len(record.diagnosis) > 1:
        return f"They differ: {len(record.diagnosis)} known mistakes"
    (d,) = record.diagnosis
    return f"They differ: {title_of(d)}" + (", or what looks like it" if d.alike else "")


def summary_said(record: ParityRecord) -> str:
    """What somebody who reads one paragraph is to know."""
    if record.verdict == "EQUAL":
        odd = f" But for what rounding makes: {record.reason}." if any(s.images for s in record.stages) else ""
        return (
            f"Both pipelines give the same on all {count_of(record.images, 'image')}, at every stage that was compared, within "
            f"the tolerance of each.{odd}" + "".join(f" But {_named_said(d)}" for d in record.diagnosis)
        )
    if record.verdict == "DIFFER" and record.first_divergence is None:
        named = (_named_said(d) for d in record.diagnosis)
        return " ".join([f"The pipelines differ in their answers: {record.reason}.", *named])
    if record.verdict == "INCONCLUSIVE" or record.first_divergence is None:
        return f"It is not known whether both pipelines give the same: {record.reason}."
    first = record.first_divergence
    where = f"The pipelines part at the {stage_said(first.stage)}, {images_said(first)}."
    if not record.diagnosis:
        if not is_unexplained(record) or record.too_little:
            # What the record's reason says behind the stage, which is said here already.
            return f"{where} {_sentence(record.reason.split(': ', 1)[-1])}"
        looks = f" What the difference looks like: {_sentence(first.shape)}" if first.shape else ""
        return f"{where} No known mistake explains it.{looks}"
    many = len(record.diagnosis) > 1
    makes = f"{len(record.diagnosis)} known mistakes" if many else "a known mistake"
    return " ".join([where, f"The candidate makes {makes}.", *(_named_said(d) for d in record.diagnosis)])


def _named_said(d: Diagnosis) -> str:
    title = title_of(d)
    said = _sentence(f"{title}: it {d.what}")
    if d.alike:
        others = " or ".join(o.fault for o in d.alike)
        said += f" It may be {others} instead, which these images do not tell apart."
    cost = effects_said(d)
    return said + (f" What that costs: {cost}." if cost else "")
