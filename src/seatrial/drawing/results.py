"""One result drawn on its image: outlines, names, keypoints, regions. Not for: which image, or captions (trial/pictures.py)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from seatrial.drawing.heat import Scale, heat_with_bar
from seatrial.kernels.poses import COCO_SIGMAS
from seatrial.kernels.results import DenseMap, Detections, Instances, OrientedBoxes, Poses, SemanticMask, TextRegions
from seatrial.parity.overlaps import SURE
from seatrial.pipeline.results import Result

# Drawn as large as a page shows them: made smaller there, nobody could read a label.
WIDTH = HEIGHT = 256
# Okabe and Ito's palette, BGR: told apart by colour-blind readers too.
PALETTE = [(0, 159, 230), (233, 180, 86), (115, 158, 0), (66, 228, 240), (178, 114, 0), (0, 94, 213), (167, 121, 204)]
# A mask is about what is not this: the image stays as it is there.
BACKGROUND = ("background", "bg")
# Where a box's corners stand in x1, y1, x2, y2.
_CORNERS = np.array([[0, 1], [2, 1], [2, 3], [0, 3]])
# Pixels of the drawing: what lies further out is not seen, and OpenCV's fixed point must hold it.
_FAR = 10_000
_FONT, _TEXT_SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.36
# Characters of a class's name within its region.
_MOST_CHARACTERS = 14
# How many times its name's area a region has at least: below that, the name would hide it.
_LEAST_NAMED = 2

Colour = tuple[int, int, int]
Names = list[str] | None
U8 = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Look:
    """How a run's pictures are drawn: names of the classes by id, their colours by name, one scale for all dense maps; alone:
    objects that are drawn thick."""

    names: Names
    colours: Mapping[str, Colour]
    scale: Scale = None
    alone: Collection[int] = field(default_factory=frozenset)


def name_of(class_id: int, names: Names) -> str:
    """'class 3' where there is no name."""
    known = names is not None and 0 <= class_id < len(names) and names[class_id]
    return known or f"class {class_id}"


def is_left(result: Result, name: str) -> bool:
    """Whether the class is one that is not tinted."""
    return isinstance(result, SemanticMask) and name.strip(" _").casefold() in BACKGROUND


def shrunk(pixels: U8, size_wh: tuple[int, int] = (WIDTH, HEIGHT)) -> U8:
    """The image at the size of a picture."""
    scale = min(size_wh[0] / pixels.shape[1], size_wh[1] / pixels.shape[0])
    width, height = (max(1, round(side * scale)) for side in (pixels.shape[1], pixels.shape[0]))
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.asarray(small, np.uint8)


def draw(pixels: U8, result: Result, look: Look, size_wh: tuple[int, int] = (WIDTH, HEIGHT)) -> U8:
    """(h, w, 3) BGR, in no side larger than asked for. Of a dense map the map alone, with a bar of its colours below."""
    canvas = shrunk(pixels, size_wh)
    if isinstance(result, DenseMap):
        return heat_with_bar(result, look.scale, (canvas.shape[1], canvas.shape[0]))
    if isinstance(result, SemanticMask):
        _draw_mask(canvas, result, look)
    elif isinstance(result, Detections):
        by = np.array([canvas.shape[1] / pixels.shape[1], canvas.shape[0] / pixels.shape[0]])
        _draw_objects(canvas, result, look, by)
    return canvas


def _draw_objects(canvas: U8, result: Detections, look: Look, by: npt.NDArray[Any]) -> None:
    """by: (2,) pixels of the canvas for one of the image, in x and y."""
    names = [name_of(k, look.names) for k in result.class_ids.tolist()]
    colours = [look.colours[name] for name in names]
    if isinstance(result, Instances):
        for k, colour in enumerate(colours):
            _tint(canvas, _small(result.mask(k), canvas), colour)
    for k, corners in enumerate(_outlines(result)):
        thick = 3 if k in look.alone else 1
        text = _score_said(names[k], float(result.scores[k])) if not isinstance(result, TextRegions) else ""
        _draw_outline(canvas, corners * by, text, colours[k], thick)
    if isinstance(result, Poses):
        for points, colour in zip(result.keypoints, colours, strict=True):
            _draw_points(canvas, points * np.append(by, 1), colour)


def _score_said(name: str, score: float) -> str:
    """'face: 0.93'; the name alone without a score, as the truth has none."""
    return name if np.isnan(score) else f"{name}: {score:.2f}"


def _draw_mask(canvas: U8, result: SemanticMask, look: Look) -> None:
    small = cv2.resize(result.class_ids, (canvas.shape[1], canvas.shape[0]), interpolation=cv2.INTER_NEAREST)
    places = []
    for class_id in np.unique(small[small != np.iinfo(small.dtype).max]).tolist():
        name, own = name_of(class_id, look.names), small == class_id
        if not is_left(result, name):
            _tint(canvas, own, look.colours[name])
            places.append((own, name))
    for own, name in places:
        _write_within(canvas, own, name[:_MOST_CHARACTERS], look.colours[name])


def _small(mask: Flags, canvas: U8) -> Flags:
    size = canvas.shape[1], canvas.shape[0]
    return np.asarray(cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0)


def _tint(canvas: U8, where: Flags, colour: Colour) -> None:
    """So lightly that the image is seen, with an edge in the colour itself, as the legend has it."""
    canvas[where] = (0.6 * canvas[where] + 0.4 * np.array(colour)).astype(np.uint8)
    edges, _ = cv2.findContours(where.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, edges, -1, colour, 2)


def _write_within(canvas: U8, where: Flags, text: str, colour: Colour) -> None:
    """In the middle of the largest connected part, if that is not so small that the text would hide it."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(where.astype(np.uint8))
    (w, h), below = cv2.getTextSize(text, _FONT, _TEXT_SIZE, 1)
    if len(stats) < 2 or stats[1:, cv2.CC_STAT_AREA].max() < _LEAST_NAMED * (w + 4) * (h + below + 2):
        return
    own = np.pad((parts == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8), 1)
    depth = cv2.distanceTransform(own, cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    _write(canvas, text, (int(x) - w // 2 - 2, int(y) - (h + below) // 2 - 1), colour)


def _write(canvas: U8, text: str, at: tuple[int, int], colour: Colour) -> None:
    """In black on the colour, moved into the image where it reaches out of it. at: x and y of the upper left corner."""
    (w, h), below = cv2.getTextSize(text, _FONT, _TEXT_SIZE, 1)
    left = min(max(0, at[0]), max(0, canvas.shape[1] - w - 4))
    top = min(max(0, at[1]), max(0, canvas.shape[0] - h - below - 2))
    cv2.rectangle(canvas, (left, top), (left + w + 4, top + h + below + 2), colour, -1)
    cv2.putText(canvas, text, (left + 2, top + h + 1), _FONT, _TEXT_SIZE, (0, 0, 0), 1, cv2.LINE_AA)


def _outlines(result: Detections) -> npt.NDArray[Any]:
    """(N, P, 2) corners of each object."""
    if isinstance(result, TextRegions):
        return result.polygons
    return result.corners_xy if isinstance(result, OrientedBoxes) else result.boxes_xyxy[:, _CORNERS]


def _draw_outline(canvas: U8, corners: npt.NDArray[Any], text: str, colour: Colour, thick: int) -> None:
    """The text stands on the topmost corner, of several the leftmost."""
    points = np.rint(corners.clip(-_FAR, _FAR)).astype(np.int32)
    cv2.polylines(canvas, [points], True, colour, thick, cv2.LINE_AA)
    y0, x0 = min((y, x) for x, y in points.tolist())
    if text:
        (_, h), below = cv2.getTextSize(text, _FONT, _TEXT_SIZE, 1)
        _write(canvas, text, (x0, y0 - h - below - 2), colour)


# Which of COCO's 17 points of a person are joined: nose and eyes, ears, arms, trunk, legs.
_JOINTS = (
    *((0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10)),
    *((5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16)),
)
# Behind its nose, the first point of COCO's person, left and right take turns.
_SIDES = ((PALETTE[1], "left"), (PALETTE[5], "right"))


def is_person(count: int) -> bool:
    """Whether so many keypoints are COCO's of a person, whose sides are known."""
    return count == len(COCO_SIGMAS)


def point_colours(count: int) -> list[tuple[Colour, str]]:
    """The colour of each keypoint, and what it stands for: the side of a person, or else its number, as seatrial counts them
    from 0."""
    if is_person(count):
        return [(PALETTE[3], "nose"), *(_SIDES[(k + 1) % 2] for k in range(1, count))]
    return [(PALETTE[k % len(PALETTE)], f"point {k}") for k in range(count)]


def _draw_points(canvas: U8, points: npt.NDArray[Any], colour: Colour) -> None:
    """Those that are surely seen, as dots with a dark rim, legible on any ground, with their numbers; of COCO's persons, whose
    17 numbers would hide them, joined by their limbs."""
    person = is_person(len(points))
    for a, b in _JOINTS if person else ():
        if min(points[a, 2], points[b, 2]) > SURE:
            ends = [(round(float(x)), round(float(y))) for x, y, _ in points[[a, b]]]
            cv2.line(canvas, ends[0], ends[1], colour, 1, cv2.LINE_AA)
    for k, ((x, y, seen), (own, _)) in enumerate(zip(points.tolist(), point_colours(len(points)), strict=True)):
        if seen > SURE:
            at = round(x), round(y)
            cv2.circle(canvas, at, 4, (0, 0, 0), -1, cv2.LINE_AA)
            cv2.circle(canvas, at, 3, own, -1, cv2.LINE_AA)
            if not person:
                _write_beside(canvas, str(k), at)


def _write_beside(canvas: U8, text: str, at: tuple[int, int]) -> None:
    """White with a dark rim, to the right of the point, or to its left at the image's edge."""
    (w, _), _ = cv2.getTextSize(text, _FONT, _TEXT_SIZE, 1)
    left = at[0] + 6 if at[0] + 6 + w < canvas.shape[1] else at[0] - 6 - w
    for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(canvas, text, (left, at[1] + 4), _FONT, _TEXT_SIZE, colour, thick, cv2.LINE_AA)
