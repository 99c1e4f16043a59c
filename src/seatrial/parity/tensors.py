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
    error = np.abs(r - c)
    share_outside = None
    if tolerance is not None:
        rtol, atol = tolerance
        outside = int((error > atol + rtol * np.abs(r)).sum()) + mismatched
        share_outside = outside / max(1, len(reference))
    if len(r) == 0:
        return TensorDifference(
            name=name, max_abs=0.0, mean_abs=0.0, cosine=None, sqnr_db=None,
            share_outside=share_outside, nan_mismatch=mismatched > 0,
        )  # fmt: skip
    signal, noise = float(r @ r), float(error @ error)
    norms = float(np.linalg.norm(r) * np.linalg.norm(c))
    return TensorDifference(
        name=name,
        max_abs=float(error.max()),
        mean_abs=float(error.mean()),
        cosine=float(r @ c) / norms if norms > 0 else None,
        # Identical tensors have no noise, and an infinite ratio is not a JSON number.
        sqnr_db=10 * float(np.log10(signal / noise)) if signal > 0 and noise > 0 else None,
        share_outside=share_outside,
        nan_mismatch=mismatched > 0,
    )
