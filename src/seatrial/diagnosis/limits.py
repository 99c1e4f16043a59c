"""How far a candidate may be from the reference at each stage without being another: by what that is from itself, by the
table, and by SQNR where the two compute in unlike precisions.

For: where two pipelines differ at all. Not for: what explains it, or a trial's verdicts (parity/tolerance.py has the table).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.distance import RESULT_TOLERANCE, same_specials
from seatrial.diagnosis.floor import Measured
from seatrial.diagnosis.stages import INPUT, OF_RESULTS, OUTPUTS
from seatrial.diagnosis.tolerances import EXACT, HALF, WIDE
from seatrial.parity.tolerance import least_agreement, sqnr_limits

Array = npt.NDArray[Any]


class Holds(Protocol):
    def holds(self, reference: Array, candidate: Array) -> bool: ...


@dataclass(frozen=True)
class Sqnr:
    """Signal to noise of the whole tensor, in dB, at least."""

    least_db: float

    def holds(self, reference: Array, candidate: Array) -> bool:
        return sqnr_db(reference, candidate) >= self.least_db


def sqnr_db(reference: Array, candidate: Array) -> float:
    """Of a whole tensor: infinite without noise; -inf where there is noise and no signal, where shapes differ, and where either
    side has NaN or infinity that the other has not."""
    if reference.shape != candidate.shape:
        return -np.inf
    r, c = reference.astype(np.float64), candidate.astype(np.float64)
    finite = np.isfinite(r) & np.isfinite(c)
    if not same_specials(r, c)[~finite].all():
        return -np.inf
    noise = float(np.square(r[finite] - c[finite]).sum())
    signal = float(np.square(r[finite]).sum())
    if noise == 0:
        return np.inf
    return 10 * float(np.log10(signal / noise)) if signal > 0 else -np.inf


@dataclass(frozen=True)
class Limits:
    """outputs: of each, in the model's order; by default of any. results: the distance of an image's. floors: of these two
    stages, what the reference differs from itself by. least_db: what all outputs must keep for that alone to be enough, and
    failing_db less than what they differ; None where they are held element by element. decoded: whether results are there to
    decide the rest. precisions: the reference's and the candidate's, '' where nobody says. agreement: of results, the plan's
    own, None for a trial's default. unmeasured, unstable: of the floor."""

    outputs: tuple[Holds, ...] = ()
    results: float = RESULT_TOLERANCE
    floors: tuple[float, float] = (0.0, 0.0)
    least_db: float | None = None
    failing_db: float | None = None
    decoded: bool = True
    precisions: tuple[str, str] = ("fp32", "fp32")
    agreement: float | None = None
    unmeasured: tuple[str, ...] = ()
    unstable: tuple[str, ...] = ()

    @property
    def least_agreement(self) -> float:
        """Of results, by the coarser of both precisions: a trial's own."""
        if self.agreement is not None:
            return self.agreement
        return min(least_agreement(p) for p in self.precisions if p)

    def hold(self, stage: str, reference: Any, candidate: Any) -> bool:
        """Of images, tensors, and lists of outputs."""
        if stage == INPUT and candidate.dtype == np.float16:
            return HALF.holds(reference, candidate)
        if stage != OUTPUTS:
            return EXACT[stage].holds(reference, candidate)
        if len(reference) != len(candidate):
            return False
        limits = self.outputs or (WIDE,) * len(reference)
        return all(limit.holds(r, c) for limit, r, c in zip(limits, reference, candidate, strict=True))

    def floor(self, stage: str) -> float:
        return {OUTPUTS: self.floors[0], **dict.fromkeys(OF_RESULTS, self.floors[1])}.get(stage, 0.0)


def limits_of(
    measured: Measured,
    precisions: tuple[str, str],
    same_runtime: bool,
    decoded: bool = True,
    agreement: float | None = None,
) -> Limits:
    """precisions: the reference's and the candidate's; the latter, '', is taken for the reference's where nobody says. decoded:
    results are there to decide where outputs are of another precision. agreement: the plan's own limit."""
    reference, candidate = precisions[0], precisions[1] or precisions[0]
    common: dict[str, Any] = {
        "results": measured.result_tolerance,
        "floors": (measured.apart, measured.results),
        "decoded": decoded,
        "precisions": precisions,
        "agreement": agreement,
        "unmeasured": measured.problems,
        "unstable": measured.unstable,
    }
    if candidate == reference:
        return Limits(measured.tolerances(reference, same_runtime), **common)
    limit = sqnr_limits(candidate, reference, decoded, None)
    failing, least = limit.failing or 0.0, limit.least or 0.0
    return Limits((Sqnr(failing),) * len(measured.outputs), least_db=least, failing_db=failing, **common)
