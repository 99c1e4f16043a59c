"""In which number type a runtime's products really compute: what was asked for may be run in another one without a word.

For: what ONNX Runtime's profile and OpenVINO's runtime model say, in the names of precisions. Not for: making either.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seatrial.model.products import is_product
from seatrial.runtimes.told import UNTOLD

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
    seen: set[tuple[str, str]] = set()
    for event in events:
        given = event.get("args", {})
        operator, name = given.get("op_name", ""), event.get("name", "")
        # Two bodies may name a node alike.
        kernel = (name, str(given.get("node_index", "")))
        if not name.endswith("_kernel_time") or not is_product(operator) or kernel in seen:
            continue
        seen.add(kernel)
        types = [next(iter(t)) for t in given.get("input_type_shape", []) if t]
        # It takes floats and quantises them itself.
        kind = "int8" if operator.startswith("Dynamic") else _NAMES.get(types[0], types[0]) if types else UNTOLD
        ran_on = given.get("provider", provider)
        found[f"{kind} on {ran_on}" if provider and ran_on != provider else kind] += 1
    return dict(found)


def of_runtime_model(model: Any) -> dict[str, int]:
    """Of OpenVINO's compiled model's runtime model."""
    found: Counter[str] = Counter()
    for operator in model.get_ops():
        about = operator.get_rt_info()
        layer, precision = (_text(about, key) for key in ("layerType", "runtimePrecision"))
        if is_product(layer):
            found[_NAMES.get(precision, precision)] += 1
    return dict(found)


def with_untold(told: Mapping[str, int], products: int) -> dict[str, int]:
    """With the file's products that a runtime does not speak of: what it fuses into another kernel, say. By their number alone:
    one that it makes several of may stand for another."""
    missing = products - sum(told.values())
    return {**told, UNTOLD: told.get(UNTOLD, 0) + missing} if missing > 0 else dict(told)


def _text(about: Any, key: str) -> str:
    try:
        value = about[key]
    except (KeyError, RuntimeError):
        return ""
    return str(getattr(value, "value", value))
