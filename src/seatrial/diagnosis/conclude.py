"""A comparison's record: its verdict with the reason, the findings, and the images that show them best.

For: what was found, as data. Not for: where the plan says it, which the process that reads the plan adds (verdict.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seatrial.diagnosis.diagnose import Comparison, Part
from seatrial.diagnosis.effect import effect_of
from seatrial.diagnosis.evidence import NotFinite, is_colorless
from seatrial.diagnosis.limits import Limits
from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.open_between import open_between
from seatrial.diagnosis.search import Explanation
from seatrial.diagnosis.shapes.part import unexplained_shape
from seatrial.diagnosis.stages import CANDIDATES, DECODED, INPUT, OUTPUTS, RESIZED, RESULTS
from seatrial.diagnosis.telling import one_and_the_same, telling_said
from seatrial.diagnosis.verdict import judged, untried
from seatrial.diagnosis.way import Way
from seatrial.errors import count_of, short_list
from seatrial.history.records import ParityResult
from seatrial.history.records.diagnosis import (
    Diagnosis,
    OtherFault,
    ParityRecord,
    StageDifference,
    WorstImage,
)
from seatrial.warning import Warning

_CURES = {
    INPUT: "look for a division by 0 in what prepares the image",
    OUTPUTS: "look for overflow of a reduced precision, or broken weights, or take another reference",
    RESULTS: "look at its raw outputs, and at what the postprocess makes of them",
}
MOST_WORST = 8
_METRICS = {
    DECODED: "mean |Δ| over the image's mean deviation",
    RESIZED: "mean |Δ| over the image's mean deviation",
    INPUT: "mean |Δ| over the tensor's mean deviation",
    OUTPUTS: "mean |Δ| over the output's mean deviation",
    CANDIDATES: "share of the boxes before NMS that is wrong",
    RESULTS: "share of the results that is wrong",
}


def conclude(
    compared: Comparison,
    way: Way,
    reference: str,
    candidate: str,
    agreement: ParityResult | None = None,
    same_by_plan: bool = False,
) -> ParityRecord:
    """way: the reference. Names are as the user gave them. agreement, same_by_plan: see verdict.judged."""
    stages = tuple(_stage(part, compared.limits, way) for part in compared.parts)
    diverging = [(part, stage) for part, stage in zip(compared.parts, stages, strict=True) if part.diverges]
    found = judged(compared, way, agreement, same_by_plan)
    return ParityRecord(
        verdict=found.verdict,
        reason=found.reason,
        reference=reference,
        candidate=candidate,
        images=len(compared.names),
        stages=stages,
        first_divergence=diverging[0][1] if diverging else None,
        diagnosis=tuple(d for part, _ in diverging for d in _diagnoses(part, way)),
        near=tuple(_other(e) for part in compared.parts if part.is_unexplained and part.found for e in part.found.near),
        too_little=" and ".join(dict.fromkeys(part.too_little for part, _ in diverging if part.too_little)),
        worst_images=_worst(compared, [part for part, _ in diverging]),
        warnings=(
            *_of_reference(compared, found.not_finite),
            *(_of_images(compared, way) if found.verdict == "EQUAL" else ()),
            *_warnings(compared),
        ),
        tried=sum(part.found.tried for part in compared.parts if part.found),
        left=sum(part.found.left for part in compared.parts if part.found),
        wall_s=round(compared.wall_s, 2),
    )


def _stage(part: Part, limits: Limits, way: Way) -> StageDifference:
    return StageDifference(
        stage=part.stretch.end,
        start=part.stretch.start,
        metric=_METRICS[part.stretch.end],
        value=float(np.mean(part.distances)),
        floor=limits.floor(part.stretch.end),
        images=len(part.differing),
        of=len(part.distances),
        largest=part.largest,
        shape=unexplained_shape(part, way),
        held=_held(part, limits),
    )


def _held(part: Part, limits: Limits) -> str:
    """What it takes to differ, where that is not another value."""
    if part.stretch.end != OUTPUTS or limits.failing_db is None:
        return ""
    less = next(p for p in limits.precisions[::-1] if p)
    decide = "the results decide" if limits.decoded else "nothing behind them could decide"
    return (
        f"of {less} only what has less than {limits.failing_db:.0f} dB of signal to noise counts as differing: that no image "
        f"does is no sign that they are equal; {decide}"
    )


def _diagnoses(part: Part, way: Way) -> list[Diagnosis]:
    """Of a pair of faults one each, both with what the pair explains, each with its own effect, and the first with both's."""
    found = part.found
    if found is None or found.best is None:
        return []
    best = found.best
    same = {id(e) for e in found.alike if one_and_the_same(way, best.mutations, e.mutations, _last(part))}
    others = [f for e in found.alike if id(e) not in same for f in e.faults]
    return [
        Diagnosis(
            fault=m.fault,
            what=m.what,
            stage=_stage_of(m, part),
            explained=round(best.explained, 6),
            exact=best.exact,
            confirmed=best.images,
            again=best.again,
            runner_up=_other(found.runner_up) if found.runner_up else None,
            alike=tuple(_other(e, same=id(e) in same) for e in found.alike),
            telling=telling_said(m.fault, others) if others else "",
            effect=effect_of(part.stretch, way, [m]),
            together=effect_of(part.stretch, way, best.mutations) if len(best.mutations) > number + 1 else None,
            open_between=open_between(part.stretch, way, best, [*part.differing, *range(len(part.distances))]),
            twin=m.twin,
            at=m.key,
        )
        for number, m in enumerate(best.mutations)
    ]


def _last(part: Part) -> str:
    """The step whose value both sides are held against each other by."""
    return part.stretch.stages[-1]


def _stage_of(m: Mutation, part: Part) -> str:
    """Of the step that is in front of NMS and behind it, the part that was judged."""
    return CANDIDATES if m.stage == RESULTS and part.stretch.end == CANDIDATES else m.stage


def _other(e: Explanation, same: bool = False) -> OtherFault:
    return OtherFault(fault=" and ".join(e.faults), what=e.what, explained=round(e.explained, 6), same=same)


def _worst(compared: Comparison, diverging: Sequence[Part]) -> tuple[WorstImage, ...]:
    if not diverging:
        return ()
    part = diverging[0]
    return tuple(
        WorstImage(name=compared.names[i], stage=part.stretch.end, value=part.distances[i])
        for i in part.differing[:MOST_WORST]
    )


def _of_reference(compared: Comparison, odd: Sequence[NotFinite]) -> list[Warning]:
    """What makes it a poor yardstick."""
    found = []
    for o in odd:
        where = f"{count_of(len(o.images), 'image')} of {len(compared.names)}, first {compared.names[o.images[0]]}"
        said = f"the reference itself has NaN or infinity at {o.said}, on {where}; nothing can be held against that"
        found.append(Warning("reference-not-finite", said, _CURES[o.stage]))
    for said in compared.limits.unstable:
        said = f"the reference gives other answers the second time: {said}"
        found.append(
            Warning("reference-not-stable", said, "take out what is random, or compare with a backend that is not")
        )
    for said in compared.limits.unmeasured:
        found.append(Warning("floor-not-measured", f"what the reference differs from itself by is not known: {said}"))
    return found


def _of_images(compared: Comparison, way: Way) -> list[Warning]:
    """What they could not have shown."""
    if not is_colorless(compared, way):
        return []
    said = "no image has a colour: channels in the wrong order would not have shown"
    return [Warning("grey-images", said, f"compare with {telling_said('channel-order', [])} too")]


def _warnings(compared: Comparison) -> list[Warning]:
    found = []
    for alone, side, other in (
        (compared.reference_alone, "the plan", "the candidate"),
        (compared.candidate_alone, "the candidate", "the plan"),
    ):
        if alone:
            said = (
                f"{count_of(len(alone), 'image')} of {side} left out, which {other} does not have: {short_list(alone)}"
            )
            found.append(Warning("one-sided-images", said, "compare the same images on both sides"))
    for stage in sorted(compared.reversed_at):
        said = f"the candidate's '{stage}' images have their channels in the other order than the plan's decode.color"
        found.append(Warning("channel-convention", said, "no fault by itself: the order is judged at 'input'"))
    for said in compared.passed_over:
        found.append(Warning("stage-passed-over", said, "log what the model is given, in its own layout and type"))
    for why, count in untried(compared.parts).items():
        many = f" ({count} of them)" if count > 1 else ""
        found.append(Warning("mistakes-untried", f"not every known mistake was tried: {why}{many}"))
    unfinished = [p for p in compared.parts if p.found and p.found.out_of_time]
    if unfinished:
        said = "time was up before all known mistakes had been tried"
        found.append(Warning("diagnosis-cut-short", said, "give it more time"))
    return found
