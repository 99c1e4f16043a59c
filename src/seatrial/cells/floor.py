"""The reference against itself, in its own process: how far do its raw outputs move where nothing that counts changed?

For: the measured floor of a reference cell. Not for: tolerances (parity) or other cells, whose configurations may crash.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import count_of
from seatrial.history.records import Floor
from seatrial.jobs.opened import OpenedPipeline
from seatrial.jobs.workload import PipelineWorkload
from seatrial.pipeline.image_outputs import outputs_by_image

Array = npt.NDArray[Any]
# Enough to see what is not the same twice; a slow model is not to pay for sixteen.
MOST_IMAGES = 8
# A failure to run again says nothing about the cell that has been measured.
_MOST_TEXT = 200


def measure_floor(
    w: PipelineWorkload,
    configurations: Sequence[tuple[int, int]],
    opened: OpenedPipeline,
    raw: Sequence[Sequence[Array]],
) -> list[Floor]:
    """One Floor for each (batch, threads), of the first images whose raw outputs are given.

    The first is the reference's own configuration: a session built anew. Whatever goes wrong becomes its `problem`.
    """
    from seatrial.parity.parts import split
    from seatrial.parity.tensors import compare_tensors

    # A runtime may call them otherwise; the plan and the parent know the model's own names.
    outputs, postprocess = w.model_info.outputs, w.spec.postprocess
    raw = raw[:MOST_IMAGES]
    reference = split(postprocess, outputs, raw)
    floors = []
    for batch, threads in configurations:
        rebuilt = (batch, threads) == (w.batch, w.threads)
        what = "built anew" if rebuilt else f"batch {batch}" if batch != w.batch else count_of(threads, "thread")
        try:
            again = split(postprocess, outputs, list(_run_again(w, opened, batch, threads, len(raw))))
            tensors = compare_tensors(reference.names, reference.arrays, again.arrays, None, reference.unit_range)
            problem = "NaN or infinity in one of two runs" if any(t.nan_mismatch for t in tensors) else ""
            floors.append(Floor(what=what, rebuilt=rebuilt, tensors=tuple(tensors), problem=problem))
        except Exception as e:  # a runtime's own error, or outputs of other shapes
            floors.append(Floor(what=what, rebuilt=rebuilt, problem=f"{type(e).__name__}: {e}"[:_MOST_TEXT]))
    return floors


def _run_again(
    w: PipelineWorkload, opened: OpenedPipeline, batch: int, threads: int, count: int
) -> Iterator[list[Array]]:
    """Raw outputs of the first `count` images, from a backend that is opened here and closed again."""
    from seatrial.backends import OpenOptions, open_backend

    pipeline, data = opened.pipeline, opened.data
    feeds = pipeline.allocate(batch)
    backend: Any = None
    try:
        for start in range(0, count, batch):
            # The last batch is filled up with its last image, as the cell's own is.
            pipeline.preprocess(
                [pipeline.decode(data[min(i, len(data) - 1)]) for i in range(start, start + batch)], feeds
            )
            if backend is None:
                shapes = {name: array.shape for name, array in feeds.items()}
                fixed = OpenOptions.for_shapes(w.model_info, threads, shapes)
                options = fixed if pipeline.fixed_shapes else OpenOptions.for_mix(threads)
                backend = open_backend(w.backend, Path(w.model), options)
            outputs = backend.run(feeds)
            images = outputs_by_image(w.spec.postprocess, w.model_info.outputs, outputs, batch)
            for own in images[: min(batch, count - start)]:
                yield [kept(o) for o in own]
    finally:
        if backend is not None:
            backend.close()


def kept(own: Array) -> Array:
    """A copy of one image's output, since the next run overwrites it; text has no differences to measure: left out."""
    return np.array(own) if own.dtype.kind in "fiub" else np.zeros(0)
