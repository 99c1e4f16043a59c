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
        constant, lost = _rows(pairs) if tolerance is None else (0, 0)
        found = {"unit_range": bool(unit_range and unit_range[k]), "flattened": constant, "lost_rows": lost}
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
        none: dict[str, Any] = {"max_abs": 0.0, "mean_abs": 0.0, "cosine": None, "sqnr_db": None, "elements": 0}
        return TensorDifference(name=name, share_outside=share_outside, nan_mismatch=mismatched > 0, **none)
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


def _rows(pairs: Pairs) -> tuple[int, int]:
    """Rows along the first or the last axis that are (constant, lost) in the candidate: whichever axis has more.

    Lost are those of whose variation less than 3 dB is left. In a tensor that pools pixels with probabilities the SQNR of the
    whole does not show them. (0, 0) where shapes differ between images, or where few rows are: a channel that hardly speaks
    may round to nothing.
    """
    shapes = {r.shape for r, _ in pairs}
    shape = next(iter(shapes), ())
    if len(shapes) != 1 or len(shape) < 2:
        return 0, 0
    found = [(0, 0)]
    for axis in (0, len(shape) - 1):
        if 2 <= shape[axis] <= MOST_ROWS and np.prod(shape) // shape[axis] >= LEAST_ROW:
            found.append(_rows_along(pairs, axis, shape[axis]))
    return max(found)


def _rows_along(pairs: Pairs, axis: int, count: int) -> tuple[int, int]:
    n, total, squares, noise = 0, np.zeros(count), np.zeros(count), np.zeros(count)
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    for r, c in pairs:
        rows_r, rows_c = (np.moveaxis(np.asarray(a, np.float64), axis, 0).reshape(count, -1) for a in (r, c))
        if not (np.isfinite(rows_r).all() and np.isfinite(rows_c).all()):
            return 0, 0
        n += rows_r.shape[1]
        total += rows_r.sum(axis=1)
        with np.errstate(over="ignore"):
            squares += np.square(rows_r).sum(axis=1)
            noise += np.square(rows_r - rows_c).sum(axis=1)
        low, high = np.minimum(low, rows_c.min(axis=1)), np.maximum(high, rows_c.max(axis=1))
    with np.errstate(over="ignore", invalid="ignore"):
        variation = squares - np.square(total) / n
        varies = variation > VARIES**2 * squares
        counts = int((varies & (high <= low)).sum()), int((varies & (noise > variation / 2)).sum())
    constant, lost = (c if c * 10 >= count else 0 for c in counts)
    return constant, lost
