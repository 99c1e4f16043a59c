"""Raw outputs of one cell against the reference's, element by element. For: numbers. Not for: verdicts (gate)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.history.records import TensorDifference

Array = npt.NDArray[Any]


def compare_tensors(
    names: Sequence[str],
    reference: Sequence[Sequence[Array]],
    candidate: Sequence[Sequence[Array]],
    tolerance: tuple[float, float] | None,
) -> list[TensorDifference]:
    """Differences of each output over all images; reference[image][output]. ValueError where shapes differ.

    `tolerance` is (rtol, atol), or None where only the differences' sizes are wanted.
    """
    rows = []
    for k, name in enumerate(names):
        pairs = [(r[k], c[k]) for r, c in zip(reference, candidate, strict=True)]
        for r, c in pairs:
            if r.shape != c.shape:
                raise ValueError(f"output {name}: expected shape {r.shape} as the reference gives, got {c.shape}")
        flat_r = np.concatenate([np.asarray(r, np.float64).ravel() for r, _ in pairs])
        flat_c = np.concatenate([np.asarray(c, np.float64).ravel() for _, c in pairs])
        rows.append(_difference(name, flat_r, flat_c, tolerance))
    return rows


def _difference(
    name: str, reference: Array, candidate: Array, tolerance: tuple[float, float] | None
) -> TensorDifference:
    finite = np.isfinite(reference) & np.isfinite(candidate)
    # Infinities of the same sign agree; everything else that is not finite on one side alone never does.
    same_special = (np.isnan(reference) & np.isnan(candidate)) | (reference == candidate)
    mismatched = int((~finite & ~same_special).sum())
    r, c = reference[finite], candidate[finite]
    with np.errstate(over="ignore"):
        error = np.minimum(np.abs(r - c), np.finfo(np.float64).max)
    share_outside = None
    if tolerance is not None:
        rtol, atol = tolerance
        with np.errstate(over="ignore"):
            outside = int((error > atol + rtol * np.abs(r)).sum()) + mismatched
        share_outside = outside / max(1, len(reference))
    if len(r) == 0:
        return TensorDifference(
            name=name, max_abs=0.0, mean_abs=0.0, cosine=None, sqnr_db=None,
            share_outside=share_outside, nan_mismatch=mismatched > 0,
        )  # fmt: skip
    # Scaled to at most one, so that squares of huge values don't overflow.
    size = max(float(np.abs(r).max()), float(np.abs(c).max())) or 1.0
    with np.errstate(over="ignore"):
        unit_r, unit_c = r / size, c / size
        unit_error = np.abs(unit_r - unit_c)
    signal, noise = float(unit_r @ unit_r), float(unit_error @ unit_error)
    norms = float(np.linalg.norm(unit_r) * np.linalg.norm(unit_c))
    return TensorDifference(
        name=name,
        max_abs=float(error.max()),
        mean_abs=float((error / len(error)).sum()),
        cosine=float(unit_r @ unit_c) / norms if norms > 0 else None,
        # Identical tensors have no noise, and an infinite ratio is not a JSON number.
        sqnr_db=10 * float(np.log10(signal / noise)) if signal > 0 and noise > 0 else None,
        share_outside=share_outside,
        nan_mismatch=mismatched > 0,
    )
