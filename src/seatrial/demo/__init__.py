"""The bundled trial: a plan, two versions of a small detector, 32 images with ground truth, and ways to break it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLAN = Path(__file__).parent / "trial.yaml"
MODEL = Path(__file__).parent / "models" / "seamarks-v1.onnx"
PICTURE = Path(__file__).parent / "images" / "scene-00.jpg"


@dataclass(frozen=True)
class Fault:
    """`changes` lays dotted plan keys over the demo's plan; see plan.load.load_plan."""

    what: str
    changes: dict[str, Any]


_CANDIDATE = "pipelines.candidate."
FAULTS = {
    "channel-order": Fault(
        "the candidate gets BGR where it was trained on RGB", {_CANDIDATE + "preprocess.color": "bgr"}
    ),
    "missing-scale": Fault(
        "the candidate gets 0 to 255 where it was trained on 0 to 1", {_CANDIDATE + "preprocess.scale": 1}
    ),
    "exif-ignored": Fault("the candidate's decoder ignores EXIF orientation", {_CANDIDATE + "decode.exif": "ignore"}),
    "no-nms": Fault("the candidate keeps overlapping boxes (NMS threshold 1)", {_CANDIDATE + "postprocess.iou": 1.0}),
    "high-threshold": Fault(
        "the candidate drops all but its surest boxes", {_CANDIDATE + "postprocess.confidence": 0.9}
    ),
    "tight-budget": Fault("the latency budget is one millisecond", {"budgets.0.max": "1 ms"}),
}
