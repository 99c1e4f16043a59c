"""A cell's results read from its file one image at a time, as they are asked for.

For: judging thousands of masks with the memory of a few. Not for: writing them, or what a sound result is (results.py).
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import numpy as np
import numpy.typing as npt

from seatrial.pipeline.results import KINDS, Result

Item = TypeVar("Item")
Raw = Sequence[Sequence[npt.NDArray[Any]]]


class OnRequest(Sequence[Item], Generic[Item]):
    """Items that are made when they are asked for; only the last one is kept, for who asks for it twice."""

    def __init__(self, count: int, make: Callable[[int], Item]) -> None:
        self._count = count
        self._make = make
        self._last: tuple[int, Item] | None = None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self[i] for i in range(self._count)[index]]
        at = range(self._count)[index]
        if self._last is None or self._last[0] != at:
            # The one before goes first: two of a large mask would be one too many.
            self._last = None
            self._last = at, self._make(at)
        return self._last[1]


class StoredResults(OnRequest[Result]):
    """kinds: of each image's result, known without reading it."""

    def __init__(self, kinds: Sequence[type | None], make: Callable[[int], Result]) -> None:
        super().__init__(len(kinds), make)
        self.kinds = tuple(kinds)


def kinds_of(results: Sequence[Result]) -> tuple[type | None, ...]:
    """Each result's kind, None where there is none; reads no result that lies in a file."""
    if isinstance(results, StoredResults):
        return results.kinds
    return tuple(None if r is None else type(r) for r in results)


def load_results_file(path: Path) -> tuple[StoredResults, Raw]:
    """The decoded results of all images, and the raw outputs of the first: both are read when they are asked for.

    The file stays open for as long as they live. KeyError where it was broken off.
    """
    file = _File(path)
    names = {k.__name__: k for k in KINDS}
    kinds = [
        names[str(file.array(f"{i}.kind"))] if file.has(f"{i}.kind") else None for i in range(int(file.array("count")))
    ]

    def result(i: int) -> Result:
        kind: Any = kinds[i]
        if kind is None:
            return None
        found: Result = kind(**{name: file.array(f"{i}.{name}") for name in kind.__dataclass_fields__})
        return found

    def outputs(i: int) -> list[npt.NDArray[Any]]:
        found: list[npt.NDArray[Any]] = []
        while file.has(f"raw.{i}.{len(found)}"):
            found.append(file.array(f"raw.{i}.{len(found)}"))
        return found

    return StoredResults(kinds, result), OnRequest(int(file.array("raw_count")), outputs)


def load_specials(path: Path) -> npt.NDArray[np.int64] | None:
    """(images, outputs, 4) as the writer got them; None where it got none."""
    file = _File(path)
    return np.asarray(file.array("specials"), np.int64) if file.has("specials") else None


class _File:
    """An .npz whose arrays are found in constant time, however many there are: np.load searches a list for each."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path)

    def has(self, name: str) -> bool:
        return f"{name}.npy" in self._archive.NameToInfo

    def array(self, name: str) -> npt.NDArray[Any]:
        with self._archive.open(f"{name}.npy") as stream:
            return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
