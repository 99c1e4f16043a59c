"""A load's clients: each with a work of its own, opened in the process that measures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seatrial._native.timing import NO_DEADLINE_NS, MixWork, PythonWork, StageSamples, Work, closed_loop, now_ns
from seatrial.backends.reasons import first_line
from seatrial.errors import CellError
from seatrial.jobs.job import Tell
from seatrial.jobs.opened import OpenedPipeline, open_pipeline
from seatrial.jobs.workload import ModelWorkload, PipelineWorkload
from seatrial.loads.task import Load, LoadTask
from seatrial.model.made_up import first_run, made_up, made_up_zeros
from seatrial.stages import kernel_column
from seatrial.timing.measure import warm_up

if TYPE_CHECKING:
    from seatrial.backends import Backend
    from seatrial.model.file import ModelInfo

I64 = npt.NDArray[np.int64]

MIX_LENGTH = 4096
WARM_UP_S = 2.0


@dataclass
class Opened:
    """A work for each client, and what opening the first cost."""

    works: list[Work]
    backend: Backend
    load_s: float
    first_s: float
    shape_orders: list[I64] = field(default_factory=list)
    shape_first_s: list[float] = field(default_factory=list)
    feeds: dict[str, npt.NDArray[Any]] | None = None
    unmeasured: list[int] = field(default_factory=list)
    """Requests that each client has sent before those in its table."""
    steady: bool = True
    """Whether each client's latency had kept its level when its warm-up ended, where kernels may change."""
    spare: set[int] = field(default_factory=set)
    """Cores that are not measured, for whoever watches."""

    @property
    def called(self) -> str:
        return "native" if self.backend.native else "python"

    def warm_up(self, stages: Sequence[str], max_time_s: float) -> int:
        """Each client's own buffers, one client after another; returns how many requests ran. stages: of a work's rows."""
        budget_s = max_time_s if self.backend.kernels_change else min(WARM_UP_S, max_time_s / 3)
        budget_ns = int(budget_s * 1e9) // len(self.works)
        found = [warm_up(work, len(stages), budget_ns, level_of=self.level_of(stages)) for work in self.works]
        self.steady = all(w.steady for w in found)
        for client, w in enumerate(found):
            self.sent(client, w.count)
        return sum(w.count for w in found)

    def level_of(self, stages: Sequence[str]) -> int | None:
        """As warm_up has it."""
        return kernel_column(stages) if self.backend.kernels_change else None

    def sent(self, client: int, count: int) -> None:
        self.unmeasured = self.unmeasured or [0] * len(self.works)
        self.unmeasured[client] += count

    def shape_order(self) -> tuple[int, ...]:
        """Each client's order of shapes, one behind the other, from the first row of its table on."""
        orders = zip(self.shape_orders, self.unmeasured or [0] * len(self.works), strict=False)
        return tuple(int(i) for order, sent in orders for i in np.roll(order, -sent))


def open_works(task: LoadTask, tell: Tell) -> Opened:
    """A work for each of the task's clients."""
    if isinstance(task.workload, PipelineWorkload):
        return _open_pipeline(task.workload, tell)
    return _open_model(task.workload, task.load, tell)


def _open_model(w: ModelWorkload, load: Load, tell: Tell) -> Opened:
    from seatrial.backends import OpenOptions, open_backend

    # A mix needs the dimensions open; every other load fixes them, as a deployed model would.
    shapes = w.input_shapes
    options = (
        OpenOptions.for_mix(w.threads, w.clients)
        if load.mix
        else OpenOptions.for_shapes(w.model_info, w.threads, shapes, w.clients)
    )
    tell("loading", 0.0)
    began = now_ns()
    backend = open_backend(w.backend, Path(w.model), options, w.native)
    loaded = now_ns()
    if load.mix:
        return _mixed(w, load, backend, (loaded - began) / 1e9)
    feeds = {s.name: made_up(shapes[s.name], s.dtype, w.seed) for s in backend.inputs()}
    first_run(backend, feeds)
    answered = now_ns()
    works = [backend.work(feeds)]
    for client in range(1, w.clients):
        own = {s.name: made_up(shapes[s.name], s.dtype, w.seed + client) for s in backend.inputs()}
        works.append(backend.another().work(own))
    return Opened(works, backend, (loaded - began) / 1e9, (answered - loaded) / 1e9, feeds=feeds)


def _mixed(w: ModelWorkload, load: Load, backend: Backend, load_s: float) -> Opened:
    """Each client takes shapes by weight in an order of its own. The first run of each shape is timed alone."""
    mix = load.mix
    dtypes = {s.name: s.dtype for s in backend.inputs()}
    kinds: list[list[Work]] = []
    for client in range(w.clients):
        kinds.append(
            [
                backend.another().work({n: made_up(shape, dtypes[n], w.seed + client) for n, shape in shapes.items()})
                for shapes, _ in mix
            ]
        )
    try:
        firsts = [_once_s(w.model_info, work, shapes) for work, (shapes, _) in zip(kinds[0], mix, strict=True)]
    except CellError as e:
        raise CellError(f"{e.raw}{made_up_zeros(dtypes)}", refusal=e.refusal) from e
    weights = np.array([weight for _, weight in mix])
    orders = [
        np.random.default_rng(w.seed + client).choice(len(mix), MIX_LENGTH, p=weights / weights.sum())
        for client in range(w.clients)
    ]
    works: list[Work] = [MixWork(k, order) for k, order in zip(kinds, orders, strict=True)]
    return Opened(works, backend, load_s, firsts[0], orders, firsts)


def _once_s(info: ModelInfo, work: Work, shapes: dict[str, tuple[int, ...]]) -> float:
    samples = StageSamples(1, 1)
    try:
        closed_loop(work, samples, deadline_ns=NO_DEADLINE_NS, most=1)
    except RuntimeError as e:
        from seatrial.model.fitting import why_refused

        shape = ";".join(f"{n}={'x'.join(map(str, s))}" for n, s in shapes.items())
        why = why_refused(info, shapes)[0]
        if why:
            # The runtime's own words stay in the last output.
            print(e, file=sys.stderr, flush=True)
        raise CellError(
            f"the model does not run on this shape: {why or first_line(e)}; leave it away", option="mix", value=shape
        ) from None
    return float(samples.to_array()[0, -1]) / 1e9


def _open_pipeline(w: PipelineWorkload, tell: Tell) -> Opened:
    first = open_pipeline(w, tell)
    clients: list[OpenedPipeline] = [first, *(first.another(w.seed + c) for c in range(1, w.clients))]
    works: list[Work] = [PythonWork(c.iterate) for c in clients]
    return Opened(works, first.backend, first.load_s, first.first_inference_s)
