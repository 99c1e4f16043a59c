"""A fault's picture: the demo's image as it should be, as the fault makes it, and between them the difference, amplified.

Not for: the pixels of either side (before.py, behind.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from seatrial.diagnosis.illustration.before import MADE, sides_before
from seatrial.diagnosis.illustration.behind import sides_behind
from seatrial.diagnosis.illustration.sides import U8
from seatrial.drawing.difference import difference, side_by_side

HEIGHT = 320
UNSEEN = {
    "precision-not-applied": "results are float32's own; what is missing is the speed",
    "backend-wrong": "pixels in and out look alike; which node computes otherwise, only numbers say",
    "batch-dependent": "each image alone is right",
    "calibration": "the picture is the same; the model's int8 ranges are not",
    "pooling-mode": "it lies within the model, at the border of a feature map",
    "graph-attribute": "it lies within the model",
}
"""Why there is no picture of a fault."""


@dataclass(frozen=True, eq=False)
class FaultPicture:
    """images: right, wrong and the difference, each with its caption, (H, W, 3) BGR. what: the wrong side does. image: the file
    of the demo's, or the telling picture, that they are made of. height: of each in the PNG."""

    fault: str
    what: str
    image: str
    images: tuple[tuple[str, U8], ...]
    height: int

    @property
    def pixels(self) -> U8:
        """All beside each other."""
        return side_by_side(self.images, self.height)

    @property
    def png(self) -> bytes:
        return bytes(cv2.imencode(".png", self.pixels, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())


def picture_of(fault: str) -> FaultPicture | None:
    """None of a fault that no picture shows; UNSEEN says why."""
    if fault in UNSEEN:
        return None
    sides = sides_before(fault) if fault in MADE else sides_behind(fault)
    # Drawn boxes have names, which another size would spoil.
    height = HEIGHT if fault in MADE else sides.right.shape[0]
    between = difference(sides.right, sides.wrong)
    images = (("right", sides.right), ("wrong", sides.wrong), (between.said, between.pixels))
    return FaultPicture(fault, sides.what, sides.image, images, height)
