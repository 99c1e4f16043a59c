"""A whole pipeline of the user's own, `module:function`, asked for each image in a process of its own; its answers are taps.

function(path: str) -> one of seatrial's results (Detections, Classification, …), or None; path: of the encoded image.
For: production code as it is. Not for: stages of a plan (pipeline/user_code.py).
"""

from __future__ import annotations

import traceback
from pathlib import Path

from pydantic.dataclasses import dataclass

from seatrial.diagnosis.begun import begin
from seatrial.errors import PlanError, printable
from seatrial.jobs.job import Job, Tell
from seatrial.jobs.workload import STRICT, PipelineWorkload
from seatrial.pipeline.results import check_result
from seatrial.pipeline.user_code import load_user_function
from seatrial.taps.shown import ImageTaps
from seatrial.taps.writer import TapsWriter


@dataclass(frozen=True, config=STRICT, kw_only=True)
class OwnCodeTask:
    """workload: whose images it is asked for. function: 'module:function'. out: the folder of taps to write."""

    workload: PipelineWorkload
    function: str
    out: str


@dataclass(frozen=True, config=STRICT, kw_only=True)
class OwnCodeAnswer:
    images: int


def ask(task: OwnCodeTask, folder: Path, tell: Tell) -> OwnCodeAnswer:
    w = task.workload
    function = load_user_function(task.function, Path(w.folder), task.function, w.allow_code)
    with TapsWriter(Path(task.out), task.function, ["results"], total=len(w.images)) as writer:
        for k, (path, name) in enumerate(w.images):
            tell(f"asking {task.function}", k / len(w.images))
            begin(folder, [name])
            try:
                result = function(path)
            except (Exception, SystemExit, KeyboardInterrupt) as e:  # whatever it is, it is the user's
                traceback.print_exc()
                raise PlanError(
                    f"raised {type(e).__name__} on image {printable(name)}: {printable(str(e))}; its traceback ends in "
                    f"{_place(e)}",
                    subject=task.function,
                ) from None
            writer.add(name, ImageTaps(results=check_result(result, f"{task.function}, on image {printable(name)},")))
    return OwnCodeAnswer(images=len(w.images))


def _place(e: BaseException) -> str:
    last = traceback.extract_tb(e.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}, in {last.name}: {(last.line or '').strip()}"


JOB = Job("seatrial.diagnosis.own_code", OwnCodeTask, OwnCodeAnswer, ask, timed=False)
