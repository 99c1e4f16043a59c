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
    """`changes` lays dotted plan keys over the demo's plan; see plan.load.load_plan. mistake: its stable name, where it is a
    known one (seatrial.faults)."""

    what: str
    changes: dict[str, Any]
    mistake: str = ""


_CANDIDATE = "pipelines.candidate."


def _mistake(name: str, what: str, key: str, value: Any) -> Fault:
    return Fault(f"the candidate {what}", {_CANDIDATE + key: value}, name)


FAULTS = {
    "channel-order": _mistake("channel-order", "gets BGR where it was trained on RGB", "preprocess.color", "bgr"),
    "scale-missing": _mistake("scale-missing", "gets 0 to 255 where it was trained on 0 to 1", "preprocess.scale", 1),
    "scale-doubled": _mistake("scale-doubled", "gets values divided by 255 twice", "preprocess.scale", 1 / 255**2),
    "scale-wrong": _mistake("scale-wrong", "gets values divided by 127.5", "preprocess.scale", 1 / 127.5),
    "mean-std": Fault(
        "the candidate gets ImageNet's mean and std, which it was not trained on",
        {
            _CANDIDATE + "preprocess.mean": [0.485, 0.456, 0.406],
            _CANDIDATE + "preprocess.std": [0.229, 0.224, 0.225],
        },
        "mean-std",
    ),
    "interpolation": _mistake("interpolation", "takes the nearest pixel", "preprocess.interpolation", "nearest"),
    "antialias": _mistake("antialias", "resizes with antialiasing", "preprocess.interpolation", "antialias_linear"),
    "resize-mode": _mistake("resize-mode", "stretches images", "preprocess.mode", "stretch"),
    "pad-value": _mistake("pad-value", "pads with black", "preprocess.pad_value", 0),
    "pad-anchor": _mistake("pad-anchor", "pads at the right and below alone", "preprocess.pad_anchor", "top_left"),
    "exif": _mistake("exif", "ignores EXIF orientation", "decode.exif", "ignore"),
    "nms-settings": _mistake("nms-settings", "keeps overlapping boxes (NMS threshold 1)", "postprocess.iou", 1.0),
    "high-threshold": _mistake("nms-settings", "drops all but its surest boxes", "postprocess.confidence", 0.9),
    "tight-budget": Fault("the latency budget is one millisecond", {"budgets.0.max": "1 ms"}),
}
# What some were called before mistakes had names of their own.
ALIASES = {"missing-scale": "scale-missing", "exif-ignored": "exif", "no-nms": "nms-settings"}
