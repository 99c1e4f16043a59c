"""Draws the demo's scenes: sea marks composed onto free photographs, with exact boxes.

For: training data, the bundled images and their ground truth. Not for: realism. The scenes are
deliberately sensitive to what pipelines get wrong: `port_can` and `mooring_ball` differ by red
against blue (channel order), marks stand at the borders (padding), overlap (NMS) and are small
(interpolation).

Photographs come from scikit-image's wheel: see LICENSES.md beside the bundled images.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

CLASSES = ("port_can", "starboard_cone", "mooring_ball", "lifebuoy", "cardinal_mark")
# A photograph seen in training never appears in the bundled images.
TRAIN_PHOTOS = ("astronaut.png", "brick.png", "gravel.png", "camera.png", "coins.png", "hubble_deep_field.jpg")
HELD_OUT_PHOTOS = ("coffee.png", "rocket.jpg", "chelsea.png", "grass.png")
SUPERSAMPLE = 4


@dataclass(frozen=True)
class Scene:
    """image_bgr (H, W, 3) uint8; boxes_xyxy (N, 4) float32 in pixels; class_ids (N,) int64."""

    image_bgr: np.ndarray
    boxes_xyxy: np.ndarray
    class_ids: np.ndarray


def load_photos(names: tuple[str, ...]) -> list[np.ndarray]:
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    return [cv2.imread(str(folder / name), cv2.IMREAD_COLOR) for name in names]


def draw_scene(
    photos: list[np.ndarray], rng: np.random.Generator, size_hw: tuple[int, int], marks: int, zoom: float = 1.0
) -> Scene:
    """One scene: a photograph's crop, some distractors, `marks` marks `zoom` times as large, then the camera's flaws."""
    canvas = _background(photos, rng, size_hw)
    for _ in range(rng.integers(0, 4)):
        _paste(canvas, _distractor(rng, zoom), rng, [])
    boxes: list[tuple[float, float, float, float]] = []
    classes: list[int] = []
    for _ in range(marks):
        class_id = int(rng.integers(len(CLASSES)))
        box = _paste(canvas, _mark(class_id, rng, zoom), rng, boxes)
        if box is not None:
            boxes.append(box)
            classes.append(class_id)
    image = _camera(canvas, rng)
    return Scene(image, np.array(boxes, np.float32).reshape(-1, 4), np.array(classes, np.int64))


def _background(photos: list[np.ndarray], rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    photo = photos[rng.integers(len(photos))]
    height, width = size_hw
    fit = max(height / photo.shape[0], width / photo.shape[1])
    scale = fit * rng.uniform(1.0, 1.8)
    big = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top = rng.integers(max(1, big.shape[0] - height + 1))
    left = rng.integers(max(1, big.shape[1] - width + 1))
    crop = big[top : top + height, left : left + width]
    crop = cv2.resize(crop, (width, height)) if crop.shape[:2] != size_hw else crop
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    gain = rng.uniform(0.6, 1.2) * rng.uniform(0.9, 1.1, 3)
    return np.clip(crop.astype(np.float32) * gain + rng.uniform(-20, 20), 0, 255)


def _jitter(rng: np.random.Generator, bgr: tuple[int, int, int], amount: float = 22.0) -> tuple[float, float, float]:
    return tuple(float(v) for v in np.clip(np.array(bgr) + rng.uniform(-amount, amount, 3), 0, 255))  # type: ignore[return-value]


def _mark(class_id: int, rng: np.random.Generator, zoom: float) -> np.ndarray:
    """One mark as a BGRA patch, float32, at SUPERSAMPLE times its final size."""
    side = int(np.exp(rng.uniform(np.log(16), np.log(110))) * zoom * SUPERSAMPLE)
    white, black = _jitter(rng, (235, 235, 235)), _jitter(rng, (25, 25, 25))
    patch = np.zeros((side, side, 4), np.float32)
    alpha = np.zeros((side, side), np.uint8)
    s = side - 1

    def polygon(points: list[tuple[float, float]], colour: tuple[float, float, float]) -> None:
        at = np.array([(x * s, y * s) for x, y in points], np.int32)
        layer = patch[..., :3].copy()
        cv2.fillPoly(layer, [at], colour)
        patch[..., :3] = layer
        cv2.fillPoly(alpha, [at], 255)

    def disc(radius: float, colour: tuple[float, float, float]) -> None:
        layer = patch[..., :3].copy()
        cv2.circle(layer, (side // 2, side // 2), int(radius * s), colour, -1)
        patch[..., :3] = layer
        cv2.circle(alpha, (side // 2, side // 2), int(radius * s), 255, -1)

    if class_id == 0:
        red = _jitter(rng, (35, 35, 205))
        polygon([(0.2, 0.05), (0.8, 0.05), (0.8, 0.98), (0.2, 0.98)], red)
        polygon([(0.2, 0.3), (0.8, 0.3), (0.8, 0.42), (0.2, 0.42)], white)
    elif class_id == 1:
        green = _jitter(rng, (60, 150, 25))
        polygon([(0.5, 0.02), (0.88, 0.98), (0.12, 0.98)], green)
        polygon([(0.5 - 0.1, 0.28), (0.5 + 0.1, 0.28), (0.5 + 0.16, 0.42), (0.5 - 0.16, 0.42)], white)
    elif class_id == 2:
        disc(0.47, _jitter(rng, (200, 60, 35)))
        polygon([(0.04, 0.42), (0.96, 0.42), (0.96, 0.56), (0.04, 0.56)], white)
        keep = np.zeros_like(alpha)
        cv2.circle(keep, (side // 2, side // 2), int(0.47 * s), 255, -1)
        alpha[:] = keep
    elif class_id == 3:
        disc(0.47, _jitter(rng, (20, 95, 235)))
        for quarter in range(4):
            layer = patch[..., :3].copy()
            start = quarter * 90 + 30
            cv2.ellipse(layer, (side // 2, side // 2), (int(0.47 * s),) * 2, 0, start, start + 30, white, -1)
            patch[..., :3] = layer
        cv2.circle(alpha, (side // 2, side // 2), int(0.24 * s), 0, -1)
    else:
        yellow = _jitter(rng, (30, 205, 235))
        polygon([(0.35, 0.22), (0.65, 0.22), (0.65, 0.98), (0.35, 0.98)], yellow)
        polygon([(0.35, 0.22), (0.65, 0.22), (0.65, 0.48), (0.35, 0.48)], black)
        polygon([(0.5, 0.0), (0.64, 0.1), (0.36, 0.1)], black)
        polygon([(0.5, 0.11), (0.64, 0.21), (0.36, 0.21)], black)
    # Light from one side, so that a flat patch of colour is not the whole clue.
    light = np.linspace(rng.uniform(0.75, 1.2), rng.uniform(0.6, 1.1), side, dtype=np.float32)
    patch[..., :3] *= light[None, :, None]
    patch[..., 3] = alpha
    return _turn(patch, aspect=rng.uniform(0.8, 1.25), angle=rng.normal(0, 12))


def _distractor(rng: np.random.Generator, zoom: float) -> np.ndarray:
    """A plain shape of a colour no mark has: magenta, cyan, grey or brown."""
    side = int(rng.uniform(20, 90) * zoom * SUPERSAMPLE)
    colour = _jitter(rng, [(190, 60, 190), (200, 190, 60), (120, 120, 120), (40, 70, 110)][rng.integers(4)])
    patch = np.zeros((side, side, 4), np.float32)
    layer = np.zeros((side, side, 3), np.float32)
    layer[:] = colour
    alpha = np.zeros((side, side), np.uint8)
    kind = rng.integers(3)
    if kind == 0:
        cv2.circle(alpha, (side // 2, side // 2), int(0.46 * side), 255, -1)
    elif kind == 1:
        cv2.fillPoly(alpha, [np.array([(side // 2, 0), (side - 1, side - 1), (0, side - 1)], np.int32)], 255)
    else:
        alpha[:, side // 5 : side - side // 5] = 255
    patch[..., :3], patch[..., 3] = layer, alpha
    return _turn(patch, aspect=rng.uniform(0.7, 1.4), angle=rng.uniform(-40, 40))


def _turn(patch: np.ndarray, aspect: float, angle: float) -> np.ndarray:
    side = patch.shape[0]
    big = int(side * 1.5)
    m = cv2.getRotationMatrix2D((side / 2, side / 2), float(angle), 1.0)
    m[0] *= aspect
    m[:, 2] += [big / 2 - side / 2 * aspect, big / 2 - side / 2]
    return cv2.warpAffine(patch, m, (big, big))


def _paste(
    canvas: np.ndarray, patch: np.ndarray, rng: np.random.Generator, taken: list[tuple[float, float, float, float]]
) -> tuple[float, float, float, float] | None:
    """Composes the patch at a free place and gives the box of what is visible; None where there was no place."""
    height, width = canvas.shape[:2]
    patch = patch[: patch.shape[0] // SUPERSAMPLE * SUPERSAMPLE, : patch.shape[1] // SUPERSAMPLE * SUPERSAMPLE]
    premultiplied = patch.copy()
    premultiplied[..., :3] *= patch[..., 3:] / 255
    small = cv2.resize(premultiplied, None, fx=1 / SUPERSAMPLE, fy=1 / SUPERSAMPLE, interpolation=cv2.INTER_AREA)
    ys, xs = np.nonzero(small[..., 3] > 127)
    if len(ys) == 0:
        return None
    small = small[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    h, w = small.shape[:2]
    for _ in range(20):
        # A quarter of a mark may hang over the border.
        left = int(rng.integers(-w // 4, max(1, width - 3 * w // 4)))
        top = int(rng.integers(-h // 4, max(1, height - 3 * h // 4)))
        box = (max(left, 0), max(top, 0), min(left + w, width), min(top + h, height))
        if box[2] - box[0] < 6 or box[3] - box[1] < 6:
            continue
        if all(_cover(box, other) < 0.35 for other in taken):
            part = small[box[1] - top : box[3] - top, box[0] - left : box[2] - left]
            view = canvas[box[1] : box[3], box[0] : box[2]]
            view[:] = part[..., :3] + view * (1 - part[..., 3:] / 255)
            return tuple(float(v) for v in box)  # type: ignore[return-value]
    return None


def _cover(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """The part of the smaller box that the other covers."""
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return w * h / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))


def _camera(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, blur and sensor noise."""
    image = np.clip(canvas * rng.uniform(0.7, 1.15), 0, 255)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.3))
    image = image + rng.normal(0, rng.uniform(1, 7), image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)
