"""A load of a bench: its arrivals, what was served, and the search for the highest rate."""

from __future__ import annotations

from typing import Any, Literal

from seatrial.history.records.values import Frozen, Measured
from seatrial.units import format_seconds


class RatePoint(Frozen):
    """One offered rate of a search. holds: whether the bound is held: yes, no, or too few requests to say."""

    offered_per_s: float
    achieved_per_s: float
    n: int
    unserved: int
    p50: Measured
    p90: Measured
    p99: Measured
    tail: Measured
    """The percentile that the bound names. Requests that were never served count as slower than any other."""
    holds: Literal["yes", "no", "unsure"]
    slow: int | None = None
    expected_slow: tuple[int, int] | None = None
    """Requests longer than the bound, and the fewest and most that the queue's model has of these arrivals; None
    where the rate is too far from the highest to tell anything of it."""


class ShapeResult(Frozen):
    """One shape of a mix. first: the first run of this shape, with whatever it had to allocate; of the shape that is named
    first it is the process's first run too, and of the others what the shapes before them left to allocate."""

    shape: str
    weight: float
    first: Measured
    p50: Measured
    p99: Measured


class PythonPath(Frozen):
    """The same model by the runtime's Python binding, in turns with the native loop; same_outputs: bit for bit.

    difference: what the binding adds to a request, the median over the turns; None in older records.
    """

    same_outputs: bool
    native_p50_s: float
    python_p50_s: float
    difference: Measured | None = None


class LoadResult(Frozen):
    """How requests came, and what only a load can show. unserved: requests that nobody had taken when the time was up."""

    scenario: str
    clients: int = 1
    rate_per_s: float | None = None
    arrivals: str = ""
    gap_s: float = 0.0
    requests_per_s: Measured | None = None
    unserved: int = 0
    overloaded: bool = False
    """The clients had more to do than time: latencies say how long the load lasted."""
    ended: str = ""
    called: str = ""
    """native: without the interpreter; python: from Python."""
    shapes: tuple[ShapeResult, ...] = ()
    bound_s: float | None = None
    bound_quantile: float | None = None
    """The latency that a search asked for, and the share of the requests that must hold it."""
    found_rate: Measured | None = None
    """The highest rate that was proved to hold the bound; and as its interval's end the lowest that broke it."""
    rate_estimate: Measured | None = None
    """The highest rate by a queue of the service times measured; None where the requests sent do not agree with it."""
    broken_rate: float | None = None
    """The lowest rate that was shown not to hold, or which all clients together cannot serve."""
    curve: tuple[RatePoint, ...] = ()
    percentiles: dict[str, Measured] = {}
    """Those that were asked for by name, and in `refused` why one cannot be given."""
    refused: dict[str, str] = {}
    python_path: PythonPath | None = None
    official: dict[str, Any] = {}
    """What MLPerf LoadGen itself printed, where it ran the load."""

    @property
    def lowest_broken(self) -> float | None:
        """In requests a second; of an older record it stands with what held."""
        _, high = (self.found_rate and self.found_rate.interval) or (None, None)
        return self.broken_rate or high

    @property
    def broke_when_sent(self) -> bool:
        """Whether the lowest broken rate was sent; otherwise it is more than the clients can serve."""
        return any(p.holds == "no" and p.offered_per_s == self.lowest_broken for p in self.curve)

    @property
    def bound(self) -> str:
        """As it is asked for: 25.0 ms@p90."""
        if self.bound_s is None or self.bound_quantile is None:
            return ""
        return f"{format_seconds(self.bound_s)}@p{self.bound_quantile * 100:g}"
