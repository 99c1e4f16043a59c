"""A cell's answer and samples to the fields of its record. For: arithmetic. Not for: processes or files."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.cells.engines import StageEngines
from seatrial.cells.measure import MeasureAnswer, MeasureTask
from seatrial.history.records import EngineComparison, Measured
from seatrial.jobs.opened import STAGES
from seatrial.jobs.summarise import exact, measured_fields
from seatrial.stats.sample import CONFIDENCE, percentile_estimate


def cell_fields(
    task: MeasureTask, answer: MeasureAnswer, table_ns: npt.NDArray[np.int64], model_bytes: int
) -> dict[str, Any]:
    """The fields of a CellRecord that come from its process."""
    fields = measured_fields(
        STAGES, table_ns, task.workload.batch, answer.opened, answer.timing, task.stopping.longest_run
    )
    warnings = list(answer.doubts)
    if answer.image_source == "disk":
        warnings.insert(0, "the images did not fit in memory: decode includes reading them from disk")
    if answer.engines_problem:
        warnings.append(f"native and reference kernels could not be compared: {answer.engines_problem}")
    return fields | {
        "peak_memory": exact(answer.peak_memory_bytes, "B"),
        "model_size": exact(model_bytes, "B"),
        "nan_outputs": answer.nan_outputs,
        "affinity": answer.affinity,
        "engines": {stage: _compared(times) for stage, times in answer.engines.items()},
        "warnings": (*fields["warnings"], *warnings),
    }


def _compared(times: StageEngines) -> EngineComparison:
    return EngineComparison(
        native=_median(times.native_ns), reference=_median(times.reference_ns), same=times.same, difference=times.difference
    )  # fmt: skip


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
