"""The knee of a curve of throughput: from where on more of something gives no more."""

from __future__ import annotations

from collections.abc import Sequence


def knee(counts: Sequence[int], intervals: Sequence[tuple[float, float]]) -> tuple[int, int]:
    """The smallest number of clients that reaches 95 % of the best throughput, since more of them only wait.

    intervals: of each count's throughput. Two numbers: the fewest that may reach it, and the fewest that surely do: whose
    lower end reaches it of every other's upper end.
    """
    by_count = sorted(zip(counts, intervals, strict=True))

    def reaches(own: float, end: int, count: int) -> bool:
        return own >= 0.95 * max((other[end] for c, other in by_count if c != count), default=0.0)

    may = next(c for c, (_, own_high) in by_count if reaches(own_high, 0, c))
    surely = next((c for c, (own_low, _) in by_count if reaches(own_low, 1, c)), by_count[-1][0])
    return may, max(may, surely)
