"""Every image once, in order: decoded results of all, raw outputs of the first few, and where all are NaN or infinite.

For: what a cell's process leaves to be compared. Not for: times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seatrial.cells.floor import kept
from seatrial.errors import count_of
from seatrial.jobs.opened import OpenedPipeline
from seatrial.jobs.workload import PipelineWorkload
from seatrial.kernels.results import Detections, Labels
from seatrial.parity.specials import as_array, signature
from seatrial.pipeline.image_outputs import outputs_by_image, rows_without_image
from seatrial.pipeline.plausibility import plausibility_of
from seatrial.pipeline.results import ResultsWriter
from seatrial.pipeline.sure_objects import sure_objects_of
from seatrial.warning import Warning


def collect(
    w: PipelineWorkload, opened: OpenedPipeline, writer: ResultsWriter, raw_images: int
) -> tuple[list[str], list[Warning], int]:
    """Outputs that held a NaN, what the numbers make doubtful, and the image with the most results. ModelError where the
    postprocess cannot be right for them.

    Each result goes to the file as it comes, so that the process's memory is the pipeline's own. raw_images: of so many the
    raw outputs are written too.
    """
    pipeline, backend, data = opened.pipeline, opened.backend, opened.data
    specials: list[list[tuple[int, int, int, int]]] = []
    names = [o.name for o in backend.outputs()]
    nan_outputs: dict[str, None] = {}
    infinite: Counter[str] = Counter()
    flat: dict[str, int] = {}
    busiest, most = 0, 0
    plausible = plausibility_of(w.name, w.spec, w.model_info, Path(w.folder))
    sure = sure_objects_of(w.name, w.spec, w.model_info, Path(w.folder))
    for start in range(0, len(data), w.batch):
        count = min(w.batch, len(data) - start)
        # The last batch is filled up with its last image: the model's batch dimension is fixed once opened.
        images = [pipeline.decode(data[min(i, len(data) - 1)]) for i in range(start, start + w.batch)]
        geometries = pipeline.preprocess(images, opened.feeds)
        outputs = backend.run(opened.feeds)
        by_image = outputs_by_image(w.spec.postprocess, w.model_info.outputs, outputs, w.batch)[:count]
        flat = rows_without_image(w.spec.postprocess, w.model_info.outputs, outputs, w.batch) | flat
        plausible.add(outputs, w.batch, count)
        plausible.add_reach(by_image, geometries[:count])
        results = pipeline.postprocess(outputs, geometries)[:count]
        if sure is not None:
            sure.add(by_image, geometries[:count])
        for k, (name, output) in enumerate(zip(names, outputs, strict=True)):
            if output.dtype.kind != "f" or np.isfinite(output).all():
                continue
            if np.isnan(output).any():
                nan_outputs[name] = None
            infinite[name] += sum(bool(np.isinf(own[k]).any()) for own in by_image)
        for row, own in enumerate(by_image):
            if raw_images:
                specials.append([signature(o) for o in own])
            if start + row < raw_images:
                writer.add_raw([kept(o) for o in own])
        for row, result in enumerate(results):
            things = len(result) if isinstance(result, Detections | Labels) else 0
            if things > most:
                busiest, most = start + row, things
            scores = getattr(result, "scores", None)
            if scores is not None and not np.isfinite(scores).all():
                nan_outputs["decoded scores"] = None
            writer.add(result)
    writer.add_specials(as_array(specials))
    doubts = plausible.settle(reduced=w.precision != "fp32" or w.model_info.quantised)
    if sure is not None:
        doubts += sure.warnings()
    return list(nan_outputs), [*doubts, *_overflows(infinite, len(data)), *_flat_lists(flat, w.batch)], busiest


def _flat_lists(flat: dict[str, int], batch: int) -> Iterator[Warning]:
    for name, rows in flat.items():
        said = (
            f"output {name} came with {count_of(rows, 'row')} for a batch of {batch}: they are no images, and raw outputs are "
            "compared as a whole, or row by row where there happen to be as many"
        )
        yield Warning(
            "rows-without-image", said, "name the task and format that read it, or set matrix.batch_sizes: [1]"
        )


def _overflows(infinite: Counter[str], images: int) -> Iterator[Warning]:
    for name, count in infinite.items():
        if count:
            where = f"output {name} is infinite somewhere on {count} of {count_of(images, 'image')}"
            yield Warning("overflow", f"{where}: an overflow? a result made of it is left out, or means nothing")
