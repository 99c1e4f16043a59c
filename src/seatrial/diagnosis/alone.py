"""One side of a comparison by itself: its own model, on its own inputs, in a batch, alone, in another order, with open shapes.

For: the processes that have a side's model at hand (job.py, tap_job.py). Not for: what must hold (invariants.py), or what a
violation means for the verdict (by_itself.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from seatrial.backends import OpenOptions, open_backend
from seatrial.diagnosis.invariants import Feeds, dynamic_as_fixed, invariants
from seatrial.diagnosis.tolerances import same_in
from seatrial.errors import SeatrialError, count_of
from seatrial.history.records.diagnosis import Invariant
from seatrial.jobs.opened import build, image_bytes
from seatrial.jobs.workload import PipelineWorkload
from seatrial.model.file import FAKE_SUFFIX
from seatrial.model.image_size import main_input

Array = npt.NDArray[Any]
Run = Callable[[dict[str, Array]], Sequence[Array]]
# Unlike images, for a row each.
IMAGES = 4
# Where neither the side nor the plan runs batches, and the model lets them.
OTHERWISE = 4
# Of the time of a diagnosis, for each of the two sides: they are a few runs, but some backends build for each batch size.
SHARE_OF_TIME = 0.05
NAMES = ("row-alone", "identical-rows", "order", "dynamic-shape")


def held_alone(
    w: PipelineWorkload,
    side: Literal["reference", "candidate"],
    together: int,
    limit_s: float,
    run: Run,
) -> tuple[Invariant, ...]:
    """together: how many rows a batch is tried with where the side itself runs one. limit_s: after it nothing more is run.
    run: the side's model as it is opened already, for as many rows as the side's batch."""
    fixed = main_input(w.model_info).shape[0] if w.model_info.inputs and main_input(w.model_info).shape else None
    batch = w.batch if w.batch > 1 or isinstance(fixed, int) else together or OTHERWISE
    if w.model.endswith(FAKE_SUFFIX):
        return _untried(side, "a script's outputs are made up")
    with ExitStack() as stack:
        try:
            images = _feeds(w)
        except (SeatrialError, ValueError) as e:
            return _untried(side, str(e).splitlines()[0][:200])
        models = _Models(stack, w, images[0], limit_s, fixed if isinstance(fixed, int) else 0, run)
        same = same_in(w.precision)
        if batch == 1:
            found = tuple(
                Invariant(name=n, holds=None, said="not tried: the model takes one image a run") for n in NAMES[:3]
            )
        else:
            found = invariants(models.run, images, batch, same)
        return tuple(i.model_copy(update={"side": side}) for i in (*found, _dynamic(w, models, images, fixed, same)))


def not_run_again() -> tuple[Invariant, ...]:
    """Of a candidate that shows what it had, or what it answers, and that is all."""
    return _untried("candidate", "it is no cell of the plan, so that it cannot be run for this")


def _untried(side: Literal["reference", "candidate"], why: str) -> tuple[Invariant, ...]:
    return tuple(Invariant(name=n, holds=None, said=f"not tried: {why}", side=side) for n in NAMES)


def _dynamic(w: PipelineWorkload, models: _Models, images: Sequence[Feeds], fixed: Any, same: Any) -> Invariant:
    name = NAMES[3]
    if all(isinstance(d, int) for i in w.model_info.inputs for d in i.shape):
        return Invariant(name=name, holds=None, said="not tried: the model's shapes are all fixed")
    few = images[:2] if not isinstance(fixed, int) or fixed == 1 else []
    if not few:
        return Invariant(name=name, holds=None, said=f"not tried: the model takes {count_of(fixed, 'image')} a run")
    return dynamic_as_fixed(models.run_open, models.run, few, same)


def _feeds(w: PipelineWorkload) -> list[Feeds]:
    """Of the first images, each in a batch of its own. ValueError where they can be no batch."""
    pipeline, data = build(w), image_bytes(w)
    if not pipeline.fixed_shapes:
        raise ValueError("images of unlike sizes are no batch")
    found: list[Feeds] = []
    for i in range(min(IMAGES, len(data))):
        feeds = pipeline.allocate(1)
        pipeline.preprocess([pipeline.decode(data[i])], feeds)
        found.append({name: np.array(array) for name, array in feeds.items()})
    return found


class _Models:
    """The side's model for so many rows, each opened when it is first run. fixed: the rows that the model takes, 0 for any."""

    def __init__(
        self, stack: ExitStack, w: PipelineWorkload, image: Feeds, limit_s: float, fixed: int, run: Run
    ) -> None:
        self._stack, self._w, self._image, self._fixed = stack, w, image, fixed
        self._limit_s, self._began, self._last_s = limit_s, time.monotonic(), 0.0
        self._opened: dict[int, Run] = {w.batch: run}

    def run(self, feeds: Feeds) -> Sequence[Array]:
        rows = len(next(iter(feeds.values())))
        if rows < self._fixed:
            whole = {name: np.repeat(array, self._fixed, axis=0) for name, array in feeds.items()}
            return [o[:1] for o in self._at(self._fixed)(whole)]
        return self._at(rows)(dict(feeds))

    def run_open(self, feeds: Feeds) -> Sequence[Array]:
        """The model opened for any shape."""
        return self._at(0)(dict(feeds))

    def _at(self, rows: int) -> Run:
        spent = time.monotonic() - self._began
        opens = 0.0 if rows in self._opened else self._last_s
        if spent + opens > self._limit_s:
            raise ValueError(f"there were {self._limit_s:.3g} s for it, of the diagnosis")
        if rows not in self._opened:
            self._opened[rows] = self._open(rows)
            self._last_s = time.monotonic() - self._began - spent
        return self._opened[rows]

    def _open(self, rows: int) -> Run:
        w = self._w
        shapes: Mapping[str, tuple[int, ...]] = {n: (rows, *a.shape[1:]) for n, a in self._image.items()}
        fixed = OpenOptions.for_shapes(w.model_info, w.threads, dict(shapes))
        options = fixed if rows else OpenOptions.for_mix(w.threads)
        options = replace(options, build_number=w.build_number)
        return self._stack.enter_context(open_backend(w.backend, Path(w.model), options)).run
