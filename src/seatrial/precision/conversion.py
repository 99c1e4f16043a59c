"""What a conversion is given, and what it says of itself. Not for: how one is made (makers.py) or kept (variants.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from seatrial.model.file import ModelInfo
from seatrial.precision.recipe import Recipe

Feeds = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Calibration:
    """Inputs as the pipeline's own preprocessing makes them, and a digest of whatever they depend on.

    method: minmax, entropy or percentile, for int8. recipe: what stays in fp32. compared: inputs to tell on how near the
    answers are, without which it is told on the first of `feeds`; apart: whether none of them is among `feeds`.
    """

    feeds: Callable[[], Iterator[Feeds]]
    digest: str
    method: str = "minmax"
    recipe: Recipe = field(default_factory=Recipe)
    compared: Callable[[], Iterator[Feeds]] = lambda: iter(())
    apart: bool = False


@dataclass(frozen=True)
class Kept:
    """A node that stays in fp32, and why."""

    node: str
    operator: str
    reason: str


@dataclass(frozen=True)
class Conversion:
    """What became of a model: how many of its nodes compute in the precision, and which that could not do not."""

    precision: str
    nodes: int
    kept: tuple[Kept, ...] = ()
    run_by: str = ""
    sqnr_db: Mapping[str, float] = field(default_factory=dict)
    """Of each float output, by that runtime, the worst of the images; empty where none here runs the precision."""
    equal_share: Mapping[str, float] = field(default_factory=dict)
    """Of each output of whole numbers, how many are the same."""
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Why an output has no figure; under '' why none has."""
    measured_on: str = ""
    """Which images these figures are of."""
    warnings: tuple[str, ...] = ()


Maker = Callable[[ModelInfo, Path, Calibration], Conversion]
