"""A detector's boxes before NMS: as the reference has them, and what it makes of a candidate's own.

For: the stage between raw outputs and results. Not for: tasks whose results are more than boxes (masks, points, corners), or
models that choose among their boxes themselves: these have no such stage here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.stages import RESULTS
from seatrial.diagnosis.steps import Step
from seatrial.diagnosis.way import At, Way, wrapped
from seatrial.kernels.detection_formats import FORMATS
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.native_postprocess import detections_of
from seatrial.kernels.results import Detections
from seatrial.pipeline.results import Result
from seatrial.plan import pipelines

# More than any head has anchors.
EVERY = 1_000_000


def has_candidates(spec: pipelines.Pipeline) -> bool:
    post = spec.postprocess
    return isinstance(post, pipelines.Postprocess) and post.task == "detect" and FORMATS[post.format or ""].needs_nms


def before_nms(way: Way) -> Way:
    """The same, whose results are its candidates: nothing is suppressed, and none is one too many."""
    return way.with_settings("postprocess", iou=1.0, max_detections=EVERY)


def of_candidates(way: Way) -> Step:
    """The results that a way makes of candidates in pixels of the picture: its threshold, its NMS, and what was put behind."""
    post = way.spec.postprocess
    assert isinstance(post, pipelines.Postprocess)

    def suppress(at: At) -> At:
        if not isinstance(at.value, Detections) or at.geometry is None:
            raise ValueError("expected boxes before NMS")
        c, hw = at.value, at.geometry.source_hw
        found, _ = detections_of(
            np.ascontiguousarray(c.boxes_xyxy, np.float32).reshape(-1, 4),
            np.ascontiguousarray(c.scores, np.float32),
            np.asarray(c.class_ids, np.int64),
            Geometry(hw, hw, hw, 0, 0),
            post.confidence,
            post.iou,
            post.class_agnostic,
            post.max_detections,
        )
        return At(found, at.geometry)

    return wrapped(suppress, way.wraps.get(RESULTS, ()))


def above(candidates: Result, way: Way) -> Result:
    """Those that count: a log may be from before the threshold, which NMS applies as well."""
    post = way.spec.postprocess
    if not isinstance(candidates, Detections) or not isinstance(post, pipelines.Postprocess):
        return candidates
    return _kept(candidates, ~(np.asarray(candidates.scores) <= post.confidence))


def _kept(c: Detections, rows: npt.NDArray[np.bool_]) -> Detections:
    return replace(c, boxes_xyxy=c.boxes_xyxy[rows], scores=c.scores[rows], class_ids=c.class_ids[rows])


def clipped(candidates: Detections, geometry: Geometry) -> Detections:
    """To the picture, as results are; what has no area then is none."""
    height, width = geometry.source_hw
    boxes = np.clip(candidates.boxes_xyxy, 0, np.array([width, height] * 2, np.float32))
    seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return _kept(replace(candidates, boxes_xyxy=boxes), seen)
