"""The stages at which two pipelines are held against each other, in order. Not for: those that are timed (seatrial.stages)."""

from __future__ import annotations

from collections.abc import Iterable

# Where every pipeline begins: an image's encoded bytes.
ENCODED = "encoded"
DECODED, RESIZED, INPUT, OUTPUTS, RESULTS = "decoded", "resized", "input", "outputs", "results"
# A detector's boxes before NMS: what the results' step has on its way.
CANDIDATES = "candidates"
# Of steps, one each; and of what a candidate may show.
ORDER = (DECODED, RESIZED, INPUT, OUTPUTS, RESULTS)
SHOWN = (*ORDER[:-1], CANDIDATES, RESULTS)
OF_RESULTS = (CANDIDATES, RESULTS)


def in_order(stages: Iterable[str]) -> tuple[str, ...]:
    """Of those given, the ones that are compared, as a pipeline goes through them."""
    given = set(stages)
    return tuple(s for s in SHOWN if s in given)


def between(start: str, end: str) -> tuple[str, ...]:
    """The steps behind `start`, up to `end`: whose work a stretch holds. That of results is both in front of the candidates and
    behind them."""
    begun, done = (OUTPUTS if start == CANDIDATES else start), (RESULTS if end == CANDIDATES else end)
    first = 0 if begun == ENCODED else ORDER.index(begun) + 1
    return ORDER[first : ORDER.index(done) + 1]
