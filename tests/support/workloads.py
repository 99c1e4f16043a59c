"""Workloads and tasks for tests that call a job's parts without a process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seatrial.jobs.workload import ModelWorkload, Stopping
from seatrial.loads.task import Load, LoadTask
from seatrial.model.file import inspect_model
from seatrial.runtimes.choice import BackendChoice
from seatrial.stats.share import LONGEST_RUN


def model_workload(model: Path, **fields: Any) -> ModelWorkload:
    return ModelWorkload(
        model=str(model), model_info=inspect_model(model), **{"backend": BackendChoice("fake"), "input_shapes": {}} | fields
    )  # fmt: skip


def load_task(model: Path, load: Load, max_time_s: float = 5.0, capacity: int = 1 << 17) -> LoadTask:
    stopping = Stopping(max_time_s=max_time_s, longest_run=LONGEST_RUN)
    return LoadTask(workload=model_workload(model), load=load, stopping=stopping, capacity=capacity)
