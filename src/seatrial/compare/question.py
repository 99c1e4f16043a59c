"""What is asked of A and B: the margin, the metrics, the time, and how sure the answer is to be. Not for: the answer."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.errors import UsageError, did_you_mean
from seatrial.stats.compare import least_pairs
from seatrial.stats.multiplicity import LOOKS, nominal_alpha
from seatrial.stats.sample import CONFIDENCE, quantile_of, samples_needed

METRICS = ("p50", "p90", "p95", "p99", "mean")
# Beyond it not even the last look's pairs have an interval.
MOST_CONFIDENCE = 0.9999


class TooLittleTimeError(UsageError):
    """No verdict fits into the time. enough_s: a time into which one would."""

    def __init__(self, enough_s: int, text: str, *, key: str, option: str) -> None:
        self.enough_s = enough_s
        super().__init__(text, key=key, option=option)


@dataclass(frozen=True)
class Question:
    """What is asked of A and B. margin: a share such as 0.02; max_time_s: no round starts that would end after it.

    alpha: of all looks together. time_key: what a user would change to give it more time, where that is not the option
    max_time; spent_s: what of it is not for rounds.
    """

    margin: float = 0.02
    metrics: tuple[str, ...] = ("p50",)
    stage: str = ""
    max_time_s: float = 60.0
    alpha: float = 0.05
    seed: int = 0
    time_key: str = ""
    spent_s: float = 0.0

    @property
    def left_s(self) -> float:
        return max(0.0, self.max_time_s - self.spent_s)

    @property
    def looks(self) -> tuple[int, ...]:
        """Counts of rounds after which it may be answered: those at which there is an interval."""
        looks: tuple[int, ...] = LOOKS
        while looks and least_pairs(1 - nominal_alpha(len(looks), self.alpha)) > looks[0]:
            looks = looks[1:]
        return looks

    @property
    def confidence(self) -> float:
        """Of each look's interval."""
        return 1 - nominal_alpha(len(self.looks), self.alpha)

    @property
    def least_requests(self) -> int:
        """Of a side in a round: enough that its tail percentile has a sample beyond it."""
        tails = [quantile_of(m) for m in self.metrics if m.startswith("p")]
        return max((samples_needed(q, CONFIDENCE) for q in tails if q > 0.5), default=1)

    @property
    def least_rounds(self) -> int:
        """Fewest that have an interval: where the time ends before the first look, it is answered from these."""
        return least_pairs(self.confidence)

    def check(self) -> None:
        """UsageError where it cannot be asked."""
        if not 1 - MOST_CONFIDENCE <= self.alpha <= 0.5:
            raise UsageError(f"confidence: expected 50 % to {MOST_CONFIDENCE:.2%}, got {1 - self.alpha:.6%}")
        unknown = [m for m in self.metrics if m not in METRICS]
        if unknown or not self.metrics:
            got = f"{unknown[0]!r}{did_you_mean(unknown[0], list(METRICS))}" if unknown else "none"
            raise UsageError(f"expected one of {', '.join(METRICS)}, got {got}", option="metric")
        if not 0 < self.margin < 1:
            raise UsageError(
                f"expected a share above 0 and below 100 %, such as 2% or 0.02, got {self.margin * 100:g} %",
                option="margin",
            )
