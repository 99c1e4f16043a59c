"""What a pipeline has at one of its stages. Not for: how it came there (way.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seatrial.kernels.geometry import Geometry


@dataclass(frozen=True, eq=False)
class At:
    """What a pipeline has at a stage of an image. value: bytes; (H, W, C) uint8 decoded and resized; (1, …) the input; the list
    of outputs; a result. geometry: where the image's pixels went, from `resized` on; None where nobody said."""

    value: Any
    geometry: Geometry | None = None
