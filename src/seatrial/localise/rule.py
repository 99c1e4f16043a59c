"""When two tensors differ, and when a node is to blame: every threshold of localising, in one place, with its reason.

The rule. Let x be what side B fed to a node, and y what it made of it. The same node of side A is run on that very x. A node is
to blame where A's answer differs from y by more than the tolerance of the node: no error that came in explains it, since none
did. A node that only passes on or amplifies an error answers y, and is not blamed, however great the error that it carries.

The error of a tensor is the root mean square of the difference over the tensor's spread (the standard deviation of its values):
1 is what a constant in its place would give, and 20·log₁₀(1/error) are decibels of signal over error.

The tolerance of a node is the greater of a table's, by the coarser precision of both sides and whether one runtime ran both,
and of what the node makes of noise: A's node is run once more on x with each value moved by up to one unit of rounding. A node
whose terms cancel moves by more, and is allowed more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.parity.tolerance import ACROSS, SQNR_DB, SQNR_DB_OF_EIGHT_BITS

Array = npt.NDArray[Any]
# Of one node on equal inputs. float32: sums of thousands of terms in another order, or by Winograd's form, differ by up to 1e-5
# of the spread; another runtime's exponential by 1e-5 too. 16 bits: some twenty units of rounding, of inputs, weights and
# outputs. Eight bits: 10 dB, the least that may do of a whole model too; of a sound layer 20 dB are left, and not always.
NODE_TOLERANCE = {"fp32": 3e-5, "fp16": 1e-2, "bf16": 8e-2}
NODE_TOLERANCE_OF_EIGHT_BITS = 10 ** (-SQNR_DB_OF_EIGHT_BITS[1] / 20)
# Across runtimes, of float32: other kernels, and approximations of transcendental functions.
ACROSS_TOLERANCE = 2e-4
# Outputs of whole models in float32, over the spread.
OUTPUT_TOLERANCE = ACROSS["fp32"][0]
# The rounding of a long sum is more than that of its terms moved once each.
NOISE_FACTOR = 10.0
# A tie that noise breaks would otherwise allow anything.
MOST_ALLOWED = 0.3
UNIT_OF_ROUNDING = {"fp32": 2.0**-23, "fp16": 2.0**-11, "bf16": 2.0**-8}
# Shorter tensors are sizes, scales and indexes: moved by a unit they mean another shape.
LEAST_MOVED = 17
# A tensor that varies by less than this share of its size is a constant but for rounding (parity/tensors.py).
VARIES = 1e-3
# Where a node cannot be run alone: its error is so many times that of its inputs.
LEAST_RATIO = 10.0
# Of outputs. A row whose error is as great as this share of its spread has less than 3 dB left; where so many are, what they
# say is gone (one that hardly speaks may be rounded to nothing). Nor is a row told that
# varies by less than this share of the whole: of a score beside a hundred pixels a thousandth.
LOST, LOST_SHARE, QUIETEST = 2**-0.5, 0.1, 1e-5
# Shares of one, such as a sigmoid's, that vary by less than this say nothing: of 1e-9 and 1e-13 each runtime makes its own.
LEAST_SHARE = 1e-3
COARSENESS = ("fp32", "fp16", "bf16")


def coarser(a: str, b: str) -> str:
    """Of two precisions; whatever is not of floats is the coarsest."""
    ranks = [COARSENESS.index(p) if p in COARSENESS else len(COARSENESS) for p in (a, b)]
    return a if ranks[0] >= ranks[1] else b


def node_tolerance(precision: str, same_runtime: bool, noise: float) -> float:
    """noise: the error that one unit of rounding makes at this node; counts only where it is a number."""
    table = NODE_TOLERANCE.get(precision, NODE_TOLERANCE_OF_EIGHT_BITS)
    if precision == "fp32" and not same_runtime:
        table = ACROSS_TOLERANCE
    return max(table, min(NOISE_FACTOR * noise, MOST_ALLOWED) if np.isfinite(noise) else 0.0)


def output_limits(precision: str) -> tuple[float, float]:
    """Errors of a model's output: at or below the first equal, above the second different; between, a task's metric says."""
    if precision == "fp32":
        return OUTPUT_TOLERANCE, OUTPUT_TOLERANCE
    passes, fails = SQNR_DB.get(precision, SQNR_DB_OF_EIGHT_BITS)
    return 10 ** (-passes / 20), 10 ** (-fails / 20)


def moved(array: Array, precision: str, seed: int) -> Array:
    """By up to one unit of rounding, each value for itself."""
    if array.dtype.kind != "f" or array.size < LEAST_MOVED:
        return array
    unit = UNIT_OF_ROUNDING.get(precision, UNIT_OF_ROUNDING["fp32"])
    by = np.random.default_rng(seed).uniform(-unit, unit, array.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(array * (1 + by), np.promote_types(array.dtype, np.float32))


@dataclass
class Distance:
    """Of one tensor between two sides, summed over images. special: values that are NaN or infinite in one side alone.

    least_scale: what its values are measured by at the least, where that is known: see LEAST_SHARE.
    """

    count: int = 0
    squares: float = 0.0
    total: float = 0.0
    size_squares: float = 0.0
    greatest: float = 0.0
    other_greatest: float = 0.0
    special: int = 0
    least_scale: float = 0.0
    shapes: tuple[tuple[int, ...], tuple[int, ...]] | None = None

    def add(self, reference: Array, other: Array) -> None:
        if reference.shape != other.shape:
            self.shapes = reference.shape, other.shape
            return
        with np.errstate(over="ignore", invalid="ignore"):
            r, o = reference.astype(np.float64).ravel(), other.astype(np.float64).ravel()
            finite = np.isfinite(r) & np.isfinite(o)
            if not finite.all():
                same = (r == o) | (np.isnan(r) & np.isnan(o))
                self.special += int((~finite & ~same).sum())
                r, o = r[finite], o[finite]
            self.count += r.size
            self.squares += float(np.square(r - o).sum())
            self.total += float(r.sum())
            self.size_squares += float(np.square(r).sum())
        self.greatest = max(self.greatest, float(np.abs(r).max(initial=0.0)))
        self.other_greatest = max(self.other_greatest, float(np.abs(o).max(initial=0.0)))

    @property
    def error(self) -> float:
        """Infinite where shapes differ, or where one side alone is not finite."""
        if self.shapes or self.special:
            return float("inf")
        if not self.count or self.squares == 0:
            return 0.0
        mean = self.total / self.count
        with np.errstate(over="ignore", invalid="ignore"):
            spread = float(np.sqrt(max(self.size_squares / self.count - mean * mean, 0.0)))
            scale = max(spread, VARIES * self.greatest, self.least_scale) or self.other_greatest
            error = float(np.sqrt(self.squares / self.count)) / scale
        return error if np.isfinite(error) else float("inf")
