"""A model in another precision, made in a process of its own: quantising takes memory that no cell is to be charged for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic.dataclasses import dataclass

from seatrial.jobs.job import Job, Tell
from seatrial.jobs.opened import build, image_bytes
from seatrial.jobs.workload import STRICT, PipelineWorkload

Feeds = dict[str, npt.NDArray[Any]]
# Answers are compared on so many pictures, each run by both models.
MOST_COMPARED = 4


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
    chosen, compared = _chosen(len(data), settings.images)

    def feeds(indices: Sequence[int] = chosen, step: str = f"calibrating {w.precision}") -> Iterator[Feeds]:
        for count, index in enumerate(indices):
            tell(step, count / len(indices))
            # As many times over as a fixed batch dimension wants.
            slot = pipeline.allocate(w.batch)
            pipeline.preprocess([pipeline.decode(data[int(index)])] * w.batch, slot)
            yield slot

    recipe = Recipe(settings.keep_fp32.nodes, settings.keep_fp32.operators)
    calibration = Calibration(
        feeds,
        task.calibration_digest,
        settings.calibration,
        recipe,
        lambda: feeds(compared, f"comparing {w.precision} with fp32"),
        apart=not set(chosen) & set(compared),
    )
    return VariantAnswer(str(variant(w.model_info, w.precision, calibration)))


def _chosen(images: int, most: int) -> tuple[list[int], list[int]]:
    """Places of the images that ranges are seen on, and of those that answers are compared on, each spread over all.

    Others where there are any; none is kept back for it: a trial judges the answers on every image, by ranges of all that it
    may use.
    """
    seen = np.linspace(0, images - 1, min(images, most)).astype(int)
    others = np.setdiff1d(np.arange(images), seen)
    among = others if len(others) else seen
    spread = np.linspace(0, len(among) - 1, min(len(among), MOST_COMPARED)).astype(int)
    return seen.tolist(), among[spread].tolist()


JOB = Job("seatrial.cells.variant", VariantTask, VariantAnswer, make_variant, timed=False)
