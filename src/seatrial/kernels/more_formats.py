"""Formats of detectors that C++ does not read as they are: which function picks their candidates, and what their columns mean.

For: the table that detection_formats.FORMATS takes in. Not for: how they are picked (detection_layouts.py).
"""

from __future__ import annotations

from seatrial.kernels import detection_layouts as layouts
from seatrial.kernels.detector_format import (
    FRACTIONS,
    INPUT,
    PICTURE,
    PIXELS,
    ROW_PARTS,
    SCORE_PARTS,
    SOURCE,
    Format,
    Part,
)
from seatrial.kernels.tensor_shapes import COLUMN, COUNTS, NOTHING, Shapes

_PAIR = "boxes (B, N, 4) and scores (B, N, classes)"
_JOINED_PARTS = (Part("boxes", stop=4), Part("scores", start=4, unit_range=True))
_SCORED = ("boxes", "scores")
_NMS = "boxes (B, N, 4), scores (B, N), class numbers (B, N) and, where it is given, a count (B)"
_NMS_ROLES = ("boxes", "scores", "classes", "count")
_NMS_PARTS = (
    Part("boxes"),
    Part("scores", output=1, axis=0, unit_range=True),
    Part("classes", output=2, axis=0),
)
_NMS_SHAPES = (
    Shapes(("B N 4", "B N", "B N")),
    Shapes(("B N 4", "B N", "B N", "B 1"), counted=True),
    Shapes(("B N 4", "B N", "B N", "B"), counted=True),
)
_LEVELS = tuple(Shapes((*(f"B {n} C" for n in levels), *(f"B {n} D" for n in levels))) for levels in ("wxyz", "wxy"))
MORE_FORMATS: dict[str, Format] = {
    "yolov8_logits": Format(
        "yolov8_logits",
        None,
        True,
        (3,),
        "one tensor (B, 4 + classes, anchors) with logits",
        parts=(Part("boxes", axis=0, stop=4), Part("logits", axis=0, start=4)),
        anchor_axis=1,
        fixed=4,
        choose=layouts.anchors_last(logits=True),
        units=(PIXELS, FRACTIONS),
        logits=True,
    ),
    "yolov8_turned": Format(
        "yolov8_turned",
        None,
        True,
        (3,),
        "one tensor (B, anchors, 4 + classes)",
        parts=_JOINED_PARTS,
        fixed=4,
        choose=layouts.anchors_first(),
        units=(PIXELS, FRACTIONS),
    ),
    # As Ultralytics exports RT-DETR, until 8.4 and since: cx, cy, w, h and a class's score each, or the best of all of these.
    "rtdetr_joined": Format(
        "rtdetr_joined",
        None,
        False,
        (3,),
        "one tensor (B, queries, 4 + classes)",
        parts=_JOINED_PARTS,
        fixed=4,
        choose=layouts.anchors_first(),
        units=(FRACTIONS,),
    ),
    "rtdetr_end_to_end": Format(
        "rtdetr_end_to_end",
        None,
        False,
        (3,),
        "one tensor (B, detections, 6)",
        parts=ROW_PARTS,
        ranked=True,
        fixed=6,
        class_columns=False,
        choose=layouts.centre_score_class,
        units=(FRACTIONS,),
    ),
    "yolonas": Format(
        "yolonas", None, True, (3, 3), _PAIR, parts=SCORE_PARTS, choose=layouts.boxes_beside_scores(), roles=_SCORED
    ),
    "ppyoloe": Format(
        "ppyoloe",
        None,
        True,
        (3, 3),
        "boxes (B, N, 4) and scores (B, classes, N)",
        parts=SCORE_PARTS,
        choose=layouts.boxes_beside_scores(class_axis=0),
        units=(PIXELS, SOURCE),
        shapes=(Shapes(("B N 4", "B C N")),),
        roles=_SCORED,
    ),
    # Rows of the whole batch, each with its image's number: YOLOv7's export with NMS, and YOLO-NAS's flat one.
    "yolov7_end_to_end": Format(
        "yolov7_end_to_end",
        None,
        False,
        (2,),
        "one tensor (detections of the batch, 7): image, x1, y1, x2, y2, class, score",
        parts=(
            Part("boxes", start=1, stop=5),
            Part("classes", start=5, stop=6),
            Part("scores", start=6, unit_range=True),
        ),
        ranked=True,
        choose=layouts.columns(1, 6, 5),
        shapes=(Shapes(("M 7",), COLUMN),),
    ),
    "yolonas_flat": Format(
        "yolonas_flat",
        None,
        False,
        (2,),
        "one tensor (detections of the batch, 7): image, x1, y1, x2, y2, score, class",
        parts=(
            Part("boxes", start=1, stop=5),
            Part("scores", start=5, stop=6, unit_range=True),
            Part("classes", start=6),
        ),
        ranked=True,
        choose=layouts.columns(1, 5, 6),
        shapes=(Shapes(("M 7",), COLUMN),),
    ),
    "detections_flat": Format(
        "detections_flat",
        None,
        False,
        (2,),
        "one tensor (detections, 6) of one image: x1, y1, x2, y2, score, class",
        parts=ROW_PARTS,
        ranked=True,
        choose=layouts.columns(0, 4, 5),
        units=(PIXELS, FRACTIONS, SOURCE),
        shapes=(Shapes(("M 6",), NOTHING),),
    ),
    # PaddleDetection with its NMS, or without any need of it, inside: RT-DETR, PP-YOLOE, PicoDet.
    "paddle": Format(
        "paddle",
        None,
        False,
        (2, 1),
        "detections (of the batch, 6) as class, score, x1, y1, x2, y2, and a count an image (B)",
        parts=(Part("boxes", start=2), Part("scores", start=1, stop=2, unit_range=True), Part("classes", stop=1)),
        ranked=True,
        choose=layouts.columns(2, 1, 0),
        units=(SOURCE, PIXELS),
        shapes=(Shapes(("M 6", "B"), COUNTS), Shapes(("M 6",), NOTHING)),
        roles=("boxes", "count"),
    ),
    "nms_tensors": Format(
        "nms_tensors",
        None,
        False,
        (3, 2, 2),
        f"{_NMS}, all with the batch first or, of one image, all without",
        parts=_NMS_PARTS,
        ranked=True,
        choose=layouts.boxes_scores_classes(),
        units=(PIXELS, FRACTIONS, SOURCE),
        shapes=(*_NMS_SHAPES, Shapes(("N 4", "N", "N"), NOTHING)),
        roles=_NMS_ROLES,
    ),
    # TensorFlow's detection API and TFLite's detection postprocess: ymin, xmin, ymax, xmax.
    "nms_tensors_yxyx": Format(
        "nms_tensors_yxyx",
        None,
        False,
        (3, 2, 2),
        f"{_NMS}, boxes as y1, x1, y2, x2",
        parts=_NMS_PARTS,
        ranked=True,
        choose=layouts.yxyx_scores_classes,
        units=(FRACTIONS, PIXELS),
        shapes=_NMS_SHAPES,
        roles=_NMS_ROLES,
    ),
    "mmdet": Format(
        "mmdet",
        None,
        False,
        (3, 2),
        "dets (B, N, 5) as x1, y1, x2, y2, score, and labels (B, N)",
        parts=(Part("boxes", stop=4), Part("scores", start=4, unit_range=True), Part("classes", output=1, axis=0)),
        ranked=True,
        choose=layouts.dets_labels,
        units=(PIXELS, SOURCE),
        shapes=(Shapes(("B N 5", "B N")), Shapes(("N 5", "N"), NOTHING)),
        roles=("boxes", "classes"),
    ),
    "nanodet": Format(
        "nanodet",
        None,
        True,
        (3,),
        "one tensor (B, cells, classes + 4 · 8)",
        layouts.check_cells,
        parts=(
            Part("scores", stop=-4 * layouts.NANODET_BINS, unit_range=True),
            Part("distributions", start=-4 * layouts.NANODET_BINS),
        ),
        fixed=4 * layouts.NANODET_BINS,
        choose=layouts.distributions(0.0),
        bounds=INPUT,
    ),
    "picodet": Format(
        "picodet",
        None,
        True,
        (3,) * 8,
        "scores (B, cells, classes) of each level, then distributions (B, cells, 4 · bins) of each, 3 or 4 levels",
        layouts.check_cells,
        parts=(
            *(Part("scores", output=k, unit_range=True) for k in range(4)),
            *(Part("distributions", output=k) for k in range(4, 8)),
        ),
        choose=layouts.distributions(0.5),
        shapes=_LEVELS,
        roles=("scores",) * 4 + ("boxes",) * 4,
    ),
}
# Offsets from anchors that the plan's file has; scores as logits, or (EfficientDet with its sigmoid inside) as probabilities.
_OFFSETS = Part("offsets")
MORE_FORMATS |= {
    name: Format(
        name,
        None,
        True,
        (3, 3),
        f"offsets (B, N, 4) and {words} (B, N, {columns})",
        layouts.check_anchors,
        parts=(_OFFSETS, Part("logits" if logits else "scores", output=1, unit_range=not logits)),
        choose=layouts.offsets_from_anchors(background, y_first, logits),
        roles=_SCORED,
        logits=logits,
        variances=variances,
        # torchvision cuts boxes before NMS, TensorFlow's EfficientDet after it.
        bounds=None if y_first else PICTURE,
    )
    for name, words, columns, background, y_first, logits, variances in (
        ("ssd_anchors", "logits", "background + classes", True, False, True, (0.1, 0.1, 0.2, 0.2)),
        ("retinanet_anchors", "logits", "classes", False, False, True, (1.0, 1.0, 1.0, 1.0)),
        ("efficientdet", "scores", "classes", False, True, False, (1.0, 1.0, 1.0, 1.0)),
        ("efficientdet_logits", "logits", "classes", False, True, True, (1.0, 1.0, 1.0, 1.0)),
    )
}
MORE_FORMATS["damoyolo"] = MORE_FORMATS["yolonas"]
# With a mask a detection behind, which InstanceDecoder reads: torchvision's and maskrcnn-benchmark's, and mmdeploy's.
WITH_MASKS: dict[str, Format] = {
    "mask_rcnn": Format(
        "mask_rcnn",
        None,
        False,
        (2, 1, 1, 4),
        "boxes (N, 4), scores (N), class numbers (N) and masks (N, 1, height, width) of one image",
        parts=(*_NMS_PARTS, Part("masks", output=3, unit_range=True)),
        ranked=True,
        choose=layouts.boxes_scores_classes(),
        units=(PIXELS, FRACTIONS, SOURCE),
        shapes=(Shapes(("N 4", "N", "N", "N 1 h w"), NOTHING), Shapes(("B N 4", "B N", "B N", "B N h w"))),
        roles=("boxes", "scores", "classes", "masks"),
    ),
    "mmdet_masks": Format(
        "mmdet_masks",
        None,
        False,
        (3, 2, 4),
        "dets (B, N, 5) as x1, y1, x2, y2, score, labels (B, N) and masks (B, N, height, width)",
        parts=(
            Part("boxes", stop=4),
            Part("scores", start=4, unit_range=True),
            Part("classes", output=1, axis=0),
            Part("masks", output=2, unit_range=True),
        ),
        ranked=True,
        choose=layouts.dets_labels,
        units=(PIXELS, SOURCE),
        shapes=(Shapes(("B N 5", "B N", "B N h w")),),
        roles=("boxes", "classes", "masks"),
    ),
}
