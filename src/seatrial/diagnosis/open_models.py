"""Models that a diagnosis opens beside the reference's own, some dozens, of which few are held in memory at a time.

For: changed graphs, other batches, a judge. Not for: the reference's own, which is run all the while (opened.py).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Self

from seatrial.backends.base import Backend
from seatrial.diagnosis.steps import Feeds, Run

# One that is tried, the better one that it is held against, and a judge.
MOST_OPEN = 3


class OpenModels:
    """A context manager, behind which none is open."""

    def __init__(self, most: int = MOST_OPEN) -> None:
        self._most = most
        self._open: OrderedDict[object, Backend] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def run(self, opening: Callable[[], Backend]) -> Run:
        """Opened at once, so that what is wrong with it is told here; and again where it is run after others had it closed."""
        key = object()

        def run(feeds: Feeds) -> list[object]:
            backend = self._backend(key, opening)
            try:
                return list(backend.run(feeds))
            except MemoryError:
                self._close()
                raise

        self._backend(key, opening)
        return run  # type: ignore[return-value]

    def _backend(self, key: object, opening: Callable[[], Backend]) -> Backend:
        if key in self._open:
            self._open.move_to_end(key)
            return self._open[key]
        while len(self._open) >= self._most:
            self._close_oldest()
        try:
            self._open[key] = opening()
        except MemoryError:
            # What is open for later can be opened again.
            self._close()
            self._open[key] = opening()
        return self._open[key]

    def _close(self) -> None:
        while self._open:
            self._close_oldest()

    def _close_oldest(self) -> None:
        _, backend = self._open.popitem(last=False)
        backend.close()
