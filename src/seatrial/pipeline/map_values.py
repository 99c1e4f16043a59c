"""Whether the numbers of a map can be what its format reads, over all images of a trial.

For: probabilities read as logits, halves read as class numbers, channels on the wrong side. Not for: detectors and classifiers
(plausibility.py), nor shapes that the file has already (check_maps.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.pipeline.check_maps import channels_are_last
from seatrial.pipeline.plausible_layouts import beyond_labels
from seatrial.plan import pipelines
from seatrial.plan.seen import Seen
from seatrial.warning import Warning


def map_problem(
    post: pipelines.Postprocess, seen: Seen, input_hw: tuple[int, int] | None, labels: Sequence[str] | None
) -> tuple[str, str]:
    """Why the map cannot be what is read, as words that continue 'format is …, which', and the cure; '' twice where it can."""
    low, high = seen.span
    span, one_channel = f"{low:.3g} to {high:.3g}", len(seen.shape) == 3 or seen.shape[1:2] == (1,)
    form = post.format or "scores"
    if post.task == "segment" and form in ("scores", "channels_last"):
        turned = channels_are_last(seen.shape, input_hw or ())
        if turned is (form == "scores"):
            other = "channels_last" if turned else "scores"
            return f"reads {_CHANNELS[form]}, but the output has shape {seen.shape}", f"set format: {other}"
    if not one_channel or not seen.images or low > high:
        return "", ""
    if form == "class_map" and (not seen.whole or low < 0):
        why = "and are not whole" if not seen.whole else "and numbers of classes are not negative"
        return f"reads class numbers, but they go from {span} {why}", "set format: one_channel with a threshold"
    if form == "class_map" and labels and len(labels) <= high != IGNORED:
        said, _, cure = beyond_labels(high, len(labels)).partition("; ")
        return said, cure or "give one a class"
    if form == "one_channel" and post.activation == "sigmoid" and low >= -0.01 and high <= 1.01 and high > 0:
        why = f"expects logits for activation: sigmoid, but all values are from {span}: no pixel would be below a half"
        return why, "set activation: none"
    if form == "one_channel" and post.activation == "none" and not (low >= -0.01 and high <= 1.01):
        return f"expects probabilities for activation: none, but they go from {span}", "set activation: sigmoid"
    return "", ""


def map_doubts(where: str, post: pipelines.Postprocess, seen: Seen) -> tuple[Warning, ...]:
    """What may be so, and hardly is."""
    low, high = seen.span
    if post.task == "segment":
        return _independent(where, post, seen)
    if post.task != "dense" or not seen.images or low > high:
        return ()
    ends = sorted(v * post.scale + post.shift for v in (low, high))
    if post.invert and ends[0] <= 0:
        said = f"{where}.invert is set, but value * scale + shift goes from {ends[0]:.3g} to {ends[1]:.3g}"
        return (Warning("no-inverse", f"{said}: what is not above 0 becomes NaN", "check scale and shift"),)
    if low == high:
        return (Warning("constant-map", f"{where}: all values of all images are {low:.3g}"),)
    return ()


def _independent(where: str, post: pipelines.Postprocess, seen: Seen) -> tuple[Warning, ...]:
    """A sigmoid a class and none for the rest: the greatest of them is some class everywhere."""
    form = post.format or "scores"
    if form not in ("scores", "channels_last") or len(seen.shape) != 4:
        return ()
    low, high = seen.span
    share = seen.share("cells_of_none" if form == "scores" else "pixels_of_none")
    if not seen.images or seen.whole or low < -0.01 or high > 1.01 or share < 0.5:
        return ()
    said = (
        f"{where}.format is {form}, which gives each pixel the class with the greatest score, but the scores lie between 0 and "
        f"1, do not add up to 1 over the classes, and in {share:.0%} of the cells none reaches a half: independent sigmoids?"
    )
    cure = "there some class is given all the same; add a channel for the background, or use a Python postprocess"
    return (Warning("independent-scores", said, cure),)


# What label images, and some models, call 'not judged'.
IGNORED = 255
_CHANNELS = {"scores": "(B, classes, height, width)", "channels_last": "(B, height, width, classes)"}
