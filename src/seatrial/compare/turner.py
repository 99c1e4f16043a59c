"""One side's process, as the parent has it: started, told to take turns, ended with whatever it started."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from seatrial._native.timing import StageSamples
from seatrial.compare.turn_task import ModelTurns, SideFacts, TurnTask
from seatrial.compare.turns import COMMAND, DONE, NO_ROOM, REPLY, RESTLESS
from seatrial.errors import BackendUnavailableError, CellError, Failure, ResultsError, SeatrialError, error_of
from seatrial.history.files import why_not_written
from seatrial.interrupts import interrupts_held, raise_swallowed
from seatrial.jobs.process import last_words
from seatrial.jobs.process_tree import ProcessTree
from seatrial.jobs.refusals import explained, of_shapes
from seatrial.jobs.shared import anonymous_file
from seatrial.jobs.workload import PipelineWorkload
from seatrial.model.file import inspect_model
from seatrial.runtimes.choice import BackendChoice
from seatrial.units import format_seconds

I64 = npt.NDArray[np.int64]

# Loading may build an engine.
LOAD_TIMEOUT_S = 600.0


LISTEN_S = 0.5


@dataclass(frozen=True)
class Side:
    """What one process runs, and `python`, the interpreter that runs it.

    name: of its files and of its column in a Round; label: what errors call it, the name where there is none.
    """

    name: str
    work: ModelTurns | PipelineWorkload
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)
    label: str = ""

    @property
    def choice(self) -> BackendChoice:
        work = self.work
        return BackendChoice(work.backend, "", work.options) if isinstance(work, ModelTurns) else work.backend


class Turner:
    """The parent's end of one process."""

    def __init__(
        self, side: Side, child: subprocess.Popen[bytes], commands: int, replies: int, memory: int, files: Path
    ) -> None:
        self.side = side
        self._child = child
        self._commands = commands
        self._replies = replies
        self._memory = memory
        self._files = files
        self.timeout_s = LOAD_TIMEOUT_S
        self.restless = 0

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def label(self) -> str:
        return self.side.label or self.side.name

    def turn(self, burst: int) -> None:
        # One more than is kept: it wakes the caches.
        self.command(b"t", burst + 1)

    def restart_images(self, seed: int) -> None:
        self.command(b"i", seed)
        # Only what it does between turns counts.
        self.restless = 0

    def command(self, letter: bytes, number: int) -> float:
        """Seconds that the requests took."""
        with contextlib.suppress(BrokenPipeError):  # the reply that does not come says why
            os.write(self._commands, COMMAND.pack(letter, number))
        return self.await_reply(self.timeout_s)

    def quit(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._commands, COMMAND.pack(b"q", 0))

    def await_reply(self, timeout_s: float) -> float:
        deadline = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._replies, selectors.EVENT_READ)
            while not selector.select(LISTEN_S):
                raise_swallowed()
                # A helper that it forked keeps the pipe open, so that its death may leave no end of file behind.
                if self._child.poll() is not None:
                    raise self._broken()
                if time.monotonic() > deadline:
                    raise CellError(
                        f"gave no answer within {format_seconds(timeout_s)} and was stopped; run it alone, with "
                        "'seatrial bench', to see where it hangs",
                        subject=self.label,
                    )
        reply = os.read(self._replies, REPLY.size)
        word, took_ns = REPLY.unpack(reply) if len(reply) == REPLY.size else (b"", 0)
        if word not in (DONE, RESTLESS):
            raise self._broken()
        self.restless += word == RESTLESS
        return float(took_ns) / 1e9

    def facts(self) -> SideFacts:
        return SideFacts.read(self._files.with_suffix(".json"))

    def table(self, stages: int) -> I64:
        size = os.fstat(self._memory).st_size
        return StageSamples.read(os.pread(self._memory, size, 0), stages)

    def _broken(self) -> SeatrialError:
        if failure := self.facts().failure:
            return _explained(failure, self.side, self.label)
        # Its output goes with the round's folder.
        ended = last_words(self._child.wait(), self._files.with_suffix(".log"), kept=False)
        return CellError(ended, subject=self.label)


def _explained(failure: Failure, side: Side, label: str) -> SeatrialError:
    """Here and not in its process, whose interpreter need not have what it takes to read a model."""
    error, work = error_of(replace(failure, subject=""), ""), side.work
    if isinstance(work, ModelTurns) and error.refusal:
        said = of_shapes(error, inspect_model(Path(work.model)), work.input_shapes)
    else:
        said = explained(error, work) if isinstance(work, PipelineWorkload) else error
    return error_of(failure if said is error else Failure.of(said), label)


@contextlib.contextmanager
def open_turner(side: Side, folder: Path, capacity: int) -> Iterator[Turner]:
    """Starts a side's process; ends it and everything that it started on the way out."""
    # A user's code may change the process's working folder.
    files = folder.absolute() / side.name
    task_file, answer, log_file = (files.with_suffix(suffix) for suffix in (".task", ".json", ".log"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        answer.unlink(missing_ok=True)
        task_of(side.work, str(answer), capacity).write(task_file)
        log_file.touch()
    except OSError as e:
        raise ResultsError(f"{folder}: a round's files cannot be written: {why_not_written(e)}") from e
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as theirs:
        try:
            command_end, commands = _pipe(theirs, stack)
            replies, reply_end = _pipe(stack, theirs)
            memory = anonymous_file()
            stack.callback(os.close, memory)
            log = stack.enter_context(log_file.open("wb"))
        except OSError as e:
            raise ResultsError(f"{side.label or side.name}: {NO_ROOM}: {e.strerror}") from e
        words = [side.python, "-P", "-m", "seatrial.compare.turns", str(task_file)]
        with interrupts_held():
            try:
                child = ProcessTree(
                    [*words, str(command_end), str(reply_end), str(memory)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(command_end, reply_end, memory),
                    env={**os.environ, "OMP_NUM_THREADS": str(side.work.threads), **side.environment},
                )
            except OSError as e:
                label = side.label or side.name
                raise BackendUnavailableError(f"{label}: {side.python} cannot be started: {e.strerror or e}") from None
            stack.callback(child.end)
        theirs.close()
        yield Turner(side, child, commands, replies, memory, files)


def task_of(work: ModelTurns | PipelineWorkload, answer: str, capacity: int) -> TurnTask:
    if isinstance(work, ModelTurns):
        return TurnTask(answer, capacity, work.threads, model=work)
    pipeline = TypeAdapter(PipelineWorkload).dump_python(work, mode="json", exclude_unset=True)
    return TurnTask(answer, capacity, work.threads, pipeline=pipeline)


def _pipe(reader_stack: contextlib.ExitStack, writer_stack: contextlib.ExitStack) -> tuple[int, int]:
    reader, writer = os.pipe()
    reader_stack.callback(os.close, reader)
    writer_stack.callback(os.close, writer)
    return reader, writer
