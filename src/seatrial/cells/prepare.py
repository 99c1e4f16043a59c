"""What a cell's process needs before it starts: its task, and its model in the right precision.

For: tasks of any kind, and variants made once and cached. Not for: running cells (trial/run.py) or what one does
(measure.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seatrial.cells.checks import check_backend, check_threads
from seatrial.cells.matrix import Cell
from seatrial.cells.preflight import Ready
from seatrial.cells.watch import Watcher
from seatrial.errors import (
    CellError,
    ExitCode,
    ModelError,
    PlanError,
    did_you_mean,
)
from seatrial.gate.budgets import concerns
from seatrial.history.records import CellRecord
from seatrial.history.store import RunFolder
from seatrial.jobs.process import Ended, run_worker
from seatrial.jobs.task import CALIBRATION_IMAGES, Task
from seatrial.machine.environment import usable_cores
from seatrial.model.file import ModelInfo, inspect_model
from seatrial.plan.reference import is_reference_configuration
from seatrial.precision.variants import variant_path
from seatrial.stages import END_TO_END


def prepare_variants(
    ready: Ready, run: RunFolder, cells: list[Cell], watcher: Watcher
) -> dict[tuple[str, str], Path | Ended]:
    """Model file of each (pipeline, precision). A variant that can't be made fails its cells, not the trial."""
    made: dict[tuple[str, str], Path | Ended] = {}
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
        not variant_path(ready.models[name], precision, _calibration_digest(ready, name)).is_file()
        for name, precision in reduced
    )


def _variant(ready: Ready, run: RunFolder, cell: Cell, watcher: Watcher) -> Path | Ended:
    """From the cache, or made now. Its file is one of the trial's inputs, and it is not kept where what it is made of moved."""
    info = ready.models[cell.pipeline]
    digest = _calibration_digest(ready, cell.pipeline)
    cached = variant_path(info, cell.precision, digest)
    found = _inspected(cached)
    if found is None:
        with contextlib.suppress(OSError):  # whoever makes it says what is wrong with the cache
            cached.unlink()
        task = task_for(ready, run, cell, "prepare", info.path).model_copy(
            update={"calibration_digest": digest, "batch": _fixed_batch(info)}
        )
        why = ready.inputs.changed(cell.pipeline)
        if why:
            return _of_other_inputs(why)
        ended = run_worker(task, ready.plan.plan.measure.timeout, told(watcher, cell))
        why = ready.inputs.changed(cell.pipeline)
        if why:
            cached.unlink(missing_ok=True)
            return _of_other_inputs(why)
        if ended.answer is None:
            return ended
        found = _inspected(cached)
        if found is None:
            return Ended(
                None, f"{cached}: went from the cache as soon as it was made; run again", int(ExitCode.FAIL), "", 0.0
            )
    ready.inputs.add(cell_inputs(cell), found.hashed)
    return cached


def _of_other_inputs(why: str) -> Ended:
    return Ended(None, why, int(ExitCode.BAD_INPUT), "", 0.0)


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
    first = info.inputs[0].shape[0] if info.inputs and info.inputs[0].shape else None
    return first if isinstance(first, int) else 1


def _calibration_digest(ready: Ready, name: str) -> str:
    """Of all that the calibration inputs depend on: images, decode and preprocess settings."""
    spec = ready.plan.plan.pipelines[name]
    parts = [ready.images_digest, spec.decode.model_dump_json(), spec.preprocess.model_dump_json(), spec.input or ""]
    parts += [str(CALIBRATION_IMAGES), ready.code_digests.get(name, "")]
    return "sha256:" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def told(watcher: Watcher, cell: Cell) -> Callable[[str, float], None]:
    return lambda step, share: watcher.step(cell, step, share)


def task_for(ready: Ready, run: RunFolder, cell: Cell, kind: Any, model: Path) -> Task:
    plan = ready.plan.plan
    return Task(
        kind=kind,
        pipeline_name=cell.pipeline,
        pipeline=plan.pipelines[cell.pipeline].model_dump(mode="json", exclude_unset=True),
        folder=str(ready.plan.folder),
        model=str(model),
        model_info=ready.models[cell.pipeline],
        backend=cell.backend,
        precision=cell.precision,
        batch=cell.batch,
        threads=cell.threads,
        images=[(str(i.path), i.name) for i in ready.images],
        allow_code=ready.allow_code,
        max_time_s=plan.measure.max_time,
        min_samples=plan.measure.min_samples,
        precision_target=plan.measure.precision,
        tails=(tails := _tails(ready, cell)),
        # How slow requests cluster is seen in time only: a tail's verdict is worth all of it.
        whole_time=any(quantile > 0.5 for _, quantile in tails),
        longest_run=plan.measure.longest_run,
        seed=plan.measure.seed,
        raw_images=plan.parity.images if plan.parity else 0,
        floor=_floor(ready, cell),
        answer=str(run.work / (cell.id if kind == "measure" else f"{kind}.{cell.pipeline}.{cell.precision}")),
    )


def _floor(ready: Ready, cell: Cell) -> list[tuple[int, int]]:
    """Of a reference cell with something to compare: its own configuration, batch 1, and the most threads of the matrix."""
    plan = ready.plan.plan
    if plan.parity is None or not is_reference_configuration(plan, cell):
        return []
    found = [(cell.batch, cell.threads)]
    if cell.batch > 1 and _fixed_batch(ready.models[cell.pipeline]) == 1:
        found.append((1, cell.threads))
    most = max((t for t in plan.matrix.threads if t <= len(usable_cores())), default=cell.threads)
    if most != cell.threads:
        found.append((cell.batch, most))
    return found


def _tails(ready: Ready, cell: Cell) -> list[tuple[str, float]]:
    """Each stage and quantile that a budget limits in this cell."""
    return [
        (b.stage or END_TO_END, float(b.percentile[1:]) / 100)
        for b in ready.plan.plan.budgets
        if b.metric == "latency" and concerns(ready.plan.plan, b, bare_record(cell))
    ]


def bare_record(cell: Cell, status: Any = "ok", **fields: Any) -> CellRecord:
    return CellRecord(
        id=cell.id, pipeline=cell.pipeline, backend=cell.backend, precision=cell.precision, batch=cell.batch,
        threads=cell.threads, status=status, **fields,
    )  # fmt: skip


def pipeline_cell(
    ready: Ready, run: RunFolder, pipeline: str, *, backend: str | None = None, batch: int | None = None,
    threads: int | None = None, native: bool = True,
) -> tuple[Cell, Task]:  # fmt: skip
    """One pipeline of a checked plan, in the first configuration of its matrix unless said otherwise, and its task.

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
    cell = Cell(pipeline, backend or m.backends[0], m.precisions[0], batch or m.batch_sizes[0], threads or m.threads[0])
    check_threads(cell.threads)
    check_backend(cell.backend)
    model = prepare_variants(ready, run, [cell], Watcher())[pipeline, cell.precision]
    if isinstance(model, Ended):
        raise CellError(f"{pipeline}: its {cell.precision} model could not be made: {model.reason}")
    return cell, task_for(ready, run, cell, "measure", model).model_copy(update={"native": native})
