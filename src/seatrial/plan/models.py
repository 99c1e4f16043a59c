"""The trial plan as frozen pydantic models: every group of keys, its types and its defaults.

For: the plan as a whole. Not for: one pipeline (pipelines.py), budgets (budgets.py), files (load.py), or what a machine
can do (cells).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, PositiveInt, Tag, model_validator
from pydantic_core import PydanticCustomError

from seatrial.plan.backends import Backends, chosen
from seatrial.plan.budgets import Budget
from seatrial.plan.fields import (
    Counts,
    Decibels,
    Duration,
    Percent,
    Precision,
    Precisions,
    Strict,
)
from seatrial.plan.pipelines import Pipeline
from seatrial.runtimes.choice import BackendChoice


class Images(Strict):
    """What to run on: a folder (searched deeply) or a list of files, relative to the plan."""

    path: str | list[str] = Field(description="a folder of images, or a list of files")
    annotations: str | None = Field(
        None,
        description="COCO JSON (boxes or polygons), a CSV with columns image,class, image,text or image,map, a label file of "
        "text, or a folder of label images or of oriented boxes",
    )
    map_scale: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="what one unit of a map's file is, such as 0.001 for millimetres"
    )
    not_judged: list[Annotated[int, Field(ge=0, le=254)]] = Field(
        [], description="numbers of label images that stand for no class and are not judged, beside 255"
    )
    tags: str | None = Field(None, description="a CSV with columns image,tag: slices for the report")
    limit: PositiveInt | None = Field(None, description="use only the first N images, in order of name")


class Matrix(Strict):
    """Every combination is a cell; cells that make no sense are skipped with the reason shown."""

    backends: Backends = ["onnxruntime-cpu"]
    precisions: Precisions = ["fp32"]
    batch_sizes: Counts = [1]
    threads: Counts = [1]

    @property
    def choices(self) -> tuple[BackendChoice, ...]:
        return tuple(chosen(entry) for entry in self.backends)

    @property
    def backend_names(self) -> list[str]:
        """What the backends are called in this plan: what stands in ids, and what `where` and `reference` name."""
        return [choice.label for choice in self.choices]

    @model_validator(mode="after")
    def _no_repeats(self) -> Matrix:
        for name in ("backends", "precisions", "batch_sizes", "threads"):
            values = self.backend_names if name == "backends" else getattr(self, name)
            if len(set(values)) != len(values):
                raise PydanticCustomError(
                    "repeated", "a value is given twice: {values}", {"key": name, "values": str(values)}
                )
        return self


class ReferenceCell(Strict):
    """The cell that others are compared with; a key left out is the matrix's first value."""

    pipeline: str | None = None
    backend: str | None = None
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
        None,
        description="least agreement of decoded results with the reference; by default 99 %, reduced precisions 90 %",
    )
    sqnr: Decibels | None = Field(
        None,
        description="least SQNR of each part of the raw outputs: of reduced precisions, and of another pipeline's where "
        "nothing is decoded; by default 20 dB for int8 and fp8, 30 dB for bf16, 40 dB for fp16, and no limit between pipelines",
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
        # As stats/share.py has it for those who have no plan; tests/stats/test_share.py holds the two together.
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
