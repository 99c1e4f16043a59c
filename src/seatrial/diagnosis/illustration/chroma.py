"""A JPEG decoder that repeats colour samples, for eyes: OpenCV's own functions on the decoded image show what it does.

Not for: finding it in a pipeline, which takes the decoder itself (mutations/color.py), a package that need not be here.
"""

from __future__ import annotations

import cv2
import numpy as np

from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.stages import DECODED
from seatrial.diagnosis.way import At


def _repeated(at: At) -> At:
    ycc = cv2.cvtColor(at.value, cv2.COLOR_BGR2YCrCb)
    small = cv2.resize(ycc, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    ycc[..., 1:] = cv2.resize(small, at.value.shape[1::-1], interpolation=cv2.INTER_NEAREST)[..., 1:]
    return At(np.asarray(cv2.cvtColor(ycc, cv2.COLOR_YCrCb2BGR), np.uint8), at.geometry)


REPEATED_CHROMA = Mutation(
    "jpeg-decoder",
    "repeats colour samples instead of interpolating them",
    DECODED,
    lambda way: way.behind(DECODED, _repeated),
)
