"""Checks that the settings of several kernels share. For: messages with the key, what was expected and what came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seatrial.errors import count_of, did_you_mean

ENGINES = ("native", "reference")


class ArgumentError(ValueError):
    """A kernel's argument that can't be so: which, and what is wrong with it."""

    def __init__(self, argument: str, text: str) -> None:
        super().__init__(argument, text)
        self.argument = argument
        self.text = text

    def __str__(self) -> str:
        return f"{self.argument}: {self.text}"


def is_whole(value: Any) -> bool:
    """An integer, Python's or NumPy's; True is none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def one_of(name: str, value: Any, words: Sequence[str]) -> None:
    """ArgumentError, with the nearest word, where `value` is not one of the known words."""
    if not isinstance(value, str) or value not in words:
        raise ArgumentError(
            name, f"expected one of {', '.join(words)}, got {value!r}{did_you_mean(str(value), list(words))}"
        )


def size_hw(size: Any) -> tuple[int, int]:
    given = tuple(size) if isinstance(size, Sequence | np.ndarray) else (size, size)
    if len(given) != 2 or not all(is_whole(v) and v > 0 for v in given):
        raise ArgumentError("size", f"expected (height, width) of positive integers, got {size!r}")
    return int(given[0]), int(given[1])


def finite_numbers(name: str, given: Any, count: int) -> tuple[float, ...]:
    """`count` floats that are finite in float32, which they are used in; -0.0 becomes 0.0, so that equals act alike."""
    try:
        array = np.asarray(given)
        values = [float(v) for v in array.reshape(-1)] if array.dtype.kind in "fiu" else []
    except (TypeError, ValueError):
        values = []
    if count == 1 and len(values) == 3 and len(set(values)) == 1:
        values = values[:1]
    if not values:
        raise ArgumentError(name, f"expected {'a number' if count == 1 else f'{count} numbers'}, got {given!r}")
    if len(values) != count:
        raise ArgumentError(name, f"expected {count_of(count, 'value')}, one a channel, got {len(values)}")
    if not all(abs(v) <= float(np.finfo(np.float32).max) for v in values):
        raise ArgumentError(
            name, f"expected finite {'values other than zero' if name == 'std' else 'numbers'}, got {given}"
        )
    return tuple(v + 0.0 for v in values)
