"""What a bench measures: a model alone on made-up inputs, or a plan's pipeline on its images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seatrial.backends.catalogue import takes
from seatrial.cells.checks import check_backend
from seatrial.cells.inputs import model_alone
from seatrial.cells.preflight import Ready
from seatrial.cells.prepare import cell_inputs, pipeline_cell, stopping_of
from seatrial.history.records import ImagesSection, ModelSection, PlanSection
from seatrial.history.run_folder import RunFolder
from seatrial.history.sections import model_section
from seatrial.jobs.workload import ModelWorkload, PipelineWorkload, Stopping
from seatrial.model.file import FAKE_SUFFIX, inspect_model
from seatrial.model.shapes import batch_of, check_inputs, fixed_shapes, taken_shapes
from seatrial.runtimes.choice import BackendChoice
from seatrial.stats.share import LONGEST_RUN
from seatrial.warning import Warning

I64 = npt.NDArray[np.int64]
Tell = Callable[[str, float], None]


@dataclass(frozen=True)
class BenchSubject:
    """What is measured, when there is enough of it, and what the record says about it.

    changed: which of its files are not what they were, for people; empty where none is. taken: which shape was taken from the
    model's metadata, likewise.
    """

    name: str
    workload: ModelWorkload | PipelineWorkload
    stopping: Stopping
    model: ModelSection
    model_bytes: int
    images: ImagesSection
    plan: PlanSection
    changed: Callable[[], str]
    warnings: tuple[Warning, ...] = ()
    taken: str = ""


def model_bench(
    model: Path,
    backend: str | BackendChoice,
    *,
    batch: int,
    threads: int,
    shapes: dict[str, tuple[int, ...]],
    native: bool,
    open_shapes: bool = False,
) -> BenchSubject:
    """A model alone, on made-up inputs. open_shapes: a mix will give them.

    Raises:
        ModelError: it can't be read, or has a dynamic dimension that neither batch nor `shapes` fixes.
        BackendUnavailableError: the backend is not on this machine.
    """
    info = inspect_model(model)
    if model.name.endswith(FAKE_SUFFIX):
        backend = "fake"
    choice = check_backend(backend)
    check_inputs(info)
    input_shapes = dict(shapes) if open_shapes else fixed_shapes(info, batch, shapes)
    # A given shape says the batch too: images a run is what throughput counts.
    batch = batch_of(info, shapes, batch)
    workload = ModelWorkload(
        model=str(model.absolute()),
        model_info=info,
        backend=choice.within(Path.cwd(), takes(choice.backend)),
        batch=batch,
        threads=threads,
        native=native,
        input_shapes=input_shapes,
    )
    stopping = Stopping(max_time_s=0.0, longest_run=LONGEST_RUN)
    images = ImagesSection(count=0, made_up_inputs=input_shapes)
    facts = model_section(info)
    return BenchSubject(
        "bench",
        workload,
        stopping,
        facts,
        info.size_bytes,
        images,
        PlanSection(),
        model_alone(info),
        taken="" if open_shapes else taken_shapes(info, shapes, input_shapes),
    )


def pipeline_bench(
    ready: Ready,
    run: RunFolder,
    pipeline: str,
    *,
    backend: str | BackendChoice | None,
    batch: int | None,
    threads: int | None,
    native: bool,
) -> BenchSubject:
    """A plan's pipeline on its images, in the first configuration of the matrix unless said otherwise."""
    cell, workload = pipeline_cell(ready, run, pipeline, backend=backend, batch=batch, threads=threads, native=native)
    info = ready.models[pipeline]
    images = ImagesSection(
        count=len(ready.images), digest=ready.images_digest, names=tuple(i.name for i in ready.images)
    )
    plan = PlanSection(path=str(ready.plan.path), digest=ready.plan.digest, text=ready.plan.text)
    size = Path(workload.model).stat().st_size if cell.precision != "fp32" else info.size_bytes
    changed = partial(ready.inputs.changed, pipeline, cell_inputs(cell))
    return BenchSubject(
        pipeline,
        workload,
        stopping_of(ready, cell),
        model_section(info),
        size,
        images,
        plan,
        changed,
        tuple(ready.warnings),
    )
