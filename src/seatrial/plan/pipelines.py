"""What a plan says of one pipeline: its model, and the settings of each stage around it.

For: keys, types, defaults, and the checks inside one group. Not for: the stages themselves (pipeline/build.py).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, PositiveInt, Tag, model_validator
from pydantic_core import PydanticCustomError

from seatrial.plan import tasks
from seatrial.plan.convert import Convert
from seatrial.plan.fields import Channels, Ratio, Strict
from seatrial.plan.unread_keys import unread_key


class Decode(Strict):
    """Encoded file to HWC uint8."""

    color: Literal["bgr", "rgb", "gray"] = "bgr"
    exif: Literal["apply", "ignore"] = Field("apply", description="turn the image as its EXIF orientation says")
    alpha: Literal["drop", "black", "white"] = Field("drop", description="what lies behind transparent pixels")
    sixteen_bit: Literal["scale", "refuse"] = Field(
        "scale", description="16-bit images: value / 257 rounded, or an error"
    )


class UserCode(Strict):
    """A stage that is the user's own function; runs only with --allow-code."""

    python: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description="mypackage.module:function")


ExtraInput = Literal["source_hw", "source_wh", "resized_hw", "input_hw", "input_wh", "scale_yx", "scale_xy"]


class Preprocess(Strict):
    """HWC uint8 to the model's input tensor."""

    size: Annotated[
        tuple[PositiveInt, PositiveInt],
        Field(description="height, width of the input; with rect and keep_ratio what it lies in"),
    ]
    mode: Literal["letterbox", "stretch", "resize_center_crop", "pad", "rect", "keep_ratio"] = "letterbox"
    interpolation: Literal["linear", "nearest", "area", "cubic", "antialias_linear", "antialias_cubic"] = "linear"
    pad_value: Annotated[int, Field(ge=0, le=255)] = 114
    pad_anchor: Literal["center", "top_left"] = "center"
    color: Literal["rgb", "bgr", "gray"] = "rgb"
    scale: Ratio = 1 / 255
    mean: Channels = (0.0, 0.0, 0.0)
    std: Channels = (1.0, 1.0, 1.0)
    layout: Literal["nchw", "nhwc"] = "nchw"
    dtype: Literal["float32", "float16", "uint8", "int8"] = "float32"
    quant_scale: Ratio | None = Field(
        None,
        description="with uint8 and int8: round(value / quant_scale) + zero_point, as the model's input is quantised",
    )
    zero_point: int = 0
    resize_short: PositiveInt | None = Field(
        None, description="with resize_center_crop: the short side after the resize"
    )
    stride: PositiveInt = Field(32, description="with rect and keep_ratio: sides are multiples of it")
    scaling: Literal["any", "down", "up"] = Field("any", description="with these: never enlarge, or never reduce")
    to_stride: Literal["pad", "stretch"] = Field("pad", description="with these: how sides come to multiples")
    extra_inputs: dict[str, ExtraInput] = Field(
        {}, description="the model's other inputs, by name: what each is filled with, of each image"
    )


Threshold = Annotated[float, Field(ge=0, le=1)]


CLASS_IDS = (
    "which class of the model is which category: coco91 (index = category id), coco80 (COCO's 80 in order), order (k-th class "
    "= k-th category by id), or {label or index: category's name or id, null for none}; by default names decide"
)
ClassIds = Annotated[
    Annotated[Literal["coco91", "coco80", "order"], Tag("@scheme")]
    | Annotated[dict[str, str | int | None], Tag("@pairs")],
    Discriminator(lambda v: "@pairs" if isinstance(v, dict) else "@scheme"),
]


Task = Literal["detect", "instances", "pose", "oriented", "text", "classify", "segment", "dense", "embed", "raw"]
DetectorFormat = Literal[
    "yolov5", "yolov8", "yolo11", "yolov10", "yolo26", "yolox", "end_to_end", "ssd", "detr", "rtdetr",
    "yolox_decoded", "yolov8_turned", "yolov8_logits", "yolonas", "damoyolo", "ppyoloe", "nanodet", "picodet",
    "rtdetr_joined", "rtdetr_end_to_end", "nms_tensors", "nms_tensors_yxyx", "mmdet", "paddle", "mask_rcnn", "mmdet_masks",
    "yolov7_end_to_end", "yolonas_flat", "detections_flat",
    "ssd_anchors", "retinanet_anchors", "efficientdet", "efficientdet_logits",
    "db", "ctc",
]  # fmt: skip
MapFormat = Literal["scores", "class_map", "one_channel", "channels_last"]


class Postprocess(Strict):
    """Raw outputs to results."""

    task: Task = "raw"
    format: DetectorFormat | MapFormat | None = None
    confidence: Threshold = Field(
        0.25,
        description="objects, regions of text and labels count above it; of db by default 0.6, of multi_label 0.5",
    )
    iou: Threshold = 0.45
    max_detections: PositiveInt = 300
    class_agnostic: bool = False
    boxes: Literal["pixels", "fractions", "source"] | None = Field(
        None,
        description="detect, instances, pose: what the numbers of boxes and keypoints count, pixels of the input, fractions "
        "of it, or pixels of the picture, where a format has several; by default its first",
    )
    anchors: str | None = Field(
        None,
        description="detect: a .npy or .csv file of (N, 4), x1, y1, x2, y2 in pixels of the input, for formats of offsets",
    )
    variances: tuple[Ratio, Ratio, Ratio, Ratio] | None = Field(
        None, description="detect: what offsets from anchors are times, in their order; by default the format's"
    )
    keypoints: tuple[PositiveInt, Literal[2, 3]] | None = Field(
        None, description="pose: how many points, and values each: x, y, and with 3 a score, as exports write kpt_shape"
    )
    sigmas: list[Annotated[float, Field(gt=0)]] | None = Field(
        None,
        description="pose: how far each point may miss, as OKS takes it; by default COCO's for its 17, else 1 / points",
    )
    nms: Literal["probiou", "polygon"] = Field(
        "probiou",
        description="oriented: by Ultralytics' ProbIoU in one pass, or greedily by the IoU of polygons; of formats with NMS "
        "inside neither",
    )
    threshold: Threshold | None = Field(
        None,
        description="db: a cell whose probability is above it is text (PaddleOCR's thresh), by default 0.3; segment, format "
        "one_channel: above it a pixel is the object's, by default 0.5",
    )
    unclip_ratio: Annotated[float, Field(ge=0)] = Field(
        1.5, description="db: regions grow by area · unclip_ratio / perimeter on each side"
    )
    min_size: Annotated[float, Field(ge=0)] = Field(3.0, description="db: least short side of a region, in cells")
    score_mode: Literal["fast", "slow"] = Field(
        "fast", description="db: a region's score is the mean within its rectangle, or within its contour"
    )
    dilation: bool = Field(False, description="db: cells to the right of text and below are text too (use_dilation)")
    blank: Literal["first", "last"] = Field("first", description="ctc: which class is the blank")
    space: bool = Field(
        False, description="ctc: a space stands behind the labels' last character (PaddleOCR's use_space_char)"
    )
    activation: Literal["softmax", "sigmoid", "none"] = Field(
        "softmax", description="classify: what scores go through; of text: none unless it is said here"
    )
    top_k: PositiveInt = 5
    multi_label: bool = Field(False, description="classify: all classes above `confidence`, not the best ones")
    background: Literal["first", "last"] | None = Field(
        None, description="classify: the column that is no class; the others count from 0 without it"
    )
    resize: Literal["nearest", "linear"] = Field(
        "nearest", description="segment: the class of the nearest cell, or of the scores drawn out linearly"
    )
    scale: Annotated[float, Field(allow_inf_nan=False)] = Field(1.0, description="dense: value * scale + shift")
    shift: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    invert: bool = Field(False, description="dense: 1 / (value * scale + shift), which makes depth of disparity")
    normalize: bool = True
    outputs: list[str] | None = Field(
        None, min_length=1, description="the model's outputs to read, in order; by default all"
    )
    labels: str | list[str] | None = Field(None, description="a file with one label a line, or a list")
    class_ids: ClassIds | None = Field(None, description=CLASS_IDS)

    @model_validator(mode="after")
    def _as_the_task_reads_it(self) -> Postprocess:
        known = tasks.FORMATS.get(self.task, ())
        words = {"task": self.task, "known": ", ".join(known)}
        if known and self.format is None and self.task not in tasks.DEFAULT_FORMATS:
            said = "task '{task}' needs a format: one of {known}"
            raise PydanticCustomError("missing_format", said, {"key": "format", **words})
        # A raw task may name a format, to be judged by its parts.
        if known and self.format is not None and self.format not in known:
            said = "task '{task}' reads formats {known}, not '{format}'"
            raise PydanticCustomError("wrong_format", said, {"key": "format", "format": str(self.format), **words})
        given = [k for k, field in type(self).model_fields.items() if getattr(self, k) != field.default]
        if unread := unread_key(self.task, self.format, given):
            raise PydanticCustomError("unread_key", "{said}", {"key": unread[0], "said": unread[1]})
        units = tasks.BOXES.get(self.format or "", ())
        if self.boxes is not None and self.boxes not in units:
            said = "boxes of format '{format}' are {known}, not '{boxes}'; leave it out, or name another format"
            known_units = " or ".join(units) or "always the same"
            counts_as = {"format": str(self.format), "known": known_units, "boxes": self.boxes}
            raise PydanticCustomError("wrong_boxes", said, {"key": "boxes", **counts_as})
        anchored = self.format in tasks.ANCHORED
        if anchored and self.task == "detect" and self.anchors is None:
            said = "format '{format}' reads offsets from anchors: name their file (.npy, .csv: x1, y1, x2, y2 in input pixels)"
            raise PydanticCustomError("missing_anchors", said, {"key": "anchors", "format": str(self.format)})
        if not anchored and (self.anchors is not None or self.variances is not None):
            said = "format '{format}' has no anchors of its own; leave '{key}' out"
            key = "anchors" if self.anchors is not None else "variances"
            raise PydanticCustomError("unread_anchors", said, {"key": key, "format": str(self.format)})
        if self.task == "text":
            self._check_text()
        if self.task == "pose" and self.keypoints is None:
            said = "task 'pose' needs how many keypoints there are and how many values each has, such as [17, 3]"
            raise PydanticCustomError("missing_keypoints", said, {"key": "keypoints"})
        if problem := maps_problem(self) or labels_problem(self):
            raise PydanticCustomError("unfit_keys", "{said}", {"key": problem[0], "said": problem[1]})
        if self.sigmas is not None and self.keypoints is not None and len(self.sigmas) != self.keypoints[0]:
            said = "expected {count} sigmas, one a keypoint, got {given}"
            counts = {"count": self.keypoints[0], "given": len(self.sigmas)}
            raise PydanticCustomError("wrong_sigmas", said, {"key": "sigmas", **counts})
        return self

    def _check_text(self) -> None:
        """PydanticCustomError for what one of the two formats of text would pass over."""
        known = {"db": ("none", "sigmoid"), "ctc": ("none", "softmax")}[self.format or ""]
        if "activation" in self.model_fields_set and self.activation not in known:
            said = "format '{format}' reads an activation of {known}, not '{activation}'"
            words = {"format": self.format, "known": " or ".join(known), "activation": self.activation}
            raise PydanticCustomError("unread_key", said, {"key": "activation", **words})
        if self.format == "db" and self.labels is not None:
            said = "format 'db' finds regions of text, which have no classes; leave 'labels' out"
            raise PydanticCustomError("unread_key", said, {"key": "labels"})


def maps_problem(post: Postprocess) -> tuple[str, str] | None:
    """A key of the tasks that give maps, and why it cannot be so; None where all go together."""
    one_channel = post.task == "segment" and post.format == "one_channel"
    if one_channel and post.activation == "softmax":
        said = "format 'one_channel' needs activation: sigmoid where the model gives logits, none where probabilities"
        return "activation", said
    if post.resize == "linear" and post.format == "class_map":
        return "resize", "format 'class_map' holds class numbers, between which there is nothing; leave 'resize' out"
    if post.scale == 0:
        return "scale", "expected a number other than 0, which would make all values one"
    return None


def labels_problem(post: Postprocess) -> tuple[str, str] | None:
    """The same of classifiers."""
    if post.multi_label and post.activation == "softmax":
        said = "multi_label needs activation: sigmoid where the model gives logits, none where it gives probabilities"
        return "activation", said
    if post.multi_label and post.background is not None:
        return "background", "with multi_label every column is a class of its own; leave 'background' out"
    if (
        post.task == "classify"
        and not post.multi_label
        and post.confidence != type(post).model_fields["confidence"].default
    ):
        return "confidence", "task 'classify' gives the best classes, whatever their score; leave 'confidence' out"
    if post.multi_label and "top_k" in post.model_fields_set:
        return "top_k", "multi_label gives all classes above 'confidence'; leave 'top_k' out"
    return None


class UserPostprocess(UserCode):
    """A postprocess stage that is the user's own function; what its class ids mean is said as for a built-in one."""

    labels: str | list[str] | None = Field(None, description="a file with one label a line, or a list")
    class_ids: ClassIds | None = Field(None, description=CLASS_IDS)


def _kind_of_stage(value: Any) -> str:
    python = "python" in value if isinstance(value, dict) else isinstance(value, UserCode)
    return "@python" if python else "@builtin"


# Told apart by the key 'python', so that an error speaks of one kind only. The '@' tags are cut from messages.
PreprocessStage = Annotated[
    Annotated[Preprocess, Tag("@builtin")] | Annotated[UserCode, Tag("@python")], Discriminator(_kind_of_stage)
]
PostprocessStage = Annotated[
    Annotated[Postprocess, Tag("@builtin")] | Annotated[UserPostprocess, Tag("@python")], Discriminator(_kind_of_stage)
]


class Pipeline(Strict):
    """One version of a whole pipeline. `extends` takes another's keys as a start."""

    model_config = ConfigDict(
        json_schema_extra={"required": [], "anyOf": [{"required": ["model"]}, {"required": ["extends"]}]}
    )

    extends: str | None = None
    model: str = Field(description="an ONNX file, relative to the plan")
    input: str | None = Field(
        None, description="name of the model's image input: what a Python preprocess stage's plain array is fed to"
    )
    engine: Literal["native", "reference"] = Field(
        "native", description="kernels of pre- and postprocessing: C++, or OpenCV, Pillow and NumPy for checking"
    )
    decode: Decode = Decode()
    preprocess: PreprocessStage
    postprocess: PostprocessStage = Postprocess()
    convert: Convert = Convert()
