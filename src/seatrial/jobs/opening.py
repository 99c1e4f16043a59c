"""Does a backend take a model? Opened, and where its inputs are known run on made-up values, in a process of its own.

For: `inspect`, and which backends a model can be tried on. Not for: times that anyone compares.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic.dataclasses import dataclass as validated

from seatrial._native.timing import now_ns
from seatrial.errors import CellError
from seatrial.jobs.glimpse import free_bytes
from seatrial.jobs.job import Job, Tell
from seatrial.jobs.process import run_job
from seatrial.jobs.workload import STRICT, ModelWorkload
from seatrial.model.feeds import DTYPES
from seatrial.model.file import ModelInfo
from seatrial.runtimes.choice import BackendChoice
from seatrial.units import format_bytes, format_seconds


@validated(frozen=True, config=STRICT)
class OpeningTask:
    """run: whether to run it too, on made-up values of the workload's shapes."""

    workload: ModelWorkload
    run: bool


@validated(frozen=True, config=STRICT)
class OpeningAnswer:
    """run_s: of a second run, which has nothing left to set up; None where none was made or it failed, as run_problem says."""

    load_s: float
    run_s: float | None = None
    run_problem: str = ""


@dataclass(frozen=True)
class Opening:
    """How opening ended. problem: why it did not, in the runtime's own first line; of one that ran, run_s is known."""

    backend: str
    problem: str = ""
    load_s: float = 0.0
    run_s: float | None = None
    run_problem: str = ""

    @property
    def opens(self) -> bool:
        return not self.problem


def try_to_open(
    info: ModelInfo, backend: str, input_shapes: Mapping[str, tuple[int, ...]], threads: int, timeout_s: float = 60.0
) -> Opening:
    """Never raises for the model's sake. input_shapes: of all inputs, or empty where they are not known: then nothing is run.

    It is run where every input is of floats, or the one input may be an image: made up as zeros, an integer may be no index,
    length or shape.
    """
    free = free_bytes()
    if free is not None and 3 * info.size_bytes > free:
        needs = f"the model's {format_bytes(info.size_bytes)} need more memory than is free ({format_bytes(free)})"
        return Opening(backend, needs)
    workload = ModelWorkload(
        model=str(info.path.absolute()),
        model_info=info,
        backend=BackendChoice(backend),
        threads=threads,
        input_shapes=dict(input_shapes),
    )
    floats = all(i.dtype.startswith("float") for i in info.inputs)
    image = len(info.inputs) == 1 and len(info.inputs[0].shape) == 4 and info.inputs[0].dtype in DTYPES
    task = OpeningTask(workload, run=bool(input_shapes) and (floats or image))
    with tempfile.TemporaryDirectory(prefix="seatrial-opening-") as folder:
        ended = run_job(JOB, task, Path(folder), timeout_s, lambda _step, _share: None)
    if ended.answer is not None:
        return Opening(backend, "", ended.answer.load_s, ended.answer.run_s, ended.answer.run_problem)
    late = f"it took longer than {format_seconds(timeout_s)}"
    return Opening(backend, late if ended.timed_out else _first_line(ended.reason, workload.model))


def _first_line(reason: str, model: str) -> str:
    """Without what stands beside it anyway: the model's path and the runtime's name."""
    lines = re.sub(
        r"^(onnxruntime|OpenVINO) cannot load the model: ", "", reason.removeprefix(f"{model}: ")
    ).splitlines()
    return lines[0] if lines else "it ended without a word"


def _open(task: OpeningTask, _folder: Path, _tell: Tell) -> OpeningAnswer:
    from seatrial.backends import OpenOptions, open_backend
    from seatrial.model.made_up import made_up

    w = task.workload
    dtypes = {i.name: i.dtype for i in w.model_info.inputs}
    began = now_ns()
    options = OpenOptions.for_shapes(w.model_info, w.threads, w.input_shapes)
    with open_backend(w.backend, Path(w.model), options) as backend:
        load_s = (now_ns() - began) / 1e9
        if not task.run:
            return OpeningAnswer(load_s)
        feeds = {name: made_up(shape, dtypes[name], 0) for name, shape in w.input_shapes.items()}
        try:
            backend.run(feeds)
            began = now_ns()
            backend.run(feeds)
        except CellError as e:
            return OpeningAnswer(load_s, None, str(e))
        return OpeningAnswer(load_s, (now_ns() - began) / 1e9)


JOB = Job("seatrial.jobs.opening", OpeningTask, OpeningAnswer, _open, timed=False)
