"""Whether the numbers of a picture show anything at all of what a postprocess reads. For: `init`, which ticks only what a
picture confirms. Not for: whether they can be right (plausibility.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from seatrial.kernels.detection_formats import FORMATS
from seatrial.model.file import ModelInfo
from seatrial.pipeline.outputs_read import columns_behind, outputs_read
from seatrial.pipeline.plausible_layouts import part_of, without
from seatrial.plan import pipelines, tasks
from seatrial.plan.seen import Seen

# Below it a plan of `init` counts no object; as a probability, and as the logit of a sigmoid.
LEAST_SCORE, LEAST_LOGIT = 0.25, -1.1


def nothing_shown(post: pipelines.Postprocess, model: ModelInfo, seen: Mapping[str, Seen]) -> str:
    """What the picture did not show, or ''. seen: every output of the model on it."""
    read = [seen[name] for name in outputs_read(post, model.outputs)]
    if any(map(_constant, read)):
        return "the picture gave one value throughout"
    if post.task in tasks.OBJECTS and post.format in FORMATS and _no_object(post, model, seen, read):
        return "nothing was found on the picture"
    if post.format == "ctc" and read[0].share(post.blank) == 1:
        return "nothing was read on the picture, all steps are blank"
    return ""


def _constant(seen: Seen) -> bool:
    low, high = seen.span
    if len(seen.shape) == 2:
        ranges = seen.columns
        return seen.lengths == (0, 0) or (ranges is not None and ranges.high.size > 1 and ranges.least == ranges.most)
    return len(seen.shape) > 2 and low == high


def _no_object(post: pipelines.Postprocess, model: ModelInfo, seen: Mapping[str, Seen], read: list[Seen]) -> bool:
    form = FORMATS[post.format or ""]
    tensors = read if form.shapes else [s for s in read if len(s.shape) == 3]
    as_came = [
        replace(o, shape=seen[o.name].shape) for o in model.outputs if o.name in outputs_read(post, model.outputs)
    ]
    plain = [without(form, tensors[0], columns_behind(post, as_came) or 0), *tensors[1:]]
    most = {}
    for part in form.parts:
        values = part_of(part, plain[part.output]) if part.output < len(plain) else None
        least = {"scores": LEAST_SCORE, "objectness": LEAST_SCORE, "logits": LEAST_LOGIT}.get(part.name)
        if least is not None and values is not None:
            most[part.name] = values.most
            if values.most < least:
                return True
    # A box's score is their product, which no box has more of.
    if "objectness" in most and most["objectness"] * most.get("scores", 1.0) < LEAST_SCORE:
        return True
    return any(0 in s.shape for s in tensors)
