"""A cell's answer and samples to the measurement in its record. For: arithmetic. Not for: processes or files."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from seatrial.cells.engines import StageEngines
from seatrial.cells.measure import MeasureAnswer, MeasureTask
from seatrial.history.records import EngineComparison, Measured, Measurement, mostly_in, said_of_types
from seatrial.jobs.summarise import changed_kernels, exact, measurement_of, not_converged, unaccounted_time
from seatrial.jobs.workload import Workload
from seatrial.runtimes.told import UNTOLD
from seatrial.stages import PIPELINE_STAGES
from seatrial.stats.sample import CONFIDENCE, percentile_estimate
from seatrial.warning import Warning


def cell_measurement(
    task: MeasureTask, answer: MeasureAnswer, table_ns: npt.NDArray[np.int64], model_bytes: int
) -> tuple[Measurement, tuple[Warning, ...]]:
    """What a cell's process measured, and its warnings."""
    m = measurement_of(
        PIPELINE_STAGES, table_ns, task.workload.batch, answer.opened, answer.timing, task.stopping
    ).model_copy(
        update={
            "peak_memory": exact(answer.peak_memory_bytes, "B"),
            "model_size": exact(model_bytes, "B"),
            "nan_outputs": answer.nan_outputs,
            "affinity": answer.affinity,
            "computed_in": answer.computed_in,
            "engines": {stage: _engine_comparison(times) for stage, times in answer.engines.items()},
        }
    )
    changed = changed_kernels(PIPELINE_STAGES, table_ns, answer.opened)
    warnings = [unaccounted_time(m), changed, not_converged(m, answer.timing, "measure.max_time")]
    if answer.image_source == "disk":
        said = "the images did not fit in memory: decode includes reading them from disk"
        warnings.append(Warning("images-on-disk", said))
    warnings += answer.doubts
    if answer.engines_problem:
        said = f"native and reference kernels could not be compared: {answer.engines_problem}"
        warnings.append(Warning("engine-comparison", said))
    if answer.computed_problem:
        said = f"nobody knows in which type the products compute: {answer.computed_problem}"
        warnings.append(Warning("computed-unknown", said))
    else:
        # Of a reference cell alone the floor is measured.
        warnings.append(_computed_otherwise(task.workload, m, is_reference=bool(task.floor)))
    return m, tuple(filter(None, warnings))


def _computed_otherwise(w: Workload, m: Measurement, is_reference: bool) -> Warning | None:
    """Of fp32, the file as it is, only where the file is float32, and a type is told."""
    precision, found = w.precision, mostly_in(m.computed_in, w.precision)
    if not found or (precision == "fp32" and (w.model_info.weights or found == UNTOLD)):
        return None
    said = f"asked for {precision}, and {said_of_types(m.computed_in)}"
    if found == UNTOLD:
        said += ": what was measured may be another precision's speed"
        return Warning("computed-unknown", said, "see what the runtime's own profiler says of its kernels")
    said += ": what was measured is not that precision's speed"
    said += ", and it is the reference that other cells are judged against" if is_reference else ""
    cure = "name a backend that has kernels for it, or leave the precision out"
    asked = w.backend.options.get("inference_precision")
    if chosen := {"bf16": "bf16", "f16": "fp16"}.get(str(asked)):
        cure = (
            f"inference_precision: {asked} asks for that; with precisions: [{chosen}] answers are judged as {chosen}'s"
        )
    elif w.backend.options:
        cure += f"; or see whether {w.backend.words()} asks for it"
    return Warning("computed-otherwise", said, cure)


def _engine_comparison(times: StageEngines) -> EngineComparison:
    return EngineComparison(
        native=_median(times.native_ns),
        reference=_median(times.reference_ns),
        same=times.same,
        difference=times.difference,
    )


def _median(durations_ns: list[int]) -> Measured:
    # Rounds in random order, not a stream of requests.
    e = percentile_estimate(np.array(durations_ns) / 1e9, 0.5, CONFIDENCE, longest_run=1)
    return Measured(
        value=e.value,
        unit="s",
        interval=(e.low, e.high),
        confidence=CONFIDENCE,
        n=e.n,
        n_eff=e.n_eff,
        warnings=e.warnings,
    )
