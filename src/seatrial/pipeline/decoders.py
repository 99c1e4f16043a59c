"""The decoder that a plan's postprocess names. For: joining tasks and kernels. Not for: checks (check_outputs.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from seatrial.kernels.dense import DenseDecoder
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.instances import InstanceDecoder
from seatrial.kernels.labels import LabelDecoder
from seatrial.kernels.oriented import OrientedDecoder
from seatrial.kernels.poses import PoseDecoder
from seatrial.kernels.postprocess import ClassificationDecoder, DetectionDecoder, EmbeddingDecoder
from seatrial.kernels.segmentation import SegmentationDecoder
from seatrial.pipeline.anchors import load_anchors
from seatrial.pipeline.text import text_decoder
from seatrial.plan import pipelines

Decoder = Callable[[Sequence[npt.NDArray[Any]], Sequence[Geometry]], Sequence[Any]]


def decoder_of(
    post: pipelines.Postprocess, engine: str, folder: Path = Path(), labels: Sequence[str] | None = None
) -> Decoder | None:
    """None where a task has no results of its own. folder: the plan's, where a file of anchors lies; labels: of text, its
    characters.

    Raises:
        PlanError: that file cannot be read, or holds no anchors.
    """
    objects: dict[str, Any] = {
        "format": post.format,
        "confidence": post.confidence,
        "iou": post.iou,
        "max_detections": post.max_detections,
        "class_agnostic": post.class_agnostic,
        "engine": engine,
        "boxes": post.boxes,
    }
    if post.task == "detect":
        anchors = load_anchors(folder / post.anchors) if post.anchors is not None else None
        return DetectionDecoder(**objects, anchors_xyxy=anchors, variances=post.variances)
    if post.task == "instances":
        return InstanceDecoder(**objects)
    if post.task == "pose":
        assert post.keypoints is not None
        return PoseDecoder(**objects, keypoints=post.keypoints, sigmas=tuple(post.sigmas) if post.sigmas else None)
    if post.task == "oriented":
        return OrientedDecoder(**objects, nms=post.nms)
    if post.task == "text":
        return text_decoder(post, labels)
    if post.task == "classify" and post.multi_label:
        # With the decoder's own confidence where the plan says none: 0.25 is that of objects.
        own = {"confidence": post.confidence} if "confidence" in post.model_fields_set else {}
        return LabelDecoder(activation=post.activation, **own)
    if post.task == "classify":
        return ClassificationDecoder(post.top_k, post.activation, engine, post.background)
    if post.task == "segment":
        # The others take the greatest score: no activation changes which that is.
        activation = post.activation if post.format == "one_channel" else "none"
        # With the decoder's own threshold where the plan says nothing.
        given = {} if post.threshold is None else {"threshold": post.threshold}
        return SegmentationDecoder(engine, post.format or "scores", post.resize, activation=activation, **given)
    if post.task == "dense":
        return DenseDecoder(post.scale, post.shift, post.invert)
    return EmbeddingDecoder(post.normalize) if post.task == "embed" else None


def has_two_engines(post: pipelines.Postprocess) -> bool:
    """Whether a kernel in C++ does it too; else both engines are the same NumPy code, and agree in saying nothing."""
    if post.task == "segment":
        return (post.format or "scores") in ("scores", "channels_last")
    return post.task not in ("raw", "embed", "dense", "text") and not post.multi_label
