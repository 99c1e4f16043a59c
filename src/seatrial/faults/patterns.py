"""Pixels of the telling pictures: patterns, and objects of a scene put where they tell something. (H, W, 3) uint8 BGR.

Not for: files and what they tell (pictures.py).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
# x, y, width, height in scene-06: a mooring ball, and a port can.
BALL, CAN = (403, 77, 188, 188), (200, 225, 102, 153)
# Red, green, blue, cyan, magenta, yellow, orange, and a dark brown: as BGR.
_COLOURS = [
    (0, 0, 255),
    (0, 255, 0),
    (255, 0, 0),
    (255, 255, 0),
    (255, 0, 255),
    (0, 255, 255),
    (0, 128, 255),
    (20, 40, 90),
]


def saturated_colours() -> U8:
    """(240, 320): eight patches."""
    patches = np.array(_COLOURS, np.uint8).reshape(2, 4, 3)
    return np.repeat(np.repeat(patches, 120, axis=0), 80, axis=1)


def coloured_edges() -> U8:
    """(240, 320): stripes of two colours each, of 1 to 8 pixels, some of them at odd places, and a slope."""
    y, x = np.mgrid[:240, :320]
    out = np.zeros((240, 320, 3), np.uint8)
    colours = np.array(_COLOURS, np.uint8)
    for k in range(8):
        width = k + 1
        rows = slice(30 * k, 30 * (k + 1))
        place = (x[rows] + (y[rows] // 3 if k % 2 else 0) + k) // width % 2
        out[rows] = np.where(place[..., None] == 0, colours[k], colours[(k + 3) % 8])
    return out


def levels() -> U8:
    """(256, 256): grey of all levels from left to right, in steps below, black beside white at the bottom."""
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8), (160, 256))
    steps = np.broadcast_to(np.arange(256) // 32 * 36, (64, 256)).astype(np.uint8)
    ends = np.broadcast_to(np.where(np.arange(256) // 16 % 2, 255, 0), (32, 256)).astype(np.uint8)
    return np.repeat(np.vstack([ramp, steps, ends])[..., None], 3, axis=2)


def fine_detail(width: int) -> U8:
    """(3/4 of it, width): rings in black and white that get finer from the middle outwards, down to two pixels."""
    height = width * 3 // 4
    y, x = np.mgrid[:height, :width]
    squares = (x - width / 2) ** 2 + (y - height / 2) ** 2
    # The phase turns by half a circle a pixel at the left and right border.
    rings = np.cos(np.pi * squares / width) > 0
    return np.repeat((rings * 255).astype(np.uint8)[..., None], 3, axis=2)


def stored_turned(upright: U8, orientation: int) -> U8:
    """What a file of this EXIF orientation holds, so that a decoder which heeds it gives `upright`."""
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }
    return np.ascontiguousarray(stored[orientation])


def overlapping(scene: U8) -> U8:
    """(320, 480): two balls, the one half in front of the other, and a can in front of a third ball."""
    canvas = _ground(scene, 320, 480)
    for place in ((30, 20), (92, 50), (270, 70)):
        _put(canvas, scene, BALL, place, round_=True)
    _put(canvas, scene, CAN, (330, 120))
    return canvas


def at_the_borders(scene: U8) -> U8:
    """(360, 640): a can in the middle of each border, and a ball cut by each corner's half."""
    canvas = _ground(scene, 360, 640)
    w, h = CAN[2:]
    for place in ((320 - w // 2, 0), (320 - w // 2, 360 - h), (0, 180 - h // 2), (640 - w, 180 - h // 2)):
        _put(canvas, scene, CAN, place)
    for place in ((-70, -70), (540, 250)):
        _put(canvas, scene, BALL, place, round_=True)
    return canvas


def _ground(scene: U8, height: int, width: int) -> U8:
    """The scene's colours without its objects."""
    tiny = cv2.resize(scene[:, :190], (6, 4), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(tiny, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _put(canvas: U8, scene: U8, box: tuple[int, int, int, int], at: tuple[int, int], round_: bool = False) -> None:
    """Cut off at the canvas. round_: only what lies in the box's ellipse."""
    x, y, w, h = box
    left, top = max(0, -at[0]), max(0, -at[1])
    right, bottom = min(w, canvas.shape[1] - at[0]), min(h, canvas.shape[0] - at[1])
    own = np.zeros((h, w), np.uint8)
    if round_:
        cv2.ellipse(own, (w // 2, h // 2), (w // 2 - 1, h // 2 - 1), 0, 0, 360, 1, -1)
    else:
        own[:] = 1
    inside = own[top:bottom, left:right, None] > 0
    target = canvas[at[1] + top : at[1] + bottom, at[0] + left : at[0] + right]
    np.copyto(target, scene[y + top : y + bottom, x + left : x + right], where=inside)
