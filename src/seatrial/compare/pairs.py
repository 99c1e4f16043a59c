"""From a round to numbers: the metric of each side's bursts, and one pair of them a round and metric.

Not for: what pairs add up to, and verdicts (verdicts.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from seatrial.compare.lockstep import Round
from seatrial.compare.question import Question
from seatrial.errors import UsageError, did_you_mean
from seatrial.history.records import Pair
from seatrial.stages import END_TO_END
from seatrial.stats.compare import hodges_lehmann, within_pair_se
from seatrial.stats.sample import quantile_of

F64 = npt.NDArray[np.float64]
A, B, CONTROL = "a", "b", "control"
# Launches differ by some 0.3 %; a round whose own error is as large as that needs no more blocks.
WITHIN_TARGET = 0.003


def stage_and_columns(stages: list[str], question: Question) -> tuple[str, list[str]]:
    columns = [*stages, END_TO_END]
    stage = question.stage or (END_TO_END if len(stages) > 1 else stages[0])
    if stage not in columns:
        raise UsageError(
            f"expected one of {', '.join(columns)}, got {stage!r}{did_you_mean(stage, columns)}", option="stage"
        )
    return stage, columns


def pair_of(r: Round, metric: str, column: int) -> Pair:
    seconds = {name: table[:, :, column] / 1e9 for name, table in r.blocks_ns.items()}
    logs = {name: block_logs(s, metric) for name, s in seconds.items()}
    return Pair(
        effect=hodges_lehmann(_units(logs)),
        control=hodges_lehmann(logs[CONTROL] - logs[A]),
        within_se=_within_se(seconds, metric),
        values={name: _value(s, metric) for name, s in seconds.items()},
        launched=tuple(r.launched),
        burst=r.burst,
        blocks=len(seconds[A]),
        wall_s=r.wall_s,
        disturbances=r.noise.disturbances,
    )


def _units(logs: Mapping[str, F64]) -> F64:
    """Two launches of A are there anyway, and their mean is the better known."""
    return np.asarray(logs[B] - (logs[A] + logs[CONTROL]) / 2)


def block_logs(seconds: F64, metric: str) -> F64:
    """ln of the metric: of a median one a block and its mirror image, whose mean frees it of who ran behind whom.

    A tail is not in a burst, and a mean is the sum of all requests: the middle one of many bursts would not know of a stall
    now and then, nor of a change in the largest images alone, where most of the time goes. One number of the round comes out.
    """
    if metric != "p50":
        return np.array([np.log(_value(seconds, metric))])
    by_block = np.log(np.median(seconds, axis=1))
    return np.asarray((by_block[0::2] + by_block[1::2]) / 2)


def _within_se(seconds: Mapping[str, F64], metric: str) -> float | None:
    """Standard error of the round's own number, from its blocks; None where they do not tell: of a tail, or of one pair."""
    if len(seconds[A]) < 4:
        return None
    if metric == "p50":
        return within_pair_se(_units({name: block_logs(s, metric) for name, s in seconds.items()}))
    if metric != "mean":
        return None
    # ln of a ratio of means, to first order: all sides had the same images in a block, so that these cancel here.
    shares = {name: s.mean(axis=1) / s.mean() for name, s in seconds.items()}
    units = _units({name: (share[0::2] + share[1::2]) / 2 for name, share in shares.items()})
    return float(units.std(ddof=1) / math.sqrt(len(units)))


def _value(seconds: F64, metric: str) -> float:
    if metric == "mean":
        return float(seconds.mean())
    return float(np.quantile(seconds, quantile_of(metric), method="inverted_cdf"))


def well_known(blocks_ns: Mapping[str, npt.NDArray[np.int64]], stages: list[str], question: Question) -> bool:
    """Whether a round's own error is small beside what launches differ by: from the spread of blocks, not from the effect.

    Of a tail it is not known, so that it gets all the time that a round has.
    """
    stage, columns = stage_and_columns(stages, question)
    at = columns.index(stage)
    seconds = {name: table[:, :, at] / 1e9 for name, table in blocks_ns.items()}
    errors = [_within_se(seconds, metric) for metric in question.metrics]
    return all(error is not None and error <= WITHIN_TARGET for error in errors)
