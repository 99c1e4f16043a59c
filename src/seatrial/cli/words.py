"""Words of the command line to values: times, rates, percentiles, shapes."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from seatrial.errors import UsageError
from seatrial.units import duration_s

LONGEST_S = 24 * 3600.0


LARGEST_TENSOR = 1 << 31
# Written out, since the catalogue's imports are too slow for --help; a test holds the two together.
BACKEND_HELP = (
    "What runs it: onnxruntime-cpu, onnxruntime-cuda, onnxruntime-tensorrt, onnxruntime-tensorrt-rtx, onnxruntime-openvino, "
    "openvino-cpu, openvino-gpu, tensorrt or tensorrt-rtx; with options as NAME:KEY=VALUE,KEY=VALUE."
)


Value = TypeVar("Value")


def with_option(option: str, value: str) -> list[str]:
    """The command that is running, with another value of one option: to be copied."""
    words = sys.argv[1:]
    given = next((n for n, word in enumerate(words) if word == option or word.startswith(f"{option}=")), None)
    if given is not None:
        del words[given : given + 1 + (words[given] == option)]
    return ["seatrial", *words, option, value]


def backend_names(incomplete: str) -> list[str]:
    from seatrial.runtimes.names import known_names

    return [n for n in known_names() if n.startswith(incomplete)]


def check_backend_name(backend: str | None, option: str = "--backend") -> None:
    """Of 'NAME' or 'NAME:KEY=VALUE,…'; where the words behind it do not fit is said with the backend at hand."""
    from seatrial.runtimes.choice import named_in
    from seatrial.runtimes.names import problem_of

    if backend is not None and (why := problem_of(named_in(backend))):
        raise UsageError(f"{option}: {why}")


def several(option: str, text: str, parse: Callable[[str], Value], show: Callable[[Value], str]) -> list[Value]:
    """Values with commas between them. UsageError for one that comes twice: cells of a sweep are told apart by them."""
    values = [parse(part) for part in text.split(",")]
    shown = [show(value) for value in values]
    twice = next((s for s in shown if shown.count(s) > 1), "")
    if twice:
        raise UsageError(f"{option}: expected different values, got {twice} twice in {text!r}; leave one away")
    return values


def count(option: str, text: str) -> int:
    if re.fullmatch(r"\s*0*[1-9][0-9]{0,5}\s*", text) is None:
        raise UsageError(f"{option}: expected whole numbers from 1 on, such as 1,2,4, got {text!r}")
    return int(text)


def rate_per_s(text: str) -> float:
    try:
        value = float(text.strip().removesuffix("/s").strip())
    except ValueError:
        value = -1.0
    if not 0 < value < 1e7:
        raise UsageError(f"--rate: expected requests a second above 0 and below 10 million, such as 20, got {text!r}")
    return value


def time_s(option: str, text: str, zero: bool = False) -> float:
    try:
        seconds = duration_s(text)
    except ValueError as e:
        raise UsageError(f"{option}: {e}") from None
    if seconds < 0 or (seconds == 0 and not zero):
        raise UsageError(f"{option}: expected a time {'of zero or more' if zero else 'above zero'}, got {text!r}")
    if seconds > LONGEST_S:
        raise UsageError(f"{option}: expected a time of at most 24 h, got {text!r}")
    return seconds


def percentile_of(option: str, text: str) -> tuple[str, float]:
    match = re.fullmatch(r"[pP](\d{1,2}(?:\.\d{1,4})?)", text.strip())
    if match is None or not 0 < float(match[1]) < 100:
        raise UsageError(f"{option}: expected a percentile between p0 and p100, such as p99 or p99.9, got {text!r}")
    return f"p{float(match[1]):g}", float(match[1]) / 100


def latency_bound_of(text: str) -> dict[str, float]:
    from seatrial.stats.queue import HIGHEST_QUANTILE

    time, at, percentile = text.partition("@")
    if not at:
        raise UsageError(f"--latency-bound: expected a time and its percentile, such as 100ms@p95, got {text!r}")
    quantile = percentile_of("--latency-bound", percentile)[1]
    if quantile > HIGHEST_QUANTILE + 1e-9:
        raise UsageError(
            f"--latency-bound: expected at most p{HIGHEST_QUANTILE * 100:g}, got {percentile}: no search of minutes has the "
            "requests to tell more"
        )
    return {"bound_s": time_s("--latency-bound", time), "bound_quantile": quantile}


def mix_of(texts: list[str] | None) -> tuple[tuple[dict[str, tuple[int, ...]], float], ...]:
    """Shapes of one input; a model with several gives them as NAME=SHAPE;NAME=SHAPE@WEIGHT."""
    mix = []
    for text in texts or []:
        shapes, _, weight = text.rpartition("@") if "@" in text else (text, "", "1")
        try:
            value = float(weight)
        except ValueError:
            value = -1.0
        if not 0 < value < 1e9:
            raise UsageError(
                f"--mix: expected NAME=SHAPE@WEIGHT with a weight above 0, such as x=1x3x640x640@2, got {text!r}"
            )
        mix.append((shapes_of(shapes.split(";"), "--mix"), value))
    if len(mix) == 1:
        raise UsageError("--mix: one shape is no mix; give --mix again, or use --shape")
    return tuple(mix)


def shapes_of(texts: Sequence[str] | None, option: str = "--shape") -> dict[str, tuple[int, ...]]:
    """`--shape NAME=SHAPE`, given any number of times."""
    pairs = [_shape(text, option) for text in texts or []]
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"{option}: expected one shape for input {name!r}, got {names.count(name)}; leave one away"
            )
    return dict(pairs)


def _shape(text: str, option: str) -> tuple[str, tuple[int, ...]]:
    match = re.fullmatch(r"(.+)=([0-9]{1,9}(?:[x,][0-9]{1,9})*)", text.strip())
    if match is None:
        raise UsageError(f"{option}: expected NAME=SHAPE such as x=1x3x640x640, got {text!r}")
    shape = tuple(int(v) for v in re.split("[x,]", match[2]))
    if not 0 < math.prod(shape) <= LARGEST_TENSOR:
        raise UsageError(
            f"{option}: expected dimensions from 1 on and at most {LARGEST_TENSOR:,} elements, got {text!r}"
        )
    return match[1], shape
