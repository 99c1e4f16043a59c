"""Baseline and candidates side by side, drawn on the images where they differ most. For: eyes. Not for: numbers."""

from __future__ import annotations

from collections.abc import Sequence
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
from seatrial.plan.reference import baseline_name, reference_cell

PICTURES = 4
WIDTH = 480
# Okabe and Ito's palette, BGR: told apart by colour-blind readers too.
PALETTE = [(0, 159, 230), (233, 180, 86), (115, 158, 0), (66, 228, 240), (178, 114, 0), (0, 94, 213), (167, 121, 204)]

U8 = npt.NDArray[np.uint8]


def draw_pictures(ready: Ready, run: RunFolder, cells: Sequence[CellRecord]) -> list[Picture]:
    """Writes pictures/*.jpg. Empty for raw and embed tasks.

    DataError where the images are not those that were measured.
    """
    plan = ready.plan.plan
    chosen = {}
    for name in [baseline_name(plan), *(n for n in plan.pipelines if n != baseline_name(plan))]:
        cell = reference_cell(plan, cells, name)
        if cell is not None and cell.status == "ok":
            chosen[name] = load_results_file(run.work / cell.id / "results.npz")[0]
    kinds = Detections | Classification | SemanticMask
    drawable = {n: r for n, r in chosen.items() if any(isinstance(result, kinds) for result in r)}
    if not drawable:
        return []
    ready.inputs.check()
    folder = run.path / "pictures"
    folder.mkdir(exist_ok=True)
    rows = []
    for index in _most_telling(ready, cells, len(ready.images)):
        image = ready.images[index]
        for name, results in drawable.items():
            if results[index] is None:
                continue
            spec = plan.pipelines[name]
            pixels = decode(read_bytes(image.path), DecodeSettings(exif=spec.decode.exif), image.name)
            drawn = _draw(pixels, results[index], ready.labels[name])
            file = f"pictures/{index:04d}-{name}.jpg"
            write_atomic(run.path / file, cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())
            caption = _caption(results[index], ready.labels[name])
            rows.append(Picture(image=image.name, pipeline=name, file=file, caption=caption))
    return rows


def _most_telling(ready: Ready, cells: Sequence[CellRecord], count: int) -> list[int]:
    """Images on which the candidate's reference cell differs most from the baseline's; else the first ones."""
    plan = ready.plan.plan
    names = [i.name for i in ready.images]
    worst: list[int] = []
    for name in plan.pipelines:
        cell = reference_cell(plan, cells, name)
        if cell is not None and cell.across is not None:
            worst += [names.index(w) for w in cell.across.worst_images]
    spread = [int(i) for i in np.linspace(0, count - 1, min(count, PICTURES))]
    return list(dict.fromkeys(worst + spread))[:PICTURES]


def _draw(pixels: U8, result: Result, labels: list[str] | None) -> U8:
    scale = WIDTH / pixels.shape[1]
    height = min(960, max(1, round(pixels.shape[0] * scale)))
    canvas: U8 = cv2.resize(pixels, (WIDTH, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if isinstance(result, Detections):
        for box, score, class_id in zip(result.boxes_xyxy, result.scores, result.class_ids, strict=True):
            corners = box * np.array([scale, height / pixels.shape[0]] * 2)
            _draw_box(canvas, corners, float(score), int(class_id), labels)
    elif isinstance(result, SemanticMask):
        small = cv2.resize(result.class_ids, (WIDTH, height), interpolation=cv2.INTER_NEAREST)
        colours = np.array([PALETTE[i % len(PALETTE)] for i in range(int(small.max()) + 1)], np.uint8)
        canvas = cv2.addWeighted(canvas, 0.5, colours[small], 0.5, 0)
    return canvas


def _draw_box(canvas: U8, corners: npt.NDArray[Any], score: float, class_id: int, labels: list[str] | None) -> None:
    colour = PALETTE[class_id % len(PALETTE)]
    x0, y0, x1, y1 = (round(float(v)) for v in corners)
    cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, 2, cv2.LINE_AA)
    text = f"{_label(class_id, labels)} {score:.2f}"
    (w, h), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)
    left, top = min(max(0, x0), max(0, canvas.shape[1] - w - 4)), max(0, y0 - h - below - 2)
    cv2.rectangle(canvas, (left, top), (left + w + 4, top + h + below + 2), colour, -1)
    cv2.putText(canvas, text, (left + 2, top + h + 1), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)


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
