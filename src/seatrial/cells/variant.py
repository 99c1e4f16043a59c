"""A model in another precision, made in a process of its own: quantising takes memory that no cell is to be charged for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.jobs.opened import build, image_bytes
from seatrial.jobs.task import CALIBRATION_IMAGES, Answer, Task

Array = npt.NDArray[Any]


def make_variant(task: Task, tell: Callable[[str, float], None]) -> Answer:
    from seatrial.precision import Calibration, variant

    pipeline = build(task)
    data = image_bytes(task)
    # Spread over the whole set: neighbours in a folder often look alike.
    chosen = np.unique(np.linspace(0, len(data) - 1, min(len(data), CALIBRATION_IMAGES)).astype(int))

    def feeds() -> Iterator[dict[str, Array]]:
        for count, index in enumerate(chosen):
            tell(f"calibrating {task.precision}", count / len(chosen))
            # As many times over as a fixed batch dimension wants.
            slot = pipeline.allocate(task.batch)
            pipeline.preprocess([pipeline.decode(data[int(index)])] * task.batch, slot)
            yield slot

    path = variant(task.model_info, task.precision, Calibration(feeds, task.calibration_digest))
    return Answer(variant=str(path))
