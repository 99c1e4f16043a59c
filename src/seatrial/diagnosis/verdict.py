"""EQUAL, DIFFER or INCONCLUSIVE, with the reason: EQUAL only where nothing differs, and where that says something.

For: what follows from the parts, the floor and the agreement of results. Not for: the record around it (conclude.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seatrial.diagnosis.diagnose import Comparison, Part
from seatrial.diagnosis.evidence import NotFinite, alone_in_candidate, not_finite, says_nothing
from seatrial.diagnosis.explanation import Found
from seatrial.diagnosis.limits import sqnr_db
from seatrial.diagnosis.stages import DECODED, OF_RESULTS, OUTPUTS, RESIZED, RESULTS
from seatrial.diagnosis.stretch import CANNOT
from seatrial.diagnosis.way import Way
from seatrial.errors import count_of
from seatrial.gate.agreement import agreement_verdict
from seatrial.history.records import ParityResult
from seatrial.history.records.diagnosis import ParityVerdict
from seatrial.parity.tolerance import FLOOR_FACTOR, SQNR_DB, SQNR_DB_OF_EIGHT_BITS

# Of fewer, that they are equal says nothing of the next one.
LEAST_IMAGES = 4
# What a reason says where nothing is named.
UNEXPLAINED = ", and no known mistake explains it"


@dataclass(frozen=True)
class Judged:
    """not_finite: of the reference, which is to be said whatever the verdict."""

    verdict: ParityVerdict
    reason: str
    not_finite: tuple[NotFinite, ...] = ()


def judged(compared: Comparison, way: Way, agreement: ParityResult | None, same_by_plan: bool = False) -> Judged:
    """way: the reference. agreement: of both sides' results, None where these have none. same_by_plan: both sides are one and
    the same cell, whatever they are called."""
    odd = tuple(not_finite(compared, way))
    diverging = [part for part in compared.parts if part.diverges]
    if diverging:
        return Judged(*_parted(compared, way, diverging), odd)
    if not compared.parts:
        return Judged("INCONCLUSIVE", "the candidate shows no stage that the reference has")
    vacuous = _vacuous(compared, way, agreement, same_by_plan)
    by_results, doubts = _by_results(compared, way, agreement, bool(vacuous))
    if by_results == "FAIL":
        least = compared.limits.least_agreement
        return Judged("DIFFER", f"no stage parts, but less than {least:.0%} of the results agree: {doubts[0]}", odd)
    images = len(compared.names)
    if images < LEAST_IMAGES:
        few = f"nothing differs on {count_of(images, 'image')}; expected at least {LEAST_IMAGES} to call that equal"
        return Judged("INCONCLUSIVE", few, odd)
    doubts = [*_of_reference(compared, odd), *vacuous, *doubts]
    if doubts:
        said = "; ".join(dict.fromkeys(doubts))
        return Judged("INCONCLUSIVE", f"nothing differs on {count_of(images, 'image')}, but {said}", odd)
    return Judged("EQUAL", _equal(compared, agreement), odd)


def _equal(compared: Comparison, agreement: ParityResult | None) -> str:
    images = len(compared.names)
    if compared.limits.least_db is not None and agreement is not None:
        less = next(p for p in compared.limits.precisions[::-1] if p)
        return f"nothing parts on {count_of(images, 'image')} beyond {less}'s rounding, and results agree: {agreement.matched}"
    left_out = len(compared.reference_alone)
    of = f" of the plan's {images + left_out}" if left_out else ""
    odd = [(p.stretch.end, len(p.differing)) for p in compared.parts if p.differing]
    if odd:
        said = ", ".join(f"{count_of(n, 'image')} at '{stage}'" for stage, n in odd)
        return f"within what another runtime's rounding makes: {said} of {images} differ"
    shown = ", ".join(p.stretch.end for p in compared.parts)
    return f"nothing differs on {count_of(images, 'image')}{of} at any stage that is shown ({shown})"


def _parted(compared: Comparison, way: Way, diverging: Sequence[Part]) -> tuple[ParityVerdict, str]:
    first = diverging[0]
    stage, count = first.stretch.end, len(first.distances)
    where = f"the pipelines part at '{stage}' on {len(first.differing)} of {count_of(count, 'image')}"
    found = [p.found.best for p in diverging if p.found and p.found.best]
    if not found and all(p.on_purpose for p in diverging):
        if any(p.stretch.end == RESULTS for p in diverging):
            return (
                "DIFFER",
                f"{where}: they run two models, whose outputs are not of one kind; nothing differs in front of them",
            )
        return "DIFFER", f"{where}: they run two models; nothing differs in front of the models or behind them"
    if not found and _no_more_than_itself(compared, diverging):
        return "INCONCLUSIVE", f"{where}, but by no more than the reference differs from itself: {_unstable(compared)}"
    nan = _nan_said(compared, first, way)
    if not found and not any(p.too_little for p in diverging):
        return (
            "DIFFER",
            f"{where}{_unexplained(diverging)}{nan}{_precision_said(compared, first, way)}",
        )
    return "DIFFER", f"{where}: {', then '.join(_what(p) for p in diverging)}{nan}"


def _unexplained(diverging: Sequence[Part]) -> str:
    found = [p.found for p in diverging if p.found]
    tried, left = sum(f.tried for f in found), sum(f.left for f in found)
    if left and not tried:
        return ", and time was up before any known mistake had been tried"
    nearest = _nearest_said(found)
    if left:
        return f", and time was up after {tried} of {tried + left} known mistakes, none of which explains it{nearest}"
    if any(f.out_of_time for f in found):
        return f", and time was up before all that was tried could be confirmed, and pairs be tried{nearest}"
    return UNEXPLAINED


def _nearest_said(found: Sequence[Found]) -> str:
    """Of a search that time ended: what it would have gone on with."""
    nearest = next((f.near[0] for f in found if f.out_of_time and f.near and f.near[0].explained > 0), None)
    if nearest is None:
        return ""
    return f"; nearest, and not confirmed, was {' and '.join(nearest.faults)} ({nearest.what})"


def _what(part: Part) -> str:
    if part.on_purpose:
        return f"other outputs, of another model, at '{part.stretch.end}'"
    if part.too_little:
        assert part.found
        would = list(dict.fromkeys(" and ".join(e.faults) for e in part.found.near))
        known = f"{' or '.join(would)} would do that" if would else "no known mistake does that"
        return f"{part.too_little}, which is too little to tell why; {known}; what it has at earlier stages would tell"
    if part.found and part.found.best:
        return " and ".join(dict.fromkeys(part.found.best.faults))
    return f"what no known mistake explains at '{part.stretch.end}'"


def _nan_said(compared: Comparison, part: Part, way: Way) -> str:
    alone = alone_in_candidate(part, way)
    if not alone:
        return ""
    where = f"{count_of(len(alone), 'image')}, first {compared.names[alone[0]]}"
    return f"; the candidate has NaN or infinity where the reference has none, on {where}"


def _precision_said(compared: Comparison, part: Part, way: Way) -> str:
    """Where nobody says in what the candidate computes, and it may be in less."""
    reference, candidate = compared.limits.precisions
    if part.stretch.end != OUTPUTS or candidate or reference != "fp32":
        return ""
    try:
        pairs = [
            (r, c)
            for i in part.differing
            for r, c in zip(part.stretch.made(way, i).value, part.stretch.candidate(i), strict=True)
            if r.dtype.kind == "f"
        ]
    except CANNOT:
        return ""
    least = min((sqnr_db(r, c) for r, c in pairs), default=-np.inf)
    of = {"fp16": SQNR_DB["fp16"][0], "bf16": SQNR_DB["bf16"][0], "int8": SQNR_DB_OF_EIGHT_BITS[0]}
    likely = next((p for p, db in of.items() if least >= db), "")
    if not likely:
        return ""
    return (
        f"; by its size ({least:.0f} dB) it may be the rounding of {likely}: if the candidate computes so, say "
        f'"precision": "{likely}" in taps.json, and results decide'
    )


def _no_more_than_itself(compared: Comparison, diverging: Sequence[Part]) -> bool:
    """Behind the model only, where the reference gives other answers each time."""
    limits = compared.limits
    return bool(limits.unstable) and all(
        p.stretch.end in (OUTPUTS, *OF_RESULTS) and max(p.distances) <= FLOOR_FACTOR * limits.floor(p.stretch.end)
        for p in diverging
    )


def _unstable(compared: Comparison) -> str:
    return "; ".join(compared.limits.unstable)


def _of_reference(compared: Comparison, odd: Sequence[NotFinite]) -> list[str]:
    doubts = []
    if odd:
        said = " and ".join(o.said for o in odd)
        doubts.append(f"the reference itself has NaN or infinity at {said}, which nothing can be held against")
    if compared.limits.unstable and any(p.stretch.end in (OUTPUTS, *OF_RESULTS) for p in compared.parts):
        doubts.append(f"the reference is not the same twice: {_unstable(compared)}")
    return doubts


def _vacuous(compared: Comparison, way: Way, agreement: ParityResult | None, same_by_plan: bool) -> list[str]:
    doubts = []
    if same_by_plan:
        doubts.append("both sides are one and the same by the plan, so that they are equal says nothing; name another")
    for part in compared.parts:
        if part.stretch.end == OUTPUTS and compared.limits.least_db is not None and agreement is not None:
            # Of less precision another image's outputs may pass: that is why results decide.
            continue
        said = says_nothing(compared, part, way)
        if said:
            cure = "objects or classes of several kinds" if part.stretch.end in OF_RESULTS else "unlike content"
            doubts.append(f"{said}; images with {cure} would tell")
    last = compared.parts[-1].stretch.end
    if compared.reversed_at and last in (DECODED, RESIZED):
        doubts.append(
            f"channels are in the other order at '{last}', and what the model is fed, which would tell, is not shown"
        )
    cut_short = [p.found for p in compared.parts if p.rounding and p.found and p.found.out_of_time]
    if cut_short:
        doubts.append(f"results differ, and time was up before known mistakes had been tried{_nearest_said(cut_short)}")
    why = next(iter(untried([p for p in compared.parts if p.rounding])), "")
    if why:
        # One of those may be the mistake: who has what it takes to try it would be told that they differ.
        doubts.append(f"results differ, and not every known mistake could be tried: {why}")
    return doubts


def untried(parts: Sequence[Part]) -> dict[str, int]:
    """Why mistakes could not be tried, and how many."""
    found: dict[str, int] = {}
    for u in (u for p in parts if p.found for u in p.found.untried):
        found[u.why] = found.get(u.why, 0) + u.count
    return found


def _by_results(compared: Comparison, way: Way, agreement: ParityResult | None, vacuous: bool) -> tuple[str, list[str]]:
    """By a trial's own rule. So many of them have to show it where nothing else does: outputs of less precision, results that
    differ as rounding may, and logs without scores, in which most of what goes wrong does not show."""
    limits, last = compared.limits, compared.parts[-1].stretch
    below = _below(compared, way)
    if below:
        return "INCONCLUSIVE", [below]
    weak = limits.least_db is not None or any(p.rounding for p in compared.parts) or not last.scored
    if agreement is None or agreement.agreement is None:
        # A pipeline without results was judged by its outputs.
        decides = weak and limits.decoded
        return (
            ("INCONCLUSIVE", ["results have to decide, and how far they agree is not known"])
            if decides
            else ("PASS", [])
        )
    if last.end != RESULTS and limits.least_db is None:
        return "PASS", []
    if agreement.reference_empty and vacuous:
        return "INCONCLUSIVE", []
    short = agreement.agreement < limits.least_agreement
    verdict, reason = agreement_verdict(agreement, limits.least_agreement, counted=weak or short)
    return verdict, [] if verdict == "PASS" else [reason]


def _below(compared: Comparison, way: Way) -> str:
    """Outputs of less precision, where no results are there to decide."""
    limits = compared.limits
    outputs = next((p.stretch for p in compared.parts if p.stretch.end == OUTPUTS), None)
    if limits.least_db is None or limits.decoded or outputs is None:
        return ""
    least = np.inf
    for i in range(len(compared.names)):
        pairs = zip(outputs.made(way, i).value, outputs.candidate(i), strict=True)
        least = min(least, *(sqnr_db(r, c) for r, c in pairs))
    if least >= limits.least_db:
        return ""
    return f"raw outputs keep {least:.1f} dB of the {limits.least_db:.0f} dB that would be enough without results to decide"
