"""Quantities as people write them, base units inside: seconds, bytes, images per second, fractions.

For: reading '30 ms' and printing 0.03 s as '30.0 ms'. Not for: statistics or rounding of records.
"""

from __future__ import annotations

import math
import re

_NUMBER = re.compile(r"^\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*$")

SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0}
BYTES = {
    "B": 1.0,
    "kB": 1e3,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "TB": 1e12,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
    "TiB": 2.0**40,
}
RATES = {"images/s": 1.0, "image/s": 1.0, "img/s": 1.0, "fps": 1.0, "/s": 1.0}
DECIBELS = {"dB": 1.0}
POINTS = {"points": 0.01, "point": 0.01, "pt": 0.01, "%": 0.01}


def parse(text: str | int | float, units: dict[str, float], example: str, bare: bool = False) -> float:
    """Base-unit value of a quantity such as '30 ms'.

    `bare` admits a number without a unit, taken as base units. ValueError says what was expected.
    """
    match = _NUMBER.match(str(text)) if not isinstance(text, bool) else None
    if match is None:
        raise ValueError(f"expected a quantity such as '{example}', got {text!r}")
    number, unit = float(match[1]), match[2]
    if unit == "" and bare:
        factor = 1.0
    elif unit in units:
        factor = units[unit]
    else:
        what = f"unit {unit!r} is unknown" if unit else "the unit is missing"
        raise ValueError(f"expected a quantity such as '{example}', got {text!r}: {what}; units are {', '.join(units)}")
    value = number * factor
    if not math.isfinite(value):
        raise ValueError(f"expected a finite quantity such as '{example}', got {text!r}")
    return value


def duration_s(text: str | int | float) -> float:
    return parse(text, SECONDS, "30 ms")


def size_bytes(text: str | int | float) -> float:
    return parse(text, BYTES, "1 GiB")


def rate_per_s(text: str | int | float) -> float:
    return parse(text, RATES, "60 images/s")


def points(text: str | int | float) -> float:
    """'0.5 points' is 0.005. The unit is needed: 0.5 alone could be half a point or fifty."""
    return parse(text, POINTS, "0.5 points")


def fraction(text: str | int | float) -> float:
    """'2%' is 0.02, '0.5 points' is 0.005, 0.02 is 0.02."""
    return parse(text, POINTS, "2%", bare=True)


def plain(text: str | int | float) -> float:
    """A number without a unit, such as an error in the unit of a truth."""
    try:
        return parse(text, {}, "0.5", bare=True)
    except ValueError:
        raise ValueError(f"expected a plain number such as 0.5, in the unit of the truth, got {text!r}") from None


def decibels(text: str | int | float) -> float:
    """'20 dB' is 20.0, and so is 20."""
    return parse(text, DECIBELS, "20 dB", bare=True)


_SECONDS = [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")]


def format_seconds(seconds: float, beside: float | None = None) -> str:
    """Three significant digits in the largest unit that keeps the number at or above one.

    beside: a figure whose unit it takes, so that an interval reads in the unit of its value.
    """
    if beside is None or beside == 0 or not math.isfinite(beside):
        return _scaled(seconds, _SECONDS)
    return _scaled(seconds, [_unit_of(beside, _SECONDS)])


def seconds_unit(seconds: float) -> tuple[float, str]:
    """The largest unit that keeps the number at or above one, and what it is in seconds."""
    return _unit_of(seconds, _SECONDS)


def round_seconds(seconds: float, beside: float) -> str:
    """A round number, such as a plot's tick, without trailing zeros, in the unit of the one beside."""
    factor, unit = seconds_unit(beside)
    return f"{seconds / factor:.6g} {unit}"


def format_bytes(count: float) -> str:
    return _scaled(count, [(2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B")])


def format_rate(per_second: float) -> str:
    return f"{_three_digits(per_second)} images/s"


def format_value(value: float, unit: str) -> str:
    """A measured value in the unit that its record names, as a person reads it."""
    if unit == "s":
        return format_seconds(value)
    if unit == "B":
        return format_bytes(value)
    if unit == "B/h":
        return f"{format_bytes(value)}/h"
    if unit == "images/s":
        return format_rate(value)
    if unit == "points":
        return f"{value * 100:.1f} points"
    if unit == "share outside":
        return f"{value * 100:.3g} % outside"
    if unit == "dB":
        return f"{value:.1f} dB"
    if unit == "change":
        return change_words(value)
    if unit == "fraction":
        return f"{value * 100:.1f} %"
    return f"{value:.4g} {unit}".strip()


def change_words(share: float) -> str:
    """The one wording of a change, on the terminal, in a page and in a record: '+3.10 %'."""
    return f"{round(100 * share, 2) + 0.0:+.2f} %"


def _scaled(value: float, steps: list[tuple[float, str]]) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {steps[0][1]}"
    factor, unit = _unit_of(value, steps)
    return f"{_three_digits(value / factor)} {unit}"


def _unit_of(value: float, steps: list[tuple[float, str]]) -> tuple[float, str]:
    # Half a unit of the third digit below, so that 0.9999 s prints as 1.00 s and not as 1000 ms.
    return next(((f, u) for f, u in steps if abs(value) >= f * 0.9995), steps[-1])


def _three_digits(x: float) -> str:
    if x == 0 or not math.isfinite(x):
        return f"{x:g}"
    # Rounded first: 0.9996 has three digits as 1.00, not as 1.000.
    exponent = int(f"{abs(x):.2e}".partition("e")[2])
    return f"{x:.{min(max(0, 2 - exponent), 6)}f}"
