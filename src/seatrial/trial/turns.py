"""One side of a comparison, in a process of its own: loads, then runs short bursts when it is told to, and sleeps.

Run as `PYTHON -P -m seatrial.trial.turns TASK.json COMMANDS REPLIES SAMPLES`, the last three file descriptors. A command is
one letter and a count: 'w' runs without keeping times, 't' keeps them, 'q' ends; the reply is one byte. It may run under
another interpreter than the one that compares, so what a model alone needs is NumPy and its runtime, and nothing else here.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seatrial._native.timing import PythonWork, StageSamples, Work, closed_loop, now_ns
from seatrial.errors import CellError, ExitCode, SeatrialError
from seatrial.trial.child import die_with_parent, pin

COMMAND = struct.Struct("<ci")
DONE, FAILED = b".", b"!"
FOREVER_NS = 1 << 62


def main() -> int:
    die_with_parent()
    task = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    commands, replies, samples = map(int, sys.argv[2:5])
    try:
        _serve(task, commands, replies, samples)
    except SeatrialError as e:
        _say(task, error=str(e), exit_code=int(e.exit_code))
    except MemoryError:
        _say(task, error="out of memory; use a smaller batch or a machine with more", exit_code=int(ExitCode.FAIL))
    else:
        return 0
    os.write(replies, FAILED)
    return 1


def _serve(task: Mapping[str, Any], commands: int, replies: int, memory: int) -> None:
    affinity = pin(task["threads"])
    began = now_ns()
    work, stages, details = open_work(task)
    loaded_s = (now_ns() - began) / 1e9
    kept = StageSamples(task["capacity"], len(stages), mmap.mmap(memory, 0))
    # Else the cycle collector would run inside whichever request crosses its threshold, and be charged to it.
    gc.collect()
    gc.disable()
    _say(task, stages=stages, details=details, affinity=affinity, load_s=loaded_s)
    os.write(replies, DONE)
    while command := os.read(commands, COMMAND.size):
        letter, count = COMMAND.unpack(command)
        if letter == b"q":
            return
        samples = kept if letter == b"t" else StageSamples(count, len(stages))
        closed_loop(work, samples, deadline_ns=FOREVER_NS, most=count)
        os.write(replies, DONE)


def _say(task: Mapping[str, Any], **facts: Any) -> None:
    Path(task["answer"]).write_text(json.dumps(facts), "utf-8")


def open_work(task: Mapping[str, Any]) -> tuple[Work, list[str], dict[str, str]]:
    """The side's work, the names of its stages, and what really runs."""
    if task.get("pipeline"):
        return _open_pipeline(task)
    from seatrial.backends.base import OpenOptions
    from seatrial.backends.catalogue import has_native_loop, open_backend

    shapes = {name: tuple(shape) for name, shape in task["input_shapes"].items()}
    options = OpenOptions(task["threads"], 1, shapes, task["named_sizes"])
    native = task["native"] and has_native_loop(task["backend"])
    backend = open_backend(task["backend"], Path(task["model"]), options, native)
    feeds = {s.name: made_up(shapes[s.name], s.dtype, task["seed"]) for s in backend.inputs()}
    first_run(backend, feeds)
    return backend.work(feeds), ["infer"], {"called": "from Python", **backend.details()}


def _open_pipeline(task: Mapping[str, Any]) -> tuple[Work, list[str], dict[str, str]]:
    from seatrial.trial.opened import STAGES, open_pipeline
    from seatrial.trial.task import Task

    opened = open_pipeline(Task.model_validate(task["pipeline"]))
    opened.iterate(lambda: None)
    return PythonWork(opened.iterate), list(STAGES), {"called": "from Python", **opened.backend.details()}


def made_up(shape: Sequence[int], dtype: str, seed: int) -> Any:
    """Uniform 0 to 1 for floats; zeros for the rest, which are a valid index, mask and level."""
    import numpy as np

    if np.issubdtype(np.dtype(dtype), np.floating):
        return np.random.default_rng(seed).random(tuple(shape)).astype(dtype)
    return np.zeros(tuple(shape), dtype)


def first_run(backend: Any, feeds: Mapping[str, Any]) -> None:
    """One run on made-up values, for its errors: CellError where it fails, or where it gives nothing for made-up zeros."""
    zeros = made_up_zeros({name: array.dtype.name for name, array in feeds.items()})
    try:
        outputs = backend.run(feeds)
    except CellError as e:
        raise CellError(f"{e}{zeros}") from e
    if zeros and outputs and not any(o.size for o in outputs):
        raise CellError(f"all outputs are empty{zeros}")


def made_up_zeros(dtypes: Mapping[str, str]) -> str:
    """What a message ends in where inputs were made up as zeros, which may be no index, length or shape; else ''."""
    zeros = [name for name, dtype in dtypes.items() if not dtype.startswith(("float", "complex"))]
    if not zeros:
        return ""
    return (
        f"; the values of {', '.join(map(repr, zeros))} were made up as zeros, which the model may not take for an index, a "
        "length or a shape; measure it in a plan whose preprocess stage is a Python function that gives them: PLAN:PIPELINE "
        "--allow-code"
    )


if __name__ == "__main__":
    sys.exit(main())
