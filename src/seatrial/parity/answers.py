"""Whether a pipeline gives every image the same answer: then another one that gives it too has agreed on nothing.

For: one pass over results that are read one by one. Not for: agreement itself (results.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.kernels.results import DenseMap, Embedding, SemanticMask, Text
from seatrial.pipeline.results import Result


class Answers:
    """Whether a model's answers, one after the other, are those of one that does not look at its images."""

    def __init__(self) -> None:
        self._count = 0
        self._first: Result = None
        self._same = self._zero = True
        self._only: float | None = None
        self._one = True

    def add(self, result: Result) -> None:
        if result is None:
            return
        if self._count == 0:
            self._first = result
        self._count += 1
        self._same = self._same and _same(result, self._first)
        self._zero = self._zero and _says_nothing(result)
        if isinstance(result, SemanticMask | DenseMap):
            pixels = _pixels(result)
            if self._only is None or np.isnan(self._only):
                values = pixels[pixels == pixels]
                self._only = float(values[0]) if values.size else np.nan
            self._one = self._one and bool(((pixels == self._only) | (pixels != pixels)).all())

    @property
    def constant(self) -> bool:
        """The same answer to the bit on every image, or maps of one class or one value throughout."""
        return (self._only is not None and self._one) or (self._count > 1 and self._same)

    @property
    def empty(self) -> bool:
        """No answer, none but vectors of zeros or empty texts, or always the same."""
        return self._count == 0 or self._zero or self.constant


def _pixels(result: SemanticMask | DenseMap) -> npt.NDArray[Any]:
    """Values, or classes but for what a crop cut away: that is no answer."""
    return result.values if isinstance(result, DenseMap) else result.class_ids[~result.without_class]


def _says_nothing(result: Result) -> bool:
    """A vector of zeros, or a text of no character."""
    if isinstance(result, Text):
        return not len(result.code_points)
    return isinstance(result, Embedding) and not result.vector.any()


def _same(a: Result, b: Result) -> bool:
    pairs = zip(vars(a).values(), vars(b).values(), strict=True)
    return all(np.array_equal(x, y, equal_nan=isinstance(a, DenseMap)) for x, y in pairs)
