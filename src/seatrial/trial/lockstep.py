"""Lock-step pairs: fresh processes, all loaded and warm, that take turns in short bursts while the others sleep.

A slow minute of the machine hits every side alike, and launches are part of what is sampled: see docs/adr/0008. For:
running one round of sides and handing back their bursts. Not for: what the difference means (stats/compare.py).
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial._native.timing import StageSamples
from seatrial.errors import BackendUnavailableError, CellError, ModelError, ResultsError, SeatrialError, UsageError
from seatrial.history.store import why_not_written
from seatrial.timing.noise import NoiseReport, NoiseWatch
from seatrial.trial.process import last_words
from seatrial.trial.process_tree import ProcessTree
from seatrial.trial.shared import anonymous_file
from seatrial.trial.turns import COMMAND, DONE
from seatrial.units import format_seconds

I64 = npt.NDArray[np.int64]
Enough = Callable[[Mapping[str, I64], list[str]], bool]
# Short turns and many blocks: what disturbs longer than a block hits all sides, and the median over blocks drops the rest.
BLOCKS = 40
# A burst is as short as hides the hand-over: the first inference after a sleep has cold caches and is not kept.
BURST_S = 0.012
# Fewer would leave the median over blocks to chance.
LEAST_BLOCKS = 8
# A request that takes longer than SLOW_S wakes its caches by itself, and is a burst of its own.
LEAST_BURST, MOST_BURST, SLOW_S = 3, 64, 0.1
WARM_UP_S = 0.15
# Where requests vary much, a round goes on, up to so many times its blocks.
MOST_TIMES = 3
# Loading may build an engine; a turn that takes so much longer than the warm-up said is stuck.
LOAD_TIMEOUT_S, LEAST_TURN_TIMEOUT_S, STUCK = 600.0, 30.0, 100
LISTEN_S = 0.5
MOST_STAGES = 8


@dataclass(frozen=True)
class Side:
    """What one process runs. `task` is what turns.py reads; `python` the interpreter that runs it.

    name: of its files and of its column in a Round; label: what errors call it, the name where there is none.
    """

    name: str
    task: Mapping[str, Any]
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)
    label: str = ""


@dataclass(frozen=True)
class Round:
    """blocks_ns: per side (blocks, burst, stages + 1) int64: each stage, and last the whole.

    launched: the sides in the order in which their processes were started.
    """

    blocks_ns: dict[str, I64]
    stages: list[str]
    launched: list[str]
    burst: int
    details: dict[str, dict[str, Any]]
    noise: NoiseReport
    wall_s: float


def run_round(
    sides: Sequence[Side], folder: Path, seed: int, *, blocks: int = BLOCKS, least_requests: int = 1,
    launch: Sequence[str] = (), tell: Callable[[float], None] = lambda _: None, budget_s: float = math.inf,
    enough: Enough = lambda _blocks, _stages: True, check_time: Callable[[float], None] = lambda _: None,
) -> Round:  # fmt: skip
    """One process a side, started in random order; `blocks` blocks in which each side has one turn.

    least_requests: how many a side must have answered at the end, which may make bursts longer. launch: the order of starts
    by name, where it is not to be random. budget_s: loading and turns are to fit into it; a slow model gets fewer blocks,
    but never fewer than LEAST_BLOCKS, or than least_requests take. check_time: hears, before the first turn, how many
    seconds all turns will take, and may raise. enough: hears the blocks so far and the stages, as a Round has them, and may
    ask for more, up to MOST_TIMES as many and within the budget; it must not look at what the sides' difference is, only at
    how well it is known.

    Within a block the order is random, and the next block's is its mirror image (ABBA), so that a steady drift cancels.

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
        turners: dict[str, _Turner] = {}
        longest = max(MOST_BURST, -(-least_requests // blocks))
        for name in starts:
            turners[name] = stack.enter_context(_turner(by_name[name], folder, MOST_TIMES * blocks * (longest + 1)))
        for turner in turners.values():
            turner.await_reply(LOAD_TIMEOUT_S)
        _check_stages(turners.values())
        names = list(by_name)
        slowest_s = max(_warm_up(turners[name]) for name in names)
        left_s = max(0.0, budget_s - (time.monotonic() - began))
        plan = _plan(blocks, slowest_s, least_requests, len(names), left_s)
        burst, most = plan.burst, plan.most
        check_time(plan.blocks * plan.block_s)
        stages = turners[names[0]].facts()["stages"]
        cores = sorted({core for t in turners.values() for core in t.facts()["affinity"]})
        for turner in turners.values():
            turner.timeout_s = max(LEAST_TURN_TIMEOUT_S, STUCK * (burst + 1) * slowest_s)
        done = 0
        with NoiseWatch([t.pid for t in turners.values()], cores=cores) as watch:
            while True:
                step = min(plan.blocks, most - done)
                for number, order in enumerate(_orders(names, step, rng)):
                    for name in order:
                        turners[name].turn(burst)
                    if number % 8 == 7:
                        tell(min(1.0, (done + number + 1) / plan.blocks))
                done += step
                tables = {name: _bursts(turners[name].table(len(stages)), done, burst) for name in names}
                late = time.monotonic() - began >= budget_s
                if done >= most or late or enough(tables, stages):
                    break
        for turner in turners.values():
            turner.quit()
        facts = {name: turners[name].facts() for name in names}
    return Round(tables, stages, starts, burst, facts, watch.report(), time.monotonic() - began)


@dataclass(frozen=True)
class _Plan:
    """blocks to begin with, of which at most `most`; burst requests are kept of each turn, and block_s seconds go by."""

    blocks: int
    most: int
    burst: int
    block_s: float


def _plan(blocks: int, request_s: float, least_requests: int, sides: int, left_s: float) -> _Plan:
    """How a round spends its time: bursts as short as hide the hand-over, or as long as a tail's requests ask for."""
    least = LEAST_BURST if request_s < SLOW_S else 1
    burst = int(min(MOST_BURST, max(least, round(BURST_S / request_s))))
    burst = max(burst, -(-least_requests // blocks))
    block_s = (burst + 1) * request_s * sides
    # Even numbers, since each block has its mirror image.
    affordable = int(left_s / block_s) // 2 * 2 if left_s < MOST_TIMES * blocks * block_s else MOST_TIMES * blocks
    needed = -(-max(min(blocks, LEAST_BLOCKS), -(-least_requests // burst)) // 2) * 2
    now = min(blocks, max(needed, affordable))
    return _Plan(now, max(now, affordable), burst, block_s)


def _check_stages(turners: Iterable[_Turner]) -> None:
    stages = {t.label: ", ".join(t.facts()["stages"]) for t in turners}
    if len(set(stages.values())) > 1:
        said = "; ".join(f"{label}: {own}" for label, own in sorted(stages.items()))
        raise UsageError(f"expected sides with the same stages, got {said}; compare two models, or two pipelines")


def _orders(names: list[str], blocks: int, rng: random.Random) -> Iterator[list[str]]:
    for number in range(blocks):
        if number % 2 == 0:
            order = rng.sample(names, len(names))
            yield order
        else:
            yield order[::-1]


def _warm_up(turner: _Turner) -> float:
    """Runs alone for a while; gives the seconds of one request, of the turn that was disturbed least."""
    count, spent, least_s = 1, 0.0, math.inf
    while True:
        began = time.monotonic()
        turner.command(b"w", count)
        took = time.monotonic() - began
        spent += took
        least_s = min(least_s, took / count)
        if spent >= WARM_UP_S and (count >= 4 or least_s >= SLOW_S):
            return least_s
        count = min(MOST_BURST, count * 2)


def _bursts(rows: I64, blocks: int, burst: int) -> I64:
    """(blocks, burst, stages + 1): the first request of each turn is left out."""
    return rows[:, 1:].reshape(blocks, burst + 1, -1)[:, 1:]


class _Turner:
    """The parent's end of one process."""

    def __init__(
        self, side: Side, child: subprocess.Popen[bytes], commands: int, replies: int, memory: int, files: Path
    ) -> None:
        self.side = side
        self._child = child
        self._commands = commands
        self._replies = replies
        self._memory = memory
        self._files = files
        self.timeout_s = LOAD_TIMEOUT_S

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def label(self) -> str:
        return self.side.label or self.side.name

    def turn(self, burst: int) -> None:
        # One more than is kept: it wakes the caches.
        self.command(b"t", burst + 1)

    def command(self, letter: bytes, count: int) -> None:
        with contextlib.suppress(BrokenPipeError):  # the reply that does not come says why
            os.write(self._commands, COMMAND.pack(letter, count))
        self.await_reply(self.timeout_s)

    def quit(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._commands, COMMAND.pack(b"q", 0))

    def await_reply(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._replies, selectors.EVENT_READ)
            while not selector.select(LISTEN_S):
                # A helper that it forked keeps the pipe open, so that its death may leave no end of file behind.
                if self._child.poll() is not None:
                    raise self._broken()
                if time.monotonic() > deadline:
                    raise CellError(
                        f"{self.label}: gave no answer within {format_seconds(timeout_s)} and was stopped; run it alone, "
                        "with 'seatrial bench', to see where it hangs"
                    )
        if os.read(self._replies, 1) != DONE:
            raise self._broken()

    def facts(self) -> dict[str, Any]:
        try:
            facts: dict[str, Any] = json.loads(self._files.with_suffix(".json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return facts

    def table(self, stages: int) -> I64:
        size = os.fstat(self._memory).st_size
        return StageSamples.read(os.pread(self._memory, size, 0), stages)

    def _broken(self) -> SeatrialError:
        facts = self.facts()
        if facts.get("error"):
            kinds = {4: ModelError, 5: BackendUnavailableError}
            return kinds.get(int(facts["exit_code"]), CellError)(f"{self.label}: {facts['error']}")
        # Its output goes with the round's folder, so that nobody can be sent there.
        ended = last_words(self._child.wait(), self._files.with_suffix(".log")).partition("; the cell's last output")[0]
        return CellError(f"{self.label}: {ended}")


@contextlib.contextmanager
def _turner(side: Side, folder: Path, capacity: int) -> Iterator[_Turner]:
    """Starts a side's process; ends it and everything that it started on the way out."""
    files = folder / side.name
    task_file, answer, log_file = (files.with_suffix(suffix) for suffix in (".task", ".json", ".log"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        answer.unlink(missing_ok=True)
        task_file.write_text(json.dumps({**side.task, "answer": str(answer), "capacity": capacity}), "utf-8")
        log_file.touch()
    except OSError as e:
        raise ResultsError(f"{folder}: a round's files cannot be written: {why_not_written(e)}") from e
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as theirs:
        try:
            command_end, commands = _pipe(theirs, stack)
            replies, reply_end = _pipe(stack, theirs)
            memory = anonymous_file()
            stack.callback(os.close, memory)
            # Room for any number of stages that a side may have; the child writes as much as it has of them.
            os.ftruncate(memory, 8 * StageSamples.words(capacity, MOST_STAGES))
            log = stack.enter_context(log_file.open("wb"))
        except OSError as e:
            raise ResultsError(
                f"{side.label or side.name}: the system gives no pipe, file or memory for its process: {e.strerror}"
            ) from e
        words = [side.python, "-P", "-m", "seatrial.trial.turns", str(task_file)]
        try:
            child = ProcessTree(
                [*words, str(command_end), str(reply_end), str(memory)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(command_end, reply_end, memory),
                env={**os.environ, "OMP_NUM_THREADS": str(side.task["threads"]), **side.environment},
            )  # fmt: skip
        except OSError as e:
            label = side.label or side.name
            raise BackendUnavailableError(f"{label}: {side.python} cannot be started: {e.strerror or e}") from None
        stack.callback(child.end)
        theirs.close()
        yield _Turner(side, child, commands, replies, memory, files)


def _pipe(reader_stack: contextlib.ExitStack, writer_stack: contextlib.ExitStack) -> tuple[int, int]:
    reader, writer = os.pipe()
    reader_stack.callback(os.close, reader)
    writer_stack.callback(os.close, writer)
    return reader, writer
