"""TensorRT engines of a model or of a plan's pipeline, ahead of deployment: one a precision.

For: the command `build`. Not for: how an engine is built or kept (backends/tensorrt), or how a variant is made (precision).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from seatrial.backends.tensorrt.cache import CURE, build_and_keep
from seatrial.backends.tensorrt.driver import Device, find_device
from seatrial.backends.tensorrt.engine_files import SUFFIX, Manifest, check_folder
from seatrial.backends.tensorrt.layers import Layer
from seatrial.backends.tensorrt.library import Library, import_library
from seatrial.backends.tensorrt.options import EngineOptions
from seatrial.backends.tensorrt.profiles import Profile
from seatrial.errors import BackendUnavailableError, ModelError, flag, option
from seatrial.jobs.job import Tell
from seatrial.model.file import ModelInfo, inspect_model
from seatrial.model.shapes import batch_input, fixed_shapes
from seatrial.plan.load import PlanFile
from seatrial.precision.recipe import Recipe
from seatrial.trial.conversion import OwnSettings, convert_pipeline

# Of the tensor cores that have the type.
_LEAST_CAPABILITY = {"bf16": 80, "fp8": 89}
Shapes = dict[str, tuple[int, ...]]
# From this many images to that many; mostly the same.
Batches = tuple[int, int]


@dataclass(frozen=True)
class EngineRequest:
    """precision: fp32 is the file as it is. shapes: of inputs, which the model leaves open. output: a folder; None is the
    cache. recipe: what stays in fp32 in a variant."""

    backend: str
    precision: str
    batches: tuple[Batches, ...]
    shapes: Shapes
    options: EngineOptions
    output: Path | None = None
    recipe: Recipe | None = None


@dataclass(frozen=True)
class EngineMade:
    """held: what the file computes in where it is no variant of ours and not float32."""

    path: Path
    precision: str
    held: str
    manifest: Manifest
    layers: tuple[Layer, ...]

    @property
    def counted_as(self) -> str:
        """The type that products were to compute in."""
        return "int8" if self.precision.startswith("int8") else self.precision

    @property
    def share(self) -> float | None:
        """Of the products that compute in what was asked for; None where there is none, or the file came as it is."""
        total = sum(self.manifest.computed_in.values())
        return None if self.held or not total else self.manifest.computed_in.get(self.counted_as, 0) / total

    def as_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "precision": self.precision,
            "held": self.held,
            **self.manifest.as_json(),
            "computed_in_by": "the parsed network",
            "layers": [asdict(layer) for layer in self.layers],
        }


def check_target(backend: str, capabilities: tuple[str, ...]) -> tuple[Library, Device | None]:
    """The library, and the device where it is needed to build. BackendUnavailableError where there is none of either."""
    library = import_library(backend)
    library.builds_for(capabilities)
    if library.rtx:
        return library, None
    device = find_device()
    if not isinstance(device, Device):
        raise BackendUnavailableError(
            f"{library.label} builds for the device at hand: {device.reason}; {device.cure}; tensorrt-rtx builds without one"
        )
    if why := library.runs_on(device):
        raise BackendUnavailableError(f"{library.label}: {why}")
    return library, device


def check_precision(precision: str, capabilities: tuple[str, ...]) -> None:
    """ModelError where no engine of that precision can be built for one of the cards, so that none of others is built first."""
    if precision == "int8-u8":
        raise ModelError(
            "int8-u8 is the form that CPUs run fast; TensorRT reads its uint8 as int8: build "
            f"{flag('precision')} int8, which is signed"
        )
    least = _LEAST_CAPABILITY.get(precision, 0)
    if lacking := [c for c in capabilities if int(c.removeprefix("sm")) < least]:
        raise ModelError(
            f"{precision} wants sm{least} or later, and {', '.join(lacking)} {'lacks' if len(lacking) == 1 else 'lack'} it: "
            f"leave {'that' if len(lacking) == 1 else 'them'} out of {flag('for')}, or take fp16 or int8"
        )


def build_engine(
    request: EngineRequest,
    model: Path,
    plan: Callable[[], tuple[PlanFile, str]],
    shapes_at: Callable[[ModelInfo, int], Shapes] | None,
    allow_code: bool,
    tell: Tell,
) -> EngineMade:
    """plan: on whose images a variant's ranges are seen; asked for where one is to be made. shapes_at: of a plan's pipeline,
    the shapes of a batch; None takes the model's own.

    Raises:
        ModelError: the model cannot be converted, or the library builds no engine of it.
        BackendUnavailableError: the library, what it needs, or what is asked of it is not there.
        ResultsError: the engine cannot be written.
    """
    library, device = check_target(request.backend, request.options.capabilities)
    check_precision(request.precision, request.options.capabilities)
    if request.output is not None:
        check_folder(request.output, _cure(request))
    info = inspect_model(model)
    profiles = profiles_for(info, request.batches, shapes_at or _shapes_of(request.shapes))
    with tempfile.TemporaryDirectory(prefix="seatrial-build-") as folder:
        if request.precision != "fp32":
            info = _variant(request, model, plan, Path(folder), allow_code, tell)
        try:
            path, built, manifest = build_and_keep(
                library,
                info,
                profiles,
                request.options,
                device,
                tell,
                _target(request, model, library),
                _cure(request),
            )
        except ModelError as e:
            # A variant's own file is gone when somebody reads this.
            called = f"{model} in {request.precision}" if e.subject == str(info.path) != str(model) else e.subject
            raise ModelError(
                e.text, subject=called, key=e.key, option=e.option, value=e.value, refusal=e.refusal
            ) from e
    held = info.weights if request.precision == "fp32" else ""
    return EngineMade(path, request.precision, held, manifest, built.layers)


def _variant(
    request: EngineRequest,
    model: Path,
    plan: Callable[[], tuple[PlanFile, str]],
    folder: Path,
    allow_code: bool,
    tell: Tell,
) -> ModelInfo:
    """Through the same cache as a trial's, so that the engine is of the file that its cells run."""
    file, pipeline = plan()
    # What the plan would be measured on need not be here.
    matrix = file.plan.matrix.model_copy(update={"backends": ["onnxruntime-cpu"]})
    file = replace(file, plan=file.plan.model_copy(update={"matrix": matrix}))
    out = folder / f"{model.stem}-{request.precision}.onnx"
    convert_pipeline(file, pipeline, request.precision, OwnSettings(request.recipe), out, allow_code, tell)
    return inspect_model(out)


def profiles_for(
    info: ModelInfo, batches: Sequence[Batches], shapes_at: Callable[[ModelInfo, int], Shapes]
) -> tuple[Profile, ...]:
    """One a batch size, or a range of them, fastest at its greatest."""
    found = []
    for least, greatest in batches or ((_own_batch(info),) * 2,):
        low, high = shapes_at(info, least), shapes_at(info, greatest)
        found.append(Profile(low, high, high))
    return tuple(found)


def _shapes_of(given: Shapes) -> Callable[[ModelInfo, int], Shapes]:
    def at(info: ModelInfo, batch: int) -> Shapes:
        counted = batch_input(info)
        named = {n: (batch, *s[1:]) if n == counted and s else s for n, s in given.items()}
        return fixed_shapes(info, batch, named)

    return at


def _own_batch(info: ModelInfo) -> int:
    counted = next((i for i in info.inputs if i.name == batch_input(info)), None)
    first = counted.shape[0] if counted is not None and counted.shape else 1
    return first if isinstance(first, int) else 1


def _target(request: EngineRequest, model: Path, library: Library) -> Path | None:
    """In the folder that was named: by what it is of, in and for. None: the cache's own name."""
    if request.output is None:
        return None
    capabilities = "+".join(request.options.capabilities)
    batches = "+".join(str(a) if a == b else f"{a}-{b}" for a, b in request.batches)
    parts = [model.stem, request.precision, library.name, capabilities, f"b{batches}" if request.batches else ""]
    return request.output / ("-".join(filter(None, parts)) + SUFFIX)


def _cure(request: EngineRequest) -> str:
    return CURE if request.output is None else f"name a folder that you may write to with {option('output')}"
