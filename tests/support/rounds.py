"""Rounds of a comparison without processes: a stand-in for run_round, and rounds from tables.

For: tests of what is made of rounds. Not for: a round itself (compare/lockstep.py has real processes in its tests).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import pytest

from seatrial.compare import rounds as compare_rounds
from seatrial.compare.lockstep import Round, RoundHooks, RoundSize, run_round
from seatrial.compare.turn_task import SideFacts
from seatrial.compare.turner import Side
from seatrial.errors import CellError
from seatrial.jobs.workload import PipelineWorkload
from seatrial.noise.counters import COLUMNS
from seatrial.noise.report import NoiseReport, summarise
from seatrial.noise.timeline import Timeline
from seatrial.stages import PIPELINE_STAGES

QUIET = summarise(Timeline((0,), np.zeros((2, len(COLUMNS)), np.int64)))
LEAST_NS = 1_000_000


class RunsRounds(Protocol):
    """What compare/rounds.py calls, word for word: run_round, and whatever stands in for it."""

    def __call__(
        self, sides: Sequence[Side], folder: Path, seed: int, size: RoundSize, *, launch: Sequence[str], hooks: RoundHooks
    ) -> Round: ...  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What one round was asked for."""

    sides: Sequence[Side]
    folder: Path
    seed: int
    size: RoundSize
    launch: Sequence[str]


Answer = Callable[[Asked], Round]


class Rounds:
    """Stands in for run_round: keeps what was asked for, and answers with what it was given, or raises what that raises.

    takes: what loading takes, and the shortest round's turns, in seconds, as the question's time is checked with.
    """

    def __init__(self, answer: Answer, takes: Callable[[Asked], tuple[float, float]] = lambda _: (0.0, 0.0)) -> None:
        self.answer = answer
        self.takes = takes
        self.asked: list[Asked] = []

    def __call__(
        self, sides: Sequence[Side], folder: Path, seed: int, size: RoundSize, *, launch: Sequence[str], hooks: RoundHooks
    ) -> Round:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        asked = Asked(sides, folder, seed, size, launch)
        self.asked.append(asked)
        hooks.check_time(*self.takes(asked))
        answer = self.answer(asked)
        hooks.tell(0.5)
        hooks.tell(1.0)
        return answer

    @property
    def sides(self) -> Sequence[Side]:
        """Of the last round."""
        return self.asked[-1].sides

    def in_place(self, patch: pytest.MonkeyPatch) -> Rounds:
        """Comparisons call it from now on."""
        patch.setattr(compare_rounds, "run_round", self)
        return self


def round_of(
    tables_ns: Mapping[str, npt.NDArray[np.int64]], launched: Sequence[str], stages: Sequence[str] = ("infer",),
    noise: NoiseReport = QUIET, wall_s: float = 0.0, load_s: float = 0.1,
) -> Round:  # fmt: skip
    """tables_ns: of each side (blocks, burst, stages + 1), as a Round has them."""
    facts = SideFacts(tuple(stages), {"runtime": "made up"}, (1,), load_s)
    burst = next(iter(tables_ns.values())).shape[1]
    return Round(
        dict(tables_ns), list(stages), list(launched), burst, dict.fromkeys(tables_ns, facts), noise, wall_s
    )  # fmt: skip


def prepared(rounds: Sequence[Round], then: BaseException | None = None) -> Answer:
    """One after another; behind the last one a side breaks, unless something else happens."""
    waiting = iter(rounds)

    def answer(_: Asked) -> Round:
        found = next(waiting, None)
        if found is None:
            raise then or CellError("B: it broke")
        return found

    return answer


def by_ratio(*ratios: float) -> Answer:
    """B's latency over A's, round by round and over again, of models and of pipelines."""

    def answer(asked: Asked) -> Round:
        stages = PIPELINE_STAGES if isinstance(asked.sides[0].work, PipelineWorkload) else ("infer",)
        base = np.full((asked.size.blocks, 3, len(stages) + 1), LEAST_NS)
        b = (base * ratios[asked.seed % 1000 % len(ratios)]).astype(np.int64)
        return round_of({"a": base, "b": b, "control": base}, asked.launch, stages)

    return answer


def refused(_: Asked) -> Round:
    """Where nothing may be run."""
    pytest.fail("a round was started")


def with_a_real_first(made: Callable[[Asked, Round], Round]) -> Answer:
    """Processes run the first round; `made` makes each from it, since a busy machine's own times say nothing."""
    first: list[Round] = []

    def answer(asked: Asked) -> Round:
        if not first:
            first.append(run_round(asked.sides, asked.folder, asked.seed, RoundSize(blocks=2), launch=asked.launch))
        return made(asked, first[0])

    return answer


if TYPE_CHECKING:
    _real: RunsRounds = run_round
    _made_up: RunsRounds = Rounds(refused)
