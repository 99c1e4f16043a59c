"""How each option of a plan reaches a session of ONNX Runtime, the same way in both loops.

For: a `SessionSetup` that python.py and native.py (C API) apply alike. Not for: which options there are
(runtimes/onnxruntime.py), nor precision, which belongs to the model.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seatrial.backends.base import OpenOptions
from seatrial.backends.onnxruntime.providers import CPU, Provider
from seatrial.errors import UsageError
from seatrial.machine.packages import packages
from seatrial.model.file import inspect_model
from seatrial.runtimes.onnxruntime import defaults
from seatrial.runtimes.options import option_problems
from seatrial.runtimes.settings import Value

# Options that go to the provider: under which name of its own, and which of its words.
_OWN_NAMES: Mapping[str, Mapping[str, str]] = {
    "onnxruntime-cuda": {
        "device_id": "device_id",
        "cuda_graph": "enable_cuda_graph",
        "tf32": "use_tf32",
        "cudnn_conv_algo_search": "cudnn_conv_algo_search",
        "arena_extend_strategy": "arena_extend_strategy",
        "gpu_mem_limit": "gpu_mem_limit",
        "prefer_nhwc": "prefer_nhwc",
    },
    "onnxruntime-tensorrt": {
        "device_id": "device_id",
        "cuda_graph": "trt_cuda_graph_enable",
        "builder_level": "trt_builder_optimization_level",
        "workspace_mib": "trt_max_workspace_size",
    },
    "onnxruntime-tensorrt-rtx": {"workspace_mib": "nv_max_workspace_size"},
}
_OWN_WORDS = {
    "exhaustive": "EXHAUSTIVE",
    "heuristic": "HEURISTIC",
    "default": "DEFAULT",
    "next_power_of_two": "kNextPowerOfTwo",
    "same_as_requested": "kSameAsRequested",
}
_LEVELS = {"disabled": 0, "basic": 1, "extended": 2, "all": 99}


@dataclass(frozen=True)
class SessionSetup:
    """A session's settings in ONNX Runtime's own terms. config: session config entries; environment: to be set before the
    device's libraries are opened. given: every setting that counts here, for the record. input_shapes: those that are fixed."""

    backend: str
    threads: int
    inter_threads: int
    parallel: bool
    graph_optimization: int
    arena: bool
    memory_pattern: bool
    config: Mapping[str, str]
    provider_options: Mapping[str, str]
    named_sizes: Mapping[str, int]
    environment: Mapping[str, str]
    given: Mapping[str, Value]
    input_shapes: Mapping[str, tuple[int, ...]]

    @property
    def cpu_fallback(self) -> bool:
        return bool(self.given.get("cpu_fallback", True))

    @property
    def kernels_change(self) -> bool:
        """TensorRT-RTX compiles kernels of open shapes while it runs, unless it is told otherwise, and no option tells it."""
        return self.backend == "onnxruntime-tensorrt-rtx" and not self.input_shapes

    @property
    def device_io(self) -> bool:
        return bool(self.given.get("device_io", False))

    @property
    def cuda_graph(self) -> bool:
        return bool(self.given.get("cuda_graph", False))

    def details(self) -> dict[str, str]:
        """For the record: what is not as it would be by itself, and whether float32 products are that."""
        own = defaults(self.backend)
        changed = [f"{n}={_word(v)}" for n, v in sorted(self.given.items()) if v != own.get(n)]
        found = {"settings": ", ".join(changed)} if changed else {}
        if "tf32" in self.given:
            found["tf32"] = "allowed" if self.given["tf32"] else "off"
        return found


def checked(backend: str, options: Mapping[str, Value]) -> dict[str, Value]:
    """All options of that backend: the given ones and, for the others, the default where there is one.

    UsageError as runtimes/options.py has it, for who did not ask before.
    """
    for name, why in option_problems(backend, options).items():
        raise UsageError(f"{backend}: {name}: {why}")
    return defaults(backend) | dict(options)


def session_setup(model: Path, options: OpenOptions, provider: Provider) -> SessionSetup:
    """What both loops apply. UsageError as `checked` raises it."""
    given = checked(provider.name, options.settings)
    if given.get("device_io") and options.open_shapes:
        raise UsageError(f"{provider.name}: device_io binds inputs of one shape once; a mix of shapes cannot have it")
    spinning = "1" if given["allow_spinning"] else "0"
    config = {"session.intra_op.allow_spinning": spinning, "session.inter_op.allow_spinning": spinning}
    if provider.execution_provider != CPU:
        config["session.record_ep_graph_assignment_info"] = "1"
    return SessionSetup(
        backend=provider.name,
        threads=options.threads,
        inter_threads=int(given["inter_op_threads"]),
        parallel=given["execution_mode"] == "parallel",
        graph_optimization=_LEVELS[str(given["graph_optimization"])],
        arena=bool(given["arena"]),
        memory_pattern=bool(given["memory_pattern"]),
        config=config,
        provider_options=_provider_options(model, options, provider, given),
        named_sizes=options.named_sizes,
        environment=_environment(provider, given),
        given=given,
        input_shapes=options.input_shapes,
    )


def _provider_options(
    model: Path, options: OpenOptions, provider: Provider, given: Mapping[str, Value]
) -> dict[str, str]:
    own = _OWN_NAMES.get(provider.name, {})
    found = {
        own[name]: str(int(value) << 20) if name == "workspace_mib" else _OWN_WORDS.get(str(value), _word(value))
        for name, value in given.items()
        if name in own
    }
    if provider.name == "onnxruntime-openvino":
        # Its only way to be told: other options it takes and does not heed.
        device = {
            "INFERENCE_PRECISION_HINT": given["inference_precision"],
            "INFERENCE_NUM_THREADS": str(options.threads * options.clients),
            "NUM_STREAMS": str(options.clients),
        }
        found["load_config"] = json.dumps({"CPU": device})
    if given.get("engine_cache"):
        folder = str(_engine_folder(model, found, options.build_number))
        found |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": folder}
        # In that folder alone: engines of other builds know nothing of its times.
        found |= {"trt_timing_cache_enable": "1", "trt_timing_cache_path": folder}
    return found


def _environment(provider: Provider, given: Mapping[str, Value]) -> dict[str, str]:
    """TensorRT's providers have no option for TF32; every library of NVIDIA's heeds the variable."""
    return {"NVIDIA_TF32_OVERRIDE": "0"} if provider.nvidia and not given["tf32"] else {}


def _engine_folder(model: Path, provider_options: Mapping[str, str], build_number: int) -> Path:
    """Of engines of this model's content, weights in other files too, under these options and versions: ONNX Runtime's own
    name of an engine tells none of them."""
    given = os.environ.get("SEATRIAL_CACHE")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seatrial"
    build = [build_number] if build_number else []
    key = json.dumps([inspect_model(model).digest, dict(provider_options), packages(), *build], sort_keys=True)
    return (base / "engines" / "onnxruntime-tensorrt" / hashlib.sha256(key.encode()).hexdigest()[:32]).absolute()


def _word(value: Value) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
