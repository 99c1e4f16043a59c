"""Scores of a classifier that get an activation too many, or one too few: the order of classes is right, and no score is.

For: plausibility.py. Not for: which class is which.
"""

from __future__ import annotations

from seatrial.plan import pipelines
from seatrial.plan.seen import Seen
from seatrial.warning import Warning


def class_doubts(where: str, post: pipelines.Postprocess, scores: Seen) -> tuple[Warning, ...]:
    """where: the postprocess' place in the plan. scores: the output that is read, over all images."""
    if scores.columns is None or not scores.images or scores.columns.high.size < 2:
        return ()
    activation, where = post.activation, f"{where}.activation"
    if activation != "none" and scores.columns.probabilities and not scores.columns.blank:
        if scores.sums[0] > 0.99 and scores.sums[1] < 1.01:
            said = f"{where} is {activation}, but the model's scores sum to 1 already: set activation: none"
            return (Warning("double-activation", said),)
        if activation == "sigmoid":
            said = f"{where} is sigmoid, but all scores are between 0 and 1 already: set activation: none"
            return (Warning("double-activation", said),)
        if not post.multi_label:
            low, high = scores.sums
            said = (
                f"{where} is softmax, but all scores are between 0 and 1 already and sum to {low:.3g} to {high:.3g}: a "
                "sigmoid's, of a model that may give several classes?"
            )
            return (
                Warning("double-activation", said, "set activation: none, with multi_label: true for several classes"),
            )
    if activation == "none" and not scores.columns.probabilities:
        span = f"{scores.columns.least:.3g} to {scores.columns.most:.3g}"
        said = f"{where} is none, but the scores go from {span}: these are logits"
        cure = f"set activation: {'sigmoid' if post.multi_label else 'softmax'}"
        return (Warning("raw-logits", said, cure),)
    return ()
