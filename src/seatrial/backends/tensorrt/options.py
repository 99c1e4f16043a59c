"""What a plan's `options` may ask of a TensorRT backend: of the engine, which its key in the cache holds, and of running it.

Not for: which library has which option (library.py), or capabilities and shapes, which are no settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from seatrial.errors import PlanError
from seatrial.runtimes.options import settings_of, unfit
from seatrial.runtimes.settings import Value, problems_of

# Of both libraries.
SETTINGS = tuple(dict.fromkeys((*settings_of("tensorrt"), *settings_of("tensorrt-rtx"))))


@dataclass(frozen=True)
class EngineOptions:
    """capabilities: of TensorRT-RTX, as 'sm89'. tf32: lets fp32 products drop to ten bits of fraction. builder_level: 0 to 5.

    hardware_compatibility: none, ampere_plus or same_capability. workspace_mib: scratch memory at most; else the device's.
    build_number: as OpenOptions has it; no setting of a plan's.
    """

    capabilities: tuple[str, ...] = ()
    builder_level: int | None = None
    workspace_mib: int | None = None
    tf32: bool = False
    weight_streaming: bool = False
    hardware_compatibility: str = "none"
    version_compatible: bool = False
    build_number: int = 0

    @property
    def given(self) -> tuple[str, ...]:
        """Names of those that differ from the defaults."""
        return tuple(f.name for f in fields(self) if f.name != "build_number" and getattr(self, f.name) != f.default)

    def as_json(self) -> dict[str, Any]:
        found = {**asdict(self), "capabilities": list(self.capabilities)}
        # Engines that were kept before there were several have none.
        return found if self.build_number else {k: v for k, v in found.items() if k != "build_number"}


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
    in_flight: int = 1
    transfers: bool = True
    synchronisation: str = "spin"
    hold: bool = False
    l2_flush: bool = False

    def policy(self, of_runs: str) -> str:
        """What a timed request pays for, in place of what a run does."""
        said = of_runs
        if not self.transfers:
            said = "a model alone is timed without copies to the device and back, shapes fixed when opened"
        parts = [f"{self.in_flight} requests in flight"] if self.in_flight > 1 else []
        parts += ["kernels held until all is enqueued"] if self.hold else []
        parts += ["the device's cache emptied before each request"] if self.l2_flush else []
        parts += ["the host gives its core away while it waits"] if self.synchronisation == "block" else []
        return ", ".join([said, *parts])


def options_of(settings: Mapping[str, Value]) -> tuple[EngineOptions, RunOptions]:
    """PlanError for a name that no TensorRT takes, and for a value of another kind. Which library takes which: library.py."""
    for name, why in problems_of("TensorRT", SETTINGS, settings).items():
        raise PlanError(why, key=f"options.{name}")
    for name, why in unfit("tensorrt", settings).items():
        raise PlanError(why, key=f"options.{name}")
    engine = {n: v for n, v in settings.items() if n in {f.name for f in fields(EngineOptions)}}
    run = {n: v for n, v in settings.items() if n not in engine}
    return EngineOptions(**engine), RunOptions(**run)  # type: ignore[arg-type]
