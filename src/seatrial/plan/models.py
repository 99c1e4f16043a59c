"""The trial plan as frozen pydantic models: every key, its type and its default.

For: the shape of a plan and the checks inside one key group. Not for: files (load.py) or what a machine can do (trial).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, PositiveInt, Tag, model_validator
from pydantic_core import PydanticCustomError

from seatrial import units
from seatrial.plan.fields import (
    BackendName,
    Backends,
    Channels,
    Counts,
    Decibels,
    Duration,
    Names,
    Percent,
    Precision,
    Precisions,
    Ratio,
    Strict,
)

Stage = Literal["decode", "preprocess", "infer", "postprocess", "end_to_end"]
Percentile = Literal["p50", "p90", "p95", "p99", "p99.9"]
Task = Literal["detect", "classify", "segment", "embed", "raw"]
Metric = Literal[
    "latency", "throughput", "peak_memory", "cold_start", "model_size",
    "accuracy", "map_drop", "top1_drop", "miou_drop", "agreement",
]  # fmt: skip


class Images(Strict):
    """What to run on: a folder (searched deeply) or a list of files, relative to the plan."""

    path: str | list[str] = Field(description="a folder of images, or a list of files")
    annotations: str | None = Field(
        None, description="COCO JSON (boxes or polygons), or a CSV with columns image,class"
    )
    tags: str | None = Field(None, description="a CSV with columns image,tag: slices for the report")
    limit: PositiveInt | None = Field(None, description="use only the first N images, in order of name")


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

    task: Task = "raw"
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
            raise PydanticCustomError(
                "missing_format", "task 'detect' needs a format: one of {known}",
                {"key": "format", "known": ", ".join(get_args(get_args(type(self).model_fields["format"].annotation)[0]))},
            )  # fmt: skip
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


class Matrix(Strict):
    """Every combination is a cell; cells that make no sense are skipped with the reason shown."""

    backends: Backends = ["onnxruntime-cpu"]
    precisions: Precisions = ["fp32"]
    batch_sizes: Counts = [1]
    threads: Counts = [1]

    @model_validator(mode="after")
    def _no_repeats(self) -> Matrix:
        for name in ("backends", "precisions", "batch_sizes", "threads"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise PydanticCustomError(
                    "repeated", "a value is given twice: {values}", {"key": name, "values": str(values)}
                )
        return self


class Where(Strict):
    """Which cells a budget judges; a key left out admits all."""

    pipeline: Names | None = None
    backend: Backends | None = None
    precision: Precisions | None = None
    batch: Counts | None = None
    threads: Counts | None = None


# metric: (reader, unit in records, the side that limits it)
METRICS: dict[str, tuple[Callable[[Any], float], str, Literal["max", "min"]]] = {
    "latency": (units.duration_s, "s", "max"),
    "throughput": (units.rate_per_s, "images/s", "min"),
    "peak_memory": (units.size_bytes, "B", "max"),
    "cold_start": (units.duration_s, "s", "max"),
    "model_size": (units.size_bytes, "B", "max"),
    "accuracy": (units.fraction, "fraction", "min"),
    "map_drop": (units.points, "points", "max"),
    "top1_drop": (units.points, "points", "max"),
    "miou_drop": (units.points, "points", "max"),
    "agreement": (units.fraction, "fraction", "min"),
}


class Budget(Strict):
    """A limit on one metric. latency and the rest take `max`; throughput, accuracy and agreement take `min`."""

    metric: Metric
    at: Percentile | None = Field(None, description="latency: which percentile")
    stage: Stage | None = Field(None, description="latency: which stage; end_to_end by default")
    where: Where = Where()
    max: str | float | None = None
    min: str | float | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> Budget:
        read, _, side = METRICS[self.metric]
        other = "min" if side == "max" else "max"
        if getattr(self, other) is not None:
            raise PydanticCustomError(
                "wrong_side", "metric '{metric}' takes '{side}', not '{other}'",
                {"key": other, "metric": self.metric, "side": side, "other": other},
            )  # fmt: skip
        given = getattr(self, side)
        if given is None:
            raise PydanticCustomError(
                "no_limit", "metric '{metric}' needs '{side}'", {"metric": self.metric, "side": side}
            )
        try:
            limit = read(given)
        except ValueError as e:
            raise PydanticCustomError("bad_limit", "{why}", {"key": side, "why": str(e)}) from None
        if limit < 0:
            raise PydanticCustomError(
                "bad_limit", "expected a limit of zero or more, got {given}", {"key": side, "given": str(given)}
            )
        if METRICS[self.metric][1] in ("fraction", "points") and limit > 1:
            raise PydanticCustomError(
                "bad_limit", "expected at most 100%, got {given}; write 75% or 0.75", {"key": side, "given": str(given)}
            )
        if self.metric != "latency":
            for key in ("at", "stage"):
                if getattr(self, key) is not None:
                    raise PydanticCustomError("only_latency", "only metric 'latency' takes '{key}'", {"key": key})
        return self

    @property
    def side(self) -> Literal["max", "min"]:
        return METRICS[self.metric][2]

    @property
    def unit(self) -> str:
        return METRICS[self.metric][1]

    @property
    def limit(self) -> float:
        """In base units."""
        return METRICS[self.metric][0](getattr(self, self.side))

    @property
    def percentile(self) -> str:
        return self.at or "p50"


class ReferenceCell(Strict):
    """The cell that others are compared with; a key left out is the matrix's first value."""

    pipeline: str | None = None
    backend: BackendName | None = None
    precision: Precision | None = None
    batch: PositiveInt | None = None
    threads: PositiveInt | None = None


class Tolerance(Strict):
    """Elementwise |a - b| <= atol + rtol * |b|."""

    rtol: Annotated[float, Field(ge=0)] = 1e-3
    atol: Annotated[float, Field(ge=0)] = 1e-3


class Parity(Strict):
    """What must agree with the reference cell, and how closely."""

    reference: ReferenceCell = ReferenceCell()
    tolerance: Annotated[
        Annotated[Literal["auto"], Tag("@auto")] | Annotated[Tolerance, Tag("@tolerance")],
        Discriminator(lambda v: "@auto" if isinstance(v, str) else "@tolerance"),
    ] = "auto"
    agreement: Annotated[Percent, Field(ge=0, le=1)] | None = Field(
        None, description="least agreement of decoded results with the reference; by default 99 %, int8 and 16-bit 90 %"
    )
    sqnr: Decibels | None = Field(
        None,
        description="least SQNR of each part of the raw outputs: of reduced precisions, and of another pipeline's where "
        "nothing is decoded; by default 20 dB for int8, 30 dB for bf16, 40 dB for fp16, and no limit between pipelines",
    )
    cosine: Annotated[float, Field(ge=-1, le=1)] | None = Field(
        None, description="least cosine similarity of the same; by default what sqnr implies: 0.995 at 20 dB"
    )
    images: PositiveInt = Field(
        16, description="raw tensors are compared on the first N images; decoded results on all"
    )


class Regression(Strict):
    """Is the candidate slower than `against`? Judged in the reference configuration, from processes that take turns."""

    against: str
    margin: Annotated[Percent, Field(gt=0, lt=1)] = 0.02
    confidence: Annotated[Percent, Field(ge=0.5, le=0.9999)] = 0.95
    max_time: Duration = Field(60.0, description="longest comparison of one candidate; 60 s by default")


class Measure(Strict):
    """How long each cell is measured, and when it is given up."""

    max_time: Duration = 5.0
    min_samples: PositiveInt = 50
    precision: Annotated[Percent, Field(gt=0, lt=1)] = Field(
        0.01, description="stop early once the end-to-end median is known this closely; 1% by default"
    )
    longest_run: PositiveInt = Field(
        # stats.share.LONGEST_RUN, which this layer does not see.
        20,
        description="slow requests are taken to come in runs of at most this many; fewer decide sooner",
    )
    timeout: Duration = Field(600.0, description="a cell that takes longer is stopped and marked FAILED")
    seed: Annotated[int, Field(ge=0)] = 0


_PATHS = BeforeValidator(
    lambda v: {"path": v} if isinstance(v, str | list) else v, json_schema_input_type=str | list[str] | Images
)


class Plan(Strict):
    """A trial plan, version 1."""

    version: Literal[1]
    images: Annotated[Images, _PATHS]
    pipelines: Annotated[dict[str, Pipeline], Field(min_length=1)]
    matrix: Matrix = Matrix()
    budgets: list[Budget] = []
    parity: Parity | None = None
    regression: Regression | None = None
    measure: Measure = Measure()
