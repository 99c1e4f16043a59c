"""How great the numbers in a model become on images: what a type with less range is chosen by.

For: 16 bits and float8. Not for: the scales of int8 (quantise.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import ModelError

Feeds = Mapping[str, npt.NDArray[Any]]
# Tensors whose magnitude the runtime works out beside the model: two more nodes each, and one number out.
_SUFFIX = ("__greatest", "__least")


def greatest_magnitudes(proto: Any, feeds: Iterable[Feeds]) -> dict[str, float]:
    """Of every float32 tensor that a node of the main graph gives or an input is, over all feeds; infinite where it holds NaN.

    Raises:
        ModelError: ONNX Runtime cannot run the model, or there are no feeds.
    """
    import onnx
    import onnxruntime as ort

    graph = proto.graph
    floats = {v.name for v in (*graph.input, *graph.output, *graph.value_info) if _is_float(v)}
    names = [o for node in graph.node for o in node.output if o in floats]
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    for name in names:
        for suffix, operator in zip(_SUFFIX, ("ReduceMax", "ReduceMin"), strict=True):
            # Of one element more, zero, so that there is always one: what NMS leaves may be nothing.
            made.graph.node.append(onnx.helper.make_node("Reshape", [name, "__flat"], [f"{name}{suffix}_flat"]))
            made.graph.node.append(
                onnx.helper.make_node("Concat", [f"{name}{suffix}_flat", "__zero"], [f"{name}{suffix}_all"], axis=0)
            )
            made.graph.node.append(
                onnx.helper.make_node(operator, [f"{name}{suffix}_all"], [f"{name}{suffix}"], keepdims=0)
            )
            made.graph.output.append(onnx.helper.make_tensor_value_info(f"{name}{suffix}", onnx.TensorProto.FLOAT, []))
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1], np.int64), "__flat"))
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(1, np.float32), "__zero"))
    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    # Fused nodes have no numbers in between.
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    wanted = [f"{name}{suffix}" for name in names for suffix in _SUFFIX]
    found: dict[str, float] = {}
    try:
        session = ort.InferenceSession(made.SerializeToString(), settings, providers=["CPUExecutionProvider"])
        for given in feeds:
            for name, array in given.items():
                if array.dtype == np.float32:
                    _note(found, name, array)
            for name, value in zip(wanted, session.run(wanted, dict(given)), strict=True):
                _note(found, name.removesuffix(_SUFFIX[0]).removesuffix(_SUFFIX[1]), value)
    except Exception as e:  # onnxruntime raises its own types, none with a common public base
        raise ModelError(f"its numbers on images cannot be measured: {str(e).splitlines()[0][:300]}") from e
    if not found and names:
        raise ModelError("its numbers on images cannot be measured: there are no images")
    return found


def _is_float(value: Any) -> bool:
    import onnx

    return bool(value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT)


def _note(found: dict[str, float], name: str, values: npt.NDArray[Any]) -> None:
    most = float(np.abs(values).max(initial=0.0))
    found[name] = max(found.get(name, 0.0), np.inf if np.isnan(most) else most)
