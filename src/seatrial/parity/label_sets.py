"""Sets of labels against the truth: found, missed and made up on each image, as micro F1 counts them.

For: multi-label classification, at the pipeline's own threshold, which is what its users see. Not for: mean average precision,
which needs the scores of classes below the threshold too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.images.files import ImageFile
from seatrial.kernels.results import Labels
from seatrial.parity.classes import ClassMap
from seatrial.parity.truth import Truth
from seatrial.pipeline.results import Result

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LabelEvaluation:
    """F1 over all labels of all images, 2 · found / (told + true): of each image how many are found, told and true."""

    found: F64
    told: F64
    true: F64
    metric: str = "micro F1"

    @property
    def images(self) -> int:
        return len(self.found)

    @property
    def right(self) -> F64:
        # An image with labels of which none is found is told from one that has none.
        return self.found + 1e-6 * self.true

    def weighted(self, weights: F64) -> F64:
        """NaN where no label is there to be found."""
        found, told, true = (weights @ v for v in (self.found, self.told, self.true))
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(true > 0, 2 * found / (told + true), np.nan))

    def with_copy(self, image: int, found: bool) -> LabelEvaluation:
        """Where nothing is right as many labels are told as before, and all are wrong."""
        return self._with(self.found[image] if found else 0.0, self.told[image], self.true[image])

    def with_perfect(self, image: int) -> LabelEvaluation:
        return self._with(self.true[image], self.true[image], self.true[image])

    def _with(self, found: float, told: float, true: float) -> LabelEvaluation:
        return replace(
            self, found=np.append(self.found, found), told=np.append(self.told, told), true=np.append(self.true, true)
        )

    def columns(self, names: Sequence[str]) -> dict[str, Any]:
        return {"image": list(names), "found": self.found, "told": self.told, "true": self.true}


def evaluate_labels(
    truth: Truth, images: Sequence[ImageFile], results: Sequence[Result], class_map: ClassMap
) -> LabelEvaluation:
    """An image without a result has no label."""
    assert truth.label_sets is not None
    rows = []
    for image, result in zip(images, results, strict=True):
        true = {class_map.index[text] for text in truth.label_sets[image.name]}
        told = set(result.class_ids.tolist()) if isinstance(result, Labels) else set()
        rows.append((len(true & told), len(told), len(true)))
    table = np.array(rows, np.float64).reshape(-1, 3)
    return LabelEvaluation(table[:, 0], table[:, 1], table[:, 2])
