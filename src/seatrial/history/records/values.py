"""A measured value with its interval and count. Base units. Not for: what was measured."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from seatrial.warning import Warning


class Frozen(BaseModel):
    """Keys that this version does not know are passed over: a later one may add some without a new number."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Measured(Frozen):
    """interval's ends may be None where the sample cannot support them; a warning says how many samples would, and so does
    `needed` of an upper end; None there in older records too."""

    value: float
    unit: str
    interval: tuple[float | None, float | None] | None = None
    confidence: float | None = None
    n: int = 1
    n_eff: int = 1
    needed: int | None = None
    warnings: tuple[Warning, ...] = ()

    @property
    def ends(self) -> tuple[float, float]:
        """The interval's; the value itself for one that is not known."""
        low, high = self.interval or (None, None)
        return (self.value if low is None else low), (self.value if high is None else high)

    @property
    def positive_interval(self) -> tuple[float, float] | None:
        """None where an end is not known, or at zero or below, which noise may make of a mean's."""
        low, high = self.interval or (None, None)
        return (low, high) if low is not None and high is not None and 0 < low <= high else None


class StageSummary(Frozen):
    """One stage of one cell. Times are of a whole batch. `share` is the stage's part of the end-to-end total."""

    mean: Measured
    p50: Measured
    p90: Measured
    p95: Measured
    p99: Measured
    share: float
