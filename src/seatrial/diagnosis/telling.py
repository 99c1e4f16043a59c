"""What would tell a fault from others that the images at hand show alike: a picture's properties, and one that ships.

Not for: what a fault does to a pipeline (mutations/), or making the pictures (faults/pictures.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.faults.catalogue import FAULTS
from seatrial.faults.pictures import picture_for


def telling_said(fault: str, alike: Sequence[str]) -> str:
    """'saturated colours (saturated-colours.png)'. '' of a fault that nobody knows, as of a later version."""
    if fault not in FAULTS:
        return ""
    file = picture_for(fault, tuple(alike))
    return f"{FAULTS[fault].telling} ({file})" if file else FAULTS[fault].telling
