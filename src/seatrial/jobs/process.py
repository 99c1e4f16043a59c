"""Starts a worker, listens to it, and says how it ended. For: isolation. Not for: what the worker does (worker.py)."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Generic

from pydantic import ValidationError

from seatrial.errors import ExitCode, Failure, ResultsError, count_of
from seatrial.history.files import why_not_written
from seatrial.interrupts import interrupts_held, raise_swallowed
from seatrial.jobs.child import cores_for
from seatrial.jobs.job import ANSWER, FAILURE, AnswerT, Job, TaskT, Tell, read_failure
from seatrial.jobs.process_tree import ProcessTree
from seatrial.jobs.shared import FD_VARIABLE, SharedSamples
from seatrial.noise.watch import NoiseReport, NoiseWatch
from seatrial.units import format_seconds
from seatrial.warning import Warning

LAST_OUTPUT_LINES = 20
# An answer, with its engines' times, is smaller.
ROOM_BYTES = 1 << 16


@dataclass(frozen=True)
class Ended(Generic[AnswerT]):
    """answer is None where the process died, was not started, or counts for nothing; failure then says why.

    output_quoted: whether the failure's text already ends in the last line of the output.
    """

    answer: AnswerT | None
    failure: Failure | None = None
    last_output: str = ""
    wall_s: float = 0.0
    noise: NoiseReport | None = None
    timed_out: bool = False
    output_quoted: bool = False

    @property
    def reason(self) -> str:
        """As a record keeps it."""
        return self.failure.reason if self.failure else ""

    @property
    def exit_code(self) -> int:
        return self.failure.exit_code if self.failure else 0

    @property
    def printed(self) -> tuple[Warning, ...]:
        """A warning where it did its work and printed something: a library, or the user's code, had something to say."""
        lines = self.last_output.strip().splitlines()
        if self.answer is None or not lines:
            return ()
        more = " or more" if len(lines) >= LAST_OUTPUT_LINES else ""
        said = f"its process printed {count_of(len(lines), 'line')}{more}, at last: {lines[-1].strip()}"
        return (Warning("printed", said, "the cell's last_output in the record has them"),)


def run_job(
    job: Job[TaskT, AnswerT],
    task: TaskT,
    folder: Path,
    timeout_s: float,
    tell: Tell,
    shared: SharedSamples | None = None,
    time_option: str = "measure.timeout",
) -> Ended[AnswerT]:
    """Does the task in a fresh process, with `tell(step, share)` for its progress. Kills it on time-out or Ctrl-C.

    folder: for its task, its answer and what it leaves beside it. shared: memory for its samples, which the caller can read
    however it ends. time_option: what a user would change to give it more time, by `option` where it is one; '' where nothing
    is. What measures is watched for disturbances. ResultsError where its folder can't be written.
    """
    # A user's code may change the process's working folder.
    folder = folder.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Of an earlier try: whoever looks for a result must not find that one's.
        for name in (ANSWER, FAILURE, "samples.npy", "results.npz"):
            (folder / name).unlink(missing_ok=True)
        job.write_task(folder, task)
        log = (folder / "output.log").open("wb")
    except OSError as e:
        raise _not_written(folder, e) from e
    with log:
        return _run_job(job, task, folder, log, timeout_s, tell, shared, time_option)


def _run_job(
    job: Job[TaskT, AnswerT],
    task: TaskT,
    folder: Path,
    log: IO[bytes],
    timeout_s: float,
    tell: Tell,
    shared: SharedSamples | None,
    time_option: str,
) -> Ended[AnswerT]:
    began = time.monotonic()
    threads, clients = task.workload.threads, task.workload.clients
    with contextlib.ExitStack() as stack:
        reader, writer = os.pipe()
        stack.callback(os.close, reader)
        # Until it is registered with whoever ends it, nobody would end it.
        with interrupts_held():
            try:
                child = ProcessTree(
                    # -P: a file in the working folder must not stand in for a package.
                    [sys.executable, "-P", "-m", "seatrial.jobs.worker", job.module, str(folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(writer, *([shared.descriptor] if shared else [])),
                    env={
                        **os.environ,
                        "SEATRIAL_PROGRESS_FD": str(writer),
                        "OMP_NUM_THREADS": str(threads),
                        **({FD_VARIABLE: str(shared.descriptor)} if shared else {}),
                    },
                )
            except OSError as e:
                reason = f"the system gives no process: {e.strerror or e}; end others, or ask for a higher limit"
                return Ended(None, Failure.of_text(reason, ExitCode.ENVIRONMENT))
            finally:
                os.close(writer)
            stack.callback(child.end)
        watch = None
        if job.timed:
            watch = stack.enter_context(
                NoiseWatch(
                    child.pid,
                    period_s=job.watch_period_s,
                    cores=cores_for(threads * clients),
                    gpu=task.workload.backend.device_ordinal,
                )
            )
        timed_out = _listen(child, reader, began + timeout_s, tell)
    wall_s = time.monotonic() - began
    cure = f"if that is normal, raise {time_option}" if time_option else "give it fewer images"
    late = f"took longer than {format_seconds(timeout_s)} and was stopped; {cure}"
    ended = _outcome(job, folder, child.returncode, late if timed_out else "", wall_s)
    return replace(ended, noise=watch.report()) if watch else ended


def _listen(child: subprocess.Popen[bytes], reader: int, deadline: float, tell: Tell) -> bool:
    """Passes progress on until the process ends (False) or the deadline is past (True)."""
    buffer = b""
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)
        while True:
            raise_swallowed()
            left = deadline - time.monotonic()
            if left <= 0:
                return True
            if not selector.select(min(left, 0.5)):
                if child.poll() is not None:
                    return False
                continue
            chunk = os.read(reader, 65536)
            if not chunk:
                break
            buffer += chunk
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                with contextlib.suppress(ValueError, KeyError):
                    word = json.loads(line)
                    tell(word["step"], word["share"])
    try:
        child.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return True
    return False


def _outcome(job: Job[Any, AnswerT], folder: Path, code: int, late: str, wall_s: float) -> Ended[AnswerT]:
    """late: why it was stopped; '' where it ended by itself."""
    output = _tail(folder / "output.log")
    if late:
        return Ended(None, Failure.of_text(late), output, wall_s, timed_out=True)
    with contextlib.suppress(OSError, ValidationError):
        return Ended(job.read_answer(folder), None, output, wall_s)
    with contextlib.suppress(OSError, ValidationError):
        return Ended(None, read_failure(folder), output, wall_s)
    said = Failure.of_text(last_words(code, folder / "output.log"))
    return Ended(None, said, output, wall_s, output_quoted=code >= 0)


def _check_room(folder: Path) -> None:
    """ResultsError where the disk is full: then a process could not even say that it was so."""
    probe = folder / "probe"
    try:
        probe.write_bytes(bytes(ROOM_BYTES))
    except OSError as e:
        raise _not_written(folder, e) from e
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def _not_written(folder: Path, error: OSError) -> ResultsError:
    return ResultsError(f"{folder}: cannot be written: {why_not_written(error)}")


def last_words(code: int, log: Path, kept: bool = True) -> str:
    """How a process that left no answer ended, for people. ResultsError where the disk is full, so that it could not tell.

    kept: whether its output stays where someone could be sent.
    """
    if code == -signal.SIGKILL:
        return "was killed (SIGKILL): most likely the system ran out of memory; use a smaller batch or fewer threads"
    if code < 0:
        cure = "; the cell's last output may name it" if kept else ""
        return f"crashed with {signal.Signals(-code).name} inside native code{cure}"
    _check_room(log.parent)
    output = _tail(log).rstrip().lstrip("\n")
    return f"ended with exit status {code}: {_said(output) if output else 'it printed nothing'}"


def _said(output: str) -> str:
    """The last line; of a traceback the one that names the error, whose message may go on for lines."""
    lines = output.splitlines()
    frames = [i for i, line in enumerate(lines) if line.startswith('  File "')]
    behind = lines[frames[-1] :] if frames else []
    return next((line for line in behind if line and not line[0].isspace()), lines[-1])


def _tail(path: Path) -> str:
    """The last lines of a log. Only its end is read: a process in a loop can print gigabytes."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 16384))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return "\n".join(text.splitlines()[-LAST_OUTPUT_LINES:])
