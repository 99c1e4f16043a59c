"""Dense maps against their truth: how far off the values are on each image. Less is better, and there is no worst.

For: AbsRel and RMSE as depth is judged by (Eigen et al., 2014): each of an image's judged pixels, then the mean over images.
Not for: relative depths, which need a scale and a shift of each image first; limits (gate/errors.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import DataError, count_of
from seatrial.images.files import ImageFile
from seatrial.kernels.results import DenseMap
from seatrial.parity.evaluation import NOTHING_NOTED, Noted, value_of
from seatrial.parity.odd_results import judged_pixels, odd_values
from seatrial.parity.truth import Truth
from seatrial.parity.value_maps import values_of
from seatrial.pipeline.results import Result

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ErrorEvaluation:
    """The mean over images of one error each, 0 or more; NaN of an image on which nothing is judged.

    of_nothing: the error of an answer of zeros, by image: what an answer that says nothing would have. second: another error
    of the same results.
    """

    metric: str
    values: F64
    of_nothing: F64
    second: ErrorEvaluation | None = None
    noted: Noted = NOTHING_NOTED

    @property
    def images(self) -> int:
        return len(self.values)

    @property
    def judged(self) -> int:
        return int(np.isfinite(self.values).sum())

    @property
    def right(self) -> F64:
        return -self.values

    def called(self, metric: str) -> ErrorEvaluation | None:
        """This one, or the second."""
        return next((e for e in (self, self.second) if e is not None and e.metric == metric), None)

    @property
    def beside(self) -> str:
        """'RMSE 0.213', in the truth's unit: the second error's figure."""
        value = value_of(self.second) if self.second is not None else None
        return f"{self.second.metric} {value:.3g}" if self.second is not None and value is not None else ""

    @property
    def worst(self) -> float:
        """What one image more is taken to have at the most: the greatest error here, or that of an answer of nothing."""
        return float(np.nanmax(np.concatenate([self.values, self.of_nothing]), initial=0.0))

    def weighted(self, weights: F64) -> F64:
        there = np.isfinite(self.values)
        drawn = weights @ there
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(drawn > 0, weights @ np.where(there, self.values, 0.0) / drawn, np.nan))

    def with_copy(self, image: int, found: bool) -> ErrorEvaluation:
        return self._with(float(self.values[image]) if found else self.worst)

    def with_perfect(self, image: int) -> ErrorEvaluation:  # noqa: ARG002 (no error is 0 on any)
        return self._with(0.0)

    def _with(self, value: float) -> ErrorEvaluation:
        return replace(
            self, values=np.append(self.values, value), of_nothing=np.append(self.of_nothing, np.nan), second=None
        )

    def columns(self, names: Sequence[str]) -> dict[str, Any]:
        own = {"image": list(names), "value": self.values, "of_nothing": self.of_nothing}
        if self.second is None:
            return own
        return own | {"rmse": self.second.values, "rmse_of_nothing": self.second.of_nothing}


def evaluate_values(truth: Truth, images: Sequence[ImageFile], results: Sequence[Result]) -> ErrorEvaluation:
    """AbsRel, mean of |value - truth| / |truth|, with RMSE, root of the mean of their squared difference, beside it.

    DataError where a result lacks a value that the truth judges: an error that nobody knows is not a small one.
    """
    assert truth.maps is not None
    rows, ratios = [], []
    judged_count = total = below = 0
    for image, result in zip(images, results, strict=True):
        if not isinstance(result, DenseMap):
            raise DataError(
                f"{image.name} has no result, so that its error is not known; give a DenseMap for each image"
            )
        true = values_of(truth.maps[image.name])
        if true.shape != result.values.shape:
            sizes = " but ".join(f"{s[0]} × {s[1]}" for s in (true.shape, result.values.shape))
            raise DataError(
                f"{truth.maps[image.name].path}: the truth of {image.name} is {sizes} came (height × width)"
            )
        judged = np.isfinite(true)
        wanted, own = true[judged], result.values[judged].astype(np.float64)
        gaps = int((~np.isfinite(own)).sum())
        if gaps:
            raise DataError(
                f"{image.name}: {count_of(gaps, 'pixel')} of {len(own)} that the truth judges have no value; where a crop cut "
                "them away use mode stretch or letterbox, where invert made them see its scale and shift"
            )
        rows.append(_errors(wanted, own))
        ratios.append(float(np.median(own / wanted)) if len(own) else np.nan)
        judged_count, total = judged_count + len(own), total + true.size
        below += int(((own < 0) & (wanted > 0)).sum())
    table = np.array(rows, np.float64).reshape(-1, 4)
    rmse = ErrorEvaluation("RMSE", table[:, 2], table[:, 3])
    noted = judged_pixels(judged_count, total)
    odd = odd_values(np.array(ratios, np.float64), below, judged_count)
    noted = replace(noted, warnings=(*noted.warnings, *odd))
    return ErrorEvaluation("AbsRel", table[:, 0], table[:, 1], rmse, noted)


def _errors(wanted: F64, own: F64) -> tuple[float, float, float, float]:
    """AbsRel, that of zeros, RMSE, that of zeros."""
    if not len(wanted):
        return np.nan, np.nan, np.nan, np.nan
    off = own - wanted
    return (
        float((np.abs(off) / np.abs(wanted)).mean()),
        1.0,
        float(np.sqrt((off**2).mean())),
        float(np.sqrt((wanted**2).mean())),
    )
