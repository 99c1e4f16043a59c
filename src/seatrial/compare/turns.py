"""One side of a comparison, in a process of its own: loads, then runs short bursts when it is told to, and sleeps.

Run as `PYTHON -P -m seatrial.compare.turns TASK.json COMMANDS REPLIES SAMPLES`, the last three file descriptors. A command is
one letter and a number: 'w' runs so many requests without keeping times, 't' keeps them, 'i' begins the order of images anew
from that seed, 'b' builds the engine of that number, opens it and closes it again, 'q' ends. A reply is a letter and the
nanoseconds that this took; it is given when every thread of this process is at rest, so that a pool that still spins takes
nothing from the next side's turn. It may run under another interpreter than the one that compares, so what a model alone needs
is NumPy and its runtime, and nothing else here.
"""

from __future__ import annotations

import gc
import mmap
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial._native.timing import NO_DEADLINE_NS, PythonWork, StageSamples, Work, closed_loop, now_ns
from seatrial.compare.turn_task import ModelTurns, SideFacts, TurnTask
from seatrial.errors import OUT_OF_MEMORY, Failure, ResultsError, SeatrialError
from seatrial.jobs.child import die_with_parent, pin
from seatrial.model.made_up import first_run, made_up
from seatrial.stages import MODEL_STAGES, PIPELINE_STAGES

COMMAND = struct.Struct("<ci")
REPLY = struct.Struct("<cq")
# RESTLESS: done too, but some thread works on and on.
DONE, RESTLESS, FAILED = b".", b"~", b"!"
NO_ROOM = "the system gives no pipe, file or memory for its process"
# How long a thread pool may go on spinning for work that does not come, before it counts as one that never rests.
SETTLE_NS, LEAST_PATIENCE_NS = 500_000_000, 50_000_000
THREADS = Path("/proc/self/task")
# A thread that spins uses all of its core where it gets it, going to sleep and looking a twentieth.
LOOK_S, AT_REST = 0.0005, 0.25


@dataclass(frozen=True)
class SideWork:
    """What a side runs, the names of its stages, and what really runs.

    restart: begins the order of images anew, from a seed; a model alone has none. close: the backend's;
    kernels_change: as it has it.
    """

    work: Work
    stages: list[str]
    details: dict[str, str]
    restart: Callable[[int], None] = lambda _seed: None
    close: Callable[[], None] = lambda: None
    kernels_change: bool = False


def main() -> int:
    die_with_parent()
    task = TurnTask.read(Path(sys.argv[1]))
    commands, replies, samples = map(int, sys.argv[2:5])
    try:
        _serve(task, commands, replies, samples)
    except SeatrialError as e:
        failure = Failure.of(e)
    except MemoryError:
        failure = Failure.of_text(OUT_OF_MEMORY)
    else:
        return 0
    SideFacts(failure=failure).write(Path(task.answer))
    os.write(replies, REPLY.pack(FAILED, 0))
    return 1


def _serve(task: TurnTask, commands: int, replies: int, memory: int) -> None:
    affinity = pin(task.threads)
    began = now_ns()
    side = open_work(task)
    loaded_s = (now_ns() - began) / 1e9
    kept = _table(memory, task.capacity, len(side.stages))
    # Else the cycle collector would run inside whichever request crosses its threshold, and be charged to it.
    gc.collect()
    gc.disable()
    SideFacts(tuple(side.stages), side.details, tuple(affinity), loaded_s, side.kernels_change).write(Path(task.answer))
    rest = Rest()
    os.write(replies, REPLY.pack(rest.word(), 0))
    while command := os.read(commands, COMMAND.size):
        letter, number = COMMAND.unpack(command)
        if letter == b"q":
            return
        began = now_ns()
        if letter == b"i":
            side.restart(number)
        elif letter == b"b":
            open_work(task.with_build(number)).close()
        else:
            samples = kept if letter == b"t" else StageSamples(number, len(side.stages))
            closed_loop(side.work, samples, deadline_ns=NO_DEADLINE_NS, most=number)
        took_ns = now_ns() - began
        os.write(replies, REPLY.pack(rest.word(), took_ns))


def _table(memory: int, capacity: int, stages: int) -> StageSamples:
    """In memory that the parent reads. Its size is set here, since only who runs the work knows how many stages it has.

    ResultsError where the system has no room for it.
    """
    try:
        os.ftruncate(memory, 8 * StageSamples.words(capacity, stages))
        return StageSamples(capacity, stages, mmap.mmap(memory, 0))
    except OSError as e:
        raise ResultsError(f"{NO_ROOM}: {e.strerror or e}") from e


class Rest:
    """Waits until no thread of this process works any more.

    Runtimes let the threads of their pools spin for a while, ONNX Runtime for some 30 ms, so that the next request finds them
    awake. In its own turn a side is measured with that, as it will run; in another's turn it would take a core away.
    """

    def __init__(self) -> None:
        self._patience_ns = SETTLE_NS

    def word(self) -> bytes:
        """DONE, or RESTLESS where a thread goes on and on: the next wait for it is shorter."""
        deadline = now_ns() + self._patience_ns
        while now_ns() < deadline:
            if not others_at_work():
                return DONE
        self._patience_ns = max(LEAST_PATIENCE_NS, self._patience_ns // 2)
        return RESTLESS


def others_at_work() -> bool:
    """Whether a thread beside this one works, looked at after LOOK_S of sleep.

    By the time that the process used meanwhile; and by what the kernel says of each thread, where there is /proc: on a busy
    machine one that spins gets little time, and is no less in the way.
    """
    began, worked = now_ns(), time.process_time_ns()
    time.sleep(LOOK_S)
    if time.process_time_ns() - worked > AT_REST * (now_ns() - began):
        return True
    own = str(threading.get_native_id())
    return THREADS.is_dir() and any(_state(thread) == "R" for thread in THREADS.iterdir() if thread.name != own)


def _state(thread: Path) -> str:
    """R: runs or waits for a core; '' where it has ended meanwhile."""
    try:
        stat = (thread / "stat").read_bytes()
    except OSError:
        return ""
    # Behind the thread's name, in which anything may stand.
    return stat.rpartition(b")")[2].split()[0].decode("ascii")


def open_work(task: TurnTask) -> SideWork:
    """Loads what the task names, and runs it once."""
    if task.pipeline is not None:
        return _open_pipeline(task.pipeline)
    assert task.model is not None
    return _open_model(task.model)


def _open_model(m: ModelTurns) -> SideWork:
    from seatrial.backends.base import OpenOptions, run_once
    from seatrial.backends.catalogue import open_backend
    from seatrial.runtimes.choice import BackendChoice
    from seatrial.runtimes.options import model_stages

    options = OpenOptions(m.threads, 1, m.input_shapes, m.named_sizes, build_number=m.build_number)
    choice = BackendChoice(m.backend, options=m.options)
    backend = open_backend(choice, Path(m.model), options, m.native)
    feeds = {s.name: made_up(m.input_shapes[s.name], s.dtype, m.seed) for s in backend.inputs()}
    first_run(backend, feeds)
    # The sides of a comparison are split alike: what only some devices tell apart is bench's.
    work = backend.work(feeds) if model_stages(choice) == MODEL_STAGES else PythonWork(run_once(backend, feeds))
    details = {"called": "from Python", **backend.details()}
    return SideWork(work, list(MODEL_STAGES), details, close=backend.close, kernels_change=bool(backend.kernels_change))


def _open_pipeline(pipeline: Mapping[str, Any]) -> SideWork:
    from pydantic import TypeAdapter

    from seatrial.jobs.opened import open_pipeline
    from seatrial.jobs.workload import PipelineWorkload

    opened = open_pipeline(TypeAdapter(PipelineWorkload).validate_python(pipeline))
    opened.iterate(lambda: None)
    details = {"called": "from Python", **opened.backend.details()}
    backend = opened.backend
    return SideWork(
        PythonWork(opened.iterate),
        list(PIPELINE_STAGES),
        details,
        opened.restart,
        backend.close,
        backend.kernels_change,
    )


if __name__ == "__main__":
    sys.exit(main())
