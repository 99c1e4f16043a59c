"""What a difference of a model's raw outputs looks like: which output, which of its rows, which form its values take.

Not for: images (places.py), or which node makes it (localise).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.distance import tensor_distance
from seatrial.diagnosis.shapes.clause import (
    LEAST_VALUES,
    LOCATED,
    PLACE,
    UNRELATED,
    Clause,
    best_of,
    percent,
    ranges,
)
from seatrial.diagnosis.shapes.forms import Pair, affine_of_each, value_forms

Array = npt.NDArray[Any]
F64 = npt.NDArray[np.float64]
# An axis as long as this is one of kinds of values, such as boxes' sides and classes; a longer one is of places.
MOST_KINDS = 256
MOST_NAMED = 12


def outputs_said(names: Sequence[str], pairs: Sequence[tuple[Sequence[Array], Sequence[Array]]]) -> list[Clause]:
    """pairs: of each image all outputs of the reference and the candidate, of equal shapes."""
    apart = [sum(tensor_distance(r[k], c[k]) for r, c in pairs) for k in range(len(names))]
    worst = int(np.argmax(apart))
    said = []
    share = apart[worst] / (sum(apart) or 1.0)
    if len(names) > 1 and share >= LOCATED:
        said.append(Clause(share, f"output {names[worst]} alone has {percent(share)} of it"))
    return [*said, *tensors_said([(np.asarray(r[worst]), np.asarray(c[worst])) for r, c in pairs])]


def tensors_said(pairs: Sequence[tuple[Array, Array]]) -> list[Clause]:
    """Of one tensor of each image."""
    r, c = (np.stack([np.asarray(p[side], np.float64) for p in pairs]) for side in (0, 1))
    # The batch of one says nothing.
    r, c = (x.reshape(len(pairs), *(x.shape[2:] if x.ndim > 2 and x.shape[1] == 1 else x.shape[1:])) for x in (r, c))
    finite = np.isfinite(r) & np.isfinite(c)
    if int((finite & (r != c)).sum()) < LEAST_VALUES:
        return []
    where = next((w for axis in range(1, r.ndim) if (w := _rows(r, c, finite, axis))), None)
    form = best_of(_forms(r, c))
    random = None if form or where else _random(r, c, finite)
    return [clause for clause in (where, form, random) if clause is not None]


def _rows(r: F64, c: F64, finite: npt.NDArray[np.bool_], axis: int) -> Clause | None:
    """Those along an axis that hold nearly all of it, each by its own spread: pixels stand beside probabilities."""
    count = r.shape[axis]
    if count < 2:
        return None
    others = tuple(k for k in range(r.ndim) if k != axis)
    with np.errstate(invalid="ignore"):
        delta = np.where(finite, np.abs(r - c), 0.0).mean(axis=others)
        own = np.where(finite, r, 0.0)
    spread = own.std(axis=others) if count <= MOST_KINDS else np.ones(count)
    shares = np.divide(delta, spread, out=delta.copy(), where=spread > 0)
    order = np.argsort(-shares)
    passed = np.cumsum(shares[order]) / (shares.sum() or 1.0)
    needed = int(np.searchsorted(passed, LOCATED)) + 1
    if needed > max(1, int(PLACE * count)):
        return None
    share = float(passed[needed - 1])
    which = [int(k) for k in order[:needed]]
    named = f"row{'s' * (needed > 1)} {ranges(which)} (of {count})"
    words = named if needed <= MOST_NAMED else f"{needed} of {count} rows"
    return Clause(share, f"{percent(share)} of it lies in {words} along axis {axis}")


def _forms(r: F64, c: F64) -> list[Clause]:
    """Of all values alike; and of each kind its own where an axis has few."""
    found = value_forms([Pair(_flat(r), _flat(c))])
    for axis in (a for a in range(1, r.ndim) if 2 <= r.shape[a] <= MOST_KINDS):
        kinds = [np.moveaxis(x, axis, -1).reshape(-1, r.shape[axis]) for x in (r, c)]
        if len(kinds[0]) < LEAST_VALUES:
            continue
        share = affine_of_each(kinds[0], kinds[1])
        said = f"an affine change of each row along axis {axis} explains {percent(share)} of it"
        found.append(Clause(share, said, 2 * r.shape[axis]))
    return found


def _flat(values: F64) -> F64:
    return values.reshape(-1, 1, 1)


def _random(r: F64, c: F64, finite: npt.NDArray[np.bool_]) -> Clause | None:
    delta = np.where(finite, c - np.where(finite, r, 0.0), 0.0)
    last = delta[..., 1:].ravel(), delta[..., :-1].ravel()
    related = [_correlation(*last), _correlation(delta.ravel(), np.where(finite, r, 0.0).ravel())]
    if max(map(abs, related)) > UNRELATED:
        return None
    said = (
        f"it looks random: of {np.abs(delta).mean():.3g} on the mean, unrelated to its neighbours (correlation "
        f"{related[0]:.2f}) and to the values themselves ({related[1]:.2f})"
    )
    return Clause(1.0, said)


def _correlation(a: F64, b: F64) -> float:
    x, y = a - a.mean(), b - b.mean()
    size = float(np.sqrt(np.square(x).sum() * np.square(y).sum()))
    return float((x * y).sum()) / size if size else 0.0
