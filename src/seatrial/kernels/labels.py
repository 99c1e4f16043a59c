"""All classes of an image that are there, not the best one: multi-label classification. Not for: one class (postprocess.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seatrial.kernels import reference
from seatrial.kernels.arguments import is_number, one_of
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.postprocess import Outputs, score_rows
from seatrial.kernels.results import Labels


@dataclass(frozen=True)
class LabelDecoder:
    """One output (B, classes) to the classes whose score is above `confidence`, best first, ties by the lower class.

    activation: sigmoid for logits, none for probabilities. NaN is no class.
    """

    confidence: float = 0.5
    activation: str = "sigmoid"

    def __post_init__(self) -> None:
        one_of("activation", self.activation, ["sigmoid", "none"])
        if not is_number(self.confidence) or not 0 <= self.confidence <= 1:
            raise ValueError(f"confidence: expected a number from 0 to 1, got {self.confidence!r}")

    def __call__(self, outputs: Outputs, geometries: Sequence[Geometry]) -> list[Labels]:
        scores = score_rows(outputs, geometries)
        if self.activation == "sigmoid":
            scores = reference.sigmoid(scores)
        return [self._labels(row) for row in scores]

    def _labels(self, scores: reference.F32) -> Labels:
        there = np.flatnonzero(scores > np.float32(self.confidence))
        best = there[np.argsort(-scores[there], kind="stable")]
        return Labels(best.astype(np.int64), scores[best])
