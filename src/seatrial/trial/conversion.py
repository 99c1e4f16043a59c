"""A plan's pipeline in another precision, as its cells would run it, as a file of the user's own.

For: the command `convert`. Not for: how it is made (precision), or the cells' own variants (cells/prepare.py).
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seatrial.cells import variant
from seatrial.cells.matrix import Cell, why_skipped
from seatrial.cells.preflight import preflight
from seatrial.cells.prepare import calibration_digest, workload_of
from seatrial.cells.variant import VariantTask
from seatrial.errors import ModelError, PlanError, ResultsError, did_you_mean, error_of
from seatrial.history.files import write_named
from seatrial.jobs.job import Tell
from seatrial.jobs.process import run_job
from seatrial.model.file import ModelInfo
from seatrial.model.image_size import main_input
from seatrial.plan.load import PlanFile
from seatrial.precision.conversion import Conversion
from seatrial.precision.recipe import Recipe
from seatrial.precision.variants import conversion_of, variant_path, why_not_whole


@dataclass(frozen=True)
class OwnSettings:
    """What is said instead of the plan. images: how many ranges are seen on."""

    recipe: Recipe | None = None
    method: str | None = None
    images: int | None = None


@dataclass(frozen=True)
class Written:
    """anew: why the cache's own had to be made once more, or ''."""

    conversion: Conversion
    size_bytes: int
    anew: str


def convert_pipeline(
    plan: PlanFile, pipeline: str, precision: str, own: OwnSettings, out: Path, allow_code: bool, tell: Tell
) -> Written:
    """Writes the pipeline's model in that precision to `out`, with ranges seen on the plan's images. own: before the plan's.

    Raises:
        PlanError: the plan has no such pipeline, or is not fit.
        ModelError: the model cannot be converted.
        ResultsError: `out` cannot be written.
    """
    if pipeline not in plan.plan.pipelines:
        near = did_you_mean(pipeline, list(plan.plan.pipelines))
        raise PlanError(f"{plan.path}: no pipeline is called {pipeline!r}{near}")
    plan = _with_settings(plan, pipeline, own)
    ready = preflight(plan, allow_code, lambda what: tell(f"checking {what}", 0.0))
    info = ready.models[pipeline]
    cell = Cell(pipeline, plan.plan.matrix.backend_names[0], precision, _batch_of(info), 1)
    # Of whatever backend: it is the file that is asked for.
    if why := why_skipped(info, "openvino-cpu", precision, cell.batch, 1, cell.batch, 1):
        raise ModelError(why, subject=info.path)
    digest = calibration_digest(ready, pipeline)
    task = VariantTask(
        workload=replace(workload_of(ready, cell, info.path), batch=cell.batch), calibration_digest=digest
    )
    anew = why_not_whole(variant_path(info, precision, digest)) or ""
    with tempfile.TemporaryDirectory(prefix="seatrial-convert-") as folder:
        ended = run_job(variant.JOB, task, Path(folder), plan.plan.measure.timeout, tell)
    if ended.answer is None:
        assert ended.failure is not None
        raise error_of(ended.failure)
    made = Path(ended.answer.path)
    conversion = conversion_of(made)
    if conversion is None:
        raise ResultsError(f"{made}: went from the cache as soon as it was made; run again")
    content = made.read_bytes()
    write_named(out, content, "output")
    return Written(conversion, len(content), anew)


def _with_settings(plan: PlanFile, pipeline: str, own: OwnSettings) -> PlanFile:
    spec = plan.plan.pipelines[pipeline]
    changes: dict[str, Any] = {}
    if own.recipe is not None:
        kept = {"nodes": own.recipe.nodes, "operators": own.recipe.operators}
        changes["keep_fp32"] = spec.convert.keep_fp32.model_copy(update=kept)
    if own.method is not None:
        changes["calibration"] = own.method
    if own.images is not None:
        changes["images"] = own.images
    if not changes:
        return plan
    changed = spec.model_copy(update={"convert": spec.convert.model_copy(update=changes)})
    pipelines = {**plan.plan.pipelines, pipeline: changed}
    return replace(plan, plan=plan.plan.model_copy(update={"pipelines": pipelines}))


def _batch_of(info: ModelInfo) -> int:
    image = main_input(info) if info.inputs else None
    first = image.shape[0] if image and image.shape else None
    return first if isinstance(first, int) else 1
