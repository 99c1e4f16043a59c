"""Whether an image's answer depends on where in its batch it stands, as where a model answers for the first image alone.

For: cells of several images a batch, each against itself, since a matrix need not have one of batch 1 to compare with. Not for:
what else differs between batch sizes (trial/tensor_parity.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.cells.floor import kept
from seatrial.errors import ModelError
from seatrial.jobs.opened import OpenedPipeline
from seatrial.jobs.workload import PipelineWorkload
from seatrial.model.image_size import main_input
from seatrial.pipeline.image_outputs import outputs_by_image
from seatrial.pipeline.outputs_read import outputs_read
from seatrial.pipeline.results import Result
from seatrial.plan import pipelines
from seatrial.warning import Warning

Raw = list[list[npt.NDArray[Any]]]
# Runs in which no image has an answer, after which nobody looks further.
MOST_TURNS = 8
# What the same images in another order may keep of each other: below the first it is doubtful, below the second wrong.
SAME, UNLIKE = 0.99, 0.5
# Of raw outputs, where nothing else tells: dB of signal to noise.
SAME_DB, UNLIKE_DB = 40.0, 10.0


def batch_order(w: PipelineWorkload, opened: OpenedPipeline) -> list[Warning]:
    """The first batch once more with its images moved on by one place, by two and so on, until some image has an answer.

    Raises:
        ModelError: the answers depend on the images' places, and are the same in two runs of one order.
    """
    order = list(range(min(w.batch, len(opened.data))))
    if len(order) < 2 or len(order) < w.batch:
        return []
    first = _answers(w, opened, order)
    for by in range(1, min(len(order), MOST_TURNS + 1)):
        turned = _answers(w, opened, [*order[by:], *order[:by]])
        # The image that stood at `by` stands first now.
        back = [[*side[-by:], *side[:-by]] for side in turned]
        found = _alike(w, first, (back[0], back[1]))
        if found is None:
            continue
        if found[0] >= SAME:
            return []
        again = _alike(w, first, _answers(w, opened, order))
        if again is not None and again[0] < SAME:
            # Not the same twice in one order either: that is another fault, and parity tells it.
            return []
        said = f"an image's answer depends on its place in a batch of {w.batch}: the images moved on by {by} keep {found[1]}"
        cure = "set matrix.batch_sizes: [1], or export the model with a batch that all of it reads"
        if found[0] < UNLIKE:
            raise ModelError(f"pipelines.{w.name}: {said}; {cure}")
        return [Warning("batch-order", said, cure)]
    return []


def _answers(w: PipelineWorkload, opened: OpenedPipeline, order: Sequence[int]) -> tuple[list[Result], Raw]:
    """Results and raw outputs of the images in this order."""
    pipeline = opened.pipeline
    geometries = pipeline.preprocess([pipeline.decode(opened.data[i]) for i in order], opened.feeds)
    # Copies: the next run overwrites what a backend gives, and a user's stage may give a part of it.
    outputs = [np.array(o) for o in opened.backend.run(opened.feeds)]
    by_image = outputs_by_image(w.spec.postprocess, w.model_info.outputs, outputs, w.batch)
    of_images = _of_images(w)
    raw = [[kept(o) if k in of_images else np.zeros(0) for k, o in enumerate(own)] for own in by_image]
    return pipeline.postprocess(outputs, geometries), raw


def _of_images(w: PipelineWorkload) -> set[int]:
    """Outputs with a row an image: those that a built-in task reads; else those whose rows the file calls as the input's."""
    post, infos = w.spec.postprocess, w.model_info.outputs
    if isinstance(post, pipelines.Postprocess) and post.task != "raw":
        read = outputs_read(post, infos)
        return {k for k, o in enumerate(infos) if o.name in read}
    rows = main_input(w.model_info).shape[:1]
    return {k for k, o in enumerate(infos) if o.shape[:1] == rows}


def _alike(
    w: PipelineWorkload, first: tuple[list[Result], Raw], second: tuple[list[Result], Raw]
) -> tuple[float, str] | None:
    """How much of the answers is the same, 0 to 1, and that in words; None where there is none to tell by. By image.

    Objects by their agreement, since rows that are ordered by score change places for nothing; all else by the raw outputs,
    whose least difference is seen: the same class of two images proves little.
    """
    from seatrial.kernels.results import Detections, Labels
    from seatrial.parity.results import agreement
    from seatrial.pipeline.stored import kinds_of

    kinds = {k for side in (first[0], second[0]) for k in kinds_of(side) if k is not None}
    if len(kinds) == 1 and issubclass(next(iter(kinds)), Detections | Labels):
        found = agreement(first[0], second[0])
        return (
            None if found is None or found.value is None else (found.value, f"{found.value:.0%} of their {found.unit}")
        )
    return _raw_alike(w, first[1], second[1])


def _raw_alike(w: PipelineWorkload, first: Raw, second: Raw) -> tuple[float, str] | None:
    """By the worst output's signal to noise, from UNLIKE at UNLIKE_DB to SAME at SAME_DB; shapes that differ are unlike."""
    from seatrial.parity.tensors import compare_tensors

    try:
        rows = compare_tensors([o.name for o in w.model_info.outputs], first, second, None)
    except ValueError:
        return 0.0, "not even the shapes of its outputs"
    rows = [r for r in rows if r.nan_mismatch or (r.elements and (r.reference_max_abs or r.max_abs))]
    if not rows:
        return None
    ratio = min(np.inf if r.max_abs == 0 and not r.nan_mismatch else r.sqnr_db or 0.0 for r in rows)
    share = UNLIKE + (SAME - UNLIKE) * (ratio - UNLIKE_DB) / (SAME_DB - UNLIKE_DB)
    return min(1.0, share), f"{ratio:.1f} dB of signal to noise"
