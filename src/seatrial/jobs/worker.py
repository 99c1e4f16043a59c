"""The process of a job: it finds its work by name, does it, and leaves an answer.

Run as `python -m seatrial.jobs.worker TASK.json`. Progress goes to the file descriptor in SEATRIAL_PROGRESS_FD, one
JSON line each; whatever else is printed is the user's, or a library's, and is kept as the cell's last output.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from seatrial.errors import OUT_OF_MEMORY, ExitCode, SeatrialError
from seatrial.jobs.child import die_with_parent
from seatrial.jobs.task import Answer, Task

# By name: what a job does lies in rooms above this one.
_WORK = {
    "prepare": ("seatrial.cells.variant", "make_variant"),
    "measure": ("seatrial.cells.measure", "measure_cell"),
    "bench": ("seatrial.loads.job", "run_load"),
}


def main() -> int:
    die_with_parent()
    task = Task.model_validate_json(Path(sys.argv[1]).read_text("utf-8"))
    tell = _teller()
    try:
        module, function = _WORK[task.kind]
        answer: Answer = getattr(import_module(module), function)(task, tell)
    except SeatrialError as e:
        answer = Answer(error=str(e), exit_code=int(e.exit_code))
    except MemoryError:
        answer = Answer(error=OUT_OF_MEMORY, exit_code=int(ExitCode.FAIL))
    Path(task.answer, "answer.json").write_text(answer.model_dump_json(), "utf-8")
    return 0


def _teller() -> Callable[[str, float], None]:
    descriptor = int(os.environ.get("SEATRIAL_PROGRESS_FD", "-1"))

    def tell(step: str, share: float) -> None:
        if descriptor >= 0:
            os.write(descriptor, (json.dumps({"step": step, "share": share}) + "\n").encode())

    return tell


if __name__ == "__main__":
    sys.exit(main())
