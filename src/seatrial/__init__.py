"""seatrial: sea trials for computer-vision models.

    record = seatrial.run("trial.yaml")            # what the command does
    frame  = seatrial.load_results("results/")     # pandas, one row a cell and stage
    pre    = seatrial.Preprocess(size=(640, 640))  # the same kernels, for training and serving

Names are loaded on first use, so that `import seatrial` costs next to nothing and loads no backend.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if sys.platform != "linux":
    raise ImportError(
        f"seatrial: expected Linux, whose /proc, /sys and clocks its measurements rest on, got {sys.platform}; run it on "
        "Linux, in a Linux container, or in WSL 2"
    )

if TYPE_CHECKING:
    from seatrial.api import run
    from seatrial.errors import SeatrialError
    from seatrial.history.frame import load_results
    from seatrial.history.records import Record
    from seatrial.images.decode import decode_image
    from seatrial.kernels.dense import DenseDecoder
    from seatrial.kernels.geometry import Geometry
    from seatrial.kernels.instances import InstanceDecoder
    from seatrial.kernels.labels import LabelDecoder
    from seatrial.kernels.oriented import OrientedDecoder
    from seatrial.kernels.poses import PoseDecoder
    from seatrial.kernels.postprocess import (
        ClassificationDecoder,
        DetectionDecoder,
        EmbeddingDecoder,
    )
    from seatrial.kernels.preprocess import Preprocess
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
    from seatrial.kernels.segmentation import SegmentationDecoder
    from seatrial.kernels.text import TextDecoder
    from seatrial.kernels.text_regions import TextRegionDecoder
    from seatrial.plan.load import load_plan

__version__ = "0.1.0"

_HOMES = {
    "Classification": "kernels.results",
    "ClassificationDecoder": "kernels.postprocess",
    "DenseDecoder": "kernels.dense",
    "DenseMap": "kernels.results",
    "DetectionDecoder": "kernels.postprocess",
    "Detections": "kernels.results",
    "Embedding": "kernels.results",
    "EmbeddingDecoder": "kernels.postprocess",
    "Geometry": "kernels.geometry",
    "InstanceDecoder": "kernels.instances",
    "Instances": "kernels.results",
    "LabelDecoder": "kernels.labels",
    "Labels": "kernels.results",
    "OrientedBoxes": "kernels.results",
    "OrientedDecoder": "kernels.oriented",
    "PoseDecoder": "kernels.poses",
    "Poses": "kernels.results",
    "Preprocess": "kernels.preprocess",
    "Record": "history.records",
    "SeatrialError": "errors",
    "SegmentationDecoder": "kernels.segmentation",
    "SemanticMask": "kernels.results",
    "Text": "kernels.results",
    "TextDecoder": "kernels.text",
    "TextRegionDecoder": "kernels.text_regions",
    "TextRegions": "kernels.results",
    "decode_image": "images.decode",
    "load_plan": "plan.load",
    "load_results": "history.frame",
    "run": "api",
}

__all__ = [
    "Classification",
    "ClassificationDecoder",
    "DenseDecoder",
    "DenseMap",
    "DetectionDecoder",
    "Detections",
    "Embedding",
    "EmbeddingDecoder",
    "Geometry",
    "InstanceDecoder",
    "Instances",
    "LabelDecoder",
    "Labels",
    "OrientedBoxes",
    "OrientedDecoder",
    "PoseDecoder",
    "Poses",
    "Preprocess",
    "Record",
    "SeatrialError",
    "SegmentationDecoder",
    "SemanticMask",
    "Text",
    "TextDecoder",
    "TextRegionDecoder",
    "TextRegions",
    "__version__",
    "decode_image",
    "load_plan",
    "load_results",
    "run",
]


if not TYPE_CHECKING:  # to whom it would say that every name exists

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'seatrial' has no attribute {name!r}")
        value = getattr(import_module(f"seatrial.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
