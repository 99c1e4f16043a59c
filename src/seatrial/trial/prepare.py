"""What a cell's process needs before it starts: its task, and its model in the right precision.

For: tasks of any kind, and variants made once and cached. Not for: running cells (run.py) or what a task does (worker.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seatrial.errors import ModelError
from seatrial.gate.budgets import concerns
from seatrial.history.records import CellRecord
from seatrial.history.store import RunFolder
from seatrial.plan.model_file import ModelInfo, inspect_model
from seatrial.precision.variants import variant_path
from seatrial.stats.sample import CONFIDENCE, samples_needed
from seatrial.trial.cells import Cell
from seatrial.trial.preflight import Ready
from seatrial.trial.process import Ended, run_worker
from seatrial.trial.task import CALIBRATION_IMAGES, Task
from seatrial.trial.watch import Watcher


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
        digest = _calibration_digest(ready, cell.pipeline)
        cached = variant_path(info, cell.precision, digest)
        if _sound(cached):
            made[key] = cached
            continue
        cached.unlink(missing_ok=True)
        task = task_for(ready, run, cell, "prepare", info.path).model_copy(
            update={"calibration_digest": digest, "batch": _fixed_batch(info)}
        )
        ended = run_worker(task, ready.plan.plan.measure.timeout, told(watcher, cell))
        made[key] = Path(ended.answer.variant) if ended.answer else ended
    return made


def models_to_make(ready: Ready, cells: Sequence[Cell]) -> int:
    """How many variants the cells need that are not in the cache."""
    reduced = {(c.pipeline, c.precision) for c in cells if c.precision != "fp32"}
    return sum(
        not variant_path(ready.models[name], precision, _calibration_digest(ready, name)).is_file()
        for name, precision in reduced
    )


def _sound(cached: Path) -> bool:
    """Whether a cached variant is there and whole."""
    try:
        inspect_model(cached)
    except ModelError:
        return False
    return True


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
        tails=_tails(ready, cell),
        seed=plan.measure.seed,
        raw_images=plan.parity.images if plan.parity else 0,
        answer=str(run.work / (cell.id if kind == "measure" else f"{kind}.{cell.pipeline}.{cell.precision}")),
    )


def _tails(ready: Ready, cell: Cell) -> list[tuple[str, float, int]]:
    """Each stage and quantile that a budget limits in this cell, and the independent samples it can't pass without."""
    limited = [
        (b.stage or "end_to_end", float(b.percentile[1:]) / 100)
        for b in ready.plan.plan.budgets
        if b.metric == "latency" and concerns(ready.plan.plan, b, bare_record(cell))
    ]
    return [(stage, quantile, samples_needed(quantile, CONFIDENCE)) for stage, quantile in limited]


def bare_record(cell: Cell, status: Any = "ok", **fields: Any) -> CellRecord:
    return CellRecord(
        id=cell.id, pipeline=cell.pipeline, backend=cell.backend, precision=cell.precision, batch=cell.batch,
        threads=cell.threads, status=status, **fields,
    )  # fmt: skip
