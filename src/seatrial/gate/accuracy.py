"""Accuracy, and its drop against a reference, against limits: by what so many images can show.

For: a verdict with its reason from two Evaluations. Not for: which cells are judged (budgets.py), or the bounds themselves
(stats/resample.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seatrial.errors import count_of
from seatrial.history.records import Verdict
from seatrial.parity.dense import ErrorEvaluation
from seatrial.parity.evaluation import Evaluation, MeanEvaluation, judged_images, not_judged, value_of
from seatrial.stats.resample import Resampled, images_to_decide, resampled, share_high, share_low, trials_to_decide
from seatrial.stats.sample import CONFIDENCE
from seatrial.units import format_value


@dataclass(frozen=True)
class Judgement:
    """value: of the metric, or the drop of it; None where it is undefined. against: the cell that it is a drop from."""

    verdict: Verdict
    value: float | None
    reason: str
    against: str = ""


def accuracy_interval(evaluation: Evaluation, seed: int) -> tuple[float | None, float | None]:
    """One-sided bounds at 95 % each, those that a budget is judged by: each with one image more than the set has, from below
    one on which nothing is right, from above one on which all is. Of an error the other way round: what nobody has seen may
    be as far off as the worst image here, or as an answer of nothing."""
    if isinstance(evaluation, MeanEvaluation):
        right, n = float(evaluation.values.sum()), evaluation.images
        return share_low(right, n, CONFIDENCE), share_high(right, n, CONFIDENCE)
    own = _of(evaluation, seed)
    if isinstance(evaluation, ErrorEvaluation):
        return own.low(CONFIDENCE, _of(evaluation.with_perfect(0), seed)), own.high(
            CONFIDENCE, _of(_lost(evaluation), seed)
        )
    perfect = evaluation.with_perfect(int(np.argmax(evaluation.right)))
    return own.low(CONFIDENCE, _of(_lost(evaluation), seed)), own.high(CONFIDENCE, _of(perfect, seed))


def judge_accuracy(evaluation: Evaluation, least: float, seed: int) -> Judgement:
    """PASS where even the lower bound reaches `least`, FAIL where not even the upper one does."""
    value = value_of(evaluation)
    if value is None:
        return Judgement("INCONCLUSIVE", None, undefined(evaluation.metric))
    low, high = accuracy_interval(evaluation, seed)
    bounds = f"{evaluation.metric} {_on(evaluation)}, {_range(low, high, 'fraction')} at {CONFIDENCE:.0%} a side"
    if value >= least and low is not None and low >= least:
        return Judgement("PASS", value, bounds)
    if value < least and high is not None and high < least:
        return Judgement("FAIL", value, bounds)
    if isinstance(evaluation, MeanEvaluation):
        needed = trials_to_decide(value, least, CONFIDENCE)
    else:
        needed = _needed(judged_images(evaluation), value, least, low, high)
    return Judgement("INCONCLUSIVE", value, f"{bounds}, which spans the limit; {_more(needed)}")


def judge_error(evaluation: ErrorEvaluation, most: float, seed: int, unit: str = "") -> Judgement:
    """PASS where even the upper bound stays within `most`, FAIL where not even the lower one does. unit: in which the reason
    says it, as the limit is said."""
    value = value_of(evaluation)
    if value is None:
        return Judgement("INCONCLUSIVE", None, undefined(evaluation.metric))
    low, high = accuracy_interval(evaluation, seed)
    ends = " to ".join("?" if v is None else format_value(v, unit) for v in (low, high))
    bounds = (
        f"{evaluation.metric} {_on(evaluation)}, {ends} at {CONFIDENCE:.0%} a side if none is further off "
        f"than {format_value(evaluation.worst, unit)}"
    )
    if value <= most and high is not None and high <= most:
        return Judgement("PASS", value, bounds)
    if value > most and low is not None and low > most:
        return Judgement("FAIL", value, bounds)
    bare = _of(evaluation, seed).high(CONFIDENCE)
    extra = 0.0 if high is None or bare is None else max(0.0, high - bare)
    needed = _needed(judged_images(evaluation), value, most, low, high, extra)
    return Judgement("INCONCLUSIVE", value, f"{bounds}, which spans the limit; {_more(needed)}")


def judge_drop(reference: Evaluation, own: Evaluation, most: float, seed: int) -> Judgement:
    """PASS where even the upper bound of the drop stays within `most`, FAIL where even the lower one is beyond it."""
    before, after = value_of(reference), value_of(own)
    if before is None or after is None:
        return Judgement("INCONCLUSIVE", None, undefined(own.metric))
    drop = before - after
    change = f"{own.metric} {format_value(before, 'fraction')} → {format_value(after, 'fraction')} {_on(own)}"
    if before == 0:
        why = "the reference itself finds nothing right, so that nothing can drop"
        cure = "check its labels, preprocessing and annotations"
        return Judgement("INCONCLUSIVE", drop, f"{change}: {why}; {cure}")
    low, high = drop_interval(reference, own, seed)
    bounds = f"{change}; drop {_range(low, high, 'points')} at {CONFIDENCE:.0%} a side, paired over images"
    if drop <= most and high is not None and high <= most:
        return Judgement("PASS", drop, bounds)
    if drop > most and low is not None and low > most:
        return Judgement("FAIL", drop, bounds)
    bare = _of(reference, seed).minus(_of(own, seed)).high(CONFIDENCE)
    extra = 0.0 if high is None or bare is None else max(0.0, high - bare)
    needed = _needed(judged_images(own), drop, most, low, high, extra)
    return Judgement("INCONCLUSIVE", drop, f"{bounds}, which spans the limit; {_more(needed)}")


def drop_interval(reference: Evaluation, own: Evaluation, seed: int) -> tuple[float | None, float | None]:
    """One-sided bounds at 95 % each of what is right of the reference less what is of the other, paired over images."""
    plain = _of(reference, seed).minus(_of(own, seed))
    worst = int(np.argmax(reference.right))
    lost = _of(reference.with_copy(worst, found=True), seed).minus(_of(own.with_copy(worst, found=False), seed))
    kept = _of(reference.with_perfect(worst), seed).minus(_of(own.with_perfect(worst), seed))
    # An image more may also raise a figure that is not linear, such as mAP: it is there to make a FAIL harder.
    lows = plain.low(CONFIDENCE), plain.low(CONFIDENCE, with_extreme=kept)
    low = None if lows[0] is None or lows[1] is None else min(lows[0], lows[1])
    high = plain.high(CONFIDENCE, with_extreme=lost)
    if low is not None and isinstance(reference, MeanEvaluation) and isinstance(own, MeanEvaluation):
        # No drop is surely larger than the share of images that are surely lost, which is exact.
        losses = float((own.values < reference.values).sum())
        low = min(low, share_low(losses, own.images, CONFIDENCE))
    return low, high


def undefined(metric: str) -> str:
    return f"{metric} is undefined: the annotations hold nothing to be found on these images; annotate them, or take others"


def _on(evaluation: Evaluation) -> str:
    """'on 12 images', or 'on 10 images (2 of 12 images not judged)'."""
    left_out = not_judged(evaluation)
    return f"on {count_of(judged_images(evaluation), 'image')}" + (f" ({left_out})" if left_out else "")


def _of(evaluation: Evaluation, seed: int) -> Resampled:
    return resampled(evaluation.weighted, evaluation.images, seed)


def _lost(evaluation: Evaluation) -> Evaluation:
    """With one image more, like the one with most that is right, of which nothing is found."""
    return evaluation.with_copy(int(np.argmax(evaluation.right)), found=False)


def _needed(
    images: int, value: float, limit: float, low: float | None, high: float | None, extra: float = 0.0
) -> int | None:
    edge = low if (low is not None and (value >= limit) == (low < limit)) else high
    plain = None if edge is None else edge - extra if edge > value else edge
    return images_to_decide(images, value, limit, plain, extra)


def _more(needed: int | None) -> str:
    if needed is None:
        return "the value lies so near the limit that more images would hardly tell"
    return f"about {needed:,} images would decide"


def _range(low: float | None, high: float | None, unit: str) -> str:
    scale, sign = 100, " points" if unit == "points" else " %"
    ends = ["?" if v is None else f"{scale * v:.1f}" for v in (low, high)]
    return f"{ends[0]} to {ends[1]}{sign}"
