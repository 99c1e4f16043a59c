"""Pictures with objects at known places, the truth about them, and the way from their pixels to a model's input.

For: what is there. Not for: what a model says of it (encode.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

CLASSES = ("ship", "buoy", "gull")
POINTS = 5
# Of unlike shapes: larger and smaller than the input, odd, wide and high.
SIZES_HW = ((120, 160), (97, 131), (200, 150), (80, 80), (75, 201), (241, 133))


@dataclass(frozen=True)
class Thing:
    """One object, in source pixels. plane: its mask is the pixels of its box whose centre has a x + b y + c > 0.

    keypoints (POINTS, 2); oriented: centre, width, height and angle (radians, from x towards y), whose corners lie in the box.
    """

    box_xyxy: tuple[float, float, float, float]
    class_id: int
    score: float
    plane: tuple[float, float, float]
    keypoints: np.ndarray
    oriented: tuple[float, float, float, float, float]

    def corners(self) -> np.ndarray:
        """(4, 2) of the oriented box."""
        cx, cy, w, h, angle = self.oriented
        along, across = (
            np.array([np.cos(angle), np.sin(angle)]) * w / 2,
            np.array([-np.sin(angle), np.cos(angle)]) * h / 2,
        )
        return np.array([cx, cy]) + np.array([-along - across, along - across, along + across, -along + across])

    def mask(self, hw: tuple[int, int]) -> np.ndarray:
        """(H, W) bool."""
        y, x = np.mgrid[0 : hw[0], 0 : hw[1]]
        x0, y0, x1, y1 = self.box_xyxy
        return (x >= x0) & (x < x1) & (y >= y0) & (y < y1) & self.half_plane(hw)

    def ellipse(self, hw: tuple[int, int]) -> np.ndarray:
        """(H, W) bool: eight tenths of the box wide and high, so that nothing lies at its edges."""
        y, x = np.mgrid[0 : hw[0], 0 : hw[1]]
        return within(self.box_xyxy, x + 0.5, y + 0.5) > 0

    def half_plane(self, hw: tuple[int, int]) -> np.ndarray:
        """(H, W) bool: the mask without the box."""
        y, x = np.mgrid[0 : hw[0], 0 : hw[1]]
        a, b, c = self.plane
        return a * (x + 0.5) + b * (y + 0.5) + c > 0


def within(box_xyxy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Above 0 in the ellipse of eight tenths of the box, 1 at its middle."""
    x0, y0, x1, y1 = box_xyxy
    return 1 - ((x - (x0 + x1) / 2) / (0.4 * (x1 - x0))) ** 2 - ((y - (y0 + y1) / 2) / (0.4 * (y1 - y0))) ** 2


@dataclass(frozen=True)
class Scene:
    """One picture. rgb: its ground, by which it is known."""

    name: str
    hw: tuple[int, int]
    rgb: tuple[int, int, int]
    things: tuple[Thing, ...] = ()


@dataclass(frozen=True)
class Way:
    """x_input = x_source * sx + ox, likewise y; of a letterbox, rect or stretch within a square of `side`."""

    side: int
    sx: float
    sy: float
    ox: float = 0.0
    oy: float = 0.0

    def points(self, xy: np.ndarray) -> np.ndarray:
        return np.asarray(xy, np.float64) * [self.sx, self.sy] + [self.ox, self.oy]

    def box(self, xyxy: tuple[float, float, float, float]) -> np.ndarray:
        return self.points(np.array(xyxy).reshape(2, 2)).reshape(4)

    def plane(self, abc: tuple[float, float, float]) -> np.ndarray:
        """The same half-plane in input pixels."""
        a, b, c = abc
        return np.array([a / self.sx, b / self.sy, c - a * self.ox / self.sx - b * self.oy / self.sy])


def way(hw: tuple[int, int], side: int, mode: str) -> Way:
    h, w = hw
    if mode == "stretch":
        return Way(side, side / w, side / h)
    ratio = min(side / h, side / w)
    rh, rw = round(h * ratio), round(w * ratio)
    if mode == "rect":
        # Padded to multiples of 32 alone.
        return Way(side, rw / w, rh / h, (-rw % 32) // 2, (-rh % 32) // 2)
    return Way(side, rw / w, rh / h, (side - rw) // 2, (side - rh) // 2)


def scenes(seed: int = 0) -> list[Scene]:
    """One picture a size, with an object in some of its four corners: none lies over the centre, and none overlaps another."""
    rng = np.random.default_rng(seed)
    found = []
    for k, hw in enumerate(SIZES_HW):
        h, w = hw
        quarters = [(0, 0), (0, 1), (1, 0), (1, 1)]
        things = []
        for row, column in [quarters[q] for q in rng.permutation(4)[: 1 + k % 4]]:
            # In the outer four tenths of the picture, 3 pixels from its border.
            x0, y0 = column * 0.6 * w + 3, row * 0.6 * h + 3
            bw, bh = 0.4 * w - 6, 0.4 * h - 6
            x0, y0 = round(x0 + rng.uniform(0, 0.2) * bw), round(y0 + rng.uniform(0, 0.2) * bh)
            x1, y1 = round(x0 + rng.uniform(0.6, 0.8) * bw), round(y0 + rng.uniform(0.6, 0.8) * bh)
            # Off the pixels' edges: rounding in float32 must not add a row to a mask.
            things.append(_thing(rng, (x0 + 0.37, y0 + 0.37, x1 + 0.37, y1 + 0.37)))
        found.append(Scene(f"{k:02d}.png", hw, (40 * k + 20, 235 - 37 * k, (90 * k) % 251), tuple(things)))
    return found


def _thing(rng: np.random.Generator, box: tuple[float, float, float, float]) -> Thing:
    x0, y0, x1, y1 = box
    cx, cy, w, h = (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
    turn = rng.uniform(0, 2 * np.pi)
    a, b = np.cos(turn), np.sin(turn)
    # A cut a little beside the middle: a mask is neither the whole box nor nothing.
    c = -(a * cx + b * cy) + 0.2137 * min(w, h)
    points = np.stack([rng.uniform(x0, x1, POINTS), rng.uniform(y0, y1, POINTS)], axis=1)
    angle = rng.uniform(-0.7, 0.7)
    # The largest box with sides 2 : 1 at that angle which lies in the upright one.
    reach = np.array([2 * abs(np.cos(angle)) + abs(np.sin(angle)), 2 * abs(np.sin(angle)) + abs(np.cos(angle))])
    unit = min(w / reach[0], h / reach[1])
    oriented = (cx, cy, 2 * unit, unit, angle)
    return Thing(box, int(rng.integers(len(CLASSES))), float(rng.uniform(0.6, 0.95)), (a, b, c), points, oriented)


def draw(scene: Scene) -> np.ndarray:
    """(H, W, 3) uint8 BGR."""
    picture = np.full((*scene.hw, 3), scene.rgb[::-1], np.uint8)
    for thing in scene.things:
        picture[thing.mask(scene.hw)] = (30 + 90 * thing.class_id, 200, 250 - 80 * thing.class_id)
        for x, y in thing.keypoints:
            cv2.circle(picture, (int(x), int(y)), 1, (0, 0, 0), -1)
        cv2.polylines(picture, [np.rint(thing.corners()).astype(np.int32)], True, (255, 255, 255), 1)
    h, w = scene.hw
    picture[h // 2 - 6 : h // 2 + 7, w // 2 - 6 : w // 2 + 7] = scene.rgb[::-1]
    return picture


def write_pictures(folder: Path, found: list[Scene]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for scene in found:
        cv2.imwrite(str(folder / scene.name), draw(scene))


def coco(found: list[Scene], kind: str = "box") -> dict:
    """kind: box, mask, plane, ellipse, keypoints or oriented: what each annotation holds beside its box."""
    annotations = []
    for k, scene in enumerate(found):
        for thing in scene.things:
            x0, y0, x1, y1 = thing.box_xyxy
            row = {"id": len(annotations) + 1, "image_id": k, "category_id": thing.class_id + 1, "iscrowd": 0}
            row |= {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
            if kind in ("mask", "plane", "ellipse"):
                mask = {"mask": thing.mask, "plane": thing.half_plane, "ellipse": thing.ellipse}[kind](scene.hw)
                (y1, y2), (x1, x2) = ((int(at.min()), int(at.max()) + 1) for at in np.nonzero(mask))
                around = {"bbox": [x1, y1, x2 - x1, y2 - y1]}
                row |= {"segmentation": runs(mask), "area": int(mask.sum())} | around
            if kind == "keypoints":
                row["keypoints"] = np.column_stack([thing.keypoints, np.full(POINTS, 2)]).ravel().tolist()
            if kind == "oriented":
                row["segmentation"] = [thing.corners().ravel().tolist()]
            annotations.append(row)
    return {
        "images": [{"id": k, "file_name": s.name, "height": s.hw[0], "width": s.hw[1]} for k, s in enumerate(found)],
        "annotations": annotations,
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(CLASSES)],
    }


def runs(mask: np.ndarray) -> dict:
    """COCO's uncompressed RLE: down the columns, unset first."""
    flat = mask.T.ravel()
    ends = np.flatnonzero(np.diff(flat.astype(np.int8))) + 1
    lengths = np.diff([0, *ends, len(flat)]).tolist()
    return {"counts": [0, *lengths] if flat[0] else lengths, "size": list(mask.shape)}


def write_truth(path: Path, found: list[Scene], kind: str) -> None:
    path.write_text(json.dumps(coco(found, kind)))
