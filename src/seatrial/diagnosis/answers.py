"""A black box's answers as a folder of taps, with results alone: so a diagnosis reads every candidate in one way.

For: what a plan knows that reading answers takes. Not for: reading them (parity/black_box.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from seatrial.cells.preflight import Ready
from seatrial.kernels.results import (
    Classification,
    DenseMap,
    Detections,
    Embedding,
    Instances,
    Labels,
    OrientedBoxes,
    Poses,
    SemanticMask,
    Text,
    TextRegions,
)
from seatrial.parity.black_box import Asked, read_answers
from seatrial.parity.coco_classes import coco_numbers
from seatrial.pipeline.class_count import head_classes
from seatrial.plan import pipelines
from seatrial.taps.shown import ImageTaps
from seatrial.taps.writer import TapsWriter
from seatrial.warning import Warning

_KINDS: dict[str, type] = {
    "detect": Detections,
    "instances": Instances,
    "pose": Poses,
    "oriented": OrientedBoxes,
    "segment": SemanticMask,
    "dense": DenseMap,
    "embed": Embedding,
}


def answers_as_taps(
    path: Path, ready: Ready, pipeline: str, out: Path, rowless_are_empty: bool = False
) -> tuple[Warning, ...]:
    """pipeline: the reference's, whose classes the answers are of. out: an empty folder, or none. Gives what is
    to be said of the answers. DataError as read_answers."""
    spec = ready.plan.plan.pipelines[pipeline]
    truth = ready.plan.plan.images.annotations
    asked = Asked(
        kind=kind_of(spec),
        images=ready.images,
        sizes_hw=ready.sizes_hw,
        labels=ready.labels[pipeline],
        categories=_categories(ready, pipeline),
        annotations=ready.plan.resolve(truth) if truth is not None and ready.truth and ready.truth.coco else None,
    )
    answers = read_answers(path, asked, rowless_are_empty)
    with TapsWriter(out, str(path), answers.stages, total=len(answers.names)) as writer:
        for name in answers.names:
            writer.add(name, ImageTaps(results=answers.load(name).results))
    return answers.warnings


def kind_of(spec: pipelines.Pipeline) -> type | None:
    """Of a pipeline's results; None where the user's own code decides."""
    post = spec.postprocess
    if isinstance(post, pipelines.UserCode):
        return None
    if post.task == "classify":
        return Labels if post.multi_label else Classification
    if post.task == "text":
        return Text if post.format == "ctc" else TextRegions
    return _KINDS.get(post.task)


def _categories(ready: Ready, pipeline: str) -> tuple[int | None, ...]:
    """COCO's category of each class: by the truth, else by the plan alone."""
    found = ready.class_maps.get(pipeline)
    if found is not None and found.ids:
        return found.ids
    post = ready.plan.plan.pipelines[pipeline].postprocess
    if not isinstance(post, pipelines.Postprocess) or post.class_ids is None:
        return ()
    if post.class_ids in ("coco91", "coco80"):
        count = head_classes(post, ready.models[pipeline]) or len(ready.labels[pipeline] or ()) or None
        return coco_numbers(post.class_ids, count)
    return _mapped(post.class_ids, ready.labels[pipeline] or []) if isinstance(post.class_ids, Mapping) else ()


def _mapped(class_ids: Mapping[str, str | int | None], labels: list[str]) -> tuple[int | None, ...]:
    """Of {label or index: category}; what names no number says nothing of COCO's."""
    at = {labels.index(k) if k in labels else int(k): v for k, v in class_ids.items() if k in labels or k.isdigit()}
    known = {k: int(v) for k, v in at.items() if v is not None and str(v).isdigit()}
    return tuple(known.get(k) for k in range(max(known) + 1)) if known else ()
