"""What ONNX Runtime's backends take as options, and which of them do not go together.

Not for: how an option reaches a session (backends/onnxruntime/settings.py). Precision is none: it belongs to the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from seatrial.runtimes.settings import Setting, Value

_GRAPH = (
    Setting(
        "graph_optimization",
        str,
        "how far the graph is rewritten",
        ("disabled", "basic", "extended", "all"),
        default="all",
    ),
    Setting(
        "execution_mode",
        str,
        "whether branches of the graph run side by side",
        ("sequential", "parallel"),
        default="sequential",
    ),
    Setting("inter_op_threads", int, "threads for branches, where execution_mode is parallel", least=1, default=1),
    Setting("arena", bool, "host memory from an arena that keeps what it has had", default=True),
    Setting("memory_pattern", bool, "memory of one run planned by the last one's", default=True),
    Setting("allow_spinning", bool, "idle threads spin before they sleep: quick, and a core each", default=True),
)
_DEVICE = (
    Setting(
        "cpu_fallback",
        bool,
        "nodes that the device cannot run go to the CPU, and are counted; else they are an error",
        default=False,
    ),
)
_NVIDIA = (
    *_DEVICE,
    Setting(
        "device_io",
        bool,
        "a model alone is timed with its inputs bound on the device once, and its outputs left there",
        default=False,
    ),
    Setting("tf32", bool, "float32 products may round their inputs to TF32: faster, and no longer fp32", default=False),
)
_CUDA_AND_TENSORRT = (
    Setting("device_id", int, "which device, as CUDA counts them", least=0, default=0),
    Setting("cuda_graph", bool, "runs are captured once and replayed; needs device_io", default=False),
)
_CUDA = (
    Setting(
        "cudnn_conv_algo_search",
        str,
        "how cuDNN's convolutions are chosen",
        ("exhaustive", "heuristic", "default"),
        default="exhaustive",
    ),
    Setting(
        "arena_extend_strategy",
        str,
        "how the device's arena grows",
        ("next_power_of_two", "same_as_requested"),
        default="next_power_of_two",
    ),
    Setting("gpu_mem_limit", int, "most bytes of the device's arena", least=1),
    Setting("prefer_nhwc", bool, "channels last, where cuDNN is quicker so", default=False),
)
_WORKSPACE = Setting("workspace_mib", int, "scratch memory of an engine's build at most", least=1, most=1 << 20)
_TENSORRT = (
    Setting("builder_level", int, "how long TensorRT looks for faster kernels", least=0, most=5),
    _WORKSPACE,
    Setting(
        "engine_cache",
        bool,
        "engines are kept in seatrial's cache, so that only the first opening builds",
        default=True,
    ),
)
_OPENVINO = (
    Setting(
        "inference_precision",
        str,
        "what OpenVINO computes floats in; its own default is bf16 where the processor has that",
        ("f32", "f16", "bf16"),
        default="f32",
    ),
)
SETTINGS: Mapping[str, tuple[Setting, ...]] = {
    "onnxruntime-cpu": _GRAPH,
    "onnxruntime-cuda": (*_GRAPH, *_NVIDIA, *_CUDA_AND_TENSORRT, *_CUDA),
    "onnxruntime-tensorrt": (*_GRAPH, *_NVIDIA, *_CUDA_AND_TENSORRT, *_TENSORRT),
    "onnxruntime-tensorrt-rtx": (*_GRAPH, *_NVIDIA, _WORKSPACE),
    "onnxruntime-openvino": (*_GRAPH, *_DEVICE, *_OPENVINO),
}
_OF_THE_MODEL = (
    "precision belongs to the model: ask for it under matrix.precisions, or convert the model ('seatrial convert')"
)
_OF_THE_MATRIX = "threads stand under matrix.threads, for every backend"
# What people look for, and why it is not here.
NOT_HERE: Mapping[str, str] = {
    **dict.fromkeys(
        ("trt_fp16_enable", "trt_bf16_enable", "trt_int8_enable", "fp16", "bf16", "int8", "nv_fp16_enable"),
        _OF_THE_MODEL,
    ),
    **dict.fromkeys(("intra_op_threads", "intra_op_num_threads", "threads"), _OF_THE_MATRIX),
}


def unfit(options: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Options that each fit and do not go together: the name of one, and why."""
    if options.get("cuda_graph") and not options.get("device_io"):
        yield (
            "cuda_graph",
            "it replays a run at the addresses of its capture, so that inputs copied in each run would not be seen; set "
            "device_io too",
        )
    threads: object = options.get("inter_op_threads", 1)
    parallel = options.get("execution_mode") == "parallel"
    if parallel and threads == 1:
        yield (
            "execution_mode",
            "parallel needs inter_op_threads of 2 or more; with 1 ONNX Runtime is sequential without a word",
        )
    if not parallel and threads != 1:
        yield "inter_op_threads", "it counts only with execution_mode: parallel; set that too"


def defaults(backend: str) -> dict[str, Value]:
    """What a session gets where nobody says otherwise; an option that ONNX Runtime decides itself is left out."""
    return {s.name: s.default for s in SETTINGS[backend] if s.default is not None}
