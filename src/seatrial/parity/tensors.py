"""Raw outputs of one cell against the reference's, element by element. For: numbers. Not for: verdicts (gate)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.history.records import TensorDifference
from seatrial.parity.tolerance import Closeness

Array = npt.NDArray[Any]
Pairs = list[tuple[Array, Array]]
# Rows that are looked at one by one, and the least elements of one for 'it is constant' to mean something.
MOST_ROWS, LEAST_ROW = 4096, 8
# Where the reference varies by less than this share of its size, it is a constant but for rounding.
VARIES = 1e-3


def compare_tensors(
    names: Sequence[str],
    reference: Sequence[Sequence[Array]],
    candidate: Sequence[Sequence[Array]],
    tolerance: Closeness | None,
    unit_range: Sequence[bool] = (),
) -> list[TensorDifference]:
    """Differences of each part over all images; reference[image][part]. ValueError where shapes differ.

    `tolerance` is None where only the differences' sizes are wanted. unit_range: which parts are probabilities.
    """
    rows = []
    for k, name in enumerate(names):
        pairs = [(r[k], c[k]) for r, c in zip(reference, candidate, strict=True)]
        for r, c in pairs:
            if r.shape != c.shape:
                raise ValueError(f"output {name}: expected shape {r.shape} as the reference gives, got {c.shape}")
        flat_r = np.concatenate([np.asarray(r, np.float64).ravel() for r, _ in pairs]) if pairs else np.zeros(0)
        flat_c = np.concatenate([np.asarray(c, np.float64).ravel() for _, c in pairs]) if pairs else np.zeros(0)
        row = _difference(name, flat_r, flat_c, tolerance)
        found = {"unit_range": bool(unit_range and unit_range[k]), "flattened": _flattened(pairs)}
        rows.append(row.model_copy(update=found))
    return rows


def _difference(name: str, reference: Array, candidate: Array, tolerance: Closeness | None) -> TensorDifference:
    finite = np.isfinite(reference) & np.isfinite(candidate)
    # Infinities of the same sign agree; everything else that is not finite on one side alone never does.
    same_special = (np.isnan(reference) & np.isnan(candidate)) | (reference == candidate)
    mismatched = int((~finite & ~same_special).sum())
    r, c = reference[finite], candidate[finite]
    with np.errstate(over="ignore"):
        error = np.minimum(np.abs(r - c), np.finfo(np.float64).max)
    share_outside = None
    if tolerance is not None and tolerance.rtol is not None:
        outside = int((error > tolerance.allowed(name, r)).sum()) + mismatched
        share_outside = outside / max(1, len(reference))
    if len(r) == 0:
        return TensorDifference(
            name=name, max_abs=0.0, mean_abs=0.0, cosine=None, sqnr_db=None,
            share_outside=share_outside, nan_mismatch=mismatched > 0, elements=0,
        )  # fmt: skip
    # Scaled to at most one, so that squares of huge values don't overflow.
    size = max(float(np.abs(r).max()), float(np.abs(c).max())) or 1.0
    with np.errstate(over="ignore"):
        unit_r, unit_c = r / size, c / size
        unit_error = np.abs(unit_r - unit_c)
    signal, noise = float(unit_r @ unit_r), float(unit_error @ unit_error)
    varied = float(np.square(unit_r - unit_r.mean()).sum())
    norms = float(np.linalg.norm(unit_r) * np.linalg.norm(unit_c))
    mean_size = float(np.abs(unit_r).mean())
    return TensorDifference(
        name=name,
        max_abs=float(error.max()),
        mean_abs=float((error / len(error)).sum()),
        cosine=float(unit_r @ unit_c) / norms if norms > 0 else None,
        # Identical tensors have no noise, and an infinite ratio is not a JSON number.
        sqnr_db=_decibels(signal, noise),
        share_outside=share_outside,
        nan_mismatch=mismatched > 0,
        variation_db=_decibels(varied, noise) if varied > VARIES**2 * signal else None,
        mean_relative=float(unit_error.mean()) / mean_size if mean_size > 0 else None,
        reference_max_abs=float(np.abs(r).max()),
        elements=len(r),
    )


def _decibels(signal: float, noise: float) -> float | None:
    return 10 * float(np.log10(signal) - np.log10(noise)) if signal > 0 and noise > 0 else None


def _flattened(pairs: Pairs) -> int:
    """Rows along the first or the last axis that vary in the reference and are constant in the candidate.

    Whole rows that went constant are what one scale for pixels and probabilities makes of the latter, and in a tensor's SQNR
    they do not show. 0 where shapes differ between images, or where few rows did: a channel that hardly speaks may round to
    nothing.
    """
    shapes = {r.shape for r, _ in pairs}
    shape = next(iter(shapes), ())
    if len(shapes) != 1 or len(shape) < 2:
        return 0
    worst = 0
    for axis in (0, len(shape) - 1):
        if not 2 <= shape[axis] <= MOST_ROWS or np.prod(shape) // shape[axis] < LEAST_ROW:
            continue
        others = tuple(a for a in range(len(shape)) if a != axis)
        spans = []
        for side in (0, 1):
            low = np.min([pair[side].min(axis=others) for pair in pairs], axis=0).astype(np.float64)
            high = np.max([pair[side].max(axis=others) for pair in pairs], axis=0).astype(np.float64)
            spans.append(high > low)
        gone = int((spans[0] & ~spans[1]).sum())
        if gone * 10 >= shape[axis]:
            worst = max(worst, gone)
    return worst
