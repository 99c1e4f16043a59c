"""The pictures of a trial's report, drawn: the reference's answer, and beside it the cell that differs most from it.

For: eyes. Not for: numbers, or which images these are (telling.py).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from seatrial.cells.preflight import Ready
from seatrial.history.files import write_atomic
from seatrial.history.records import CellRecord, Picture
from seatrial.history.run_folder import RunFolder
from seatrial.images.decode import DecodeSettings, decode, read_bytes
from seatrial.kernels.postprocess import Classification, Detections, SemanticMask
from seatrial.pipeline.results import Result, load_results_file
from seatrial.trial.telling import Side, View, most_telling

# Drawn as large as a page shows them: made smaller there, nobody could read a label.
WIDTH = HEIGHT = 256
# Okabe and Ito's palette, BGR: told apart by colour-blind readers too.
PALETTE = [(0, 159, 230), (233, 180, 86), (115, 158, 0), (66, 228, 240), (178, 114, 0), (0, 94, 213), (167, 121, 204)]

U8 = npt.NDArray[np.uint8]


def draw_pictures(ready: Ready, run: RunFolder, cells: Sequence[CellRecord]) -> list[Picture]:
    """Writes pictures/*.jpg. Empty for raw and embed tasks.

    DataError where the images are not those that were measured.
    """

    # A cell's results, and those of the one that it is compared with: of large masks no more would fit.
    @lru_cache(maxsize=2)
    def results_of(cell_id: str) -> list[Result]:
        return load_results_file(run.work / cell_id / "results.npz")[0]

    views = most_telling(ready, cells, lambda c: results_of(c.id))
    if not views:
        return []
    ready.inputs.check()
    (run.path / "pictures").mkdir(exist_ok=True)
    return [_drawn(ready, run, view, side) for view in views for side in view.sides if side.result is not None]


def _drawn(ready: Ready, run: RunFolder, view: View, side: Side) -> Picture:
    image, name = ready.images[view.image], side.cell.pipeline
    spec, labels = ready.plan.plan.pipelines[name], ready.labels[name]
    pixels = decode(read_bytes(image.path), DecodeSettings(exif=spec.decode.exif), image.name)
    drawn = _draw(pixels, side.result, labels, side.alone)
    file = f"pictures/{view.image:04d}-{side.cell.id}.jpg"
    write_atomic(run.path / file, cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())
    return Picture(
        image=image.name,
        pipeline=name,
        cell=side.cell.id,
        file=file,
        caption=_caption(side.result, labels),
        why=view.why,
        note=view.note,
    )


def _draw(pixels: U8, result: Result, labels: list[str] | None, alone: Collection[int]) -> U8:
    """alone: boxes that are drawn thick."""
    scale = min(WIDTH / pixels.shape[1], HEIGHT / pixels.shape[0])
    width, height = (max(1, round(side * scale)) for side in (pixels.shape[1], pixels.shape[0]))
    canvas: U8 = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if isinstance(result, Detections):
        for k, (box, score) in enumerate(zip(result.boxes_xyxy, result.scores, strict=True)):
            corners = box * np.array([width / pixels.shape[1], height / pixels.shape[0]] * 2)
            _draw_box(canvas, corners, float(score), int(result.class_ids[k]), labels, 3 if k in alone else 1)
    elif isinstance(result, SemanticMask):
        small = cv2.resize(result.class_ids, (width, height), interpolation=cv2.INTER_NEAREST)
        colours = np.array([PALETTE[i % len(PALETTE)] for i in range(int(small.max()) + 1)], np.uint8)
        canvas = cv2.addWeighted(canvas, 0.5, colours[small], 0.5, 0)
    return canvas


def _draw_box(
    canvas: U8, corners: npt.NDArray[Any], score: float, class_id: int, labels: list[str] | None, thick: int
) -> None:
    colour = PALETTE[class_id % len(PALETTE)]
    x0, y0, x1, y1 = (round(float(v)) for v in corners)
    cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, thick, cv2.LINE_AA)
    text = f"{_label(class_id, labels)} {score:.2f}"
    (w, h), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.36, 1)
    left, top = min(max(0, x0), max(0, canvas.shape[1] - w - 4)), max(0, y0 - h - below - 2)
    cv2.rectangle(canvas, (left, top), (left + w + 4, top + h + below + 2), colour, -1)
    cv2.putText(canvas, text, (left + 2, top + h + 1), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)


def _label(class_id: int, labels: list[str] | None) -> str:
    known = labels is not None and 0 <= class_id < len(labels) and labels[class_id]
    return known or str(class_id)


def _caption(result: Result, labels: list[str] | None) -> str:
    if isinstance(result, Detections):
        return f"{len(result)} detection{'' if len(result) == 1 else 's'}"
    if isinstance(result, Classification):
        best = int(result.class_ids[0])
        return f"{_label(best, labels)} ({result.scores[0]:.0%})"
    return ""
