"""The shape of every value in a model's graph, for given input shapes: onnx's inference, with little to read.

For: counting what a run costs (cost.py). Not for: the shapes that a runtime finds; some depend on the data and stay unknown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.model.contents import STANDARD_DOMAINS, structure_of
from seatrial.model.folded import Folder

Shape = tuple[int | None, ...]
# Larger tensors are weights; inference reads the values of smaller ones, such as the shape that a Reshape gives.
MOST_VALUES = 1024
# Each finds the sizes behind one more layer of nodes that compute them.
MOST_ROUNDS = 20


@dataclass(frozen=True)
class Inferred:
    """nodes: of the main graph, with the model's own functions written out. shapes: by value name; None: not known."""

    nodes: tuple[Any, ...]
    shapes: dict[str, Shape]
    problem: str = ""


def infer(path: Path, input_shapes: Mapping[str, tuple[int, ...]]) -> Inferred:
    """Whatever goes wrong becomes `problem`: then only what is known without inference has a shape."""

    model, problem = _inlined(structure_of(path))
    graph = model.graph
    known: dict[str, Shape] = {}
    own = all(_dims(v) == input_shapes.get(v.name, _dims(v)) for v in graph.input)
    _lift_weights(graph, known, path.parent)
    for value in graph.input:
        if value.name in input_shapes:
            _fix(value, input_shapes[value.name])
            known[value.name] = input_shapes[value.name]
    _forget(graph, keep_custom=own)
    try:
        return Inferred(tuple(graph.node), _shapes(model, known), problem)
    except Exception as e:  # onnx raises its own types, and protobuf's where a file is odd
        return Inferred(tuple(graph.node), known, problem or _first_line(e))


def _shapes(model: Any, known: dict[str, Shape]) -> dict[str, Shape]:
    """Inference, and again with the small values that follow from what it found, for as long as there are more."""
    import onnx

    folder = Folder(model)
    for _ in range(MOST_ROUNDS):
        done = onnx.shape_inference.infer_shapes(model, data_prop=True)
        found = {v.name: _dims(v) for v in (*done.graph.value_info, *done.graph.output) if _has_shape(v)} | known
        open_values = [o for n in model.graph.node for o in n.output if None in found.get(o, (None,))]
        new = folder.round(model.graph, found) if open_values else []
        if not new:
            break
        # A value that is known needs no node: inference reads the initializer of that name.
        _replace(model.graph.node, [n for n in model.graph.node if not {*n.output} <= {*new}])
        held = [onnx.numpy_helper.from_array(folder.values[name], name) for name in new]
        model.graph.initializer.extend(held)
        known |= {tensor.name: tuple(tensor.dims) for tensor in held}
    return found


def _inlined(model: Any) -> tuple[Any, str]:
    import onnx.inliner

    if not model.functions:
        return model, ""
    try:
        return onnx.inliner.inline_local_functions(model), ""
    except Exception as e:  # see infer
        return model, f"the model's own functions cannot be written out: {_first_line(e)}"


def _lift_weights(graph: Any, known: dict[str, Shape], folder: Path) -> None:
    """Makes inputs of what is large: inference copies the model, and needs the shapes alone."""
    import onnx

    inputs = {v.name for v in graph.input}
    kept_tensors, kept_nodes, lifted = [], [], []
    for tensor in graph.initializer:
        known[tensor.name] = tuple(tensor.dims)
        if _is_weight(tensor, folder):
            lifted.append((tensor.name, tensor))
        else:
            kept_tensors.append(tensor)
    for node in graph.node:
        tensor = _value_of(node)
        if tensor is not None and _is_weight(tensor, folder):
            known[node.output[0]] = tuple(tensor.dims)
            lifted.append((node.output[0], tensor))
        else:
            kept_nodes.append(node)
    new = [
        onnx.helper.make_tensor_value_info(name, tensor.data_type, list(tensor.dims))
        for name, tensor in lifted
        if name not in inputs
    ]
    _replace(graph.initializer, kept_tensors)
    _replace(graph.node, kept_nodes)
    graph.input.extend(new)


def _value_of(node: Any) -> Any:
    """The tensor of a Constant node; None of any other."""
    if node.op_type != "Constant" or node.domain not in STANDARD_DOMAINS or not node.output:
        return None
    return next((a.t for a in node.attribute if a.name == "value" and a.HasField("t")), None)


def _is_weight(tensor: Any, folder: Path) -> bool:
    """Whether its values are to be left alone. Small ones that lie outside the file are read: inspect_model checked where."""
    import onnx

    if math.prod(tensor.dims) > MOST_VALUES:
        return True
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        try:
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        except Exception:  # onnx's own checks, of which it has many
            return True
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    return False


def _forget(graph: Any, keep_custom: bool) -> None:
    """What the file says of inner shapes may be of other input shapes; inference finds them anew.

    keep_custom: of custom operators it can't, so what the file says of theirs stays where its input shapes are as it has them.
    """
    custom = {o for n in graph.node if n.domain not in STANDARD_DOMAINS for o in n.output} if keep_custom else set()
    _replace(graph.value_info, [v for v in graph.value_info if v.name in custom])
    for value in graph.output:
        if value.name not in custom and value.type.WhichOneof("value") == "tensor_type":
            # A dtype that the file has wrong would end inference too.
            value.ClearField("type")


def _replace(field: Any, items: Iterable[Any]) -> None:
    kept = [type(item).FromString(item.SerializeToString()) for item in items]
    del field[:]
    field.extend(kept)


def _fix(value: Any, shape: tuple[int, ...]) -> None:
    tensor = value.type.tensor_type
    tensor.ClearField("shape")
    tensor.shape.SetInParent()
    for size in shape:
        tensor.shape.dim.add().dim_value = size


def _has_shape(value: Any) -> bool:
    return bool(value.type.WhichOneof("value") == "tensor_type" and value.type.tensor_type.HasField("shape"))


def _dims(value: Any) -> Shape:
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
