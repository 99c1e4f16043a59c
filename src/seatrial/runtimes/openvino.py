"""What OpenVINO's backends take as options. Not for: how they reach OpenVINO (backends/openvino.py)."""

from __future__ import annotations

from collections.abc import Mapping

from seatrial.runtimes.settings import Setting

_ALL = (
    Setting(
        "hint", str, "OpenVINO's performance hint, which sets what is not set here", ("latency", "throughput", "none")
    ),
    Setting("streams", int, "requests that run at once; by default one a client", least=1, words=("auto",)),
    Setting(
        "inference_precision",
        str,
        "what products compute in where the file is float32, whatever the processor would rather do",
        ("f32", "bf16", "f16", "auto"),
        default="f32",
    ),
)
_CPU = (
    Setting("cpu_pinning", bool, "whether threads are bound to cores"),
    Setting("hyper_threading", bool, "whether both threads of a core are used"),
)
SETTINGS: Mapping[str, tuple[Setting, ...]] = {"openvino-cpu": (*_ALL, *_CPU), "openvino-gpu": _ALL}
