"""A calibration's inputs, from the start each time, and whether they say anything. Not for: making them (cells/variant.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import ModelError, count_of
from seatrial.precision.conversion import Calibration

Feeds = Mapping[str, npt.NDArray[Any]]
# Fewer pictures than this tell little of what the next one brings.
LEAST_IMAGES = 8


class CalibrationFeeds:
    """Iterated over by whoever sees ranges; each pass to the end counts them, and refuses what has no range.

    first: the first of them by itself, a copy: a pipeline fills the same memory for the next image.
    """

    def __init__(self, calibration: Calibration) -> None:
        self._again = calibration.feeds
        first = next(iter(calibration.feeds()), None)
        if first is None:
            raise ModelError("there is no image to calibrate on; name at least one")
        self.first = {name: array.copy() for name, array in first.items()}
        self.count = 0

    def __iter__(self) -> Iterator[Feeds]:
        count = 0
        least: npt.NDArray[Any] = np.array(np.inf)
        most: npt.NDArray[Any] = np.array(-np.inf)
        for given in self._again():
            count += 1
            picture = picture_of(given)
            if picture is not None:
                darkest, brightest = extremes(picture)
                least, most = np.minimum(least, darkest), np.maximum(most, brightest)
            yield given
        self.count = count
        if (least == most).all():
            numbers = ", ".join(f"{v:g}" for v in np.unique(least))
            raise ModelError(
                f"{count_of(count, 'calibration picture')}, and nothing on them: every number that goes into the model is "
                f"{numbers}, which tells no range; name pictures such as the model is used on"
            )

    def warnings(self, precision: str) -> tuple[str, ...]:
        if not 0 < self.count < LEAST_IMAGES:
            return ()
        return (
            f"{precision} ranges are seen on {count_of(self.count, 'picture')}, and what others bring is not known: name "
            f"{LEAST_IMAGES} or more",
        )


def extremes(picture: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Least and most of each channel: a black picture is of three numbers, where each has its mean."""
    channels = next((a for a in (1, picture.ndim - 1) if picture.ndim == 4 and picture.shape[a] in (1, 3, 4)), None)
    others = tuple(a for a in range(picture.ndim) if a != channels)
    return picture.min(axis=others), picture.max(axis=others)


def picture_of(given: Feeds) -> npt.NDArray[Any] | None:
    """The largest input of floats: those beside it, such as a scale, may well be the same for all."""
    floats = [a for a in given.values() if a.dtype.kind == "f" and a.size]
    return max(floats, key=lambda a: a.size, default=None)
