"""The process of a job: it finds its work by name, does it, and leaves an answer.

Run as `python -m seatrial.jobs.worker MODULE FOLDER`. Progress goes to the file descriptor in SEATRIAL_PROGRESS_FD, one JSON
line each; whatever else is printed is the user's, or a library's, and is kept as the process's last output.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from seatrial.errors import OUT_OF_MEMORY, Failure, SeatrialError
from seatrial.jobs.child import die_with_parent
from seatrial.jobs.job import Job, Tell, job_called, write_failure


def main() -> int:
    die_with_parent()
    job, folder = job_called(sys.argv[1]), Path(sys.argv[2])
    try:
        _work(job, folder)
    except SeatrialError as e:
        write_failure(folder, Failure.of(e))
    except MemoryError:
        write_failure(folder, Failure.of_text(OUT_OF_MEMORY))
    return 0


def _work(job: Job[Any, Any], folder: Path) -> None:
    task = job.read_task(folder)
    try:
        job.write_answer(folder, job.work(task, folder, _teller()))
    except SeatrialError as e:
        if not e.refusal:
            raise
        from seatrial.jobs.refusals import explained

        said = explained(e, task.workload)
        if said is not e:
            # The runtime's own words stay in the last output.
            print(e, file=sys.stderr, flush=True)
        raise said from e


def _teller() -> Tell:
    descriptor = int(os.environ.get("SEATRIAL_PROGRESS_FD", "-1"))

    def tell(step: str, share: float) -> None:
        if descriptor >= 0:
            os.write(descriptor, (json.dumps({"step": step, "share": share}) + "\n").encode())

    return tell


if __name__ == "__main__":
    sys.exit(main())
