"""Which of several backends is the odd one, and whether a precision that was said is the one that runs.

For: outputs that are at hand. Not for: opening backends (opened.py), or what that means for the verdict (by_itself.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.diagnose import Part
from seatrial.diagnosis.distance import tensor_distance
from seatrial.diagnosis.mutations.model import AGAINST
from seatrial.diagnosis.stages import INPUT, OUTPUTS
from seatrial.diagnosis.way import Run, Way
from seatrial.errors import SeatrialError, count_of
from seatrial.history.records.diagnosis import Diagnosis
from seatrial.history.records.measurement import said_of_types, share_computed, share_untold

Array = npt.NDArray[Any]
# Of three, the odd one is so many times as far from both as these are from each other.
ODD_FACTOR = 5.0
# Share of a tensor's spread below which backends differ by their rounding.
LEAST_ODD = 1e-3
# Of the products, as a trial has it: a row with fewer is called by both names.
LEAST_SHARE = 0.5
VOTE_IMAGES = 4


def odd_one_out(outputs: Mapping[str, Sequence[Sequence[Array]]]) -> str | None:
    """By backend, outputs an image: the one that differs from all others where these agree; None where there is none, or with
    fewer than three. The reference has no more right than any other."""
    names = list(outputs)
    if len(names) < 3:
        return None
    apart = {(a, b): _mean_distance(outputs[a], outputs[b]) for a in names for b in names if a < b}
    for odd in names:
        own = [d for pair, d in apart.items() if odd in pair]
        others = [d for pair, d in apart.items() if odd not in pair]
        if min(own) > ODD_FACTOR * max(others) and min(own) > LEAST_ODD:
            return odd
    return None


def backend_wrong(part: Part, way: Way, backends: tuple[str, str], judges: Mapping[str, Run]) -> Diagnosis | None:
    """Of the same model, in the same precision, on the candidate's own inputs. backends: the reference's and the candidate's,
    '' where nobody knows it: then the model may be another one as well. None where there is no third, or no odd one."""
    reference, candidate = backends
    if not candidate or candidate == reference or (part.stretch.start, part.stretch.end) != (INPUT, OUTPUTS):
        return None
    images = part.differing[:VOTE_IMAGES]
    outputs = {
        reference: [part.stretch.made(way, i).value for i in images],
        candidate: [part.stretch.candidate(i) for i in images],
    }
    for name, run in judges.items():
        try:
            judged = way.with_run(run)
            outputs[name] = [part.stretch.made(judged, i).value for i in images]
        except (SeatrialError, ValueError):
            continue  # one that cannot run the model has no vote
    odd = odd_one_out(outputs)
    if odd not in backends:
        return None
    others = " and ".join(n for n in outputs if n != odd)
    side = "candidate" if odd == candidate else "reference"
    return Diagnosis(
        fault="backend-wrong",
        what=f"runs on {candidate}, against all others" if odd == candidate else f"agrees with {others}, {AGAINST}",
        stage=OUTPUTS,
        confirmed=len(images),
        evidence=f"of the same model on the same inputs {others} agree, and the {side}'s {odd} is the odd one",
    )


def in_fp32(parts: Sequence[Part], way: Way) -> list[tuple[list[Array], list[Array]]]:
    """Of each image the outputs of an fp32 reference, and the candidate's, of the same input; none where it is not shown."""
    part = next((p for p in parts if (p.stretch.start, p.stretch.end) == (INPUT, OUTPUTS)), None)
    if part is None:
        return []
    return [(part.stretch.made(way, i).value, part.stretch.candidate(i)) for i in range(len(part.distances))]


def precision_not_applied(
    precision: str, computed_in: Mapping[str, int], in_fp32: Sequence[tuple[Sequence[Array], Sequence[Array]]]
) -> str:
    """Why a backend that says it computes in `precision` does not; '' where it does, or nothing shows it. computed_in: its own
    account (Backend.computed_in); in_fp32: of each image outputs in fp32 and the declared ones, none where nobody has them."""
    if precision == "fp32":
        return ""
    share = share_computed(computed_in, precision)
    if share is not None and share + share_untold(computed_in) < LEAST_SHARE:
        return f"{said_of_types(computed_in)}, by the runtime's own account"
    pairs = [(a, b) for x, y in in_fp32 for a, b in zip(x, y, strict=True)]
    floats = [(a, b) for a, b in pairs if a.dtype.kind == "f" and a.size > 1]
    if floats and all(a.shape == b.shape and np.array_equal(a, b, equal_nan=True) for a, b in floats):
        images = count_of(len(in_fp32), "image")
        return f"its outputs are those of fp32 to the bit, on {images}: {precision} would have rounded"
    return ""


def _mean_distance(a: Sequence[Sequence[Array]], b: Sequence[Sequence[Array]]) -> float:
    return float(np.mean([tensor_distance(x, y) for i, j in zip(a, b, strict=True) for x, y in zip(i, j, strict=True)]))
