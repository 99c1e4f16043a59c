"""What TensorRT's backends take as options. Not for: what a library does with them (backends/tensorrt/library.py)."""

from __future__ import annotations

from collections.abc import Mapping

from seatrial.runtimes.settings import Setting

_ALL = (
    Setting("workspace_mib", int, "scratch memory of a build at most; by default the device's", least=1, most=1 << 20),
    Setting("tf32", bool, "whether fp32 products may drop to ten bits of fraction", default=False),
    Setting("weight_streaming", bool, "whether weights may stay on the host", default=False),
    Setting(
        "weight_budget_mib", int, "how much of the weights the device holds, where they stream", least=0, most=1 << 20
    ),
    Setting("version_compatible", bool, "whether other versions of TensorRT may load the engine", default=False),
    Setting("engine", str, "run this one, which 'seatrial build' made, in place of a built one", is_path=True),
    Setting("allow_engine", bool, "run it even where seatrial did not write it: an engine is code", default=False),
    Setting("cuda_graph", bool, "whether launches are captured once and replayed", default=True),
)
_DATACENTRE = (
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
SETTINGS: Mapping[str, tuple[Setting, ...]] = {"tensorrt": (*_ALL, *_DATACENTRE), "tensorrt-rtx": (*_ALL, *_RTX)}
