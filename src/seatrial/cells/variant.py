"""A model in another precision, made in a process of its own: quantising takes memory that no cell is to be charged for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic.dataclasses import dataclass

from seatrial.jobs.job import Job, Tell
from seatrial.jobs.opened import build, image_bytes
from seatrial.jobs.workload import STRICT, PipelineWorkload


@dataclass(frozen=True, config=STRICT, kw_only=True)
class VariantTask:
    """calibration_digest: of all that the calibration inputs depend on, as part of the variant's name."""

    workload: PipelineWorkload
    calibration_digest: str


@dataclass(frozen=True, config=STRICT)
class VariantAnswer:
    path: str


def make_variant(task: VariantTask, _folder: Path, tell: Tell) -> VariantAnswer:
    """Into the cache of variants."""
    from seatrial.precision import Calibration, variant
    from seatrial.precision.recipe import Recipe

    w = task.workload
    settings = w.spec.convert
    pipeline = build(w)
    data = image_bytes(w)
    # Spread over the whole set: neighbours in a folder often look alike.
    chosen = np.unique(np.linspace(0, len(data) - 1, min(len(data), settings.images)).astype(int))

    def feeds() -> Iterator[dict[str, npt.NDArray[Any]]]:
        for count, index in enumerate(chosen):
            tell(f"calibrating {w.precision}", count / len(chosen))
            # As many times over as a fixed batch dimension wants.
            slot = pipeline.allocate(w.batch)
            pipeline.preprocess([pipeline.decode(data[int(index)])] * w.batch, slot)
            yield slot

    recipe = Recipe(settings.keep_fp32.nodes, settings.keep_fp32.operators)
    calibration = Calibration(feeds, task.calibration_digest, settings.calibration, recipe)
    return VariantAnswer(str(variant(w.model_info, w.precision, calibration)))


JOB = Job("seatrial.cells.variant", VariantTask, VariantAnswer, make_variant, timed=False)
