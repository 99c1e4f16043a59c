"""Options that a backend takes beside model, threads and shapes: their names, values and meaning, in one table.

For: checking a plan or a command without importing a runtime. Not for: handing them to one (each backend does).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seatrial.errors import did_you_mean

Value = str | int | float | bool


@dataclass(frozen=True)
class Setting:
    """kind: bool, int, float or str. choices: of a str, all that it may be. least, most: of a number. words: of a number, texts
    that may stand for one, such as 'auto'. is_path: of a str, a file: in a plan relative to it."""

    name: str
    kind: type[Value]
    help: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    words: tuple[str, ...] = ()
    is_path: bool = False

    def expected(self) -> str:
        if self.kind is bool:
            return "true or false"
        if self.kind is str:
            return f"one of {', '.join(self.choices)}" if self.choices else "a file" if self.is_path else "text"
        number = "a whole number" if self.kind is int else "a number"
        bound = (
            ""
            if self.least is None
            else f" from {self.least:g} " + ("on" if self.most is None else f"to {self.most:.9g}")
        )
        return f"{number}{bound}" + "".join(f" or {word}" for word in self.words)

    def to_dict(self) -> dict[str, str]:
        return {"name": self.name, "expected": self.expected(), "help": self.help}

    def takes(self, value: object) -> bool:
        if isinstance(value, bool) or self.kind is bool:
            return isinstance(value, bool) and self.kind is bool
        if isinstance(value, str):
            return value in self.words or (self.kind is str and (not self.choices or value in self.choices))
        number = isinstance(value, int) or (self.kind is float and isinstance(value, float))
        if self.kind is str or not number:
            return False
        assert isinstance(value, int | float)
        # A comparison with NaN is false, whichever it is.
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def read(self, text: str) -> Value | None:
        """From a command line; None where it is no such value."""
        value: Value = text
        if self.kind is bool:
            value = {"true": True, "false": False, "on": True, "off": False}.get(text.lower(), text)
        elif self.kind in (int, float) and text not in self.words:
            try:
                value = self.kind(text)
            except ValueError:
                return None
        return value if self.takes(value) else None


_OPENVINO = (
    Setting(
        "hint", str, "OpenVINO's performance hint, which sets what is not set here", ("latency", "throughput", "none")
    ),
    Setting("streams", int, "requests that run at once; by default one a client", least=1, words=("auto",)),
    Setting(
        "inference_precision",
        str,
        "what products compute in where the file is float32; by default f32, whatever the processor would rather do",
        ("f32", "bf16", "f16", "auto"),
    ),
    Setting("cpu_pinning", bool, "whether threads are bound to cores"),
    Setting("hyper_threading", bool, "whether both threads of a core are used"),
)
_ONNXRUNTIME = (
    Setting("graph_optimization", str, "how much of the graph is rewritten", ("disabled", "basic", "extended", "all")),
    Setting("arena", bool, "whether memory is kept between runs"),
    Setting("memory_pattern", bool, "whether a run's allocations are planned from the one before"),
    Setting("allow_spinning", bool, "whether idle threads spin instead of sleeping"),
    Setting("execution_mode", str, "whether independent nodes run at once", ("sequential", "parallel")),
    Setting("inter_op_threads", int, "threads for nodes that run at once", least=1),
)
_ENGINE = (
    Setting("workspace_mib", int, "scratch memory of a build at most; by default the device's", least=1, most=1 << 20),
    Setting("tf32", bool, "whether fp32 products may drop to ten bits of fraction; by default not"),
    Setting("weight_streaming", bool, "whether weights may stay on the host"),
    Setting(
        "weight_budget_mib", int, "how much of the weights the device holds, where they stream", least=0, most=1 << 20
    ),
    Setting("version_compatible", bool, "whether other versions of TensorRT may load the engine"),
    Setting("engine", str, "run this one, which 'seatrial build' made, in place of a built one", is_path=True),
    Setting("allow_engine", bool, "run it even where seatrial did not write it: an engine is code"),
    Setting("cuda_graph", bool, "whether launches are captured once and replayed; by default they are"),
)
_TENSORRT = (
    *_ENGINE,
    Setting("builder_level", int, "how long the builder searches", least=0, most=5),
    Setting(
        "hardware_compatibility", str, "on which cards the engine runs", ("none", "ampere_plus", "same_capability")
    ),
)
_TENSORRT_RTX = (
    *_ENGINE,
    Setting(
        "kernel_strategy",
        str,
        "kernels of open shapes: eager before the first run, lazy in the middle of others",
        ("eager", "lazy", "none"),
    ),
    Setting("kernel_cache", bool, "whether compiled kernels are kept between processes; by default they are"),
)
_SETTINGS: dict[str, tuple[Setting, ...]] = {
    "onnxruntime-cpu": _ONNXRUNTIME,
    "onnxruntime-cuda": _ONNXRUNTIME,
    "onnxruntime-tensorrt": _ONNXRUNTIME,
    "tensorrt": _TENSORRT,
    "tensorrt-rtx": _TENSORRT_RTX,
    "openvino-cpu": _OPENVINO,
    "openvino-gpu": tuple(s for s in _OPENVINO if s.name not in ("cpu_pinning", "hyper_threading")),
}


def settings_of(backend: str) -> tuple[Setting, ...]:
    """Of a backend of seatrial's own; a third party's are known once it is loaded (backends.third_party)."""
    return _SETTINGS.get(backend, ())


def problems_of(backend: str, settings: tuple[Setting, ...], options: Mapping[str, object]) -> dict[str, str]:
    """What is wrong with each option, by its name, for people."""
    known = {s.name: s for s in settings}
    found = {}
    for name, value in options.items():
        if name not in known:
            rest = f"; it takes {', '.join(known)}" if known else "; it takes none"
            found[name] = f"{backend} has no option {name!r}{did_you_mean(name, list(known))}{rest}"
        elif not known[name].takes(value):
            found[name] = f"expected {known[name].expected()}, got {_shown(value)}"
    return found


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
