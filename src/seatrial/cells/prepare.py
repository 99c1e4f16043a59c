"""What a cell's process needs before it starts: its task, and its model in the right precision.

For: tasks of any kind, and variants made once and cached. Not for: running cells (trial/run.py) or what one does
(measure.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seatrial.backends.catalogue import takes
from seatrial.cells import variant
from seatrial.cells.checks import check_backend, check_name, check_runs, check_threads
from seatrial.cells.matrix import Cell
from seatrial.cells.measure import MeasureTask
from seatrial.cells.preflight import Ready
from seatrial.cells.variant import VariantAnswer, VariantTask
from seatrial.cells.watch import Watcher
from seatrial.errors import (
    CellError,
    ExitCode,
    Failure,
    ModelError,
    PlanError,
    UsageError,
    did_you_mean,
)
from seatrial.gate.budgets import concerns
from seatrial.history.records import CellRecord
from seatrial.history.run_folder import RunFolder
from seatrial.jobs.process import Ended, run_job
from seatrial.jobs.workload import PipelineWorkload, Stopping
from seatrial.machine.environment import usable_cores
from seatrial.model.file import ModelInfo, inspect_model
from seatrial.model.image_size import main_input
from seatrial.plan.models import Matrix
from seatrial.plan.reference import is_reference_configuration
from seatrial.precision.variants import conversion_of, variant_path, why_not_whole
from seatrial.runtimes.choice import BackendChoice, named_in
from seatrial.runtimes.names import known_names, problem_of
from seatrial.stages import END_TO_END
from seatrial.stats.sample import quantile_of
from seatrial.warning import Warning

# Why there is no model in some precision.
NoModel = Ended[VariantAnswer]
# The model file of each pipeline in each precision.
Variants = dict[tuple[str, str], Path | NoModel]


def prepare_variants(ready: Ready, run: RunFolder, cells: Sequence[Cell], watcher: Watcher) -> Variants:
    """Model file of each (pipeline, precision). A variant that can't be made fails its cells, not the trial."""
    made: Variants = {}
    for cell in cells:
        key = (cell.pipeline, cell.precision)
        if key in made:
            continue
        info = ready.models[cell.pipeline]
        if cell.precision == "fp32":
            made[key] = info.path
            continue
        made[key] = _variant(ready, run, cell, watcher)
    return made


def models_to_make(ready: Ready, cells: Sequence[Cell]) -> int:
    """How many variants the cells need that are not in the cache."""
    reduced = {(c.pipeline, c.precision) for c in cells if c.precision != "fp32"}
    return sum(
        why_not_whole(variant_path(ready.models[name], precision, calibration_digest(ready, name))) != ""
        for name, precision in reduced
    )


def _variant(ready: Ready, run: RunFolder, cell: Cell, watcher: Watcher) -> Path | NoModel:
    """From the cache, or made now. Its file is one of the trial's inputs, and it is not kept where what it is made of moved."""
    info = ready.models[cell.pipeline]
    digest = calibration_digest(ready, cell.pipeline)
    cached = variant_path(info, cell.precision, digest)
    why_anew = why_not_whole(cached)
    found = _inspected(cached) if why_anew == "" else None
    if found is None:
        if why_anew == "":
            # Whole, and no model all the same: an older version's, or a file of whoever wrote the note too.
            cached.unlink(missing_ok=True)
            why_anew = "the file is no model that can be read"
        if why := ready.inputs.changed(cell.pipeline):
            return NoModel(None, Failure.of_text(why, ExitCode.BAD_INPUT))
        workload = replace(workload_of(ready, cell, info.path), batch=_fixed_batch(info))
        folder = run.work / f"prepare.{cell.pipeline}.{cell.precision}"
        task = VariantTask(workload=workload, calibration_digest=digest)
        ended = run_job(variant.JOB, task, folder, ready.plan.plan.measure.timeout, watcher.of(cell))
        if why := ready.inputs.changed(cell.pipeline):
            cached.unlink(missing_ok=True)
            return NoModel(None, Failure.of_text(why, ExitCode.BAD_INPUT))
        if ended.answer is None:
            return ended
        if why_anew:
            said = f"{cached}: {why_anew}, so that the {cell.precision} model was made anew"
            _warn(ready, cell, Warning("made-anew", said))
        found = _inspected(cached)
        if found is None:
            return NoModel(None, Failure.of_text(f"{cached}: went from the cache as soon as it was made; run again"))
    conversion = conversion_of(cached)
    for said in conversion.warnings if conversion else ():
        _warn(ready, cell, Warning("conversion", said))
    ready.inputs.add(cell_inputs(cell), found.hashed)
    return cached


def _warn(ready: Ready, cell: Cell, warning: Warning) -> None:
    """Once, however often the cell is prepared."""
    own = warning.of(f"pipeline {cell.pipeline}")
    if own not in ready.warnings:
        ready.warnings.append(own)


def cell_inputs(cell: Cell) -> str:
    """Under which name `Ready.inputs` has the variant that a cell runs."""
    return f"{cell.pipeline} in {cell.precision}"


def _inspected(cached: Path) -> ModelInfo | None:
    """A cached variant; None where it is not there, or not whole."""
    try:
        return inspect_model(cached)
    except ModelError:
        return None


def _fixed_batch(info: ModelInfo) -> int:
    image = main_input(info) if info.inputs else None
    first = image.shape[0] if image and image.shape else None
    return first if isinstance(first, int) else 1


def calibration_digest(ready: Ready, name: str) -> str:
    """Of all that a conversion depends on beside the model: images, decode, preprocess, and its own settings."""
    spec = ready.plan.plan.pipelines[name]
    parts = [ready.images_digest, spec.decode.model_dump_json(), spec.preprocess.model_dump_json(), spec.input or ""]
    parts += [spec.convert.model_dump_json(), ready.code_digests.get(name, "")]
    return "sha256:" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def workload_of(ready: Ready, cell: Cell, model: Path, native: bool = False) -> PipelineWorkload:
    """What the cell's process opens. model: the file in the cell's precision."""
    plan = ready.plan.plan
    return PipelineWorkload(
        model=str(model),
        model_info=ready.models[cell.pipeline],
        backend=cell.choice.within(ready.plan.folder, takes(cell.choice.backend)),
        precision=cell.precision,
        batch=cell.batch,
        threads=cell.threads,
        native=native,
        seed=plan.measure.seed,
        name=cell.pipeline,
        spec=plan.pipelines[cell.pipeline],
        folder=str(ready.plan.folder),
        images=tuple((str(i.path), i.name) for i in ready.images),
        allow_code=ready.allow_code,
    )


def stopping_of(ready: Ready, cell: Cell) -> Stopping:
    m, tails = ready.plan.plan.measure, _tails(ready, cell)
    return Stopping(
        max_time_s=m.max_time,
        min_samples=m.min_samples,
        precision=m.precision,
        tails=tails,
        longest_run=m.longest_run,
        # How slow requests cluster is seen in time only: a tail's verdict is worth all of it.
        whole_time=any(quantile > 0.5 for _, quantile in tails),
    )


def measure_task(ready: Ready, cell: Cell, model: Path) -> MeasureTask:
    parity = ready.plan.plan.parity
    return MeasureTask(
        workload=workload_of(ready, cell, model),
        stopping=stopping_of(ready, cell),
        raw_images=parity.images if parity else 0,
        floor=_floor(ready, cell),
    )


def _floor(ready: Ready, cell: Cell) -> tuple[tuple[int, int], ...]:
    """Of a reference cell with something to compare: its own configuration, batch 1, and the most threads of the matrix."""
    plan = ready.plan.plan
    if plan.parity is None or not is_reference_configuration(plan, cell):
        return ()
    found = [(cell.batch, cell.threads)]
    if cell.batch > 1 and _fixed_batch(ready.models[cell.pipeline]) == 1:
        found.append((1, cell.threads))
    most = max((t for t in plan.matrix.threads if t <= len(usable_cores())), default=cell.threads)
    if most != cell.threads:
        found.append((cell.batch, most))
    return tuple(found)


def _tails(ready: Ready, cell: Cell) -> tuple[tuple[str, float], ...]:
    """Each stage and quantile that a budget limits in this cell."""
    return tuple(
        (b.stage or END_TO_END, quantile_of(b.percentile))
        for b in ready.plan.plan.budgets
        if b.metric == "latency" and concerns(ready.plan.plan, b, cell)
    )


def bare_record(cell: Cell, status: Any = "ok", **fields: Any) -> CellRecord:
    return CellRecord(
        id=cell.id,
        pipeline=cell.pipeline,
        backend=cell.backend,
        backend_kind=cell.choice.backend,
        backend_options=dict(cell.choice.options),
        precision=cell.precision,
        batch=cell.batch,
        threads=cell.threads,
        status=status,
        **fields,
    )


def pipeline_cell(
    ready: Ready,
    run: RunFolder,
    pipeline: str,
    *,
    backend: str | BackendChoice | None = None,
    batch: int | None = None,
    threads: int | None = None,
    native: bool = True,
) -> tuple[Cell, PipelineWorkload]:
    """One pipeline of a checked plan, in the first configuration of its matrix unless said otherwise, ready to open.

    Raises:
        PlanError: the plan has no such pipeline.
        CellError: its model could not be made in the matrix's first precision.
    """
    plan = ready.plan.plan
    if pipeline not in plan.pipelines:
        raise PlanError(
            f"{ready.plan.path}: no pipeline is called {pipeline!r}{did_you_mean(pipeline, list(plan.pipelines))}; "
            f"expected one of {', '.join(plan.pipelines)}"
        )
    m = plan.matrix
    choice = _choice(m, backend)
    batch, threads = batch or m.batch_sizes[0], threads or m.threads[0]
    cell = Cell(pipeline, choice.label, m.precisions[0], batch, threads, of=choice)
    check_threads(cell.threads)
    model = prepare_variants(ready, run, [cell], Watcher())[pipeline, cell.precision]
    if isinstance(model, Ended):
        raise CellError(f"{pipeline}: its {cell.precision} model could not be made: {model.reason}")
    return cell, workload_of(ready, cell, model, native)


def _choice(matrix: Matrix, backend: str | BackendChoice | None) -> BackendChoice:
    """The matrix's first; or the one that the plan calls so; or a backend with options, as a command gives it."""
    if backend is None:
        return check_backend(check_runs(matrix.choices[0]))
    named = next((c for c in matrix.choices if c.label == backend), None)
    if named is None and isinstance(backend, str) and problem_of(named_in(backend)):
        names = list(dict.fromkeys((*matrix.backend_names, *known_names())))
        raise UsageError(
            f"expected a name of the plan's matrix or a backend, one of {', '.join(names)}, got {backend!r}"
            f"{did_you_mean(backend, names)}",
            option="backend",
        )
    return check_backend(check_runs(check_name(named or backend)))
