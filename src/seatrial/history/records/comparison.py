"""B against A, in rounds: verdict, change and every pair."""

from __future__ import annotations

from typing import Literal

from seatrial.history.records.values import Frozen, Measured
from seatrial.warning import Warning

ComparisonVerdict = Literal["REGRESSION", "IMPROVED", "EQUIVALENT", "INCONCLUSIVE"]


class Pair(Frozen):
    """One round of fresh processes. effect: ln of B over the mean of A and A again; control: ln(A again / A), what
    nothing at all looks like.

    within_se: standard error of the effect from its own blocks; of a tail, which is not in a block, None. values: the
    metric of each side in seconds; launched: the sides in the order in which their processes were started; build: which of
    several independent builds of their engines ran; None without engines; disturbances: what else the machine did.
    """

    effect: float
    control: float | None
    within_se: float | None
    values: dict[str, float]
    launched: tuple[str, ...]
    burst: int
    blocks: int
    wall_s: float
    build: int | None = None
    disturbances: tuple[Warning, ...] = ()


class AskedSide(Frozen):
    """What was asked of one side. python: the interpreter that ran it; native_loop: whether it was called without one."""

    batch: int
    threads: int
    backend: str
    backend_options: dict[str, bool | int | float | str] = {}
    python: str
    input_shapes: dict[str, tuple[int, ...]]
    native_loop: bool


class Asked(Frozen):
    """The question behind a comparison in lock-step."""

    max_time_s: float
    confidence: float
    seed: int
    a: AskedSide
    b: AskedSide


class Comparison(Frozen):
    """B against A in one metric and stage. `change` is B / A - 1 with its interval: above 0, B takes longer."""

    a: str
    b: str
    metric: str
    stage: str
    design: Literal["lock-step", "separate runs"]
    verdict: ComparisonVerdict
    reason: str
    margin: float
    change: Measured
    a_value: Measured
    b_value: Measured
    p_value: float
    p_adjusted: float
    """Benjamini-Hochberg over the metrics that were judged together."""
    detectable: float | None = None
    """The least change that these pairs would have told from none four times in five."""
    pairs_sd: float | None = None
    noise_floor: float | None = None
    """The same of A against A, in the same rounds: no margin below it can be judged."""
    noise_sd: float | None = None
    control: Measured | None = None
    """A against itself: what the harness sees where nothing differs."""
    launched_second: float | None = None
    """By what share the side whose process is started later is slower, or faster where negative."""
    pairs: tuple[Pair, ...] = ()
    builds: dict[str, int] = {}
    """How many independent builds of its engine each side ran, a or b; of a side without an engine nothing."""
    asked: Asked | None = None
    details: dict[str, dict[str, str]] = {}
    warnings: tuple[Warning, ...] = ()
