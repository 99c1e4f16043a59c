"""A job: one kind of work that a fresh process does, with its own kind of task and of answer.

For: both ends of the process boundary. A process finds its job by the name of the module that does it, as `JOB` there, so that
this room knows none of those above it. Not for: starting a process (process.py) or being one (worker.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter

from seatrial.errors import Failure
from seatrial.jobs.workload import Workload

Tell = Callable[[str, float], None]
TASK, ANSWER, FAILURE = "task.json", "answer.json", "failure.json"


class Task(Protocol):
    @property
    def workload(self) -> Workload: ...


TaskT = TypeVar("TaskT", bound=Task)
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True)
class Job(Generic[TaskT, AnswerT]):
    """module: where a process finds it. work: hears its task, its folder, and whom to tell how far it is. timed: whether
    disturbances are watched for while it runs, and watch_period_s how often they are looked at."""

    module: str
    task: type[TaskT]
    answer: type[AnswerT]
    work: Callable[[TaskT, Path, Tell], AnswerT]
    timed: bool = True
    watch_period_s: float = 0.05

    def write_task(self, folder: Path, task: TaskT) -> None:
        # What a plan leaves open stays open: some of its defaults depend on other keys.
        (folder / TASK).write_bytes(TypeAdapter(self.task).dump_json(task, exclude_unset=True))

    def read_task(self, folder: Path) -> TaskT:
        return TypeAdapter(self.task).validate_json((folder / TASK).read_bytes())

    def write_answer(self, folder: Path, answer: AnswerT) -> None:
        (folder / ANSWER).write_bytes(TypeAdapter(self.answer).dump_json(answer))

    def read_answer(self, folder: Path) -> AnswerT:
        """OSError where there is none, pydantic's ValidationError where it is not whole."""
        return TypeAdapter(self.answer).validate_json((folder / ANSWER).read_bytes())


def write_failure(folder: Path, failure: Failure) -> None:
    """Why a process ended on purpose without an answer."""
    (folder / FAILURE).write_bytes(TypeAdapter(Failure).dump_json(failure))


def read_failure(folder: Path) -> Failure:
    """As Job.read_answer."""
    return TypeAdapter(Failure).validate_json((folder / FAILURE).read_bytes())


def job_called(module: str) -> Job[Any, Any]:
    """The job of a module of seatrial. ValueError for any other name."""
    if not module.startswith("seatrial."):
        raise ValueError(f"expected a module of seatrial, got {module!r}")
    job: Job[Any, Any] = import_module(module).JOB
    return job
