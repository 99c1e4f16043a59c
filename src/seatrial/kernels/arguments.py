"""Checks that the settings of several kernels share. For: messages with the key, what was expected and what came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seatrial.errors import did_you_mean

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
