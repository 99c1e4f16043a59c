"""What is known of a side otherwise than by making mistakes in the reference, into the record: invariants, votes, precisions.

For: what each means for the verdict, in one place. Not for: finding it out (alone.py, rows.py, votes.py, calibration.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seatrial.diagnosis.verdict import UNEXPLAINED
from seatrial.history.records.diagnosis import Diagnosis, Invariant, ParityRecord
from seatrial.history.records.measurement import said_of_types, share_computed, share_untold
from seatrial.warning import Warning

# By the invariant that does not hold. A model that gives other numbers for an open shape than for the same one fixed is not run
# as its file says, by one of the two.
_FAULTS = {"dynamic-shape": "backend-wrong"}
_WHAT = {
    "batch-dependent": "gives an image another answer in another batch, by itself",
    "backend-wrong": "gives other numbers where the same shape was left open, by itself",
}


def with_findings(record: ParityRecord, found: Sequence[Diagnosis]) -> ParityRecord:
    """found: what explains where they part, which no mistake that was tried did."""
    known = {d.fault for d in record.diagnosis}
    more = tuple(d for d in found if d.fault not in known)
    if not more:
        return record
    names = " and ".join(dict.fromkeys(d.fault for d in more))
    reason = record.reason.replace(UNEXPLAINED, f": {names}")
    if reason == record.reason and record.verdict == "DIFFER":
        reason = f"{reason}; {names}"
    return record.model_copy(update={"reason": reason, "diagnosis": (*record.diagnosis, *more)})


def with_invariants(record: ParityRecord, invariants: Sequence[Invariant]) -> ParityRecord:
    """invariants: of both sides. The candidate's name a fault, whatever else was found; the reference's leave it no
    yardstick."""
    of_reference = _violated(invariants, "reference")
    of_candidate = _violated(invariants, "candidate")
    record = record.model_copy(update={"invariants": (*record.invariants, *invariants)})
    agrees = record.verdict != "DIFFER"
    faults: dict[str, list[Invariant]] = {}
    for i in of_candidate:
        faults.setdefault(_FAULTS.get(i.name, "batch-dependent"), []).append(i)
    record = with_findings(
        record,
        [
            Diagnosis(fault=fault, what=_WHAT[fault], stage="outputs", evidence="; ".join(i.said for i in own))
            for fault, own in faults.items()
        ],
    )
    if of_candidate and agrees:
        said = f"{' and '.join(faults)}: the candidate by itself, {of_candidate[0].said}; {record.reason}"
        record = record.model_copy(update={"verdict": "DIFFER", "reason": said})
    if not of_reference:
        return record
    said = f"the reference is no yardstick: by itself, {'; '.join(i.said for i in of_reference)}"
    cure = "compare with a model whose rows do not depend on each other, or in a backend that keeps them apart"
    update: dict[str, object] = {"warnings": (*record.warnings, Warning("reference-unsound", said, cure))}
    if agrees:
        # Both may be wrong in the same way.
        update |= {
            "verdict": "INCONCLUSIVE",
            "reason": f"the reference is no yardstick, by itself: {of_reference[0].said}",
        }
    return record.model_copy(update=update)


def with_precision(
    record: ParityRecord, precision: str, why: str, computed_in: Mapping[str, int], required: float | None
) -> ParityRecord:
    """why: the candidate does not compute in its precision; '' where it does. required: what share of its products has to, by
    the plan. As in a trial that alone makes it fail; else it is said wherever the verdict is."""
    if not why:
        return record
    d = Diagnosis(
        fault="precision-not-applied",
        what=f"was asked for {precision} and does not run it",
        stage="outputs",
        evidence=why,
    )
    said = f"asked for {precision}, and {said_of_types(computed_in) if computed_in else why}"
    cure = "name a backend that has kernels for it, or leave the precision out"
    update: dict[str, object] = {
        "diagnosis": (*record.diagnosis, d),
        "warnings": (*record.warnings, Warning("computed-otherwise", said, cure)),
    }
    share = share_computed(computed_in, precision)
    if record.verdict != "DIFFER":
        update["reason"] = f"{record.reason}; but precision-not-applied: {said}"
        if required is not None and share is not None and share + share_untold(computed_in) < required:
            least = f"the plan asks for {required:.0%} of them"
            update |= {"verdict": "DIFFER", "reason": f"precision-not-applied: {said}, and {least}; {record.reason}"}
    return record.model_copy(update=update)


def with_reference_odd(record: ParityRecord, against: str) -> ParityRecord:
    """against: what the search says where a third backend takes the candidate's part: then the reason says who is wrong."""
    if not any(d.fault == "backend-wrong" and d.what.endswith(against) for d in record.diagnosis):
        return record
    said = f"{record.reason}; the reference's backend is the odd one of three, not the candidate's"
    return record.model_copy(update={"reason": said})


def _violated(invariants: Sequence[Invariant], side: str) -> list[Invariant]:
    return [i for i in invariants if i.holds is False and i.side == side]
