"""A pipeline as one function of an image, as `--candidate module:function --allow-code` takes it.

For: candidates as code. The only module here that imports seatrial: results have its types.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from faulty.tasks import TASKS
from faulty.way import Steps

MODULE = """import sys

sys.path[:0] = [{tools!r}]
from faulty.user_code import whole

candidate = whole({task!r}, {folder!r}, {name!r})
"""


def write_module(path: Path, task: str, folder: Path, name: str) -> None:
    """A module with `candidate`, of the injection of that name ('' is the right one)."""
    tools = str(Path(__file__).resolve().parents[1])
    path.write_text(MODULE.format(tools=tools, task=task, folder=str(folder), name=name))


def whole(task: str, folder: str, name: str) -> Callable[[Any], Any]:
    steps = steps_of(task, Path(folder), name)

    def candidate(image: Any) -> Any:
        """image: a file's bytes, its path, or what the plan's decode gave."""
        if isinstance(image, str | Path):
            image = Path(image).read_bytes()
        decoded = steps.decode(image) if isinstance(image, bytes) else np.asarray(image)
        resized, placement = steps.resize(decoded)
        return result_of(task, steps.results(steps.infer(steps.tensor(resized)), placement))

    return candidate


def steps_of(task: str, folder: Path, name: str) -> Steps:
    from faulty.candidates import candidate_of
    from faulty.injections import Setting
    from faulty.pipelines import right_steps

    right = right_steps(TASKS[task], folder)
    return candidate_of(task, name).change(right, Setting(TASKS[task], folder)) if name else right


def result_of(task: str, found: dict[str, np.ndarray]) -> Any:
    import seatrial

    kinds = {
        "detect": seatrial.Detections,
        "classify": seatrial.Classification,
        "text": seatrial.TextRegions,
        "segment": seatrial.SemanticMask,
    }
    return kinds[task](**found)
