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
# Answers are compared on so many pictures, each run by both models; ranges want at least so many.
MOST_COMPARED, LEAST_IMAGES = 4, 8


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
    chosen, beside = _chosen(len(data), settings.images)

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
        lambda: feeds(beside, f"comparing {w.precision} with fp32"),
    )
    return VariantAnswer(str(variant(w.model_info, w.precision, calibration)))


def _chosen(images: int, most: int) -> tuple[list[int], list[int]]:
    """Places of the images that ranges are seen on, spread over all, and of those that answers are compared on.

    Of these a few are kept back, unless the others would be too few to see ranges on.
    """
    kept_back = min(MOST_COMPARED, images - LEAST_IMAGES) if images > LEAST_IMAGES else 0
    seen = np.unique(np.linspace(0, images - 1, max(1, min(images - kept_back, most))).astype(int))
    others = np.setdiff1d(np.arange(images), seen)
    spread = np.linspace(0, len(others) - 1, min(len(others), MOST_COMPARED)).astype(int)
    return seen.tolist(), others[spread].tolist()


JOB = Job("seatrial.cells.variant", VariantTask, VariantAnswer, make_variant, timed=False)
