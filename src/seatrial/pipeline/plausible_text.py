"""Whether a postprocess of text can be right for the numbers that a model gave. Not for: other tasks (plausibility.py)."""

from __future__ import annotations

from seatrial.pipeline.text import activation_of
from seatrial.plan import pipelines
from seatrial.plan.seen import Seen
from seatrial.warning import Warning

# Of a line of text most steps are blank; a blank that hardly ever wins is none.
FEW, MOST = 0.1, 0.4


def text_problem(post: pipelines.Postprocess, seen: Seen) -> str:
    """Why it cannot be right, a phrase that continues 'format is …, which'; '' where nothing shows that."""
    low, high = seen.span
    if post.format != "db" or low > high:
        return ""
    if activation_of(post) == "sigmoid":
        if low < 0 or not 0 < high <= 1:
            return ""
        return f"expects logits, but the map goes from {low:.3g} to {high:.3g}: probabilities already, set activation: none"
    if low >= -0.01 and high <= 1.01:
        return ""
    return (
        f"expects probabilities, but the map goes from {low:.3g} to {high:.3g}: logits, such as docTR exports, need "
        "activation: sigmoid"
    )


def text_doubts(where: str, post: pipelines.Postprocess, seen: Seen) -> tuple[Warning, ...]:
    """What gives the right answer all the same, but scores that are none."""
    activation, key = activation_of(post), f"{where}.activation"
    if not seen.images or post.format == "db":
        return ()
    # Of wide heads columns are not looked at one by one: steps are.
    values = seen.rows or seen.columns
    if values is None or values.blank:
        return ()
    own, other = ("first", "last") if post.blank == "first" else ("last", "first")
    if seen.share(own) < FEW < MOST < seen.share(other):
        said = (
            f"{where}.blank is {own}, but the {own} class wins in {seen.share(own):.0%} of the steps and the {other} one in "
            f"{seen.share(other):.0%}: is the blank there?"
        )
        return (Warning("blank-class", said, f"set blank: {other}"),)
    if activation == "softmax" and values.probabilities:
        said = f"{key} is softmax, but all values are between 0 and 1 already: set activation: none"
        return (Warning("double-activation", said),)
    if activation == "none" and not values.probabilities:
        said = f"{key} is none, but the values go from {values.least:.3g} to {values.most:.3g}: these are logits"
        return (Warning("raw-logits", said, "set activation: softmax"),)
    return ()
