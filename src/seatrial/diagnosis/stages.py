"""The stages at which two pipelines are held against each other, in order. Not for: those that are timed (seatrial.stages)."""

from __future__ import annotations

from collections.abc import Iterable

# Where every pipeline begins: an image's encoded bytes.
ENCODED = "encoded"
DECODED, RESIZED, INPUT, OUTPUTS, RESULTS = "decoded", "resized", "input", "outputs", "results"
ORDER = (DECODED, RESIZED, INPUT, OUTPUTS, RESULTS)


def in_order(stages: Iterable[str]) -> tuple[str, ...]:
    """Of those given, the ones that are compared, as a pipeline goes through them."""
    given = set(stages)
    return tuple(s for s in ORDER if s in given)


def between(start: str, end: str) -> tuple[str, ...]:
    """The stages behind `start`, up to `end`: whose work a stretch holds."""
    first = 0 if start == ENCODED else ORDER.index(start) + 1
    return ORDER[first : ORDER.index(end) + 1]
