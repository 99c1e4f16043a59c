"""A model's pipeline on images without a plan: the plan that `init` would write, held in memory.

For: `seatrial bench MODEL --images PATH`. Not for: the guess itself (jobs/guessed.py, plan/guess.py).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seatrial.backends.catalogue import takes
from seatrial.cells.checks import check_backend, check_runs
from seatrial.errors import DataError, ModelError, SeatrialError, count_of, flag, option
from seatrial.jobs.guessed import guess_seen
from seatrial.model.file import FAKE_SUFFIX, ModelInfo, inspect_model
from seatrial.model.fitting import example_shape
from seatrial.model.image_size import main_input
from seatrial.model.shapes import batch_of, picture_size
from seatrial.plan.guess import Guess
from seatrial.plan.init import plan_text
from seatrial.plan.load import PlanFile, plan_in_memory
from seatrial.runtimes.choice import BackendChoice
from seatrial.warning import Warning

# What messages call it: no file holds it.
CALLED = "the guessed plan"
PIPELINE = "baseline"


@dataclass(frozen=True)
class GuessedPlan:
    """choice: the backend with its options, which the plan's text does not have. warning: for a record, which has no room for
    all that `guess` is sure and unsure of."""

    plan: PlanFile
    choice: BackendChoice
    info: ModelInfo
    guess: Guess
    batch: int
    warning: tuple[Warning, ...]


def guessed_plan(
    model: Path, images: str, *, backend: str, batch: int | None, shapes: Mapping[str, tuple[int, ...]]
) -> GuessedPlan:
    """A plan of one pipeline. shapes: the picture's, where the model and its metadata leave its size open.

    Raises:
        ModelError: nothing tells the preprocessing, or the model does not run with it: a plan has to say it.
        UsageError: shapes that the model does not take.
        DataError: no such images.
    """
    info = inspect_model(model)
    if not Path(images).exists():
        raise DataError(f"{option('images')}: expected a folder of images, or one, got {images!r}, which is not there")
    backend = "fake" if model.name.endswith(FAKE_SUFFIX) else backend
    choice = check_runs(check_backend(backend))
    choice = choice.within(Path.cwd(), takes(choice.backend))
    size = picture_size(info, shapes, batch or 1)
    init = f"seatrial init {shlex.quote(str(model))} {flag('images')} {shlex.quote(images)}"
    try:
        guess, problem = guess_seen(info, Path(images), [choice], size)
    except ModelError as e:
        raise ModelError(f"{option('images')}: nothing tells the preprocessing: {e.raw}") from None
    if not guess.size_known:
        raise _unsized(info, init)
    if problem:
        said = f"the model does not run with what its file suggests: {problem}; or write a plan with '{init}', and correct it"
        raise ModelError(f"{option('images')}: {said}")
    text = plan_text(info, guess, Path.cwd(), images, [choice.backend])
    counted = batch or batch_of(info, dict(shapes), guess.batch_fixed or 1)
    return GuessedPlan(_plan(text), choice, info, guess, counted, _doubts(guess, init))


def _plan(text: str) -> PlanFile:
    try:
        return plan_in_memory(text, Path.cwd() / CALLED)
    except SeatrialError as e:
        raise ModelError(f"{option('images')}: {e.raw}") from None


def _unsized(info: ModelInfo, init: str) -> ModelError:
    image = main_input(info)
    shape = "x".join(map(str, example_shape(info, image, 1, {})))
    return ModelError(
        f"{option('images')}: the model takes pictures of any size, and neither it nor its metadata says which; give "
        f"{option('shape')} {image.name}={shape}, or write a plan with '{init}'",
        subject=info.path,
    )


def _doubts(guess: Guess, init: str) -> tuple[Warning, ...]:
    if not guess.unsure:
        return ()
    points = count_of(len(guess.unsure), "point")
    said = f"the pipeline around the model is a guess, with {points} to check"
    return (Warning("check-marks", said, f"'{init}' writes it down to be corrected"),)
