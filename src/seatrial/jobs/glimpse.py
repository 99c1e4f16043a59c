"""A model on a few pictures, for what its outputs hold: how `init` learns more of a head than its shape.

Run as `python -P -m seatrial.jobs.glimpse TASK.json`, in a process of its own: a model that nobody has run yet may crash,
hang or take all memory. For: ranges of numbers. Not for: times or results.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.errors import SeatrialError
from seatrial.jobs.child import die_with_parent
from seatrial.jobs.process import last_words
from seatrial.jobs.process_tree import ProcessTree
from seatrial.model.file import ModelInfo
from seatrial.plan.seen import Seen
from seatrial.units import format_bytes, format_seconds

# One picture may be without objects; a few are seldom all.
PICTURES = 4


@dataclass(frozen=True)
class Glimpse:
    """seen: each output over the pictures. problem: why there is none, in words for a plan's comment."""

    seen: dict[str, Seen]
    problem: str = ""


def glimpse(
    info: ModelInfo, preprocess: dict[str, Any], batch: int, candidates: Sequence[Path], backend: str, timeout_s: float = 60.0
) -> Glimpse:  # fmt: skip
    """Runs the model on the first pictures among the candidates that can be read; never raises for the model's sake.

    preprocess: arguments of kernels.Preprocess.
    """
    free = _free_bytes()
    if free is not None and 3 * info.size_bytes > free:
        return Glimpse(
            {}, f"the model's {format_bytes(info.size_bytes)} need more memory than is free ({format_bytes(free)})"
        )
    with tempfile.TemporaryDirectory(prefix="seatrial-glimpse-") as folder:
        answer_file = Path(folder, "answer.json")
        task, log = Path(folder, "task.json"), Path(folder, "output.log")
        facts = {
            "model": str(info.path.absolute()), "input": info.inputs[0].name, "outputs": [o.name for o in info.outputs],
            "preprocess": preprocess, "batch": batch, "pictures": [str(p.absolute()) for p in candidates],
            "backend": backend, "answer": str(answer_file),
        }  # fmt: skip
        task.write_text(json.dumps(facts), "utf-8")
        with log.open("wb") as stream:
            # -P: a file in the working folder must not stand in for a package.
            child = ProcessTree(
                [sys.executable, "-P", "-m", "seatrial.jobs.glimpse", str(task)],
                env=os.environ, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            )  # fmt: skip
            try:
                code = child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                return Glimpse({}, f"it took longer than {format_seconds(timeout_s)}")
            finally:
                child.end()
        try:
            answer = json.loads(answer_file.read_text("utf-8"))
        except (OSError, ValueError):
            return Glimpse({}, last_words(code, log))
    return Glimpse({name: Seen.from_json(s) for name, s in answer["seen"].items()}, answer["problem"])


def _free_bytes() -> int | None:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def main() -> int:
    die_with_parent()
    task = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    problem, seen = "", {}
    try:
        seen = _look(task)
    except SeatrialError as e:
        problem = str(e)
    except MemoryError:
        problem = "out of memory"
    Path(task["answer"]).write_text(
        json.dumps({"problem": problem, "seen": {n: s.to_json() for n, s in seen.items()}}), "utf-8"
    )
    return 0


def _look(task: dict[str, Any]) -> dict[str, Seen]:
    import numpy as np

    from seatrial.backends import OpenOptions, open_backend
    from seatrial.kernels.preprocess import Preprocess
    from seatrial.machine.environment import usable_cores
    from seatrial.model.file import inspect_model
    from seatrial.plan.seen import observe

    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in task["preprocess"].items()}
    kernel = Preprocess(**settings)
    feed = np.zeros((task["batch"], *kernel.shape), kernel.dtype)
    model = Path(task["model"])
    options = OpenOptions.for_shapes(inspect_model(model), len(usable_cores()), {task["input"]: feed.shape})
    images = _images(task["pictures"])

    def runs() -> Any:
        for image in images:
            kernel.batch([image] * task["batch"], out=feed)
            yield backend.run({task["input"]: feed}), task["batch"]

    with open_backend(task["backend"], model, options) as backend:
        return observe(task["outputs"], runs())


def _images(candidates: Sequence[str]) -> list[Any]:
    """The first that decode; what does not is not this module's to complain of."""
    from seatrial.images.decode import DecodeSettings, decode

    found: list[Any] = []
    for path in candidates:
        with contextlib.suppress(SeatrialError, OSError):
            found.append(decode(Path(path).read_bytes(), DecodeSettings()))
        if len(found) == PICTURES:
            break
    return found


if __name__ == "__main__":
    sys.exit(main())
