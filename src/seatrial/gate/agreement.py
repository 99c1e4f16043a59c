"""Decoded results that agree, against a limit: over boxes or images, by as many as there are.

For: one verdict with what was matched. Not for: what agrees (parity/results.py).
"""

from __future__ import annotations

from seatrial.history.records import ParityResult, Verdict
from seatrial.stats.resample import trials_to_decide
from seatrial.stats.sample import CONFIDENCE


def agreement_verdict(parity: ParityResult, least: float, counted: bool = True) -> tuple[Verdict, str]:
    """Whether results agree by `least`, with what was matched. counted: whether so few of them have to show it, which is
    not asked where the tensors behind them agree element by element."""
    assert parity.agreement is not None
    matches = f"{parity.agreement_unit}: {parity.matched}" if parity.matched else parity.agreement_unit
    if parity.reference_empty:
        why = "the reference itself has no result to agree with, or the same one for every image"
        return "INCONCLUSIVE", f"{matches}; {why}"
    low, high = parity.agreement_interval or (None, None)
    worst = f"; worst: {', '.join(parity.worst_images[:3])}" if parity.worst_images else ""
    if parity.agreement >= least:
        if not counted or (low is not None and low >= least):
            return "PASS", matches
        needed = _images_needed(parity, least)
        few = f"too few to show {least:.1%}" if parity.agreement_n else "too uncertain"
        more = f"; about {needed:,} images would decide" if needed else ""
        sure = "?" if low is None else f"{low:.1%}"
        return "INCONCLUSIVE", f"{matches}; {few}: at {CONFIDENCE:.0%} no more than {sure} is sure{more}{worst}"
    if not counted or (high is not None and high < least):
        return "FAIL", f"{matches}{worst}"
    return "INCONCLUSIVE", f"{matches}; below the limit, but of so few that {least:.1%} is possible{worst}"


def _images_needed(parity: ParityResult, least: float) -> int | None:
    """How many images like these would show it; of boxes, so many that not too many may fail altogether unseen."""
    assert parity.agreement is not None
    if parity.agreement_of != "boxes":
        return trials_to_decide(parity.agreement, least, CONFIDENCE)
    return trials_to_decide(1.0, least / parity.agreement, CONFIDENCE) if parity.agreement > least else None
