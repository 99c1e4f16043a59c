"""What TensorRT's backends take as options, which of them do not go together, and which a model alone in a bench obeys.

Not for: what a library does with them (backends/tensorrt/library.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from seatrial.runtimes.settings import Setting, Value
from seatrial.stages import COMPUTE, D2H, ENQUEUE, H2D, WAIT

_ALL = (
    Setting("workspace_mib", int, "scratch memory of a build at most; by default the device's", least=1, most=1 << 20),
    Setting("tf32", bool, "whether fp32 products may drop to ten bits of fraction", default=False),
    Setting("weight_streaming", bool, "whether weights may stay on the host", default=False),
    Setting(
        "weight_budget_mib", int, "how much of the weights the device holds, where they stream", least=0, most=1 << 20
    ),
    Setting("engine", str, "run this one, which 'seatrial build' made, in place of a built one", is_path=True),
    Setting("allow_engine", bool, "run it even where seatrial did not write it: an engine is code", default=False),
    Setting("cuda_graph", bool, "whether launches are captured once and replayed", default=True),
)
# Of a model alone in a bench, timed by the device's own clock: what only a request obeys, and no run.
_TIMED = (
    Setting(
        "in_flight",
        int,
        "requests on the device at once: 1 is synchronous, 2 pipelined, as trtexec",
        least=1,
        most=16,
        default=1,
    ),
    Setting("transfers", bool, "whether a timed request copies its inputs there and its outputs back", default=True),
    Setting(
        "synchronisation",
        str,
        "how the host waits: a core that spins, or one given away",
        ("spin", "block"),
        default="spin",
    ),
    Setting(
        "hold", bool, "the device waits until all of a request is enqueued, so that kernels have no gaps", default=False
    ),
    Setting("l2_flush", bool, "the device's cache is emptied before each request: cold kernels", default=False),
)
_DATACENTRE = (
    Setting("version_compatible", bool, "whether other versions of TensorRT may load the engine", default=False),
    Setting("builder_level", int, "how long the builder searches", least=0, most=5),
    Setting(
        "hardware_compatibility",
        str,
        "on which cards the engine runs",
        ("none", "ampere_plus", "same_capability"),
        default="none",
    ),
)
_RTX = (
    Setting(
        "kernel_strategy",
        str,
        "kernels of open shapes: eager before the first run, lazy in the middle of others",
        ("eager", "lazy", "none"),
        default="eager",
    ),
    Setting("kernel_cache", bool, "whether compiled kernels are kept between processes", default=True),
)
SETTINGS: Mapping[str, tuple[Setting, ...]] = {
    "tensorrt": (*_ALL, *_TIMED, *_DATACENTRE),
    "tensorrt-rtx": (*_ALL, *_TIMED, *_RTX),
}

_BUILDING = (
    "workspace_mib",
    "tf32",
    "weight_streaming",
    "version_compatible",
    "builder_level",
    "hardware_compatibility",
)


def unfit(options: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Options that each fit and do not go together: the name of one, and why."""
    if options.get("in_flight", 1) != 1:
        for name in ("hold", "l2_flush"):
            if options.get(name):
                yield name, f"it is for one request at a time, got in_flight: {options['in_flight']}; leave one out"
    if options.get("weight_budget_mib") is not None and not (options.get("weight_streaming") or options.get("engine")):
        yield "weight_budget_mib", "it needs weight_streaming: true"
    given = [n for n in _BUILDING if not any(options.get(n) is v for v in (None, False)) and options[n] != "none"]
    if options.get("engine") and given:
        yield "engine", f"{', '.join(given)} belongs to building, and the engine is given; leave one out"


def unmet_by_run(options: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Options that would be in a record and change nothing, where runs are timed as any other backend's: name and why."""
    for setting in _TIMED:
        if options.get(setting.name, setting.default) != setting.default:
            yield (
                setting.name,
                "it is for a model alone in a bench; pipelines and comparisons time whole runs, one at a time and with their "
                "copies, as of every backend: leave it out, or use 'seatrial bench MODEL'",
            )


def timed_stages(options: Mapping[str, Value]) -> tuple[str, ...]:
    """What a request of a model alone is split into."""
    return (ENQUEUE, WAIT, H2D, COMPUTE, D2H) if options.get("transfers", True) else (ENQUEUE, WAIT, COMPUTE)
