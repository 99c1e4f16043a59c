"""How far a candidate may be from the reference at each stage without being another: by what that is from itself, by the
table, and by SQNR where the two compute in unlike precisions.

For: where two pipelines differ at all. Not for: what explains it, or a trial's verdicts (parity/tolerance.py has the table).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.distance import RESULT_TOLERANCE, Tolerance
from seatrial.diagnosis.floor import Measured
from seatrial.diagnosis.stages import DECODED, INPUT, OUTPUTS, RESIZED, RESULTS
from seatrial.parity.tolerance import sqnr_limits

Array = npt.NDArray[Any]
# Images are whole numbers, whoever computes them; of a tensor of floats two libraries may round the last digit otherwise.
EXACT = {DECODED: Tolerance(), RESIZED: Tolerance(), INPUT: Tolerance(1.3e-6, 1e-5)}
# Of outputs where no floor could be measured.
ACROSS = Tolerance(1e-3, 1e-3)


class Holds(Protocol):
    def holds(self, reference: Array, candidate: Array) -> bool: ...


@dataclass(frozen=True)
class Sqnr:
    """Signal to noise of the whole tensor, in dB, at least."""

    least_db: float

    def holds(self, reference: Array, candidate: Array) -> bool:
        if reference.shape != candidate.shape:
            return False
        r, c = reference.astype(np.float64), candidate.astype(np.float64)
        if (np.isfinite(r) != np.isfinite(c)).any():
            return False
        finite = np.isfinite(r)
        noise = float(np.square(r[finite] - c[finite]).sum())
        signal = float(np.square(r[finite]).sum())
        return noise == 0 or (signal > 0 and 10 * np.log10(signal / noise) >= self.least_db)


@dataclass(frozen=True)
class Limits:
    """outputs: of each, in the model's order; by default of any. results: the distance of an image's. floors: of these two
    stages, what the reference differs from itself by. said: what was measured, and what of it failed."""

    outputs: tuple[Holds, ...] = ()
    results: float = RESULT_TOLERANCE
    floors: tuple[float, float] = (0.0, 0.0)
    said: str = ""

    def hold(self, stage: str, reference: Any, candidate: Any) -> bool:
        """Of images, tensors, and lists of outputs."""
        if stage != OUTPUTS:
            return EXACT[stage].holds(reference, candidate)
        if len(reference) != len(candidate):
            return False
        limits = self.outputs or (ACROSS,) * len(reference)
        return all(limit.holds(r, c) for limit, r, c in zip(limits, reference, candidate, strict=True))

    def floor(self, stage: str) -> float:
        return {OUTPUTS: self.floors[0], RESULTS: self.floors[1]}.get(stage, 0.0)


def limits_of(measured: Measured, precisions: tuple[str, str], same_runtime: bool) -> Limits:
    """precisions: the reference's and the candidate's; the latter's is taken for the reference's where nobody says."""
    reference, candidate = precisions
    outputs: tuple[Holds, ...] = measured.tolerances(reference, same_runtime)
    if candidate != reference:
        least = sqnr_limits(candidate, reference, True, None).least or 0.0
        outputs = (Sqnr(least),) * len(measured.outputs)
    said = f"the reference against itself: {', '.join(measured.what)}" if measured.what else ""
    failed = f"not measured: {'; '.join(measured.problems)}" if measured.problems else ""
    floors = max(measured.outputs, default=0.0), measured.results
    return Limits(outputs, measured.result_tolerance, floors, "; ".join(filter(None, (said, failed))))
