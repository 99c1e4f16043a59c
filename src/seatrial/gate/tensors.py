"""Raw outputs against the reference's, part by part: decisions from what was measured. For: tensors. Not for: decoded results.

Elementwise where precision is the same; by SQNR and cosine where it is reduced, and between pipelines that decode nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from seatrial.gate.decisions import decision
from seatrial.history.records import CellRecord, Decision, ParityResult, TensorDifference, Verdict
from seatrial.parity.tolerance import DESTROYED_DB, PLANS, QUIET

_SEVERITY = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}
# A tensor that is zero in the reference has no ratio: what is below the table's atol across runtimes is nothing.
NEGLIGIBLE = 1e-3


def judge_tensors(cell: CellRecord, parity: ParityResult) -> list[Decision]:
    """Of one cell against the reference of its own pipeline. Empty where the raw outputs hold nothing to judge."""
    check = "parity tensors"
    if parity.special_images:
        reason = f"NaN or infinity on one side only in {parity.special_images} image(s), first {parity.special_example}"
        return [decision(check, "FAIL", reason, cell.id)]
    if parity.other_shapes:
        return [decision(check, "FAIL", f"{parity.tensors_note}, on all images", cell.id)]
    broken = next((t for t in parity.tensors if t.nan_mismatch), None)
    if broken:
        return [decision(check, "FAIL", f"{broken.name}: NaN or infinity on one side only", cell.id)]
    rows = _with_numbers(parity.tensors)
    if not rows:
        return []
    if parity.rtol is not None and parity.atol is not None:
        return [_elementwise(cell, parity, rows)]
    if parity.mean_rtol is not None:
        return [_by_mean(cell, parity, rows)]
    return [_by_sqnr(cell, "parity SQNR", parity, rows)] if parity.sqnr_from else []


def judge_between(cell: CellRecord, across: ParityResult) -> Decision | None:
    """Another pipeline's raw outputs, where neither decodes anything. None where there are none to compare."""
    check = f"agreement with {across.reference.rsplit('.', 4)[0]}"
    rows = _with_numbers(across.tensors)
    if not rows:
        return None
    broken = next((t for t in rows if t.nan_mismatch), None)
    if across.special_images:
        where = f"in {across.special_images} image(s), first {across.special_example}"
        found = decision(check, "FAIL", f"NaN or infinity on one side only {where}", cell.id)
    elif broken:
        found = decision(check, "FAIL", f"{broken.name}: NaN or infinity on one side only", cell.id)
    else:
        found = _by_sqnr(cell, check, across, rows)
    if _by_default(across) and found.verdict != "PASS":
        reason = f"{found.reason}; nothing says whose outputs are right: set parity.sqnr"
        return found.model_copy(update={"verdict": "INCONCLUSIVE", "reason": reason})
    return found


def why_nothing(parity: ParityResult) -> str:
    """Why a cell that was to be compared has no decision."""
    if parity.tensors_note:
        return f"raw outputs cannot be compared ({parity.tensors_note}), and nothing is decoded"
    if not parity.tensors:
        return "nothing is decoded, and there are no raw outputs to compare"
    if not _with_numbers(parity.tensors):
        return "nothing is decoded, and no output holds numbers: text, or nothing at all"
    return "nothing is decoded, and no limit is known for the raw outputs"


def _with_numbers(tensors: Sequence[TensorDifference]) -> list[TensorDifference]:
    """Records from before they were counted do not say; they had some."""
    return [t for t in tensors if t.elements != 0 or t.nan_mismatch]


def _elementwise(cell: CellRecord, parity: ParityResult, rows: Sequence[TensorDifference]) -> Decision:
    worst = max(rows, key=lambda t: (t.share_outside or 0.0, t.max_abs))
    verdict: Verdict = "PASS" if not worst.share_outside else "FAIL"
    source = f" ({parity.tolerance_from})" if parity.tolerance_from else ""
    zero = "; zero throughout on both sides" if all(t.reference_max_abs == 0 and t.max_abs == 0 for t in rows) else ""
    reason = f"{worst.name}: max |Δ| {worst.max_abs:.2g} at rtol {parity.rtol:g}, atol {parity.atol:g}{source}{zero}"
    numbers = {"value": worst.share_outside, "limit": 0.0, "unit": "share outside"}
    return decision("parity tensors", verdict, reason, cell.id, **numbers)


def _by_mean(cell: CellRecord, parity: ParityResult, rows: Sequence[TensorDifference]) -> Decision:
    """Where the reference is zero there is no relative error: then only nothing at all is close."""
    limit = parity.mean_rtol or 0.0
    sizes = [(t.mean_relative if t.mean_relative is not None else float(t.max_abs > 0), t) for t in rows]
    value, worst = max(sizes, key=lambda pair: pair[0])
    reason = f"{worst.name}: mean |Δ| of {value:.2g} of the mean size, at most {limit:g} ({parity.tolerance_from})"
    verdict: Verdict = "PASS" if value <= limit else "FAIL"
    return decision("parity tensors", verdict, reason, cell.id, value=value, limit=limit, unit="fraction")


def _by_sqnr(cell: CellRecord, check: str, parity: ParityResult, rows: Sequence[TensorDifference]) -> Decision:
    """The worst part decides. One that cannot be judged never passes by itself."""
    standings = [(*_standing(t, parity), t) for t in rows]
    verdict, why, worst = min(standings, key=lambda s: (_SEVERITY[s[0]], _sqnr(s[2])))
    value = f"{worst.sqnr_db:.1f} dB, cosine {worst.cosine:.4f}" if None not in (worst.sqnr_db, worst.cosine) else ""
    limit = f"limit: {parity.sqnr_from}" if parity.sqnr_from else ""
    reason = f"{worst.name}: " + "; ".join(words for words in (value, why, limit) if words)
    return decision(check, verdict, reason, cell.id, value=worst.sqnr_db, limit=parity.least_sqnr_db, unit="dB")


def _sqnr(t: TensorDifference) -> float:
    return t.sqnr_db if t.sqnr_db is not None else float("inf")


def _standing(t: TensorDifference, parity: ParityResult) -> tuple[Verdict, str]:
    """One part's verdict and why, where decoded results are there to decide (`doubt` then passes) and where not."""
    doubt: Verdict = "PASS" if parity.decoded else "INCONCLUSIVE"
    largest = t.reference_max_abs if t.reference_max_abs is not None else math.inf
    if t.max_abs == 0:
        return ("PASS", "identical") if largest > 0 else (doubt, "zero throughout on both sides")
    if t.unit_range and largest + t.max_abs < QUIET:
        return doubt, f"no value reaches {QUIET:g} on either side"
    if largest == 0:
        verdict = doubt if t.max_abs <= NEGLIGIBLE else "INCONCLUSIVE"
        return verdict, f"the reference is zero throughout, max |Δ| {t.max_abs:.2g}"
    if t.sqnr_db is None:
        # Too small or too large a ratio for a float to hold.
        return "FAIL" if t.max_abs > largest else "PASS", f"max |Δ| {t.max_abs:.2g}"
    verdict, why = _at_limits(t, t.sqnr_db, parity)
    if verdict == "PASS" and not parity.decoded and (t.flattened or (t.lost_rows and _by_default(parity))):
        what = f"{t.flattened} rows vary in the reference and are constant here" if t.flattened else ""
        what = what or f"{t.lost_rows} rows have lost what they tell apart"
        return doubt, f"{what}: if parts of unlike size are pooled, name postprocess.format"
    return verdict, why


def _by_default(parity: ParityResult) -> bool:
    return not parity.sqnr_from.startswith(PLANS)


def _at_limits(t: TensorDifference, sqnr_db: float, parity: ParityResult) -> tuple[Verdict, str]:
    """By the limits that the result carries; a default one also asks for more than a constant output would give."""
    least, failing, cosine = parity.least_sqnr_db, parity.failing_sqnr_db, parity.least_cosine
    if least is None and cosine is None:
        return "INCONCLUSIVE", ""
    if cosine is not None and (t.cosine is None or t.cosine < cosine):
        return "FAIL", f"cosine below {cosine:g}"
    if failing is not None and sqnr_db < failing:
        return "FAIL", f"below {failing:g} dB"
    if _by_default(parity) and failing is not None and t.variation_db is not None and t.variation_db < DESTROYED_DB:
        return "FAIL", f"a constant would be nearly as close: {t.variation_db:.1f} dB of its variation"
    if least is None or sqnr_db >= least:
        return "PASS", ""
    if failing is None:
        return "INCONCLUSIVE", f"below the {least:g} dB of the same outputs"
    return "INCONCLUSIVE", f"between {failing:g} and {least:g} dB only the task's own metric can say"
