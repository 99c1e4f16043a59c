"""One cell's life, in a process of its own: open, first inference, measure, then all results once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic.dataclasses import dataclass

from seatrial._native.timing import PythonWork, StageSamples
from seatrial.backends.computed_in import with_untold
from seatrial.cells.engines import StageEngines, compare_engines
from seatrial.jobs.child import pin
from seatrial.jobs.job import Job, Tell
from seatrial.jobs.opened import OpenedPipeline, build, open_pipeline
from seatrial.jobs.shared import FD_VARIABLE, SharedSamples
from seatrial.jobs.workload import STRICT, OpenedFacts, PipelineWorkload, Stopping, Timing, timing_of
from seatrial.model.file import FAKE_SUFFIX
from seatrial.model.products import count_products
from seatrial.pipeline.decoders import has_two_engines
from seatrial.plan import pipelines
from seatrial.stages import PIPELINE_STAGES, kernel_column
from seatrial.timing.measure import CAPACITY, measure
from seatrial.warning import Warning


@dataclass(frozen=True, config=STRICT, kw_only=True)
class MeasureTask:
    """raw_images: of so many the raw outputs are kept. timing_only: of a cell that is measured once more, for its times alone.
    floor: of a reference cell, batch sizes and threads at which it is run again, against itself."""

    workload: PipelineWorkload
    stopping: Stopping
    raw_images: int = 0
    timing_only: bool = False
    floor: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, config=STRICT, kw_only=True)
class MeasureAnswer:
    """Where only times were asked for, what stands behind `timing` is left as it is here.

    doubts: what the outputs' numbers make doubtful about the postprocess. engines: by stage; engines_problem: why not.
    computed_in: see Backend.computed_in; computed_problem: why not.
    """

    opened: OpenedFacts
    timing: Timing
    image_source: Literal["memory", "disk"] = "memory"
    peak_memory_bytes: int = 0
    affinity: tuple[int, ...] = ()
    nan_outputs: tuple[str, ...] = ()
    doubts: tuple[Warning, ...] = ()
    engines: dict[str, StageEngines] = field(default_factory=dict)
    engines_problem: str = ""
    computed_in: dict[str, int] = field(default_factory=dict)
    computed_problem: str = ""


def measure_cell(task: MeasureTask, folder: Path, tell: Tell) -> MeasureAnswer:
    """Samples go to the memory that the parent shares, results.npz and floors into the folder."""
    from seatrial.cells.batch_mates import batch_mates
    from seatrial.cells.collect import collect
    from seatrial.cells.floor import measure_floor
    from seatrial.machine.environment import peak_memory_bytes
    from seatrial.parity.floor import save_floors
    from seatrial.pipeline.results import ResultsWriter
    from seatrial.pipeline.stored import load_results_file

    w = task.workload
    affinity = pin(w.threads)
    opened = open_pipeline(w, tell)
    (table,) = SharedSamples(int(os.environ[FD_VARIABLE]), 1, CAPACITY, len(PIPELINE_STAGES)).tables()
    with opened.backend:
        measured = measure(
            PythonWork(opened.iterate),
            len(PIPELINE_STAGES),
            task.stopping.max_time_ns,
            task.stopping.rule(PIPELINE_STAGES),
            lambda share: tell("measuring", share),
            samples=table,
            level_of=kernel_column(PIPELINE_STAGES) if opened.backend.kernels_change else None,
        )
        facts = replace(opened.facts(), steady=measured.steady)
        times = MeasureAnswer(opened=facts, timing=timing_of(measured))
        if task.timing_only:
            return times
        tell("collecting results", 1.0)
        with ResultsWriter(folder / "results.npz") as writer:
            nan_outputs, doubts, busiest = collect(w, opened, writer, task.raw_images)
        # By now every image has been through the pipeline, and no result was kept. The table of samples is not its own.
        peak = max(0, peak_memory_bytes() - 8 * StageSamples.words(table.capacity, table.stages))
        doubts += batch_mates(w, opened, busiest)
        if task.floor:
            _, raw = load_results_file(folder / "results.npz")
            save_floors(folder, measure_floor(w, task.floor, opened, raw))
        engines, problem = {}, ""
        try:
            engines = _engines(w, opened)
        except Exception as e:  # whatever it is, the cell's own measurement stands
            problem = f"{type(e).__name__}: {e}"
        computed: dict[str, int] = {}
        untold = ""
        try:
            told = {str(kind): int(n) for kind, n in opened.backend.computed_in(opened.feeds).items()}
            computed = with_untold(told, 0 if w.model.endswith(FAKE_SUFFIX) else count_products(Path(w.model)))
        except Exception as e:  # as above
            untold = f"{type(e).__name__}: {str(e)[:200]}"
        return MeasureAnswer(
            opened=times.opened,
            timing=times.timing,
            image_source="memory" if opened.data.in_memory else "disk",
            peak_memory_bytes=peak,
            affinity=tuple(affinity),
            nan_outputs=tuple(nan_outputs),
            doubts=tuple(doubts),
            engines=engines,
            engines_problem=problem,
            computed_in=computed,
            computed_problem=untold,
        )


def _engines(w: PipelineWorkload, opened: OpenedPipeline) -> dict[str, StageEngines]:
    """The built-in stages with the other kernels too. A user's own function has no other kernels."""
    stages = ["preprocess"] if isinstance(w.spec.preprocess, pipelines.Preprocess) else []
    if isinstance(w.spec.postprocess, pipelines.Postprocess) and has_two_engines(w.spec.postprocess):
        stages.append("postprocess")
    if not stages:
        return {}
    pair = [opened.pipeline, build(w, "reference" if w.spec.engine == "native" else "native")]
    native, reference = pair if w.spec.engine == "native" else pair[::-1]
    images: Sequence[npt.NDArray[np.uint8]] = opened.first_images
    geometries = opened.pipeline.preprocess(images, opened.feeds)
    outputs = [np.array(o) for o in opened.backend.run(opened.feeds)]
    return compare_engines(native, reference, images, outputs, geometries, opened.feeds, stages)


JOB = Job("seatrial.cells.measure", MeasureTask, MeasureAnswer, measure_cell)
