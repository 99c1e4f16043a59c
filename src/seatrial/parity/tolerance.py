"""How close is close enough: by precision, by runtime, and never closer than the reference is to itself.

The fp32 pair is PyTorch's own test tolerance (torch.testing). For: limits. Not for: measuring (tensors.py) or verdicts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.history.records import Floor

# rtol and atol. None of what is not here, as of eight bits: elementwise closeness means nothing, SQNR and the task metric
# decide.
SAME_RUNTIME = {"fp32": (1.3e-6, 1e-5), "fp16": (1e-3, 1e-5), "bf16": (1.6e-2, 1e-5)}
ACROSS = {"fp32": (1e-3, 1e-3), "bf16": (1.6e-2, 1e-5)}
# Across runtimes, of the mean: single elements of fp16 differ by more than their mean tells.
ACROSS_MEAN = {"fp16": 1e-2}
# Of one model run twice on one runtime, in other batches or with other threads, where fp32's pair across runtimes does not
# hold: mean |Δ| over the spread. What a neighbour has a part in, or chance, is several tenths off.
APART_OF_ITSELF = {"fp16": 1e-2, "bf16": 3e-2}
APART_OF_EIGHT_BITS = 0.1
FLOOR_FACTOR = 3.0
# How a record says that a limit is the plan's own: it then holds as it is.
PLANS = "the plan's"
LEAST_AGREEMENT = {"fp32": 0.99}
LEAST_AGREEMENT_REDUCED = 0.90
# dB: at or above the first passes, below the second fails, and between them only the task's own metric could say.
# Toolchains for int8 call 10 dB the least that may do; class scores of sound int8 detectors have 22 to 33.
SQNR_DB = {"fp32": (40.0, 20.0), "fp16": (40.0, 20.0), "bf16": (30.0, 15.0)}
SQNR_DB_OF_EIGHT_BITS = (20.0, 10.0)
# Where decoded results decide, only what is destroyed: a part that is all zero has 0 dB.
DESTROYED_DB = 3.0
# Scores of which none reaches this on either side decide nothing, and their SQNR is that of noise.
QUIET = 0.05


@dataclass(frozen=True)
class Closeness:
    """Elementwise |Δ| <= atol + rtol |reference|, or as much as `floors` allow, by part.

    wide: the pair that the floor of another batch size or thread count may not go beyond. A runtime that is wrong at
    batch > 1 would otherwise be its own yardstick.
    mean_rtol: in place of elements, mean |Δ| <= mean_rtol x mean |reference|.
    """

    rtol: float | None = None
    atol: float | None = None
    wide: tuple[float, float] | None = None
    floors: tuple[Floor, ...] = ()
    mean_rtol: float | None = None
    source: str = ""

    def allowed(self, part: str, reference: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        """Largest |Δ| of each element of a part."""
        assert self.rtol is not None
        assert self.atol is not None
        size = np.abs(reference)
        with np.errstate(over="ignore"):
            limit = self.atol + self.rtol * size
            limit = np.maximum(limit, FLOOR_FACTOR * self.floor_of(part, rebuilt=True))
            if self.wide is not None:
                wide = self.wide[1] + self.wide[0] * size
                limit = np.maximum(limit, np.minimum(FLOOR_FACTOR * self.floor_of(part, rebuilt=False), wide))
        return np.asarray(limit)

    def floor_of(self, part: str, rebuilt: bool) -> float:
        """Largest |Δ| of a part in the reference against itself, 0 where it was not measured."""
        found = [t.max_abs for f in self.floors if f.rebuilt == rebuilt for t in f.tensors if t.name == part]
        return max(found, default=0.0)


def automatic_tolerance(
    precision: str, reference_precision: str, same_runtime: bool, floors: Sequence[Floor] = ()
) -> Closeness | None:
    """The greater of three times the measured floor and the table, or None where elements are not to be judged.

    Another batch size or thread count of the same runtime sums in another order: the floor holds what that makes.
    """
    if precision != reference_precision:
        return None
    pair = (SAME_RUNTIME if same_runtime else ACROSS).get(precision)
    if pair is None:
        mean = None if same_runtime else ACROSS_MEAN.get(precision)
        return Closeness(mean_rtol=mean, source="the table's for the mean across runtimes") if mean else None
    which = "the table's for the same runtime" if same_runtime else "the table's across runtimes"
    wide = ACROSS.get(precision) if same_runtime else None
    return Closeness(pair[0], pair[1], wide, tuple(floors), source=which)


@dataclass(frozen=True)
class SqnrLimits:
    """In dB: at or above `least` passes, below `failing` fails. None: there is no limit. source says where they are from."""

    least: float | None
    failing: float | None
    source: str


def sqnr_limits(
    precision: str, reference_precision: str, decoded: bool, given: float | None, floors: Sequence[Floor] = ()
) -> SqnrLimits:
    """What each part of the raw outputs must keep, by the coarser of the two precisions.

    decoded: whether decoded results are there to decide; then only what is destroyed fails. The plan's own limit is one
    edge. No default asks for more than the reference's closeness to itself, less three times its noise.
    """
    if given is not None:
        return SqnrLimits(given, given, PLANS)
    least, failing = min(SQNR_DB.get(p, SQNR_DB_OF_EIGHT_BITS) for p in (precision, reference_precision))
    source = f"the default for {precision}"
    if decoded:
        least = failing = DESTROYED_DB
        source = "what is not destroyed; decoded results decide the rest"
    measured = [t.sqnr_db for f in floors if f.rebuilt for t in f.tensors if t.sqnr_db is not None]
    reachable = min(measured, default=math.inf) - 20 * math.log10(FLOOR_FACTOR)
    if reachable < failing:
        return SqnrLimits(None, None, f"the reference against itself has only {min(measured):.1f} dB")
    if reachable < least:
        return SqnrLimits(reachable, failing, "3 × the floor")
    return SqnrLimits(least, failing, source)


def least_agreement(precision: str) -> float:
    return LEAST_AGREEMENT.get(precision, LEAST_AGREEMENT_REDUCED)
