"""A first trial of a model that nobody has a plan for yet: init's plan, kept in memory, on every backend that runs the model.

For: what is run, on how many pictures, for how long. Not for: budgets, which nobody gave: nothing here is called fast enough,
and without the truth nothing is called right.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.demo import PICTURE
from seatrial.errors import BackendUnavailableError, ModelError, UsageError, count_of, flag
from seatrial.images.files import SUFFIXES
from seatrial.jobs.look import Look
from seatrial.model.shapes import batch_of, picture_size
from seatrial.plan.guess import Guess
from seatrial.plan.init import plan_text
from seatrial.plan.load import PlanFile, plan_in_memory
from seatrial.report.inspection_text import shapes_said
from seatrial.trial.forecast import AFTER_S, IMAGE_S, START_S, WARM_UP_S
from seatrial.units import format_seconds

# The page at the end.
REPORT_S = 1.5
FEWEST_IMAGES, MOST_IMAGES = 2, 32
# The reference runs so many once more, against itself (cells/floor.py).
FLOOR_IMAGES = 8
# Of a median, in runs; and what a p90 takes (docs/timing.md), where there is time.
FEWEST_RUNS, ENOUGH_RUNS = 6, 700
LONGEST_MEASURE_S = 60.0


@dataclass(frozen=True)
class QuickTrial:
    """plan: in memory. backends: those that run the model, the reference first. images: pictures at most, and of how many
    that are there. expected_s: from here to the end. bundled: whether the pictures are the demo's."""

    plan: PlanFile
    backends: tuple[str, ...]
    images: int
    there: int
    expected_s: float
    bundled: bool

    @property
    def pictures(self) -> str:
        """As the screen names them."""
        if self.bundled:
            return f"{count_of(self.images, 'picture')} of the demo"
        if self.images < self.there:
            return f"{self.images} of your {self.there:,} pictures"
        return count_of(self.images, "picture")


def quick_trial(
    look: Look, images: Path | None, shapes: Mapping[str, tuple[int, ...]], left_s: float, max_time_s: float
) -> QuickTrial:
    """shapes: that the look was given. left_s: what is left of max_time_s, which the user gave.

    Raises:
        ModelError: no plan fits the model, or no backend here runs it.
        BackendUnavailableError: no backend is installed.
        UsageError: max_time is too short for so slow a model, or shapes are of more than one picture, or of none.
    """
    found = _guess_of(look)
    picture_size(look.info, shapes)
    if not found.batch_fixed and batch_of(look.info, dict(shapes), 1) != 1:
        raise UsageError("a first trial has one picture a batch; 'seatrial init' takes others", option="shape")
    running = [o for o in look.openings if o.opens and not o.run_problem]
    if not look.openings:
        raise BackendUnavailableError("no backend is installed here; python -m pip install 'seatrial[cpu]'")
    if not running:
        refusing: dict[str, list[str]] = {}
        for o in look.openings:
            refusing.setdefault(o.problem or o.run_problem, []).append(o.backend)
        why = "; ".join(f"{' and '.join(names)}: {problem}" for problem, names in refusing.items())
        at = f" at {shapes_said(look.opened_at)}" if look.opened_at else ""
        cure = (
            ""
            if look.cost
            else f"; that size is a guess: give yours, such as {shlex.join(shape_options(look.opened_at))}"
        )
        raise ModelError(f"no backend here runs the model{at}: {why}{cure}", subject=look.info.path)
    slowest_s = max((o.run_s or 0.0) for o in running)
    load_s = max(o.load_s for o in running)
    share_s = (left_s - REPORT_S) / len(running)
    batch = found.batch_fixed or 1
    run_s = slowest_s + batch * IMAGE_S
    there = _count(images)
    affordable = int(0.12 * share_s / run_s) * batch
    count = max(1, min(there, max(FEWEST_IMAGES, min(MOST_IMAGES, affordable))))
    others_s = START_S + WARM_UP_S + AFTER_S + 2 * load_s + (count + min(count, FLOOR_IMAGES)) / batch * run_s
    measure_s = min(share_s - others_s, LONGEST_MEASURE_S)
    if measure_s < max(0.5, FEWEST_RUNS * run_s):
        least_s = max_time_s - left_s + REPORT_S + len(running) * (others_s + max(0.5, FEWEST_RUNS * run_s))
        each = f"all but measuring takes {format_seconds(others_s)} each, and a run takes {format_seconds(slowest_s)}"
        raise UsageError(
            f"expected {math.ceil(least_s)} s or more for {count_of(len(running), 'backend')}: {each}; give it more, or fewer "
            "backends in a plan ('seatrial init')",
            option="max_time",
            value=format_seconds(max_time_s),
        )
    runs = int(0.6 * measure_s / run_s)
    changes: dict[str, Any] = {
        "budgets": [],
        "images.limit": count,
        "measure": {
            "max_time": f"{measure_s:.3f} s",
            "precision": "2%",
            "min_samples": max(FEWEST_RUNS, min(ENOUGH_RUNS, runs)),
            "timeout": f"{max(60.0, 4 * share_s):.3f} s",
        },
    }
    backends = tuple(o.backend for o in running)
    # Its name says in lists of runs what was tried; in its place stands no file.
    path = look.info.path.absolute().with_name(f"{look.info.path.name} (plan in memory)")
    folder = str((images or PICTURE.parent).absolute())
    text = plan_text(look.info, found, path.parent, folder, list(backends))
    expected_s = len(running) * (others_s + measure_s) + REPORT_S
    return QuickTrial(plan_in_memory(text, path, changes), backends, count, there, expected_s, images is None)


def _guess_of(look: Look) -> Guess:
    if look.guess is None:
        name = look.info.path
        raise ModelError(
            f"{name}: it cannot be tried on pictures: {look.no_guess}; 'seatrial bench {name}' measures the model alone"
        )
    return look.guess


def _count(images: Path | None) -> int:
    """Pictures that are there."""
    folder = images or PICTURE.parent
    files = folder.rglob("*") if folder.is_dir() else [folder]
    return sum(1 for f in files if f.suffix.lower() in SUFFIXES)


def next_commands(
    look: Look, trial: QuickTrial, images: Path | None, given: Mapping[str, tuple[int, ...]], p50_s: float | None
) -> list[str]:
    """What to type next: a plan to confirm, backends or versions compared, the highest rate. given: shapes, by the user."""
    model = str(look.info.path)
    fixed = all(isinstance(d, int) for i in look.info.inputs for d in (i.shape[1:] if i.ranked else [None]))
    shape = [] if fixed else shape_options(look.opened_at)
    sides = (
        [flag("backend_a"), trial.backends[0], flag("backend_b"), trial.backends[1]] if len(trial.backends) > 1 else []
    )
    other = [] if sides else ["next-version.onnx"]
    fixed_batch = look.guess.batch_fixed if look.guess else None
    if fixed_batch and fixed_batch > 1:
        shape += [flag("batch"), str(fixed_batch)]
    bound = _rounded_up(5 * p50_s) if p50_s else "100ms"
    search = [flag("scenario"), "server", flag("find_rate"), f"{flag('latency_bound')}={bound}@p95"]
    return [
        shlex.join(["seatrial", "init", model, flag("images"), str(images or "photos/"), *shape_options(given)])
        + " && seatrial run trial.yaml",
        shlex.join(["seatrial", "compare", model, *other, *sides, *shape]),
        shlex.join(["seatrial", "bench", model, *shape, *search]),
    ]


def shape_options(shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Words of a command line."""
    return [f"{flag('shape')}={n}={'x'.join(map(str, s))}" for n, s in shapes.items()]


def _rounded_up(seconds: float) -> str:
    """'250ms' or '2.5s': the next of 1, 1.5, 2, 2.5, 3, … milliseconds."""
    milliseconds, step = seconds * 1e3, 1.0
    while True:
        for factor in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8):
            if (found := step * factor) >= milliseconds:
                return f"{found:g}ms" if found < 1000 else f"{found / 1000:g}s"
        step *= 10
