"""A comparison's record: its verdict with the reason, the findings, and the images that show them best.

For: what was found, as data. Not for: where the plan says it, which the process that reads the plan adds (verdict.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seatrial.diagnosis.diagnose import Comparison, Part
from seatrial.diagnosis.effect import effect_of
from seatrial.diagnosis.search import Explanation
from seatrial.diagnosis.stages import DECODED, INPUT, OUTPUTS, RESIZED, RESULTS
from seatrial.diagnosis.telling import telling_said
from seatrial.diagnosis.way import Way
from seatrial.errors import count_of, short_list
from seatrial.history.records.diagnosis import (
    Diagnosis,
    OtherFault,
    ParityRecord,
    ParityVerdict,
    StageDifference,
    WorstImage,
)
from seatrial.warning import Warning

# Of fewer, that they are equal says nothing of the next one.
LEAST_IMAGES = 4
MOST_WORST = 8
_METRICS = {
    DECODED: "mean |Δ| over the image's mean deviation",
    RESIZED: "mean |Δ| over the image's mean deviation",
    INPUT: "mean |Δ| over the tensor's mean deviation",
    OUTPUTS: "mean |Δ| over the output's mean deviation",
    RESULTS: "share of the results that is wrong",
}


def conclude(compared: Comparison, way: Way, reference: str, candidate: str) -> ParityRecord:
    """way: the reference. Names are as the user gave them."""
    stages = tuple(_stage(part, compared.limits.floor(part.stretch.end)) for part in compared.parts)
    diverging = [(part, stage) for part, stage in zip(compared.parts, stages, strict=True) if part.diverges]
    verdict, reason = _verdict(compared, way, diverging)
    return ParityRecord(
        verdict=verdict,
        reason=reason,
        reference=reference,
        candidate=candidate,
        images=len(compared.names),
        stages=stages,
        first_divergence=diverging[0][1] if diverging else None,
        diagnosis=tuple(d for part, _ in diverging for d in _diagnoses(part, way)),
        near=tuple(
            _other(e) for part, _ in diverging[:1] if part.found and not part.found.best for e in part.found.near
        ),
        worst_images=_worst(compared, [part for part, _ in diverging]),
        warnings=tuple(_warnings(compared)),
        tried=sum(part.found.tried for part, _ in diverging if part.found),
        wall_s=round(compared.wall_s, 2),
    )


def _stage(part: Part, floor: float) -> StageDifference:
    return StageDifference(
        stage=part.stretch.end,
        start=part.stretch.start,
        metric=_METRICS[part.stretch.end],
        value=float(np.mean(part.distances)),
        floor=floor,
        images=len(part.differing),
        of=len(part.distances),
    )


def _verdict(
    compared: Comparison, way: Way, diverging: Sequence[tuple[Part, StageDifference]]
) -> tuple[ParityVerdict, str]:
    if diverging:
        _, stage = diverging[0]
        found = [p.found.best for p, _ in diverging if p.found and p.found.best]
        where = f"the pipelines part at '{stage.stage}' on {stage.images} of {count_of(stage.of, 'image')}"
        if not found and all(p.on_purpose for p, _ in diverging):
            return "DIFFER", f"{where}: they run two models; nothing differs in front of the models or behind them"
        if not found:
            return "DIFFER", f"{where}, and no known mistake explains it"
        return "DIFFER", f"{where}: {', then '.join(_what(p) for p, _ in diverging)}"
    if not compared.parts:
        return "INCONCLUSIVE", "the candidate shows no stage that the reference has"
    if len(compared.names) < LEAST_IMAGES:
        few = count_of(len(compared.names), "image")
        return "INCONCLUSIVE", f"nothing differs on {few}; expected at least {LEAST_IMAGES} to call that equal"
    if [p.stretch.end for p in compared.parts] == [RESULTS] and _says_nothing(compared.parts[0], way):
        return "INCONCLUSIVE", "no image has a result on either side, which two unlike pipelines may have in common"
    odd = [(p.stretch.end, len(p.differing)) for p in compared.parts if p.differing]
    if odd:
        said = ", ".join(f"{count_of(n, 'image')} at '{stage}'" for stage, n in odd)
        return "EQUAL", f"within what another runtime's rounding makes: {said} of {len(compared.names)} differ"
    shown = ", ".join(p.stretch.end for p in compared.parts)
    return "EQUAL", f"nothing differs on {count_of(len(compared.names), 'image')} at any stage that is shown ({shown})"


def _what(part: Part) -> str:
    if part.on_purpose:
        return f"other outputs, of another model, at '{part.stretch.end}'"
    if part.found and part.found.best:
        return " and ".join(dict.fromkeys(part.found.best.faults))
    return f"what no known mistake explains at '{part.stretch.end}'"


def _says_nothing(part: Part, way: Way) -> bool:
    results = [part.stretch.made(way, i).value for i in range(len(part.distances))]
    return all(r is None or (hasattr(r, "__len__") and not len(r)) for r in results)


def _diagnoses(part: Part, way: Way) -> list[Diagnosis]:
    """Of a pair of faults one each, both with what the pair explains."""
    found = part.found
    if found is None or found.best is None:
        return []
    best = found.best
    return [
        Diagnosis(
            fault=m.fault,
            what=m.what,
            stage=m.stage,
            explained=round(best.explained, 6),
            exact=best.exact,
            confirmed=best.images,
            runner_up=_other(found.runner_up) if found.runner_up else None,
            alike=tuple(_other(e) for e in found.alike),
            telling=telling_said(m.fault, [f for e in found.alike for f in e.faults]) if found.alike else "",
            # Of a pair both together: it is told once.
            effect=effect_of(part.stretch, way, best.mutations) if number == 0 else None,
            at=m.key,
        )
        for number, m in enumerate(best.mutations)
    ]


def _other(e: Explanation) -> OtherFault:
    what = ", and ".join(m.what for m in e.mutations)
    return OtherFault(fault=" and ".join(e.faults), what=what, explained=round(e.explained, 6))


def _worst(compared: Comparison, diverging: Sequence[Part]) -> tuple[WorstImage, ...]:
    if not diverging:
        return ()
    part = diverging[0]
    return tuple(
        WorstImage(name=compared.names[i], stage=part.stretch.end, value=part.distances[i])
        for i in part.differing[:MOST_WORST]
    )


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
    untried = dict.fromkeys(why for p in compared.parts if p.found for why in p.found.untried)
    for why in untried:
        found.append(Warning("mistakes-untried", f"not every known mistake was tried: {why}"))
    unfinished = [p for p in compared.parts if p.found and p.found.out_of_time]
    if unfinished:
        said = "time was up before all known mistakes had been tried"
        found.append(Warning("diagnosis-cut-short", said, "give it more time"))
    return found
