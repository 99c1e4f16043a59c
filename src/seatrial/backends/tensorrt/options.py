"""What a plan's `settings` may ask of a TensorRT backend: of the engine, which its key in the cache holds, and of running it.

Not for: which library has which option (library.py), or capabilities and shapes, which are no settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from seatrial.errors import PlanError, did_you_mean

Value = str | int | float | bool
_CHOICES = {
    "hardware_compatibility": ("none", "ampere_plus", "same_capability"),
    "kernel_strategy": ("eager", "lazy", "none"),
}
_RANGES = {"builder_level": (0, 5), "workspace_mib": (1, 1 << 20), "weight_budget_mib": (0, 1 << 20)}


@dataclass(frozen=True)
class EngineOptions:
    """capabilities: of TensorRT-RTX, as 'sm89'. tf32: lets fp32 products drop to ten bits of fraction. builder_level: 0 to 5.

    hardware_compatibility: none, ampere_plus or same_capability. workspace_mib: scratch memory at most; else the device's.
    """

    capabilities: tuple[str, ...] = ()
    builder_level: int | None = None
    workspace_mib: int | None = None
    tf32: bool = False
    weight_streaming: bool = False
    hardware_compatibility: str = "none"
    version_compatible: bool = False

    @property
    def given(self) -> tuple[str, ...]:
        """Names of those that differ from the defaults."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) != f.default)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "capabilities": list(self.capabilities)}


@dataclass(frozen=True)
class RunOptions:
    """engine: a file to run in place of a built one; allow_engine: even where seatrial did not write it.

    cuda_graph: launches are captured once and replayed. kernel_strategy: of TensorRT-RTX for open shapes; lazy runs general
    kernels first and others later, in the middle of a measurement.
    """

    engine: str = ""
    allow_engine: bool = False
    cuda_graph: bool = True
    kernel_strategy: str = "eager"
    weight_budget_mib: int | None = None
    kernel_cache: bool = True


def options_of(settings: Mapping[str, Value]) -> tuple[EngineOptions, RunOptions]:
    """PlanError for a name that is none of these, and for a value of another kind."""
    kinds = {f.name: f for kind in (EngineOptions, RunOptions) for f in fields(kind) if f.name != "capabilities"}
    for name, value in settings.items():
        if name not in kinds:
            raise PlanError(
                f"TensorRT has no such setting{did_you_mean(name, list(kinds))}; it has {', '.join(kinds)}",
                key=f"settings.{name}",
            )
        _check(name, value, kinds[name].type)
    engine = {n: v for n, v in settings.items() if n in {f.name for f in fields(EngineOptions)}}
    run = {n: v for n, v in settings.items() if n not in engine}
    return EngineOptions(**engine), RunOptions(**run)  # type: ignore[arg-type]


def _check(name: str, value: Value, kind: Any) -> None:
    expected = ""
    if name in _CHOICES:
        expected = "" if value in _CHOICES[name] else f"one of {', '.join(_CHOICES[name])}"
    elif name in _RANGES:
        low, high = _RANGES[name]
        sound = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        expected = "" if sound else f"a whole number from {low} to {high}"
    elif kind == "bool":
        expected = "" if isinstance(value, bool) else "true or false"
    elif not isinstance(value, str):
        expected = "text"
    if expected:
        raise PlanError(f"expected {expected}, got {value!r}", key=f"settings.{name}")
