"""Both sides of a fault's picture, and the demo's pictures that they are made of."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from seatrial.demo import PICTURE
from seatrial.faults.pictures import PICTURES

U8 = npt.NDArray[np.uint8]
SCENES = PICTURE.parent


@dataclass(frozen=True, eq=False)
class Sides:
    """right and wrong: (H, W, 3) BGR. what: the wrong one does, as a clause. image: the file that both are made of."""

    right: U8
    wrong: U8
    what: str
    image: str


def scene(name: str) -> U8:
    """One of the demo's, (H, W, 3) BGR."""
    return np.asarray(cv2.imread(str(SCENES / name), cv2.IMREAD_COLOR), np.uint8)


def encoded(name: str) -> bytes:
    """A scene's file, or a telling picture's, which is made."""
    if (SCENES / name).is_file():
        return (SCENES / name).read_bytes()
    return next(p for p in PICTURES if p.file == name).encoded(scene)
