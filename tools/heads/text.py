"""Heads of text: a map of where it stands (DB), and a row of characters a step (CTC). Adds its entries to HEADS.

A map has each thing's box, shrunk as in DB's training: what of it stays when each side goes in by area · ratio / perimeter of
the rest. A text names the things of a picture, in order.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heads.encode import HEADS, SIDE, Head
from heads.scene import CLASSES, Scene, Thing, Way, coco

RATIO = 1.5
STEPS = 64
CHARACTERS = tuple(sorted(set("".join(CLASSES))))


def shrunk(width: float, height: float) -> tuple[float, float]:
    """Sides of the rectangle that grows to these; by halving the distance in which it lies."""
    low, high = 0.0, min(width, height) / 2
    for _ in range(60):
        d = (low + high) / 2
        w, h = width - 2 * d, height - 2 * d
        low, high = (d, high) if w * h * RATIO / (2 * (w + h)) > d else (low, d)
    return width - 2 * low, height - 2 * low


def db(things: Sequence[Thing], at: Way, rng: np.random.Generator) -> dict[str, np.ndarray]:
    cells = rng.uniform(0, 0.1, (1, SIDE, SIDE))
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    for thing in things:
        x0, y0, x1, y1 = at.box(thing.box_xyxy)
        w, h = shrunk(x1 - x0, y1 - y0)
        inside = (abs(x - (x0 + x1) / 2) <= w / 2) & (abs(y - (y0 + y1) / 2) <= h / 2)
        cells[0, inside] = 0.6 + thing.score / 3
    return {"maps": cells.astype(np.float32)}


def db_logits(things: Sequence[Thing], at: Way, rng: np.random.Generator) -> dict[str, np.ndarray]:
    maps = db(things, at, rng)["maps"]
    return {"logits": np.log(maps / (1 - maps) + 1e-6).astype(np.float32)}


def text_of(things: Sequence[Thing]) -> str:
    return " ".join(CLASSES[t.class_id] for t in things)


def ctc(blank: str, logits: bool = False):
    """The space is the last character, as PaddleOCR adds it."""
    alphabet = ["", *CHARACTERS, " "] if blank == "first" else [*CHARACTERS, " ", ""]

    def outputs(things, _at, rng):
        scores = rng.uniform(-3, 0, (STEPS, len(alphabet)))
        path = []
        for character in text_of(things):
            # Each once or twice, and a blank behind: two of a kind stay two.
            path += [alphabet.index(character)] * int(rng.integers(1, 3)) + [alphabet.index("")]
        path += [alphabet.index("")] * (STEPS - len(path))
        scores[np.arange(STEPS), path] = rng.uniform(5, 8, STEPS)
        chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        return {"logits" if logits else "softmax": (scores if logits else chances).astype(np.float32)}

    return outputs


def label_file(folder: Path, found: Sequence[Scene]) -> str:
    """As PaddleOCR writes it; a region that cannot be read over each picture's centre, where nothing stands."""
    lines = []
    for scene in found:
        h, w = scene.hw
        regions = [{"transcription": "###", "points": _corners((w / 2 - 4, h / 2 - 4, w / 2 + 4, h / 2 + 4))}]
        regions += [{"transcription": text_of([t]), "points": _corners(t.box_xyxy)} for t in scene.things]
        lines.append(f"{scene.name}\t{json.dumps(regions)}\n")
    (folder / "truth.txt").write_text("".join(lines))
    return "truth.txt"


def polygons(folder: Path, found: Sequence[Scene]) -> str:
    """COCO JSON with one category."""
    data = coco(list(found))
    flat = [np.ravel(_corners(t.box_xyxy)).tolist() for s in found for t in s.things]
    rows = zip(data["annotations"], flat, strict=True)
    data |= {"annotations": [{**a, "category_id": 1, "segmentation": [points]} for a, points in rows]}
    data["categories"] = [{"id": 1, "name": "text"}]
    (folder / "truth.json").write_text(json.dumps(data))
    return "truth.json"


def _corners(box: tuple[float, float, float, float]) -> list[list[float]]:
    x0, y0, x1, y1 = box
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def texts(folder: Path, found: Sequence[Scene]) -> str:
    with (folder / "truth.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "text"), *((s.name, text_of(s.things)) for s in found)])
    return "truth.csv"


REGIONS = {"task": "text", "format": "db"}
READ = {"task": "text", "format": "ctc", "space": True}
DICTIONARY = {"character": "\n".join(CHARACTERS)}
HEADS |= {
    "text-db": Head(db, REGIONS, metric="hmean", annotations=label_file),
    "text-db-coco": Head(db, REGIONS, metric="hmean", annotations=polygons),
    "text-db-logits": Head(
        db_logits, {**REGIONS, "activation": "sigmoid"}, mode="stretch", metric="hmean", annotations=polygons
    ),
    "text-ctc": Head(ctc("first"), READ, metadata=DICTIONARY, metric="word accuracy", annotations=texts),
    "text-ctc-logits": Head(
        ctc("last", logits=True),
        {**READ, "blank": "last", "labels": list(CHARACTERS), "activation": "softmax"},
        metric="word accuracy",
        annotations=texts,
    ),
}
