"""What would tell a fault from others that the images at hand show alike: a picture's properties, and one that ships.

Not for: what a fault does to a pipeline (mutations/), or making the pictures (faults/pictures.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from seatrial.diagnosis.distance import distance
from seatrial.diagnosis.mutation import Mutation, with_mutations
from seatrial.diagnosis.runner import Runner
from seatrial.diagnosis.way import Way
from seatrial.errors import SeatrialError
from seatrial.faults.catalogue import FAULTS
from seatrial.faults.pictures import picture_for
from seatrial.kernels.arguments import ArgumentError

# Of noise, which shows all that is done to a pixel; of sizes that no grid divides.
_PROBES_HW = ((97, 131), (211, 149), (64, 64))


def telling_said(fault: str, alike: Sequence[str]) -> str:
    """'saturated colours (saturated-colours.png)'. '' of a fault that nobody knows, as of a later version."""
    if fault not in FAULTS:
        return ""
    file = picture_for(fault, tuple(alike))
    return f"{FAULTS[fault].telling} ({file})" if file else FAULTS[fault].telling


def one_and_the_same(way: Way, one: Sequence[Mutation], other: Sequence[Mutation], stage: str) -> bool:
    """Whether two mistakes do the very same to noise, and do something to it: then no picture tells them apart."""
    noise = np.random.default_rng(0)
    probes = [cv2.imencode(".png", noise.integers(0, 256, (*hw, 3), np.uint8))[1].tobytes() for hw in _PROBES_HW]
    runner = Runner(lambda i: probes[i])
    try:
        ways = with_mutations(way, one), with_mutations(way, other)
        values = [[runner.at(w, i, stage).value for i in range(len(probes))] for w in (way, *ways)]
    except (SeatrialError, ArgumentError, ValueError, KeyError):
        return False
    right, first, second = values
    shown = all(distance(stage, r, v) > 0 for r, v in zip(right, first, strict=True))
    return shown and all(distance(stage, a, b) == 0 for a, b in zip(first, second, strict=True))
