"""In which number type a runtime's products really compute: what was asked for may be run in another one without a word.

For: what ONNX Runtime's profile and OpenVINO's runtime model say, in the names of precisions. Not for: making either.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_NAMES = {
    **dict.fromkeys(("float", "f32"), "fp32"),
    **dict.fromkeys(("float16", "f16"), "fp16"),
    **dict.fromkeys(("bfloat16", "bf16"), "bf16"),
    **dict.fromkeys(("uint8", "u8", "int8", "i8"), "int8"),
    **dict.fromkeys(("Float8E4M3FN", "Float8E5M2", "f8e4m3", "f8e5m2"), "fp8"),
}


def of_profile(path: Path, provider: str = "") -> dict[str, int]:
    """Of the profile that an ONNX Runtime session wrote: how many products took their first input in which type.

    A profile has an event for each run of each kernel; of several runs the first counts. Products that another execution
    provider ran than `provider` are counted apart: {'fp32': 50, 'fp32 on CPUExecutionProvider': 4}. What a provider fuses
    into one kernel of its own (TensorRT's, OpenVINO's) shows no products.
    """
    events: Iterable[Mapping[str, Any]] = json.loads(path.read_text("utf-8"))
    found: Counter[str] = Counter()
    seen: set[str] = set()
    for event in events:
        given = event.get("args", {})
        operator, name = given.get("op_name", ""), event.get("name", "")
        if not name.endswith("_kernel_time") or not _is_product(operator) or name in seen:
            continue
        seen.add(name)
        types = [next(iter(t)) for t in given.get("input_type_shape", []) if t]
        # It takes floats and quantises them itself.
        kind = "int8" if operator.startswith("Dynamic") else _NAMES.get(types[0], types[0]) if types else "unknown"
        ran_on = given.get("provider", provider)
        found[f"{kind} on {ran_on}" if provider and ran_on != provider else kind] += 1
    return dict(found)


def of_runtime_model(model: Any) -> dict[str, int]:
    """Of OpenVINO's compiled model's runtime model."""
    found: Counter[str] = Counter()
    for operator in model.get_ops():
        about = operator.get_rt_info()
        layer, precision = (_text(about, key) for key in ("layerType", "runtimePrecision"))
        if _is_product(layer):
            found[_NAMES.get(precision, precision)] += 1
    return dict(found)


def _is_product(operator: str) -> bool:
    """Convolutions and matrix products, fused, quantised or by another layout; not what only converts."""
    return any(word in operator for word in ("Conv", "Gemm", "MatMul", "FullyConnected")) and "Convert" not in operator


def _text(about: Any, key: str) -> str:
    try:
        value = about[key]
    except (KeyError, RuntimeError):
        return ""
    return str(getattr(value, "value", value))
