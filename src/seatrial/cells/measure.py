"""One cell's life, in a process of its own: open, first inference, measure, then all results once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seatrial._native.timing import PythonWork, StageSamples
from seatrial.errors import count_of
from seatrial.jobs.child import pin
from seatrial.jobs.opened import OpenedPipeline, build, open_pipeline
from seatrial.jobs.shared import FD_VARIABLE, SharedSamples
from seatrial.jobs.task import Answer, StageEngines, Task
from seatrial.stages import END_TO_END, PIPELINE_STAGES, POSTPROCESS, PREPROCESS
from seatrial.timing.measure import Measurement, StopRule, measure

if TYPE_CHECKING:
    from seatrial.pipeline.build import Pipeline
    from seatrial.pipeline.results import ResultsWriter

Array = npt.NDArray[Any]

_OTHER = {"native": "reference", "reference": "native"}


def _stop_rule(task: Task) -> StopRule:
    columns = {name: 1 + i for i, name in enumerate((*PIPELINE_STAGES, END_TO_END))}
    tails = tuple((columns[stage], quantile) for stage, quantile in task.tails)
    return StopRule(
        int(task.max_time_s * 1e9), task.min_samples, task.precision_target, tails, task.longest_run, task.whole_time
    )


def measure_cell(task: Task, tell: Callable[[str, float], None]) -> Answer:
    from seatrial.cells.floor import measure_floor
    from seatrial.machine.environment import peak_memory_bytes
    from seatrial.parity.floor import save_floors
    from seatrial.pipeline.results import ResultsWriter, load_results_file

    affinity = pin(task.threads)
    opened = open_pipeline(task, tell)
    pipeline, feeds, data, first = opened.pipeline, opened.feeds, opened.data, opened.first_images
    (table,) = SharedSamples(int(os.environ[FD_VARIABLE]), 1, task.capacity, len(PIPELINE_STAGES)).tables()
    with opened.backend as backend:
        measured = measure(
            PythonWork(opened.iterate),
            len(PIPELINE_STAGES),
            _stop_rule(task),
            lambda share: tell("measuring", share),
            samples=table,
        )
        if task.timing_only:
            return _answer(opened, measured)
        tell("collecting results", 1.0)
        with ResultsWriter(Path(task.answer, "results.npz")) as writer:
            nan_outputs, doubts = _collect(task, pipeline, backend, feeds, data, writer)
        # By now every image has been through the pipeline, and no result was kept. The table of samples is not its own.
        peak = max(0, peak_memory_bytes() - 8 * StageSamples.words(table.capacity, table.stages))
        if task.floor:
            _, raw = load_results_file(Path(task.answer, "results.npz"))
            save_floors(Path(task.answer), measure_floor(task, pipeline, data, raw))
        engines, problem = {}, ""
        try:
            engines = _engines(task, pipeline, backend, feeds, first)
        except Exception as e:  # whatever it is, the cell's own measurement stands
            problem = f"{type(e).__name__}: {e}"
        return _answer(
            opened, measured, peak_memory_bytes=peak, affinity=affinity, nan_outputs=nan_outputs, engines=engines,
            engines_problem=problem, doubts=doubts,
        )  # fmt: skip


def _answer(opened: OpenedPipeline, measured: Measurement, **found: Any) -> Answer:
    backend = opened.backend
    return Answer(
        stages=list(PIPELINE_STAGES), warm_up=measured.warm_up, converged=measured.converged,
        elapsed_s=measured.elapsed_ns / 1e9, load_s=opened.load_s, first_inference_s=opened.first_inference_s,
        backend_details=backend.details(), io_policy=backend.io_policy(),
        image_source="memory" if opened.data.in_memory else "disk", **found,
    )  # fmt: skip


def _engines(
    task: Task, pipeline: Pipeline, backend: Any, feeds: dict[str, Array], images: list[npt.NDArray[np.uint8]]
) -> dict[str, StageEngines]:
    """The built-in stages with the other kernels too. A user's own function has no other kernels."""
    from seatrial.cells.engines import compare_engines
    from seatrial.plan import models

    spec = models.Pipeline.model_validate(task.pipeline)
    stages = [PREPROCESS] if isinstance(spec.preprocess, models.Preprocess) else []
    # Raw outputs and embeddings are the same NumPy code in both.
    if isinstance(spec.postprocess, models.Postprocess) and spec.postprocess.task not in ("raw", "embed"):
        stages.append(POSTPROCESS)
    if not stages:
        return {}
    pair = {spec.engine: pipeline, _OTHER[spec.engine]: build(task, _OTHER[spec.engine])}
    geometries = pipeline.preprocess(images, feeds)
    outputs = [np.array(o) for o in backend.run(feeds)]
    return compare_engines(pair["native"], pair["reference"], images, outputs, geometries, feeds, stages)


def _collect(
    task: Task, pipeline: Any, backend: Any, feeds: dict[str, Array], data: Any, writer: ResultsWriter
) -> tuple[list[str], list[str]]:
    """Every image once, in order: decoded results of all, raw outputs of the first few, where all are NaN or infinite.

    Gives outputs that held a NaN, and what the numbers make doubtful. ModelError where the postprocess cannot be right for
    them.

    Each goes to the file as it comes, so that the process's memory is the pipeline's own.
    """
    from seatrial.cells.floor import kept, row_of
    from seatrial.parity.specials import as_array, signature
    from seatrial.pipeline.plausibility import plausibility_of

    specials: list[list[tuple[int, int, int, int]]] = []

    names = [o.name for o in backend.outputs()]
    nan_outputs: dict[str, None] = {}
    infinite: Counter[str] = Counter()
    plausible = plausibility_of(task.pipeline_name, task.pipeline, task.model_info, Path(task.folder))
    for start in range(0, len(data), task.batch):
        wanted = range(start, min(start + task.batch, len(data)))
        # The last batch is filled up with its last image: the model's batch dimension is fixed once opened.
        images = [pipeline.decode(data[min(i, len(data) - 1)]) for i in range(start, start + task.batch)]
        geometries = pipeline.preprocess(images, feeds)
        outputs = backend.run(feeds)
        plausible.add(outputs, task.batch, len(wanted))
        for name, output in zip(names, outputs, strict=True):
            if output.dtype.kind != "f" or np.isfinite(output).all():
                continue
            if np.isnan(output).any():
                nan_outputs[name] = None
            infinite[name] += sum(bool(np.isinf(row_of(output, r, task.batch)).any()) for r in range(len(wanted)))
        for row in range(len(wanted)):
            if task.raw_images:
                specials.append([signature(row_of(o, row, task.batch)) for o in outputs])
            if start + row < task.raw_images:
                writer.add_raw([kept(o, row, task.batch) for o in outputs])
        for result in pipeline.postprocess(outputs, geometries)[: len(wanted)]:
            scores = getattr(result, "scores", None)
            if scores is not None and not np.isfinite(scores).all():
                nan_outputs["decoded scores"] = None
            writer.add(result)
    writer.add_specials(as_array(specials))
    doubts = plausible.settle(reduced=task.precision != "fp32" or task.model_info.weights == "int8")
    doubts += [
        f"output {name} is infinite somewhere on {count} of {count_of(len(data), 'image')}: an overflow? a result made of "
        "it is left out, or means nothing"
        for name, count in infinite.items()
        if count
    ]
    return list(nan_outputs), doubts
