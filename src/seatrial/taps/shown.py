"""What a candidate shows of itself, image by image: the one interface to taps and to answers alone.

For: ImageTaps, and the protocol that who compares relies on. Not for: where they come from (folder.py, seatrial.parity).
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from seatrial.pipeline.results import Result

Array = npt.NDArray[Any]
U8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ImageTaps:
    """decoded, resized (H, W, C) uint8; input and outputs as the model has them, with or without its batch of one.

    What is not shown is None. unread: keys of its file that are no part of a stage that taps.json lists.
    """

    decoded: U8 | None = None
    resized: U8 | None = None
    input: Array | None = None
    outputs: Mapping[str, Array] = field(default_factory=dict)
    candidates: Result = None
    results: Result = None
    unread: tuple[str, ...] = ()


class Shown(Protocol):
    """names: of the images. stages: those of manifest.STAGES that load gives of every image."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def stages(self) -> Set[str]: ...

    def load(self, name: str) -> ImageTaps: ...
