"""The pictures of a trial's report, drawn: the reference's answer, and beside it the cell that differs most from it.

For: eyes. Not for: numbers, or which images these are (telling.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from seatrial.cells.preflight import Ready
from seatrial.errors import count_of, printable
from seatrial.history.files import write_atomic
from seatrial.history.records import CellRecord, ClassColour, Picture
from seatrial.history.run_folder import RunFolder
from seatrial.images.decode import DecodeSettings, decode, read_bytes
from seatrial.kernels.poses import COCO_SIGMAS
from seatrial.kernels.results import (
    Classification,
    DenseMap,
    Detections,
    Instances,
    Labels,
    OrientedBoxes,
    Poses,
    SemanticMask,
    Text,
    TextRegions,
)
from seatrial.parity.overlaps import OVERLAPS, SURE
from seatrial.pipeline.results import Result
from seatrial.pipeline.stored import StoredResults, load_results_file
from seatrial.trial.heat import Scale, heat, heat_legend, scale_of
from seatrial.trial.telling import Side, View, most_telling

# Drawn as large as a page shows them: made smaller there, nobody could read a label.
WIDTH = HEIGHT = 256
# Okabe and Ito's palette, BGR: told apart by colour-blind readers too.
PALETTE = [(0, 159, 230), (233, 180, 86), (115, 158, 0), (66, 228, 240), (178, 114, 0), (0, 94, 213), (167, 121, 204)]
# Classes of one picture that are named below it, at most.
MOST_NAMED = 12
# Characters of a text in a caption.
MOST_CHARACTERS = 100
# A mask is about what is not this: the image stays as it is there.
BACKGROUND = ("background", "bg")
# Where a box's corners stand in x1, y1, x2, y2.
_CORNERS = np.array([[0, 1], [2, 1], [2, 3], [0, 3]])
# Pixels of the drawing: what lies further out is not seen, and OpenCV's fixed point must hold it.
_FAR = 10_000

Colour = tuple[int, int, int]
Names = list[str] | None
U8 = npt.NDArray[np.uint8]


def draw_pictures(ready: Ready, run: RunFolder, cells: Sequence[CellRecord]) -> list[Picture]:
    """Writes pictures/*.jpg. Empty for raw and embed tasks.

    DataError where the images are not those that were measured.
    """

    # A cell's results, and those of the one that it is compared with.
    @lru_cache(maxsize=2)
    def results_of(cell_id: str) -> StoredResults:
        return load_results_file(run.work / cell_id / "results.npz")[0]

    views = most_telling(ready, cells, lambda c: results_of(c.id))
    if not views:
        return []
    ready.inputs.check()
    (run.path / "pictures").mkdir(exist_ok=True)
    drawn = []
    for view in views:
        sides = [side for side in view.sides if side.result is not None]
        colours = _colours((side.result, ready.labels[side.cell.pipeline]) for side in sides)
        scale = scale_of([side.result for side in sides])
        drawn += [_drawn(ready, run, view, side, colours, scale) for side in sides]
    return drawn


def _drawn(
    ready: Ready, run: RunFolder, view: View, side: Side, colours: Mapping[str, Colour], scale: Scale
) -> Picture:
    image, name = ready.images[view.image], side.cell.pipeline
    spec, labels = ready.plan.plan.pipelines[name], ready.labels[name]
    pixels = decode(read_bytes(image.path), DecodeSettings(exif=spec.decode.exif), image.name)
    drawn = _draw(pixels, side.result, labels, colours, side.alone)
    if isinstance(side.result, DenseMap):
        drawn = heat(side.result, scale, (drawn.shape[1], drawn.shape[0]))
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
        legend=heat_legend(scale) if isinstance(side.result, DenseMap) else _legend(side.result, labels, colours),
    )


def _classes(result: Result) -> list[int]:
    """Those of boxes or of a mask, of the most boxes or pixels first."""
    if not isinstance(result, Detections | SemanticMask):
        return []
    ids, counts = np.unique(result.class_ids, return_counts=True)
    nothing = np.iinfo(result.class_ids.dtype).max
    return [int(ids[k]) for k in np.argsort(-counts, kind="stable") if ids[k] != nothing]


def _colours(sides: Iterable[tuple[Result, Names]]) -> dict[str, Colour]:
    """By the classes' names, the same on both sides of an image: of a class wherever it is seen, if no other has it here."""
    taken: dict[str, Colour] = {}
    for result, labels in sides:
        for class_id in _classes(result):
            own, free = PALETTE[class_id % len(PALETTE)], [c for c in PALETTE if c not in taken.values()]
            taken.setdefault(_label(class_id, labels), own if own in free or not free else free[0])
    return taken


def _is_left(result: Result, name: str) -> bool:
    """Whether the class is one that is not tinted."""
    return isinstance(result, SemanticMask) and name.strip(" _").casefold() in BACKGROUND


def _legend(result: Result, labels: Names, colours: Mapping[str, Colour]) -> tuple[ClassColour, ...]:
    if isinstance(result, TextRegions):
        # All are text: the caption counts them.
        return ()
    names = list(dict.fromkeys(_label(k, labels) for k in _classes(result)[:MOST_NAMED]))
    hexes = ["" if _is_left(result, name) else "#{2:02x}{1:02x}{0:02x}".format(*colours[name]) for name in names]
    return tuple(ClassColour(colour=colour, name=name) for colour, name in zip(hexes, names, strict=True))


def _draw(pixels: U8, result: Result, labels: Names, colours: Mapping[str, Colour], alone: Collection[int]) -> U8:
    """alone: boxes that are drawn thick."""
    scale = min(WIDTH / pixels.shape[1], HEIGHT / pixels.shape[0])
    width, height = (max(1, round(side * scale)) for side in (pixels.shape[1], pixels.shape[0]))
    canvas: U8 = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if isinstance(result, Detections):
        by = np.array([width / pixels.shape[1], height / pixels.shape[0]])
        names = [_label(k, labels) for k in result.class_ids.tolist()]
        if isinstance(result, Instances):
            for k, name in enumerate(names):
                _tint(canvas, _small(result.mask(k), (width, height)), colours[name])
        if isinstance(result, TextRegions):
            for k, polygon in enumerate(result.polygons):
                corners = np.rint(polygon * by).astype(np.int32)
                cv2.polylines(canvas, [corners], True, colours[names[k]], 3 if k in alone else 1, cv2.LINE_AA)
            return canvas
        for k, (corners, score) in enumerate(zip(_outlines(result), result.scores, strict=True)):
            _draw_outline(canvas, corners * by, f"{names[k]} {score:.2f}", colours[names[k]], 3 if k in alone else 1)
        if isinstance(result, Poses):
            for k, points in enumerate(result.keypoints):
                _draw_points(canvas, points * np.append(by, 1), colours[names[k]])
    elif isinstance(result, SemanticMask):
        small = cv2.resize(result.class_ids, (width, height), interpolation=cv2.INTER_NEAREST)
        for class_id in _classes(result):
            name, own = _label(class_id, labels), small == class_id
            if not _is_left(result, name):
                _tint(canvas, own, colours[name])
    return canvas


def _small(mask: npt.NDArray[np.bool_], size_wh: tuple[int, int]) -> npt.NDArray[np.bool_]:
    return np.asarray(cv2.resize(mask.astype(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST) > 0)


def _tint(canvas: U8, where: npt.NDArray[np.bool_], colour: Colour) -> None:
    canvas[where] = canvas[where] // 2 + np.array(colour, np.uint8) // 2


# Which of COCO's 17 points of a person are joined: nose and eyes, ears, arms, trunk, legs.
_JOINTS = (
    *((0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10)),
    *((5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16)),
)


def _draw_points(canvas: U8, points: npt.NDArray[Any], colour: Colour) -> None:
    """Those that are surely seen, as dots with a dark rim, legible on any ground; of COCO's persons joined by their limbs."""
    for a, b in _JOINTS if len(points) == len(COCO_SIGMAS) else ():
        if min(points[a, 2], points[b, 2]) > SURE:
            ends = [(round(float(x)), round(float(y))) for x, y, _ in points[[a, b]]]
            cv2.line(canvas, ends[0], ends[1], colour, 1, cv2.LINE_AA)
    for x, y, seen in points.tolist():
        if seen > SURE:
            cv2.circle(canvas, (round(x), round(y)), 3, (0, 0, 0), -1, cv2.LINE_AA)
            cv2.circle(canvas, (round(x), round(y)), 2, colour, -1, cv2.LINE_AA)


def _outlines(result: Detections) -> npt.NDArray[Any]:
    """(N, 4, 2) corners of each box."""
    return result.corners_xy if isinstance(result, OrientedBoxes) else result.boxes_xyxy[:, _CORNERS]


def _draw_outline(canvas: U8, corners: npt.NDArray[Any], text: str, colour: Colour, thick: int) -> None:
    """The label stands on the topmost corner, of several the leftmost."""
    points = np.rint(corners.clip(-_FAR, _FAR)).astype(np.int32)
    cv2.polylines(canvas, [points], True, colour, thick, cv2.LINE_AA)
    y0, x0 = min((y, x) for x, y in points.tolist())
    (w, h), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.36, 1)
    left, top = min(max(0, x0), max(0, canvas.shape[1] - w - 4)), max(0, y0 - h - below - 2)
    cv2.rectangle(canvas, (left, top), (left + w + 4, top + h + below + 2), colour, -1)
    cv2.putText(canvas, text, (left + 2, top + h + 1), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)


def _objects(result: Detections) -> tuple[str, str]:
    return OVERLAPS[type(result)].objects


def _label(class_id: int, labels: Names) -> str:
    known = labels is not None and 0 <= class_id < len(labels) and labels[class_id]
    return known or str(class_id)


def _best(result: Labels) -> list[tuple[int, float]]:
    return list(zip(result.class_ids.tolist()[:MOST_NAMED], result.scores.tolist()[:MOST_NAMED], strict=True))


def _caption(result: Result, labels: Names) -> str:
    if isinstance(result, Detections):
        return (
            count_of(len(result), "detection")
            if type(result) is Detections
            else count_of(len(result), *_objects(result))
        )
    if isinstance(result, Text):
        return f"“{printable(result.text[:MOST_CHARACTERS])}” ({float(result.score):.0%})"
    if isinstance(result, Classification):
        best = int(result.class_ids[0])
        return f"{_label(best, labels)} ({result.scores[0]:.0%})"
    if isinstance(result, Labels):
        return ", ".join(f"{_label(k, labels)} ({s:.0%})" for k, s in _best(result)) or "no label"
    if (count := len(_classes(result))) > MOST_NAMED:
        return f"{count} classes, the largest {MOST_NAMED}"
    return ""
