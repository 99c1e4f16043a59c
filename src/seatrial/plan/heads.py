"""Which head a model has: from its metadata, the names and shapes of its outputs, and what they held on a picture.

For: `init`, which must not tick what it does not know, and the run, which names the likely format where a decoder cannot be
right. Pure: nothing is opened or run here. Not for: decoding (kernels/detection_formats.py); a decoder for a head that is
refused here needs a Format there, and its name in HEADS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seatrial.errors import printable
from seatrial.model.file import ModelInfo
from seatrial.plan.head_behind import boxes_alone, find_instances, find_oriented, find_pose
from seatrial.plan.head_finding import Finding
from seatrial.plan.head_rtdetr import find_rtdetr, is_rtdetr, may_be_both
from seatrial.plan.head_rules import find
from seatrial.plan.seen import Seen
from seatrial.plan.tasks import OF_METADATA


@dataclass(frozen=True)
class Head:
    """A family of outputs. format: of `detect`. Where task is raw, nothing built in reads it. fits: how images go in.

    boxes: what they count, where it is not the format's first unit. cure: what to do with one that is not read.
    """

    task: str
    words: str
    format: str | None = None
    fits: str = ""
    boxes: str | None = None
    cure: str = "no built-in postprocess reads it yet: use a Python stage"

    @property
    def read(self) -> bool:
        return self.task != "raw"


def _unread(words: str, fits: str = "letterbox", cure: str = Head.cure) -> Head:
    return Head("raw", words, None, fits, cure=cure)


_ANCHORS = "anchors: FILE, a .npy or .csv with x1, y1, x2, y2 of each in pixels of the input, in the model's order"
_TURNED = "transpose it to (B, steps, classes) in the model, or use a Python stage"
HEADS: dict[str, Head] = {
    "yolov8": Head(
        "detect", "YOLOv8's (4 + classes, anchors): centre and size in pixels, a probability a class", "yolov8"
    ),
    "yolov5": Head(
        "detect", "YOLOv5's (anchors, 5 + classes): centre and size in pixels, objectness, classes", "yolov5"
    ),
    "yolox": Head("detect", "YOLOX's (anchors, 5 + classes): offsets in its grid, not decoded yet", "yolox"),
    "end_to_end": Head("detect", "end-to-end (detections, 6): corners in pixels, score, class", "end_to_end"),
    "ssd": Head("detect", "SSD's: corners from 0 to 1, and probabilities with the background first", "ssd", "stretch"),
    "detr": Head("detect", "DETR's: centre and size from 0 to 1, logits, the last 'no object'", "detr", "stretch"),
    "rtdetr": Head(
        "detect", "RT-DETR's, D-FINE's or RF-DETR's: centre and size from 0 to 1, a logit a class", "rtdetr", "stretch"
    ),
    "classify": Head("classify", "a classifier's: a row of scores an image"),
    "embed": Head("embed", "an embedding: a row of features an image"),
    "segment": Head("segment", "a semantic segmentation: a channel a class"),
    "yolox_decoded": Head(
        "detect", "YOLOX's or YOLOv6's, decoded inside: centre and size in pixels, objectness, classes", "yolox_decoded"
    ),
    "rtdetr_joined": Head(
        "detect", "RT-DETR's in one tensor (detections, 4 + classes), boxes from 0 to 1", "rtdetr_joined", "stretch"
    ),
    "rtdetr_end_to_end": Head(
        "detect",
        "RT-DETR's end-to-end (detections, 6): centre and size from 0 to 1, score, class",
        "rtdetr_end_to_end",
        "stretch",
    ),
    "end_to_end_fractions": Head(
        "detect", "end-to-end detections whose boxes go from 0 to 1", "end_to_end", boxes="fractions"
    ),
    "db": Head("text", "DB's: a map of where text stands", "db", "letterbox"),
    "ctc": Head("text", "a text recogniser's: a score a character in each step (CTC)", "ctc", "letterbox"),
    "ctc_nameless": Head(
        "raw",
        "a text recogniser's (steps, classes), whose characters the file does not say",
        fits="letterbox",
        cure="set task: text, format: ctc, blank: first or last, and labels: its dictionary, a file with one character a line",
    ),
    "ctc_steps_first": _unread("a text recogniser's with its steps before the batch", cure=_TURNED),
    "ctc_classes_first": _unread("a text recogniser's with its classes before the steps", cure=_TURNED),
    "ctc_without_batch": _unread(
        "a text recogniser's (steps, classes) without a batch (CTC), or a classifier of several places"
    ),
    "end_to_end_swapped": _unread("end-to-end detections with the class before the score"),
    "end_to_end_sizes": _unread("end-to-end detections whose boxes are not corners"),
    "end_to_end_more": _unread("end-to-end detections with masks, keypoints or an angle behind the class"),
    "instances": Head(
        "instances", "an instance segmentation's: mask coefficients behind the classes, and prototypes", "yolov8"
    ),
    "instances_yolov5": Head(
        "instances", "YOLOv5's instance segmentation: coefficients behind the classes, prototypes", "yolov5"
    ),
    "instances_end_to_end": Head(
        "instances", "end-to-end detections with mask coefficients behind, and prototypes", "end_to_end"
    ),
    "instances_queries": Head(
        "instances",
        "RF-DETR's instance segmentation: boxes from 0 to 1, a logit a class and a mask a query",
        "rtdetr",
        "stretch",
    ),
    "mask_rcnn": Head(
        "instances",
        "Mask R-CNN's: boxes, scores, class numbers and a mask a detection, of one image",
        "mask_rcnn",
        "stretch",
    ),
    "mmdet_masks": Head("instances", "mmdetection's: dets, labels and a mask a detection", "mmdet_masks"),
    "pose": Head("pose", "a pose head: keypoints behind the classes", "yolov8"),
    "pose_end_to_end": Head("pose", "end-to-end detections with keypoints behind the class", "end_to_end"),
    **{
        f"{key}_fractions": Head(task, f"{words}, from 0 to 1", form, boxes="fractions")
        for key, task, words, form in (
            ("pose", "pose", "a pose head: keypoints behind the classes, and boxes", "yolov8"),
            ("pose_end_to_end", "pose", "end-to-end detections with keypoints behind the class", "end_to_end"),
            ("instances", "instances", "an instance segmentation's with prototypes, and boxes", "yolov8"),
            ("instances_yolov5", "instances", "YOLOv5's instance segmentation with boxes", "yolov5"),
            ("instances_end_to_end", "instances", "end-to-end detections with prototypes, and boxes", "end_to_end"),
        )
    },
    "yolov7_end_to_end": Head(
        "detect", "YOLOv7's end-to-end (detections, 7): image, corners, class, score", "yolov7_end_to_end"
    ),
    "yolonas_flat": Head(
        "detect", "YOLO-NAS's flat list (detections, 7): image, corners, score, class", "yolonas_flat"
    ),
    "detections_flat": Head(
        "detect", "a list of one image's detections (detections, 6) without a batch", "detections_flat"
    ),
    "detections_unknown": _unread("a list of detections of the whole batch, whose rows are no images"),
    "nms_tensors": Head(
        "detect", "detections after NMS in several tensors (boxes in pixels, scores, classes)", "nms_tensors"
    ),
    "nms_tensors_fractions": Head(
        "detect", "detections after NMS in several tensors, boxes from 0 to 1", "nms_tensors", boxes="fractions"
    ),
    "nms_tensors_source": Head(
        "detect",
        "detections after NMS in several tensors, boxes in pixels of the picture",
        "nms_tensors",
        "stretch",
        "source",
    ),
    "nms_tensors_yxyx": Head(
        "detect", "TensorFlow's detections (y1, x1, y2, x2 from 0 to 1, scores, classes)", "nms_tensors_yxyx", "stretch"
    ),
    "mmdet": Head("detect", "mmdetection's dets (corners and score) and labels", "mmdet"),
    "paddle": Head(
        "detect", "PaddleDetection's rows (class, score, corners in pixels of the picture)", "paddle", "stretch"
    ),
    "yolov8_fractions": Head("detect", "like YOLOv8's, but with boxes from 0 to 1", "yolov8", boxes="fractions"),
    "yolov8_logits": Head("detect", "like YOLOv8's, but with logits in place of probabilities", "yolov8_logits"),
    "yolov8_turned": Head(
        "detect", "like YOLOv8's, but with anchors first: 4 + classes columns, and no objectness", "yolov8_turned"
    ),
    "yolov8_turned_fractions": Head(
        "detect", "like YOLOv8's, but with anchors first and boxes from 0 to 1", "yolov8_turned", boxes="fractions"
    ),
    "yolov5_fractions": Head("detect", "like YOLOv5's, but with boxes from 0 to 1", "yolov5", boxes="fractions"),
    "nanodet": Head("detect", "NanoDet-Plus's (cells, classes + 32): scores and distributions of sides", "nanodet"),
    "picodet": Head("detect", "PicoDet's: scores and distributions of sides, level by level", "picodet", "stretch"),
    "ppyoloe": Head("detect", "PP-YOLOE's: boxes (N, 4) and scores (classes, N)", "ppyoloe", "stretch"),
    "levels": _unread("a detector's feature levels, not decoded yet"),
    "pose_other": _unread("a pose head whose layout is not known"),
    "instances_other": _unread("an instance segmentation whose layout is not known"),
    "obb": Head("oriented", "an oriented-box head (obb): an angle behind the classes", "yolov8"),
    "obb_end_to_end": Head(
        "oriented", "end-to-end oriented boxes: centre, size, score, class, and an angle behind", "end_to_end"
    ),
    "obb_other": _unread("an oriented-box head whose layout is not known"),
    "pair_pixels": Head(
        "detect", "corners in pixels and probabilities in a tensor each (YOLO-NAS, DAMO-YOLO and others)", "yolonas"
    ),
    "pair_pixels_logits": _unread("boxes in pixels and logits in a tensor each"),
    "pair_sizes": _unread("boxes in pixels that are no corners, and scores, in a tensor each"),
    "pair_no_background": _unread("boxes from 0 to 1, and a probability a class without a background", "stretch"),
    "pair_logits": _unread(
        "boxes as offsets from anchors, with logits",
        cure="set task: detect, format: ssd_anchors (a softmax, the background first), retinanet_anchors (a sigmoid each) or "
        f"efficientdet_logits (of y, x, h, w), and {_ANCHORS}",
    ),
    "pair_offsets": _unread(
        "boxes as offsets from anchors, with a probability a class",
        cure=f"set task: detect, format: efficientdet (of y, x, h, w), and {_ANCHORS}",
    ),
    "pair_offsets_softmax": _unread(
        "boxes as offsets from anchors, with a softmax inside",
        cure=f"export it without the softmax, and set task: detect, format: ssd_anchors, and {_ANCHORS}",
    ),
    "pair_alike": _unread("two tensors of four columns, and nothing says which holds the boxes"),
    "class_map": Head("segment", "a map of class numbers, with the argmax inside", "class_map", "stretch"),
    "channels_last": Head("segment", "a semantic segmentation with its channels last", "channels_last", "stretch"),
    "one_channel": Head("segment", "a mask of one object, or a heat map: one channel", "one_channel", "stretch"),
    "dense": Head(
        "dense",
        "a map of one value a pixel, such as a depth (a relative one, as of MiDaS, has no unit)",
        None,
        "stretch",
    ),
    "unknown": _unread("a head that seatrial does not know", "stretch"),
}


@dataclass(frozen=True)
class Recognition:
    """certain: reasons that need no second look. doubts: what a person is to check. activation: '' where nothing says."""

    head: Head
    certain: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    activation: str = ""
    keypoints: tuple[int, int] | None = None
    keys: tuple[tuple[str, str], ...] = ()

    @property
    def refused(self) -> str:
        """What the head is, where no built-in postprocess reads it."""
        return "" if self.head.read else self.head.words


# By what Ultralytics' exports call their tasks: those that read more behind the classes.
_BY_TASK = {"segment": find_instances, "pose": find_pose, "obb": find_oriented}


def recognise(info: ModelInfo, seen: Mapping[str, Seen], input_hw: tuple[int, int] | None = None) -> Recognition:
    """seen: each output on a picture, or nothing where none was run: then shapes alone give no certainty."""
    task = info.metadata.get("task", "").strip().lower()
    said = f"the metadata says task '{task}'"
    if task in _BY_TASK and info.outputs:
        return _recognition(_BY_TASK[task](info, seen, said, sure=True))
    if task == "detect" and is_rtdetr(info) and len(info.outputs) == 1:
        return _recognition(find_rtdetr(info, seen))
    found = find(info, seen, input_hw)
    if task == "classify":
        sure = (found.key == "classify" and not found.keys) or not seen
        because = f"from the model's metadata; {found.because}" if found.keys else "from the model's metadata"
        return _recognition(Finding("classify", because, sure, activation=found.activation, keys=found.keys))
    if task == "detect":
        head = HEADS[found.key]
        if head.task != "detect" and head.read:
            found = Finding("unknown", "the metadata says task 'detect', and the tensors look like no detector's")
        elif head.read and found.sure:
            found = Finding(found.key, f"from the model's metadata; {found.because}", True, found.outputs)
        elif head.read:
            found = Finding(found.key, f"the metadata says task 'detect'; {found.because}", False, found.outputs)
    elif task:
        found = Finding(found.key, f"the metadata says task '{printable(task)}', which is not known; {found.because}")
    return _recognition(found)


def _recognition(found: Finding) -> Recognition:
    head = HEADS[found.key]
    if not head.read:
        doubt = f"task raw: this looks like {head.words}; {head.cure}"
        return Recognition(head, (), (f"{doubt} ({found.because})",), found.outputs)
    what = f"task {head.task}" + (f", format {head.format}" if head.format else "")
    what += f", boxes {head.boxes}" if head.boxes else ""
    certain, doubts = (f"{what}: {found.because}",), (f"{what}: {head.words}? {found.because}",)
    return Recognition(
        head,
        certain if found.sure else (),
        () if found.sure else doubts,
        found.outputs,
        found.activation,
        found.keypoints,
        found.keys,
    )


def against_metadata(info: ModelInfo, task: str, detector_format: str | None) -> str:
    """Why a built-in postprocess cannot be right by the model's own words, or ''."""
    own_task = info.metadata.get("task", "").strip().lower()
    if task == "raw" or own_task not in OF_METADATA:
        return ""
    cure = "use task: raw, or a Python postprocess; where the metadata is no longer true, take it out of the file"
    if task == "detect" and task != OF_METADATA[own_task] and own_task in _BY_TASK and boxes_alone(info):
        return (
            f"its metadata says task '{own_task}', and its outputs are boxes and classes alone; export it with what task "
            f"{OF_METADATA[own_task]} reads behind them, or take 'task' out of the file's metadata"
        )
    if task != OF_METADATA[own_task]:
        return f"its metadata says task '{own_task}'; set task: {OF_METADATA[own_task]}, or {cure}"
    if own_task == "detect" and is_rtdetr(info) and len(info.outputs) == 1:
        likely = {find_rtdetr(info, {}).key} | ({"rtdetr_joined", "rtdetr_end_to_end"} if may_be_both(info) else set())
        if detector_format not in likely:
            head = HEADS[min(likely)]
            return f"its metadata names RT-DETR, whose head is {head.words}: set format: {head.format}, or {cure}"
    return ""
