"""A model on a few pictures, for what its outputs hold: how `init` learns more of a head than its shape.

In a process of its own: a model that nobody has run yet may crash,
hang or take all memory. For: ranges of numbers. Not for: times or results.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass as validated

from seatrial.errors import SeatrialError
from seatrial.jobs.job import Job, Tell
from seatrial.jobs.process import run_job
from seatrial.jobs.workload import STRICT, ModelWorkload
from seatrial.machine.environment import usable_cores
from seatrial.model.file import ModelInfo
from seatrial.model.image_size import main_input, sized
from seatrial.plan.seen import Seen
from seatrial.runtimes.choice import BackendChoice, choice_of
from seatrial.units import format_bytes, format_seconds

# One picture may be without objects; a few are seldom all.
PICTURES = 4


@validated(frozen=True, config=STRICT)
class GlimpseTask:
    """preprocess: arguments of kernels.Preprocess. pictures: paths, of which the first that decode are taken. extra_inputs:
    what goes into the model's inputs beside the picture, by their names."""

    workload: ModelWorkload
    preprocess: dict[str, Any]
    pictures: tuple[str, ...]
    extra_inputs: dict[str, str] = field(default_factory=dict)


@validated(frozen=True, config=STRICT)
class GlimpseAnswer:
    """run_s: the fastest run's."""

    seen: dict[str, dict[str, Any]]
    run_s: float | None = None


@dataclass(frozen=True)
class Glimpse:
    """seen: each output over the pictures. problem: why there is none, in words for a plan's comment. run_s: what a run took at
    the least, on one core."""

    seen: dict[str, Seen]
    problem: str = ""
    run_s: float | None = None


def glimpse(
    info: ModelInfo,
    preprocess: dict[str, Any],
    batch: int,
    candidates: Sequence[Path],
    backend: str | BackendChoice,
    timeout_s: float = 60.0,
    extra_inputs: Mapping[str, str] | None = None,
) -> Glimpse:
    """Runs the model on the first pictures among the candidates that can be read; never raises for the model's sake.

    preprocess: arguments of kernels.Preprocess. extra_inputs: as GlimpseTask has it.
    """
    image = main_input(info)
    free = free_bytes()
    if free is not None and 3 * info.size_bytes > free:
        return Glimpse(
            {}, f"the model's {format_bytes(info.size_bytes)} need more memory than is free ({format_bytes(free)})"
        )
    workload = ModelWorkload(
        model=str(info.path.absolute()),
        model_info=info,
        backend=choice_of(backend),
        batch=batch,
        threads=len(usable_cores()),
        input_shapes={image.name: sized(image, batch, preprocess["size"])},
    )
    task = GlimpseTask(workload, preprocess, tuple(str(p.absolute()) for p in candidates), dict(extra_inputs or {}))
    with tempfile.TemporaryDirectory(prefix="seatrial-glimpse-") as folder:
        ended = run_job(JOB, task, Path(folder), timeout_s, lambda _step, _share: None)
    if ended.answer is not None:
        seen = {name: Seen.from_json(s) for name, s in ended.answer.seen.items()}
        run_s = ended.answer.run_s
        return Glimpse(seen, run_s=None if run_s is None else run_s * workload.threads)
    return Glimpse({}, f"it took longer than {format_seconds(timeout_s)}" if ended.timed_out else ended.reason)


def free_bytes() -> int | None:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def _look(task: GlimpseTask, _folder: Path, _tell: Tell) -> GlimpseAnswer:
    import numpy as np

    from seatrial.backends import OpenOptions, open_backend
    from seatrial.kernels.preprocess import Preprocess
    from seatrial.pipeline.extra_inputs import extra_values
    from seatrial.plan.seen import observe

    w = task.workload
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in task.preprocess.items()}
    kernel = Preprocess(**settings)
    feed = np.zeros((w.batch, *kernel.shape), kernel.dtype)
    fed = main_input(w.model_info).name
    dtypes = {i.name: i.dtype for i in w.model_info.inputs}
    feeds = {fed: feed} | {name: np.zeros((w.batch, 2), dtypes[name]) for name in task.extra_inputs}
    options = OpenOptions.for_shapes(w.model_info, w.threads, {name: array.shape for name, array in feeds.items()})
    images = _images(task.pictures)
    if not images:
        return GlimpseAnswer({})

    took_s: list[float] = []

    def runs() -> Any:
        for image in images:
            _, geometries = kernel.batch_with_geometries([image] * w.batch, out=feed)
            for name, kind in task.extra_inputs.items():
                feeds[name][...] = [extra_values(kind, g) for g in geometries]
            began = time.monotonic()
            outputs = backend.run(feeds)
            took_s.append(time.monotonic() - began)
            yield outputs, w.batch

    with open_backend(w.backend, Path(w.model), options) as backend:
        seen = observe([o.name for o in w.model_info.outputs], runs())
    return GlimpseAnswer({name: s.to_json() for name, s in seen.items()}, min(took_s))


def _images(candidates: Sequence[str]) -> list[Any]:
    """The first that decode; what does not is not this module's to complain of."""
    from seatrial.images.decode import DecodeSettings, decode

    found: list[Any] = []
    for path in candidates:
        with contextlib.suppress(SeatrialError, OSError):
            found.append(decode(Path(path).read_bytes(), DecodeSettings()))
        if len(found) == PICTURES:
            break
    return found


JOB = Job("seatrial.jobs.glimpse", GlimpseTask, GlimpseAnswer, _look, timed=False)
