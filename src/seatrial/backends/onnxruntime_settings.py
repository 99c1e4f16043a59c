"""What a plan may set of ONNX Runtime, and how each setting reaches a session: one table, read by both loops.

For: names, types and values; a `SessionSetup` that onnxruntime.py (Python) and onnxruntime_native.py (C API) apply alike.
Not for: precision, which belongs to the model: what would change it behind the model's back is refused by name.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.backends.base import OpenOptions, SettingValue
from seatrial.backends.onnxruntime_providers import Provider
from seatrial.errors import UsageError, did_you_mean
from seatrial.machine.packages import packages
from seatrial.model.file import inspect_model

_ALL = (
    "onnxruntime-cpu",
    "onnxruntime-cuda",
    "onnxruntime-tensorrt",
    "onnxruntime-tensorrt-rtx",
    "onnxruntime-openvino",
)
_CUDA, _TENSORRT, _RTX, _OPENVINO = ((name,) for name in _ALL[1:])
_DEVICES = _ALL[1:]
_NVIDIA = (*_CUDA, *_TENSORRT, *_RTX)


@dataclass(frozen=True)
class Setting:
    """default: what a session gets where the plan says nothing; None: ONNX Runtime's own. choices: the words it takes.

    option: the provider's own name of it, where it is passed on to the provider as it is; words: its values there.
    """

    about: str
    backends: tuple[str, ...]
    kind: type
    default: SettingValue | None = None
    choices: tuple[str, ...] = ()
    option: str | Mapping[str, str] = ""
    words: Mapping[str, str] = field(default_factory=dict)
    least: int = 0


SETTINGS: Mapping[str, Setting] = {
    "graph_optimization": Setting(
        "how far the graph is rewritten", _ALL, str, "all", ("disabled", "basic", "extended", "all")
    ),
    "execution_mode": Setting(
        "whether branches of the graph run side by side", _ALL, str, "sequential", ("sequential", "parallel")
    ),
    "inter_op_threads": Setting("threads for branches, where execution_mode is parallel", _ALL, int, 1, least=1),
    "arena": Setting("host memory from an arena that keeps what it has had", _ALL, bool, True),
    "memory_pattern": Setting("memory of one run planned by the last one's", _ALL, bool, True),
    "allow_spinning": Setting("idle threads spin before they sleep: quick, and a core each", _ALL, bool, True),
    "cpu_fallback": Setting(
        "nodes that the device cannot run go to the CPU, and are counted; else they are an error", _DEVICES, bool, False
    ),
    "device_id": Setting("which device, as CUDA counts them", (*_CUDA, *_TENSORRT), int, 0, option="device_id"),
    "device_io": Setting(
        "a model alone is timed with its inputs bound on the device once, and its outputs left there",
        _NVIDIA,
        bool,
        False,
    ),
    "cuda_graph": Setting(
        "runs are captured once and replayed; needs device_io",
        (*_CUDA, *_TENSORRT),
        bool,
        False,
        option={"onnxruntime-cuda": "enable_cuda_graph", "onnxruntime-tensorrt": "trt_cuda_graph_enable"},
    ),
    "use_tf32": Setting(
        "float32 products may round their inputs to TF32: faster, and no longer fp32", _NVIDIA, bool, False
    ),
    "cudnn_conv_algo_search": Setting(
        "how cuDNN's convolutions are chosen",
        _CUDA,
        str,
        "exhaustive",
        ("exhaustive", "heuristic", "default"),
        "cudnn_conv_algo_search",
        {"exhaustive": "EXHAUSTIVE", "heuristic": "HEURISTIC", "default": "DEFAULT"},
    ),
    "arena_extend_strategy": Setting(
        "how the device's arena grows",
        _CUDA,
        str,
        "next_power_of_two",
        ("next_power_of_two", "same_as_requested"),
        "arena_extend_strategy",
        {"next_power_of_two": "kNextPowerOfTwo", "same_as_requested": "kSameAsRequested"},
    ),
    "gpu_mem_limit": Setting("most bytes of the device's arena", _CUDA, int, option="gpu_mem_limit", least=1),
    "prefer_nhwc": Setting("channels last, where cuDNN is quicker so", _CUDA, bool, False, option="prefer_nhwc"),
    "builder_optimization_level": Setting(
        "how long TensorRT looks for faster kernels, 0 to 5", _TENSORRT, int, option="trt_builder_optimization_level"
    ),
    "workspace_bytes": Setting(
        "most bytes of TensorRT's workspace",
        (*_TENSORRT, *_RTX),
        int,
        option={"onnxruntime-tensorrt": "trt_max_workspace_size", "onnxruntime-tensorrt-rtx": "nv_max_workspace_size"},
        least=1,
    ),
    "engine_cache": Setting(
        "engines are kept in seatrial's cache, so that only the first opening builds", _TENSORRT, bool, True
    ),
    "inference_precision": Setting(
        "what OpenVINO computes floats in; its own default is bf16 where the processor has that",
        _OPENVINO,
        str,
        "f32",
        ("f32", "f16", "bf16"),
    ),
}
# What people look for, and why it is not here.
_REFUSED = {
    **dict.fromkeys(
        ("trt_fp16_enable", "trt_bf16_enable", "trt_int8_enable", "fp16", "bf16", "int8", "nv_fp16_enable"),
        "precision belongs to the model: ask for it under matrix.precisions, or convert the model ('seatrial convert')",
    ),
    **dict.fromkeys(
        ("intra_op_threads", "intra_op_num_threads", "threads"), "threads stand under matrix.threads, for every backend"
    ),
}
_LEVELS = {"disabled": 0, "basic": 1, "extended": 2, "all": 99}


@dataclass(frozen=True)
class SessionSetup:
    """A session's settings in ONNX Runtime's own terms. config: session config entries; environment: to be set before the
    device's libraries are opened. given: every setting that counts here, for the record."""

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
    given: Mapping[str, SettingValue]

    @property
    def cpu_fallback(self) -> bool:
        return bool(self.given.get("cpu_fallback", True))

    @property
    def device_io(self) -> bool:
        return bool(self.given.get("device_io", False))

    @property
    def cuda_graph(self) -> bool:
        return bool(self.given.get("cuda_graph", False))

    def details(self) -> dict[str, str]:
        """For the record: what is not as it would be by itself, and whether float32 products are that."""
        changed = [f"{n}={_word(v)}" for n, v in sorted(self.given.items()) if v != SETTINGS[n].default]
        found = {"settings": ", ".join(changed)} if changed else {}
        if "use_tf32" in self.given:
            found["tf32"] = "allowed" if self.given["use_tf32"] else "off"
        return found


def checked(backend: str, settings: Mapping[str, SettingValue]) -> dict[str, SettingValue]:
    """All settings of that backend: the given ones and, for the others, the default where there is one.

    UsageError for one that it does not have or that does not take the value, and for two that do not go together.
    """
    known = [name for name, s in SETTINGS.items() if backend in s.backends]
    for name, value in settings.items():
        if name in _REFUSED:
            raise UsageError(f"{backend}: {name} is no setting here: {_REFUSED[name]}")
        if name not in known:
            others = SETTINGS[name].backends if name in SETTINGS else ()
            whose = f"it is one of {', '.join(others)}" if others else f"its settings are {', '.join(known)}"
            raise UsageError(f"{backend} has no setting {name!r}{did_you_mean(name, known)}; {whose}")
        _check_value(backend, name, SETTINGS[name], value)
    full = {n: SETTINGS[n].default for n in known} | dict(settings)
    found = {n: v for n, v in full.items() if v is not None}
    if found.get("cuda_graph") and not found.get("device_io"):
        raise UsageError(
            f"{backend}: cuda_graph replays a run at the addresses of its capture, so that inputs copied in each run would "
            "not be seen; set device_io too"
        )
    threads, parallel = found["inter_op_threads"], found["execution_mode"] == "parallel"
    if parallel and threads == 1:
        raise UsageError(
            f"{backend}: execution_mode: parallel needs inter_op_threads of 2 or more; with 1 ONNX Runtime is sequential "
            "without a word"
        )
    if not parallel and threads != 1:
        raise UsageError(f"{backend}: inter_op_threads counts only with execution_mode: parallel; set that too")
    return found


def _check_value(backend: str, name: str, setting: Setting, value: SettingValue) -> None:
    # A bool is an int to Python.
    if type(value) is not setting.kind:
        kind = {bool: "true or false", int: "a whole number", str: " or ".join(setting.choices)}[setting.kind]
        raise UsageError(f"{backend}: {name}: expected {kind}, got {value!r}")
    if isinstance(value, str) and value not in setting.choices:
        near = did_you_mean(value, list(setting.choices))
        raise UsageError(f"{backend}: {name}: expected {' or '.join(setting.choices)}, got {value!r}{near}")
    if isinstance(value, int) and value < setting.least:
        raise UsageError(f"{backend}: {name}: expected {setting.least} or more, got {value}")


def session_setup(model: Path, options: OpenOptions, provider: Provider) -> SessionSetup:
    """What both loops apply. UsageError as `checked` raises it."""
    given = checked(provider.name, options.settings)
    if given.get("device_io") and options.open_shapes:
        raise UsageError(f"{provider.name}: device_io binds inputs of one shape once; a mix of shapes cannot have it")
    spinning = "1" if given["allow_spinning"] else "0"
    config = {"session.intra_op.allow_spinning": spinning, "session.inter_op.allow_spinning": spinning}
    if provider.name in _DEVICES:
        config["session.record_ep_graph_assignment_info"] = "1"
    return SessionSetup(
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
    )


def _provider_options(
    model: Path, options: OpenOptions, provider: Provider, given: Mapping[str, SettingValue]
) -> dict[str, str]:
    found = {}
    for name, value in given.items():
        setting = SETTINGS[name]
        option = setting.option if isinstance(setting.option, str) else setting.option[provider.name]
        if option:
            found[option] = setting.words.get(str(value), _word(value))
    if provider.name in _CUDA:
        found["use_tf32"] = _word(given["use_tf32"])
    if provider.name in _OPENVINO:
        # Its only way to be told: other options it takes and does not heed.
        device = {
            "INFERENCE_PRECISION_HINT": given["inference_precision"],
            "INFERENCE_NUM_THREADS": str(options.threads * options.clients),
            "NUM_STREAMS": str(options.clients),
        }
        found["load_config"] = json.dumps({"CPU": device})
    if given.get("engine_cache"):
        folder = str(_engine_folder(model, found))
        found |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": folder}
        found |= {"trt_timing_cache_enable": "1", "trt_timing_cache_path": folder}
    return found


def _environment(provider: Provider, given: Mapping[str, SettingValue]) -> dict[str, str]:
    """TensorRT's providers have no option for TF32; every library of NVIDIA's heeds the variable."""
    return {"NVIDIA_TF32_OVERRIDE": "0"} if provider.nvidia and not given["use_tf32"] else {}


def _engine_folder(model: Path, provider_options: Mapping[str, str]) -> Path:
    """Of engines of this model's content, weights in other files too, under these options and versions: ONNX Runtime's own
    name of an engine tells none of them."""
    given = os.environ.get("SEATRIAL_CACHE")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seatrial"
    key = json.dumps([inspect_model(model).digest, dict(provider_options), packages()], sort_keys=True)
    return (base / "engines" / "onnxruntime-tensorrt" / hashlib.sha256(key.encode()).hexdigest()[:32]).absolute()


def _word(value: SettingValue) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def setting_names(backend: str) -> Sequence[str]:
    return [name for name, setting in SETTINGS.items() if backend in setting.backends]
