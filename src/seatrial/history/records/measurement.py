"""What a cell measured, how right its answers are, and what disturbed it."""

from __future__ import annotations

from collections.abc import Mapping

from seatrial.history.records.values import Frozen, Measured, StageSummary
from seatrial.runtimes.told import UNTOLD, is_untold
from seatrial.warning import Warning

# In which type the products of a precision compute, where its name is another.
TYPE_OF = {"int8-u8": "int8"}


class EngineComparison(Frozen):
    """One stage with native and with reference kernels, on the cell's own images and outputs, in interleaved rounds.

    difference: the largest absolute one between the two input tensors; None for decoded results. same: bit for bit.
    """

    native: Measured
    reference: Measured
    same: bool
    difference: float | None = None


class Measurement(Frozen):
    """What one process measured. None where nobody lived to tell, or where it is not one figure: the throughput of a search."""

    stages: dict[str, StageSummary]
    throughput: Measured | None = None
    peak_memory: Measured | None = None
    load_time: Measured | None = None
    first_inference: Measured | None = None
    cold_start: Measured | None = None
    """load_time and first_inference."""
    model_size: Measured | None = None
    warm_up: int = 0
    converged: bool = False
    """Whether the median, of several clients' loads the mean, was known as closely as was asked."""
    known_to: float | None = None
    """Half of its interval, over it; None where it has none."""
    spread_of: str = ""
    """The stage that most of the end-to-end spread comes from; empty where none stands out."""
    enough_s: float | None = None
    """Of one that has not converged: the measuring time that probably would do."""
    affinity: tuple[int, ...] = ()
    io_policy: str = ""
    backend_details: dict[str, str] = {}
    engines: dict[str, EngineComparison] = {}
    """What the other kernels would have cost: stages preprocess and postprocess, where they are built in."""
    computed_in: dict[str, int] = {}
    """How many convolutions and matrix products compute in which type, by the runtime's own account; `unknown`: those of
    the file that it does not tell of. Empty where the file has none."""
    nan_outputs: tuple[str, ...] = ()
    """Outputs that held a NaN on some image."""
    doubt: str = ""
    """Why its latencies may not be judged, such as stages that do not add up; empty where they may."""

    def share_as_asked(self, precision: str) -> float | None:
        """Of the products, how many compute in that precision; None where there are none, or nobody counted."""
        return share_computed(self.computed_in, precision)


def share_computed(computed_in: Mapping[str, int], precision: str) -> float | None:
    """As share_as_asked has it: those that are known to."""
    products = sum(computed_in.values())
    return computed_in.get(TYPE_OF.get(precision, precision), 0) / products if products else None


def share_untold(computed_in: Mapping[str, int]) -> float:
    """Of the products, of how many the runtime does not tell: it computes them, in whatever."""
    products = sum(computed_in.values())
    return sum(n for kind, n in computed_in.items() if is_untold(kind)) / products if products else 0.0


def mostly_in(computed_in: Mapping[str, int], precision: str) -> str:
    """'' where at least half of the products compute in that precision, or there are none; the most usual other type where more
    than half compute otherwise; UNTOLD where the runtime does not tell enough for either."""
    products, own = sum(computed_in.values()), TYPE_OF.get(precision, precision)
    if 2 * computed_in.get(own, 0) >= products:
        return ""
    others = {kind: n for kind, n in computed_in.items() if kind != own and not is_untold(kind)}
    return max(others, key=lambda kind: others[kind]) if 2 * sum(others.values()) > products else UNTOLD


def said_of_types(computed_in: Mapping[str, int]) -> str:
    """'29 of 35 convolutions and matrix products compute in int8, 6 in fp32', the most first, and last what is not told."""
    products, untold = sum(computed_in.values()), [(k, n) for k, n in computed_in.items() if is_untold(k)]
    ordered = sorted(((k, n) for k, n in computed_in.items() if not is_untold(k)), key=lambda item: (-item[1], item[0]))
    if not ordered:
        return (
            f"the runtime tells of none of its {products} convolutions and matrix products in which type they compute"
        )
    (kind, count), *rest = ordered
    others = "".join(f", {n} in {k}" for k, n in rest)
    others += "".join(f"; of {n} the runtime does not tell{k.removeprefix(UNTOLD)}" for k, n in untold)
    return f"{count} of {products} convolutions and matrix products compute in {kind}{others}"


class ClassFigure(Frozen):
    """One class's part in a figure. n: objects of it in the truth; of a mask or a class of images, images that have it."""

    name: str
    value: float
    n: int


class Accuracy(Frozen):
    """Against the truth. value is None where it is undefined, or of another task, and `note` says so."""

    metric: str = ""
    value: Measured | None = None
    note: str = ""
    by_tag: dict[str, float | None] = {}
    """None where it is undefined: nothing to be found on the tag's images."""
    by_class: tuple[ClassFigure, ...] = ()
    """The worst first, at most 100; empty where the metric does not tell classes apart."""
    classes: int = 0
    """How many there are, of which by_class has the worst."""
    second: dict[str, float] = {}
    """Another error of the same results, by its name: RMSE beside AbsRel, in the truth's unit."""


class Spike(Frozen):
    """A request far slower than the rest, and what the kernel counted while it ran. at_s: since the first request."""

    at_s: float
    duration_s: float
    times_median: float
    causes: tuple[str, ...]


class GpuClocks(Frozen):
    """The clock of a GPU's SMs while requests ran. mhz: least, median, most. lower_share: of the readings, those of a lower
    clock state than the best; lower_requests: how many requests ran in one, which are marked and stay; lower_spans_s: when
    those ran, since the first request, the longest spans first listed in the order of time. reasons: what the driver said
    slowed it."""

    mhz: tuple[float, float, float]
    lower_share: float
    lower_requests: int
    lower_spans_s: tuple[tuple[float, float], ...] = ()
    reasons: tuple[str, ...] = ()


class Noise(Frozen):
    """What disturbed the measurement while it ran: see docs/records.md. None where this machine does not tell."""

    watched_s: float
    cores: tuple[int, ...]
    cpu_s: float | None = None
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    minor_faults: int | None = None
    major_faults: int | None = None
    run_queue_wait_s: float | None = None
    other_load_cores: float | None = None
    steal_s: float | None = None
    throttled_s: float | None = None
    thermal_events: int | None = None
    cpu_pressure_s: float | None = None
    frequency_mhz: tuple[float, float, float] | None = None
    clock_jump_s: float | None = None
    suspended_s: float | None = None
    own_cost_s: float = 0.0
    gpu_clocks: GpuClocks | None = None
    """Of a load on a GPU whose driver tells its clocks."""
    disturbances: tuple[Warning, ...] = ()
    spikes: tuple[Spike, ...] = ()
