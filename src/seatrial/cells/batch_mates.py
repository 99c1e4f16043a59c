"""Whether an image's answer depends on its place in a batch, or on the images beside it.

For: cells of several images a batch, each against itself, since a matrix need not have one of batch 1 to hold it to. One image
is run among others, and in all places at once: the model that answers for its first image alone, that forgets the last, that
takes the first image's size for all, or that normalises over the batch is found alike. Not for: what else differs between
batch sizes (trial/tensor_parity.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import ModelError
from seatrial.jobs.opened import OpenedPipeline
from seatrial.jobs.workload import PipelineWorkload
from seatrial.pipeline.image_outputs import outputs_by_image
from seatrial.pipeline.results import Result
from seatrial.precision.closeness import sqnr_db
from seatrial.warning import Warning

Array = npt.NDArray[Any]
# What an image may lose of its answer: above the first nothing is said, below the second it is another answer.
SAME, UNLIKE = 0.99, 0.5
# Of raw outputs, dB of signal to noise that are as much.
SAME_DB, UNLIKE_DB = 40.0, 10.0
# One model on one runtime: the same object is where it was, and as sure, but for rounding.
LEAST_IOU, MOST_SCORE_DIFFERENCE = 0.9, 0.01


@dataclass(frozen=True)
class _Answer:
    """One image's, kept: its result, and its rows of the outputs that have rows of images."""

    result: Result
    rows: dict[str, Array]


def batch_mates(w: PipelineWorkload, opened: OpenedPipeline, busiest: int) -> list[Warning]:
    """busiest: the image of which the pipeline finds most. It is run in second place among others, then in all places.

    Two runs, and a third where the answers differ: what differs in one order too is no matter of company, and parity tells it.

    Raises:
        ModelError: in some place the image has another answer.
    """
    if w.batch < 2 or len(opened.data) < 2:
        return []
    others = [i for i in range(len(opened.data)) if i != busiest]
    first, *rest = [others[k % len(others)] for k in range(w.batch - 1)]
    among = [first, busiest, *rest]
    (own,) = _answers(w, opened, among, [1])
    alone = _answers(w, opened, [busiest] * w.batch, range(w.batch))
    alike = [_alike(own, other) for other in alone]
    known = [(share, said, place) for place, found in enumerate(alike) if found is not None for share, said in [found]]
    if not known:
        return [] if _has_objects(own) is not None else [_not_told(w)]
    share, said, place = min(known)
    if share >= SAME:
        return []
    again = _alike(own, _answers(w, opened, among, [1])[0])
    if again is not None and again[0] < SAME:
        return []
    name = opened.data.images[busiest].name
    told = (
        f"an image's answer depends on its place in a batch of {w.batch}, or on its neighbours: of {name} among others, {said} "
        f"in place {place + 1} of a batch of itself"
    )
    cure = "set matrix.batch_sizes: [1], or export the model with a batch that all of it reads"
    if share < UNLIKE:
        raise ModelError(f"pipelines.{w.name}: {told}; {cure}")
    return [Warning("batch-mates", told, cure)]


def _not_told(w: PipelineWorkload) -> Warning:
    said = f"nobody knows whether an answer depends on the neighbours in a batch of {w.batch}: no output has a row an image"
    return Warning(
        "batch-mates-unknown", said, "name the task and format that read them, or set matrix.batch_sizes: [1]"
    )


def _answers(w: PipelineWorkload, opened: OpenedPipeline, order: Sequence[int], places: Sequence[int]) -> list[_Answer]:
    """Of a batch of the images in this order, those in these places, copied: the next run overwrites what a backend gives."""
    pipeline = opened.pipeline
    decoded = {i: pipeline.decode(opened.data[i]) for i in set(order)}
    geometries = pipeline.preprocess([decoded[i] for i in order], opened.feeds)
    outputs = opened.backend.run(opened.feeds)
    by_image = outputs_by_image(w.spec.postprocess, w.model_info.outputs, outputs, w.batch)
    names = [o.name for o in w.model_info.outputs]
    results = pipeline.postprocess(outputs, geometries)
    return [
        _Answer(
            results[place],
            {
                name: np.array(own)
                for name, own, whole in zip(names, by_image[place], outputs, strict=True)
                # One that stands as a whole for each image says nothing of any.
                if own is not whole and own.dtype.kind in "fiub"
            },
        )
        for place in places
    ]


def _has_objects(answer: _Answer) -> bool | None:
    """None where the result is no list of things."""
    from seatrial.kernels.results import Detections, Labels

    return bool(len(answer.result)) if isinstance(answer.result, Detections | Labels) else None


def _alike(own: _Answer, other: _Answer) -> tuple[float, str] | None:
    """How much of an answer is the same, 0 to 1, and that in words; None where there is nothing to tell by.

    Objects one to one, since rows that are ordered by score change places for nothing; all else by the raw outputs, of which
    the worst counts: the same class of two images proves little.
    """
    from seatrial.kernels.results import Detections, Labels

    a, b = own.result, other.result
    if isinstance(a, Detections) and isinstance(b, Detections):
        return _counted(a, b, _same_boxes(a, b), "objects")
    if isinstance(a, Labels) and isinstance(b, Labels):
        near = np.abs(a.scores[:, None] - b.scores[None]) <= MOST_SCORE_DIFFERENCE
        return _counted(a, b, (a.class_ids[:, None] == b.class_ids[None]) & near, "classes")
    return _raw_alike(own.rows, other.rows)


def _counted(a: Any, b: Any, same: npt.NDArray[np.bool_], what: str) -> tuple[float, str] | None:
    """F1 of a matching in which each is taken once, the surest first."""
    if not len(a) and not len(b):
        return None
    free, matched = np.ones(len(b), bool), 0
    for row in same:
        candidates = np.flatnonzero(row & free)
        if len(candidates):
            free[candidates[0]] = False
            matched += 1
    share = 2 * matched / (len(a) + len(b))
    return share, f"{matched} of {len(a)} {what} are found again, and {len(b) - matched} others,"


def _same_boxes(a: Any, b: Any) -> npt.NDArray[np.bool_]:
    """(N, M): of one class, as sure, at LEAST_IOU or more, and of the same shape inside the box."""
    from seatrial.kernels.reference import iou_one_to_many

    if not len(a) or not len(b):
        return np.zeros((len(a), len(b)), bool)
    overlap = np.stack([iou_one_to_many(box, b.boxes_xyxy) for box in a.boxes_xyxy])
    same = (overlap >= LEAST_IOU) & (a.class_ids[:, None] == b.class_ids[None])
    same &= np.abs(a.scores[:, None] - b.scores[None]) <= MOST_SCORE_DIFFERENCE
    sides = np.maximum(a.boxes_xyxy[:, 2:] - a.boxes_xyxy[:, :2], 1).max(axis=1)
    for name in ("keypoints", "corners_xy"):
        points, others = getattr(a, name, None), getattr(b, name, None)
        if points is not None and others is not None and points.shape[1:] == others.shape[1:]:
            gaps = np.abs(points[:, None, :, :2] - others[None, :, :, :2])
            away = np.nan_to_num(gaps).max(axis=(2, 3)) if gaps.size else np.zeros(same.shape)
            same &= away <= np.maximum(1.0, 0.05 * sides)[:, None]
    return np.asarray(same)


def _raw_alike(own: dict[str, Array], other: dict[str, Array]) -> tuple[float, str] | None:
    """By the worst output's signal to noise, from UNLIKE at UNLIKE_DB to SAME at SAME_DB; shapes that differ are unlike."""
    worst: tuple[float, str] | None = None
    for name, rows in own.items():
        if name not in other or not rows.size:
            continue
        if other[name].shape != rows.shape:
            return 0.0, f"not even the shape of {name} is kept"
        # Of what is nothing on both sides there is nothing to tell.
        ratio = sqnr_db(rows, other[name])
        if (rows.any() or other[name].any()) and (worst is None or ratio < worst[0]):
            worst = ratio, f"{name} keeps {max(ratio, 0):.1f} dB over the difference"
    if worst is None:
        return None
    share = UNLIKE + (SAME - UNLIKE) * (worst[0] - UNLIKE_DB) / (SAME_DB - UNLIKE_DB)
    return float(np.clip(share, 0.0, 1.0)), worst[1]
