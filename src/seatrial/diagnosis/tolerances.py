"""The tolerances of parity/tolerance.py as a diagnosis uses them: two tensors of one stage, or two runs of one model.

For: which of the table's rows holds where. Not for: numbers of its own, or the limits of a pair (limits.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from seatrial.diagnosis.distance import Tolerance, tensor_distance
from seatrial.diagnosis.stages import DECODED, INPUT, RESIZED
from seatrial.parity.tolerance import ACROSS, APART_OF_EIGHT_BITS, APART_OF_ITSELF, SAME_RUNTIME

Array = npt.NDArray[Any]
# Whether a tensor is the same as another.
Same = Callable[[Array, Array], bool]
# Images are whole numbers, whoever computes them; of a tensor of floats two libraries may round the last digit otherwise.
EXACT = {DECODED: Tolerance(), RESIZED: Tolerance(), INPUT: Tolerance(*SAME_RUNTIME["fp32"])}
# Of an input that is kept in half the digits.
HALF = Tolerance(*SAME_RUNTIME["fp16"])
# Of outputs whose floor is not known, and of one fp32 model run otherwise.
WIDE = Tolerance(*ACROSS["fp32"])


def same_in(precision: str) -> Same:
    """Of one model on one backend, run in other batches, with other threads or opened anew: these sum in another order. In
    fewer bits single elements differ by more than their mean tells."""
    if precision == "fp32":
        return WIDE.holds
    most = APART_OF_ITSELF.get(precision, APART_OF_EIGHT_BITS)
    return lambda r, o: r.shape == o.shape and (WIDE.holds(r, o) or tensor_distance(r, o) <= most)
