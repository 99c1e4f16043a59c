"""The hunt for a recipe in a process of its own. For: `recipe_of`, which commands call. Not for: the hunt (recipe.py)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from seatrial.errors import BrokenProcessError, error_of, option
from seatrial.jobs.job import Job, Tell
from seatrial.jobs.process import run_job
from seatrial.jobs.workload import STRICT, PipelineWorkload
from seatrial.localise.job import MADE_UP, TIMEOUT_S, InsideTask, feeds_of, workload_of
from seatrial.localise.recipe import FoundRecipe, find_recipe
from seatrial.model.file import inspect_model


@dataclass(frozen=True, config=STRICT, kw_only=True)
class RecipeTask(InsideTask):
    """workload: the model in fp32, and its inputs; other is not run. precision: what it is to be reduced to."""

    precision: str
    most: int = 200


@dataclass(frozen=True, config=ConfigDict(extra="forbid", ser_json_inf_nan="constants"))
class RecipeAnswer:
    found: FoundRecipe


def recipe_of(
    model: Path,
    precision: str,
    *,
    pipeline: PipelineWorkload | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    count: int = MADE_UP,
    threads: int = 1,
    most: int = 200,
    timeout_s: float = TIMEOUT_S,
    tell: Tell = lambda _step, _share: None,
) -> FoundRecipe:
    """What find_recipe says, on the inputs that localise.models would take.

    Raises:
        SeatrialError: of any kind, as find_recipe raises them; BrokenProcessError where it took too long.
    """
    workload = workload_of(inspect_model(model), "onnxruntime-cpu", threads, shapes or {})
    task = RecipeTask(
        workload=workload, other=workload, pipeline=pipeline, count=max(1, count), precision=precision, most=most
    )
    with tempfile.TemporaryDirectory(prefix="seatrial-recipe-") as folder:
        ended = run_job(JOB, task, Path(folder), timeout_s, tell, time_option=option("max_time"))
    if ended.answer is None:
        assert ended.failure is not None
        raise error_of(ended.failure, "", BrokenProcessError)
    return ended.answer.found


def _hunt(task: RecipeTask, folder: Path, tell: Tell) -> RecipeAnswer:
    w = task.workload
    feeds = feeds_of(task, folder)
    return RecipeAnswer(find_recipe(Path(w.model), task.precision, feeds, most=task.most, threads=w.threads, says=tell))


JOB = Job("seatrial.localise.recipe_job", RecipeTask, RecipeAnswer, _hunt, timed=False)
