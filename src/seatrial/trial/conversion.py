"""A plan's pipeline in another precision, as its cells would run it, as a file of the user's own.

For: the command `convert`. Not for: how it is made (precision), or the cells' own variants (cells/prepare.py).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from seatrial.cells import variant
from seatrial.cells.matrix import Cell, why_skipped
from seatrial.cells.preflight import preflight
from seatrial.cells.prepare import calibration_digest, workload_of
from seatrial.cells.variant import VariantTask
from seatrial.errors import ModelError, PlanError, ResultsError, did_you_mean, error_of, option
from seatrial.jobs.job import Tell
from seatrial.jobs.process import run_job
from seatrial.model.file import ModelInfo
from seatrial.model.image_size import main_input
from seatrial.plan.load import PlanFile
from seatrial.precision.conversion import Conversion
from seatrial.precision.recipe import Recipe
from seatrial.precision.variants import conversion_of


def convert_pipeline(
    plan: PlanFile, pipeline: str, precision: str, recipe: Recipe | None, out: Path, allow_code: bool, tell: Tell
) -> Conversion:
    """Writes the pipeline's model in that precision to `out`, with ranges seen on the plan's images.

    recipe: in place of the plan's keep_fp32.

    Raises:
        PlanError: the plan has no such pipeline, or is not fit.
        ModelError: the model cannot be converted.
        ResultsError: `out` cannot be written.
    """
    if pipeline not in plan.plan.pipelines:
        near = did_you_mean(pipeline, list(plan.plan.pipelines))
        raise PlanError(f"{plan.path}: no pipeline is called {pipeline!r}{near}")
    if recipe is not None:
        plan = _with_recipe(plan, pipeline, recipe)
    ready = preflight(plan, allow_code, lambda what: tell(f"checking {what}", 0.0))
    info = ready.models[pipeline]
    cell = Cell(pipeline, plan.plan.matrix.backend_names[0], precision, _batch_of(info), 1)
    # Of whatever backend: it is the file that is asked for.
    if why := why_skipped(info, "openvino-cpu", precision, cell.batch, 1, cell.batch, 1):
        raise ModelError(why, subject=info.path)
    task = VariantTask(
        workload=replace(workload_of(ready, cell, info.path), batch=cell.batch),
        calibration_digest=calibration_digest(ready, pipeline),
    )
    with tempfile.TemporaryDirectory(prefix="seatrial-convert-") as folder:
        ended = run_job(variant.JOB, task, Path(folder), plan.plan.measure.timeout, tell)
    if ended.answer is None:
        assert ended.failure is not None
        raise error_of(ended.failure)
    made = Path(ended.answer.path)
    conversion = conversion_of(made)
    if conversion is None:
        raise ResultsError(f"{made}: went from the cache as soon as it was made; run again")
    _copy(made, out)
    return conversion


def _with_recipe(plan: PlanFile, pipeline: str, recipe: Recipe) -> PlanFile:
    spec = plan.plan.pipelines[pipeline]
    kept = spec.convert.keep_fp32.model_copy(update={"nodes": recipe.nodes, "operators": recipe.operators})
    own = spec.model_copy(update={"convert": spec.convert.model_copy(update={"keep_fp32": kept})})
    pipelines = {**plan.plan.pipelines, pipeline: own}
    return replace(plan, plan=plan.plan.model_copy(update={"pipelines": pipelines}))


def _batch_of(info: ModelInfo) -> int:
    image = main_input(info) if info.inputs else None
    first = image.shape[0] if image and image.shape else None
    return first if isinstance(first, int) else 1


def _copy(made: Path, out: Path) -> None:
    """Whole or not at all: what stood there before stays until the new file is complete."""
    fresh = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        try:
            shutil.copyfile(made, fresh)
            fresh.replace(out)
        finally:
            # On a full disk half of it would stay, and keep the disk full.
            fresh.unlink(missing_ok=True)
    except OSError as e:
        raise ResultsError(
            f"{out}: cannot be written: {e.strerror}; name another file with {option('output')}"
        ) from None
