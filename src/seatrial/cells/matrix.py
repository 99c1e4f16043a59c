"""The matrix as a list of cells, and why some of them make no sense. Pure: no process is started here."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from seatrial.errors import count_of, printable
from seatrial.model.file import FAKE_SUFFIX, ModelInfo
from seatrial.model.image_size import main_input
from seatrial.plan.load import PlanFile
from seatrial.plan.models import Plan
from seatrial.runtimes.choice import BackendChoice


@dataclass(frozen=True)
class Cell:
    """One configuration. `skip` says why it is not run, or is empty."""

    pipeline: str
    backend: str
    precision: str
    batch: int
    threads: int
    skip: str = ""
    of: BackendChoice | None = None

    @property
    def choice(self) -> BackendChoice:
        """What `backend`, the plan's word, stands for."""
        return self.of or BackendChoice(self.backend)

    @property
    def id(self) -> str:
        return f"{self.pipeline}.{self.backend}.{self.precision}.b{self.batch}.t{self.threads}"


def expand(plan: PlanFile, models: dict[str, ModelInfo], image_count: int, cores: int) -> list[Cell]:
    """All cells in the order in which they run: the reference pipeline first, then neighbours differ as little as can be."""
    p = plan.plan
    cells = []
    for choice, precision, batch, threads, name in product(
        p.matrix.choices, p.matrix.precisions, p.matrix.batch_sizes, p.matrix.threads, _reference_first(p)
    ):
        skip = why_skipped(models[name], choice.backend, precision, batch, threads, image_count, cores)
        cells.append(Cell(name, choice.label, precision, batch, threads, skip, choice))
    return cells


def _reference_first(plan: Plan) -> list[str]:
    names = list(plan.pipelines)
    first = plan.parity.reference.pipeline if plan.parity else None
    return [first, *(n for n in names if n != first)] if first else names


def why_skipped(
    model: ModelInfo, backend: str, precision: str, batch: int, threads: int, image_count: int, cores: int
) -> str:
    image = main_input(model) if model.inputs else None
    fixed = image.shape[0] if image and image.shape else None
    is_fake = model.path.name.endswith(FAKE_SUFFIX)
    if (backend == "fake") != is_fake:
        return (
            "the fake backend plays scripts, not models"
            if backend == "fake"
            else "a fake script runs only on backend fake"
        )
    if isinstance(fixed, int) and fixed != batch:
        return f"the model's batch dimension is fixed at {fixed}"
    if threads > cores:
        return f"{threads} threads on {count_of(cores, 'usable core')} would measure the scheduler"
    if batch > image_count:
        return f"a batch of {batch} needs {batch} images; there are {image_count}"
    if precision != "fp32" and (other := _no_float32(model)):
        return f"the model's input {other}, and {precision} variants are made from float32 models"
    if precision != "fp32" and model.held:
        return f"the model {model.held}, and {precision} variants are made from float32 models"
    if is_fake and precision != "fp32":
        return "a fake script has no precisions"
    return _without_kernels(backend, precision)


def _no_float32(model: ModelInfo) -> str:
    """Which input is of other floats, or the picture of no floats; whole numbers beside it, such as sizes, stay as they are."""
    for tensor in model.inputs:
        beside = tensor is not main_input(model) and tensor.dtype.startswith(("int", "uint", "bool"))
        if tensor.dtype != "float32" and not beside:
            return f"{printable(tensor.name)} is {tensor.dtype}"
    return ""


def _without_kernels(backend: str, precision: str) -> str:
    if backend == "onnxruntime-cpu" and precision == "bf16":
        return "ONNX Runtime's CPU provider has no bfloat16 kernels, and refuses the model; openvino-cpu runs it"
    if backend == "onnxruntime-cpu" and precision == "fp8":
        return (
            "ONNX Runtime's CPU provider computes fp8 models in float32, and its optimiser drops a Relu before a float8 "
            "tensor, so that answers are wrong; openvino-cpu runs them"
        )
    # ONNX Runtime's providers of that name hand the model to the same parser.
    if backend.removeprefix("onnxruntime-") in ("tensorrt", "tensorrt-rtx") and precision == "int8-u8":
        return "TensorRT reads uint8 as int8, so that all above 127 is lost; it runs the signed form, int8"
    return ""
