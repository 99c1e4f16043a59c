"""The check on numbers that several rules share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def finite(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """As a row of float64. ValueError for none, for more dimensions, or for a value that is not finite."""
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or len(x) == 0 or not bool(np.isfinite(x).all()):
        raise ValueError(f"expected one finite number or more, got {values!r}")
    return x
