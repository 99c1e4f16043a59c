"""What the harness itself costs and sees on this machine: its clock, its loops, its timers, and A against A.

For: `seatrial doctor --measure`. Not for: measuring models (bench) or settings that disturb (machine/).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from seatrial._native.timing import (
    PythonWork,
    SpinWork,
    StageSamples,
    Work,
    clock_step_ns,
    closed_loop,
    now_ns,
    open_loop,
)
from seatrial.compare.question import Question
from seatrial.compare.rounds import compare_sides
from seatrial.compare.sides import model_side
from seatrial.history.records import Harness
from seatrial.timing.arrivals import constant

REQUESTS = 100_000
ROUNDS = 11
WAKE_RATE, WAKE_S = 200.0, 2.0
# Rounds are as short as they may be; where processes load slowly, eight of them still have to fit.
COMPARED_S = 60.0


def measure_harness(model: Path, tell: Callable[[str, float], None], time_key: str = "") -> Harness:
    """About half a minute; `model` is compared with itself. time_key: as a Question's.

    BackendUnavailableError where onnxruntime is not there for the comparison.
    """
    tell("the clock and the loops", 0.0)
    native = _iteration_ns(SpinWork())
    python = _iteration_ns(PythonWork(lambda lap: lap()))
    tell("timers", 0.0)
    late = _lateness_ns()
    side = model_side(model)
    with tempfile.TemporaryDirectory() as folder:
        (comparison,) = compare_sides(
            side,
            side,
            Question(max_time_s=COMPARED_S, time_key=time_key),
            Path(folder, "rounds"),
            ("A", "A again"),
            tell,
        )
    return Harness(clock_step_ns(), _clock_read_ns(), native, python, late, comparison)


def _iteration_ns(work: Work) -> float:
    per_round = []
    for _ in range(ROUNDS):
        samples = StageSamples(REQUESTS, 1)
        began = now_ns()
        closed_loop(work, samples, deadline_ns=began + 10**10, most=REQUESTS)
        per_round.append((now_ns() - began) / REQUESTS)
    return float(np.median(per_round))


def _clock_read_ns() -> float:
    """From the rows of the native loop: work that does nothing lies between two readings.

    The median of parts' means: one loss of the core would move the mean of all, and the clock's steps the median of rows.
    """
    samples = StageSamples(REQUESTS, 1)
    closed_loop(SpinWork(), samples, deadline_ns=now_ns() + 10**10, most=REQUESTS)
    return float(np.median([part.mean() for part in np.array_split(samples.to_array()[:, 1], ROUNDS)]))


def _lateness_ns() -> tuple[float, float]:
    due = constant(WAKE_RATE, WAKE_S)
    samples = StageSamples(len(due), 2)
    first = now_ns() + 10_000_000
    open_loop([SpinWork()], [samples], due, first_ns=first, deadline_ns=first + int(2e9 * WAKE_S))
    late = samples.to_array()[:, 1]
    return float(np.quantile(late, 0.5)), float(np.quantile(late, 0.99))
