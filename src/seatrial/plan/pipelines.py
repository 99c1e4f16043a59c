"""What a plan says of one pipeline: its model, and the settings of each stage around it.

For: keys, types, defaults, and the checks inside one group. Not for: the stages themselves (pipeline/build.py).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Discriminator, Field, PositiveInt, Tag, model_validator
from pydantic_core import PydanticCustomError

from seatrial.plan.fields import Channels, Ratio, Strict


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


class Preprocess(Strict):
    """HWC uint8 to the model's input tensor."""

    size: Annotated[tuple[PositiveInt, PositiveInt], Field(description="height, width of the input")]
    mode: Literal["letterbox", "stretch", "resize_center_crop", "pad"] = "letterbox"
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


class Postprocess(Strict):
    """Raw outputs to results."""

    task: Literal["detect", "classify", "segment", "embed", "raw"] = "raw"
    format: Literal["yolov5", "yolov8", "yolo11", "yolov10", "yolox", "end_to_end", "ssd", "detr", "rtdetr"] | None = (
        None
    )
    confidence: Threshold = 0.25
    iou: Threshold = 0.45
    max_detections: PositiveInt = 300
    class_agnostic: bool = False
    activation: Literal["softmax", "sigmoid", "none"] = "softmax"
    top_k: PositiveInt = 5
    normalize: bool = True
    outputs: list[str] | None = Field(
        None, min_length=1, description="the model's outputs to read, in order; by default all"
    )
    labels: str | list[str] | None = Field(None, description="a file with one label a line, or a list")
    class_ids: ClassIds | None = Field(None, description=CLASS_IDS)

    @model_validator(mode="after")
    def _format_for_detect(self) -> Postprocess:
        if self.task == "detect" and self.format is None:
            formats = get_args(get_args(type(self).model_fields["format"].annotation)[0])
            words = {"key": "format", "known": ", ".join(formats)}
            raise PydanticCustomError("missing_format", "task 'detect' needs a format: one of {known}", words)
        return self


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
