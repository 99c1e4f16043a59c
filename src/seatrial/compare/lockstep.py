"""Lock-step pairs: fresh processes, all loaded and warm, that take turns in short bursts while the others sleep.

A slow minute of the machine hits every side alike, and launches are part of what is sampled: see docs/adr/0008. For:
running one round of sides and handing back their bursts. Not for: what the difference means (stats/compare.py).
"""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seatrial.compare.round_plan import BLOCKS, BURST_S, SLOW_S, least_turns_s, longest_turns, plan_turns
from seatrial.compare.turn_task import SideFacts
from seatrial.compare.turner import LOAD_TIMEOUT_S, Side, Turner, open_turner
from seatrial.errors import UsageError
from seatrial.noise.watch import NoiseReport, NoiseWatch
from seatrial.runtimes.engine_builds import engines_of
from seatrial.stages import kernel_column
from seatrial.stats.level import LEAST_SIDE, level_shift

I64 = npt.NDArray[np.int64]
Enough = Callable[[Mapping[str, I64], list[str]], bool]
CheckTime = Callable[[float, float], None]
WARM_UP_S, LEAST_WARM_UP = 0.15, 3
# Where kernels may change while they run.
STEADY_S, MOST_STEADY_S = 1.0, 10.0
# A turn that takes so much longer than the warm-up said is stuck.
LEAST_TURN_TIMEOUT_S, STUCK = 30.0, 100


@dataclass(frozen=True)
class Round:
    """blocks_ns: per side (blocks, burst, stages + 1) int64: each stage, and last the whole.

    launched: the sides in the order in which their processes were started. restless: of each side, the share of its turns
    after which its process worked on, and so took a core from the next side's turn. unsteady: sides whose kernels may change,
    and whose latency kept no level before or during their turns.
    """

    blocks_ns: dict[str, I64]
    stages: list[str]
    launched: list[str]
    burst: int
    facts: dict[str, SideFacts]
    noise: NoiseReport
    wall_s: float
    restless: Mapping[str, float] = field(default_factory=dict)
    unsteady: frozenset[str] = frozenset()

    @property
    def requests_s(self) -> dict[str, float]:
        """Mean of each side's requests."""
        return {name: float(table[:, :, -1].mean()) / 1e9 for name, table in self.blocks_ns.items()}

    @property
    def other_s(self) -> float:
        """What the round took beside its turns: loading, warming up and ending three processes."""
        blocks = len(next(iter(self.blocks_ns.values())))
        return max(0.0, self.wall_s - blocks * (self.burst + 1) * sum(self.requests_s.values()))


@dataclass(frozen=True)
class RoundSize:
    """How much a round measures.

    least_requests: how many a side must have answered at the end, which may make bursts longer. budget_s: loading and turns are
    to fit into it; a slow model gets fewer blocks, and then shorter bursts, but never less than round_plan.least_turns_s takes.
    requests_s: what a request of each side took in an earlier round, which the time is then planned with.
    """

    blocks: int = BLOCKS
    least_requests: int = 1
    budget_s: float = math.inf
    requests_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RoundHooks:
    """Who hears of a round while it runs.

    tell: shares of its turns. check_time: before the first turn, how many seconds went by until then and how many the shortest
    round's turns take at the least; may raise. enough: the blocks so far and the stages, as a Round has them; may ask for more,
    up to MOST_TIMES as many and within the budget. It must not look at what the sides' difference is, only at how well it is
    known.
    """

    tell: Callable[[float], None] = lambda _share: None
    check_time: CheckTime = lambda _ready_s, _turns_s: None
    enough: Enough = lambda _blocks, _stages: True


def run_round(
    sides: Sequence[Side],
    folder: Path,
    seed: int,
    size: RoundSize = RoundSize(),
    *,
    launch: Sequence[str] = (),
    hooks: RoundHooks = RoundHooks(),
) -> Round:
    """One process a side, started in random order; `size.blocks` blocks in which each side has one turn.

    launch: the order of starts by name, where it is not to be random.

    Within a block the order is random, and the next block's is its mirror image (ABBA), so that a steady drift cancels. Every
    side's order of images begins anew before the first turn, from one seed: in each block all sides see the same images,
    those of the request that is not kept included, and the next round sees them in another order.

    Raises:
        UsageError: the sides have different stages.
        ResultsError: the folder cannot be written.
        SeatrialError: a side could not load or broke; the message has its label and its last words.
    """
    began = time.monotonic()
    rng = random.Random(seed)
    by_name = {side.name: side for side in sides}
    starts = list(launch) or list(by_name)
    if not launch:
        rng.shuffle(starts)
    with contextlib.ExitStack() as stack:
        turners: dict[str, Turner] = {}
        # A builder times kernels while it builds, and would time the others' building too.
        one_by_one = any(engines_of(side.choice) == "each time" for side in sides)
        for name in starts:
            turners[name] = stack.enter_context(
                open_turner(by_name[name], folder, longest_turns(size.blocks, size.least_requests))
            )
            if one_by_one:
                turners[name].await_reply(LOAD_TIMEOUT_S)
        for turner in () if one_by_one else turners.values():
            turner.await_reply(LOAD_TIMEOUT_S)
        _check_stages(turners.values())
        names = list(by_name)
        warm = {name: warm_up(turners[name]) for name in names}
        own_s = [size.requests_s.get(name, warm[name].request_s) for name in names]
        hand_over_s = sum(w.hand_over_s for w in warm.values())
        ready_s = time.monotonic() - began
        # Of unlike images a warm-up sees a few: what it saw at the least can be held against the question, no more.
        hooks.check_time(
            ready_s, least_turns_s(size.blocks, [w.least_s for w in warm.values()], size.least_requests, hand_over_s)
        )
        plan = plan_turns(size.blocks, own_s, size.least_requests, max(0.0, size.budget_s - ready_s), hand_over_s)
        burst = plan.burst
        stages = list(turners[names[0]].facts().stages)
        cores = sorted({core for t in turners.values() for core in t.facts().affinity})
        for turner in turners.values():
            turner.timeout_s = max(LEAST_TURN_TIMEOUT_S, STUCK * (burst + 1) * max(own_s))
            turner.restart_images(image_seed(seed))

        def tables(done: int) -> dict[str, I64]:
            return {name: bursts_of(turners[name].table(len(stages)), done, burst) for name in names}

        with NoiseWatch([t.pid for t in turners.values()], cores=cores) as watch:
            for done, order in enumerate(turn_orders(names, plan.most, rng), 1):
                for name in order:
                    turners[name].turn(burst)
                if done % 8 == 0:
                    hooks.tell(min(1.0, done / plan.blocks))
                # Behind an odd one the mirror image is still to come.
                late = time.monotonic() - began >= size.budget_s
                if done % 2 == 0 and done >= plan.least and late:
                    break
                if done % plan.blocks == 0 and hooks.enough(tables(done), stages):
                    break
        for turner in turners.values():
            turner.quit()
        facts = {name: turners[name].facts() for name in names}
        restless = {name: turners[name].restless / done for name in names}
        found = tables(done)
        unsteady = frozenset(n for n in names if not warm[n].steady or _changed_level(facts[n], found[n], stages))
    return Round(found, stages, starts, burst, facts, watch.report(), time.monotonic() - began, restless, unsteady)


def _changed_level(facts: SideFacts, blocks_ns: I64, stages: Sequence[str]) -> bool:
    # These rows have no start.
    column = kernel_column(stages)
    in_order = blocks_ns[:, :, column - 1 if column > 0 else -1].ravel()
    return facts.kernels_change and level_shift(in_order) is not None


def image_seed(seed: int) -> int:
    """Of a round's order of images: the sides are told it, in 31 bits."""
    return random.Random(f"images {seed}").getrandbits(31)


def _check_stages(turners: Iterable[Turner]) -> None:
    stages = {t.label: ", ".join(t.facts().stages) for t in turners}
    if len(set(stages.values())) > 1:
        said = "; ".join(f"{label}: {own}" for label, own in sorted(stages.items()))
        raise UsageError(f"expected sides with the same stages, got {said}; compare two models, or two pipelines")


def turn_orders(names: list[str], blocks: int, rng: random.Random) -> Iterator[list[str]]:
    for number in range(blocks):
        if number % 2 == 0:
            order = rng.sample(names, len(names))
            yield order
        else:
            yield order[::-1]


@dataclass(frozen=True)
class WarmUp:
    """What a request takes, and a turn beside its requests: both to plan by, not to judge by. steady: False where kernels may
    change, and the latency kept no level for STEADY_S within MOST_STEADY_S."""

    request_s: float
    least_s: float
    hand_over_s: float
    steady: bool = True


def warm_up(turner: Turner) -> WarmUp:
    """Runs alone for WARM_UP_S of requests, in longer and longer turns, which leaves a pool's coming to rest out of it.

    request_s is the mean behind the first turn, since images differ; least_s of the turn that was quickest. Where kernels may
    change it goes on until turns have kept their level, and what was before that is in no figure.
    """
    changing, in_all_s = turner.facts().kernels_change, 0.0
    count, steady = 1, True
    turns: list[tuple[int, float]] = []
    hand_overs_s: list[float] = []
    while True:
        sent = time.monotonic()
        took_s = turner.command(b"w", count)
        hand_overs_s.append(time.monotonic() - sent - took_s)
        turns.append((count, took_s))
        in_all_s += took_s
        if changing:
            latest, steady = _of_one_level(turns)
            if not steady and in_all_s < MOST_STEADY_S:
                count *= 2 if took_s < BURST_S else 1
                continue
            turns = latest
        done, spent_s = map(sum, zip(*turns, strict=True))
        if spent_s >= WARM_UP_S and (done >= LEAST_WARM_UP or took_s >= SLOW_S):
            break
        count *= 2 if took_s < BURST_S else 1
    counts, seconds = zip(*(turns[1:] or turns), strict=True)
    least_s = min(took_s / count for count, took_s in turns)
    return WarmUp(sum(seconds) / sum(counts), least_s, sorted(hand_overs_s)[len(hand_overs_s) // 2], steady)


def _of_one_level(turns: list[tuple[int, float]]) -> tuple[list[tuple[int, float]], bool]:
    """The latest turns that took STEADY_S together, and whether they kept one level with as many before them as a shift could
    hide in."""
    latest_s = np.cumsum([took_s for _, took_s in reversed(turns)])
    enough = max(int(np.searchsorted(latest_s, STEADY_S)) + 1, LEAST_SIDE)
    if enough + LEAST_SIDE > len(turns):
        return turns, False
    looked_at = [took_s / count for count, took_s in turns[-enough - LEAST_SIDE :]]
    return turns[-enough:], level_shift(looked_at) is None


def bursts_of(rows: I64, blocks: int, burst: int) -> I64:
    """(blocks, burst, stages + 1): the first request of each turn is left out."""
    return rows[:, 1:].reshape(blocks, burst + 1, -1)[:, 1:]
