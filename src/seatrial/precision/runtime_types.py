"""Types of values, and shapes of outputs, that onnx's inference does not know: behind operators of another domain.

For: prepare.py, which asks the runtime that runs the model anyway. Not for: what inference finds.
"""

from __future__ import annotations

from typing import Any


def ask_runtime(proto: Any) -> bool:
    """Writes them into the ModelProto; whether there were any. Without a word where ONNX Runtime cannot open the model."""
    import onnxruntime as ort

    graph = proto.graph
    known = {v.name for v in (*graph.value_info, *graph.input) if v.type.tensor_type.elem_type}
    stated = {o.name for o in graph.output if o.type.tensor_type.HasField("shape")}
    others = {o.name for o in graph.output if o.type.WhichOneof("value") not in (None, "tensor_type")}
    untyped = [n for node in graph.node for n in node.output if n and n not in known | stated | others]
    if not untyped:
        return False
    asked = type(proto)()
    asked.CopyFrom(proto)
    own = {o.name for o in graph.output}
    for name in untyped:
        if name not in own:
            asked.graph.output.add().name = name
    settings = ort.SessionOptions()
    settings.log_severity_level = 4
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        found = ort.InferenceSession(asked.SerializeToString(), settings, ["CPUExecutionProvider"]).get_outputs()
    except Exception:  # its own kinds; whoever runs the model next says what is wrong with it
        return False
    outputs = {o.name: o for o in graph.output}
    for value in found:
        element = _ELEMENTS.get(value.type)
        if value.name in untyped and element is not None:
            target = outputs.get(value.name)
            _state(graph.value_info.add() if target is None else target, value.name, element, value.shape)
    return True


def _state(target: Any, name: str, element: int, shape: list[Any] | None) -> None:
    target.name = name
    target.type.tensor_type.elem_type = element
    if not shape:
        return  # a scalar, or of unknown rank: ONNX Runtime says [] of both
    target.type.tensor_type.shape.SetInParent()
    for size in shape:
        dimension = target.type.tensor_type.shape.dim.add()
        if isinstance(size, int):
            dimension.dim_value = size
        elif size:
            dimension.dim_param = size


# onnx.TensorProto's numbers, by ONNX Runtime's words.
_ELEMENTS = {
    **{"tensor(float)": 1, "tensor(uint8)": 2, "tensor(int8)": 3, "tensor(uint16)": 4, "tensor(int16)": 5},
    **{"tensor(int32)": 6, "tensor(int64)": 7, "tensor(string)": 8, "tensor(bool)": 9, "tensor(float16)": 10},
    **{"tensor(double)": 11, "tensor(uint32)": 12, "tensor(uint64)": 13, "tensor(bfloat16)": 16},
}
