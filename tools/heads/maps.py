"""Layouts of maps and of rows of scores: segmentations, depths, several labels, a background's column; beside those of encode.py.

For: what a perfect model of each layout gives. Not for: boxes. Maps are bands, whose edges lie on the edges of cells: there
nearest and linear agree on what is where, to the pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from heads.encode import HEADS, SIDE, Head
from heads.scene import CLASSES, POINTS, Scene, Thing, Way

CELLS = SIDE // 4
MAP_CLASSES = ("background", *CLASSES)
# A letterbox to SIDE scales them by 1, 1/2 or 1/4, so that bands whose edges are multiples of 16 have theirs on cells' edges.
SIZES_HW = ((160, 160), (80, 160), (160, 80), (320, 160), (160, 320), (640, 320))
# Rows of the truth on which nobody judges.
NOT_JUDGED_ROWS = 3


def bands() -> list[Scene]:
    """One or two bands from top to bottom in each picture, of classes that take turns."""
    found = []
    for k, (h, w) in enumerate(SIZES_HW):
        unit = max(16, w // 10 // 16 * 16)
        spans = [(unit, 2 * unit), (3 * unit, 4 * unit)][: 1 + k % 2]
        things = tuple(_band((x0, 0, x1, h), (k + i) % len(CLASSES)) for i, (x0, x1) in enumerate(spans))
        found.append(Scene(f"{k:02d}.png", (h, w), (40 * k + 20, 235 - 37 * k, (90 * k) % 251), things))
    return found


def _band(box: tuple[float, float, float, float], class_id: int) -> Thing:
    return Thing(box, class_id, 0.9, (0.0, 0.0, 1.0), np.zeros((POINTS, 2)), (0.0, 0.0, 0.0, 0.0, 0.0))


def classes_at(things: Sequence[Thing], at: Way) -> np.ndarray:
    """(CELLS, CELLS): the class of each cell of the input, 0 for the background; in a letterbox's padding the last class."""
    x, y = ((np.arange(CELLS) + 0.5) * 4 - at.ox) / at.sx, ((np.arange(CELLS) + 0.5) * 4 - at.oy) / at.sy
    found = np.zeros((CELLS, CELLS), np.int64)
    for thing in things:
        found[:, (x > thing.box_xyxy[0]) & (x < thing.box_xyxy[2])] = thing.class_id + 1
    height, width = (SIDE - 2 * at.oy) / at.sy, (SIDE - 2 * at.ox) / at.sx
    found[(y < 0) | (y > height)] = len(CLASSES)
    found[:, (x < 0) | (x > width)] = len(CLASSES)
    return found


def scores(things: Sequence[Thing], at: Way, _rng: Any) -> dict[str, np.ndarray]:
    classes = classes_at(things, at)
    return {"logits": np.where(classes == np.arange(len(MAP_CLASSES))[:, None, None], 4.0, -4.0).astype(np.float32)}


def channels_last(things: Sequence[Thing], at: Way, rng: Any) -> dict[str, np.ndarray]:
    return {"logits": np.moveaxis(scores(things, at, rng)["logits"], 0, -1)}


def class_map(dtype: type, channel: bool):
    def outputs(things, at, _rng):
        found = classes_at(things, at).astype(dtype)
        return {"map": found[None] if channel else found}

    return outputs


def one_channel(activated: bool, beside: int = 0):
    """beside: so many side outputs, which say the contrary."""

    def outputs(things, at, _rng):
        logits = np.where(classes_at(things, at) > 0, 3.0, -3.0)[None].astype(np.float32)
        shown = 1 / (1 + np.exp(-logits)) if activated else logits
        return {"d0": shown, **{f"d{k + 1}": (1 - shown if activated else -shown) for k in range(beside)}}

    return outputs


def depth_of(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Metres at a place of the source: a plane, which drawing out linearly keeps as it is."""
    return 2 + 0.01 * x[None, :] + 0.005 * y[:, None]


def depth(_things: Any, at: Way, _rng: Any) -> dict[str, np.ndarray]:
    x, y = ((np.arange(CELLS) + 0.5) * 4 - at.ox) / at.sx, ((np.arange(CELLS) + 0.5) * 4 - at.oy) / at.sy
    return {"predicted_depth": depth_of(x, y).astype(np.float32)}


LEAST_M, MOST_M = 0.1, 100.0


def disparity(things: Sequence[Thing], _at: Any, _rng: Any) -> dict[str, np.ndarray]:
    """As Monodepth2 gives it: a sigmoid between the inverses of the least and the greatest depth. One depth a picture."""
    value = (1 / _flat_depth(things) - 1 / MOST_M) / (1 / LEAST_M - 1 / MOST_M)
    return {"disp": np.full((1, CELLS, CELLS), value, np.float32)}


def _flat_depth(things: Sequence[Thing]) -> float:
    return 1.5 + len(things)


def one_class(things: Sequence[Thing], _at: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Four columns, of which the first, the background, is the greatest."""
    row = rng.uniform(-1, 1, 1 + len(CLASSES))
    row[0], row[1 + _first_class(things)] = 6, 3
    return {"scores": row.astype(np.float32)}


def _first_class(things: Sequence[Thing]) -> int:
    return things[0].class_id if things else 0


def several_labels(things: Sequence[Thing], _at: Any, _rng: Any) -> dict[str, np.ndarray]:
    there = {thing.class_id for thing in things}
    return {"scores": np.array([2.0 if k in there else -2.0 for k in range(len(CLASSES))], np.float32)}


def label_images(value: Callable[[Thing], int]):
    def write(folder: Path, found: Sequence[Scene]) -> str:
        (folder / "masks").mkdir(exist_ok=True)
        for scene in found:
            mask = np.zeros(scene.hw, np.uint8)
            for thing in scene.things:
                mask[:, round(thing.box_xyxy[0]) : round(thing.box_xyxy[2])] = value(thing)
            mask[:NOT_JUDGED_ROWS] = 255
            cv2.imwrite(str(folder / "masks" / scene.name), mask)
        return "masks"

    return write


def depth_maps(folder: Path, found: Sequence[Scene]) -> str:
    """.npy beside a CSV; 0 in a border as wide as a cell, beyond whose centres a map has nothing to draw out."""
    (folder / "depth").mkdir(exist_ok=True)
    for scene in found:
        h, w = scene.hw
        values = depth_of(np.arange(w) + 0.5, np.arange(h) + 0.5)
        inner = np.zeros(scene.hw, bool)
        inner[16:-16, 16:-16] = True
        np.save(folder / "depth" / f"{scene.name}.npy", np.where(inner, values, 0.0).astype(np.float32))
    return _map_csv(folder, found, "depth/{}.npy")


def flat_depths(folder: Path, found: Sequence[Scene]) -> str:
    """16-bit PNG in millimetres."""
    (folder / "depth").mkdir(exist_ok=True)
    for scene in found:
        millimetres = np.full(scene.hw, round(1000 * _flat_depth(scene.things)), np.uint16)
        cv2.imwrite(str(folder / "depth" / scene.name), millimetres)
    return _map_csv(folder, found, "depth/{}")


def _map_csv(folder: Path, found: Sequence[Scene], file: str) -> str:
    rows = ["image,map", *(f"{s.name},{file.format(s.name)}" for s in found)]
    (folder / "truth.csv").write_text("\n".join(rows) + "\n")
    return "truth.csv"


def class_csv(classes: Callable[[Scene], list[str]]):
    def write(folder: Path, found: Sequence[Scene]) -> str:
        rows = ["image,class", *(f"{s.name},{';'.join(classes(s))}" for s in found)]
        (folder / "truth.csv").write_text("\n".join(rows) + "\n")
        return "truth.csv"

    return write


def _segment(
    gives: Any, labels: Sequence[str] = MAP_CLASSES, value: Any = None, mode: str = "stretch", **post: Any
) -> Head:
    write = label_images(value or (lambda thing: thing.class_id + 1))
    keys = {"task": "segment", "labels": list(labels), **post}
    return Head(gives, keys, mode=mode, metric="mIoU", scenes=bands, annotations=write)


def _mask(gives: Any, **post: Any) -> Head:
    return _segment(gives, ("background", "object"), lambda _thing: 1, format="one_channel", **post)


DISPARITY = {"scale": 1 / LEAST_M - 1 / MOST_M, "shift": 1 / MOST_M, "invert": True}
HEADS |= {
    "segment-scores": _segment(scores),
    "segment-scores-linear": _segment(scores, mode="letterbox", resize="linear"),
    "segment-channels-last": _segment(channels_last, format="channels_last", mode="letterbox"),
    "segment-class-map": _segment(class_map(np.int64, False), format="class_map", mode="letterbox"),
    "segment-class-map-float": _segment(class_map(np.float32, True), format="class_map"),
    "segment-one-channel": _mask(one_channel(False), activation="sigmoid", resize="linear"),
    "segment-one-of-several": _mask(one_channel(True, 6), activation="none", outputs=["d0"]),
    "dense-depth": Head(
        depth, {"task": "dense"}, mode="letterbox", metric="AbsRel", scenes=bands, annotations=depth_maps
    ),
    "dense-disparity": Head(
        disparity,
        {"task": "dense", **DISPARITY},
        metric="AbsRel",
        scenes=bands,
        annotations=flat_depths,
        images={"map_scale": 0.001},
    ),
    "classify-background": Head(
        one_class,
        {"task": "classify", "background": "first", "labels": list(CLASSES)},
        metric="top-1",
        annotations=class_csv(lambda scene: [CLASSES[_first_class(scene.things)]]),
    ),
    "classify-labels": Head(
        several_labels,
        {"task": "classify", "multi_label": True, "activation": "sigmoid", "confidence": 0.5, "labels": list(CLASSES)},
        metric="micro F1",
        annotations=class_csv(lambda scene: sorted({CLASSES[t.class_id] for t in scene.things})),
    ),
}
