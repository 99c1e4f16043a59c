"""The shape of every value in a model's graph, for given input shapes: onnx's inference, with little to read.

For: counting what a run costs (cost.py). Not for: the shapes that a runtime finds; some depend on the data and stay unknown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.model.contents import STANDARD_DOMAINS, structure_of
from seatrial.model.folded import Folder
from seatrial.model.nodes import replace_items, sort_nodes, why_idle

Shape = tuple[int | None, ...]
# Larger tensors are weights; inference reads the values of smaller ones, such as the shape that a Reshape gives.
MOST_VALUES = 1024
# Each finds the sizes behind one more layer of nodes that compute them.
MOST_ROUNDS = 20


@dataclass(frozen=True)
class Inferred:
    """nodes: of the main graph, in order, with the model's own functions written out. shapes: by value name; None: not known.

    idle: of each node, why a run does not need it, or ''.
    """

    nodes: tuple[Any, ...]
    idle: tuple[str, ...]
    shapes: dict[str, Shape]
    problem: str = ""


def infer(path: Path, input_shapes: Mapping[str, tuple[int, ...]]) -> Inferred:
    """Whatever goes wrong becomes `problem`: then only what is known without inference has a shape."""

    model = structure_of(path)
    problem = next(filter(None, [sort_nodes(holder) for holder in (model.graph, *model.functions)]), "")
    model, not_inlined = _inlined(model)
    problem = problem or not_inlined
    graph = model.graph
    idle = tuple(why_idle(graph.node, [o.name for o in graph.output], _constants(model)))
    nodes = tuple(graph.node)
    known: dict[str, Shape] = {}
    _close_weights(model)
    own = all(_dims(v) == input_shapes.get(v.name, _dims(v)) for v in graph.input)
    _lift_weights(graph, known, path.parent)
    for value in graph.input:
        if value.name in input_shapes:
            _fix(value, input_shapes[value.name])
            known[value.name] = input_shapes[value.name]
    _forget(graph, keep_custom=own)
    try:
        return Inferred(nodes, idle, _shapes(model, known), problem)
    except Exception as e:  # onnx raises its own types, and protobuf's where a file is odd
        return Inferred(nodes, idle, known, problem or _first_line(e))


def _constants(model: Any) -> set[str]:
    """Names of initializers that no caller can put others in place of; before IR 4 inputs had to name them all."""
    held = {t.name for t in (*model.graph.initializer, *(s.values for s in model.graph.sparse_initializer))}
    return held if model.ir_version < 4 else held - {v.name for v in model.graph.input}


def _close_weights(model: Any) -> None:
    """Takes initializers out of the inputs: their shapes are those of their values, whatever the inputs say of them.

    Inference, and what it is given to read between rounds, are by the rules of IR 4: not every initializer is an input.
    """
    held = {t.name for t in (*model.graph.initializer, *(s.values for s in model.graph.sparse_initializer))}
    if not held.isdisjoint(v.name for v in model.graph.input):
        replace_items(model.graph.input, [v for v in model.graph.input if v.name not in held])
    model.ir_version = max(model.ir_version, 4)


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
        replace_items(model.graph.node, [n for n in model.graph.node if not {*n.output} <= {*new}])
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

    kept_tensors, kept_nodes, lifted = [], [], []
    for sparse in graph.sparse_initializer:
        known[sparse.values.name] = tuple(sparse.dims)
        lifted.append((sparse.values.name, sparse.values.data_type, sparse.dims))
    del graph.sparse_initializer[:]
    for tensor in graph.initializer:
        known[tensor.name] = tuple(tensor.dims)
        if _is_weight(tensor, folder):
            lifted.append((tensor.name, tensor.data_type, tensor.dims))
        else:
            kept_tensors.append(tensor)
    for node in graph.node:
        tensor = _value_of(node)
        if tensor is not None and _is_weight(tensor, folder):
            known[node.output[0]] = tuple(tensor.dims)
            lifted.append((node.output[0], tensor.data_type, tensor.dims))
        else:
            kept_nodes.append(node)
    new = [onnx.helper.make_tensor_value_info(name, dtype, list(dims)) for name, dtype, dims in lifted]
    replace_items(graph.initializer, kept_tensors)
    replace_items(graph.node, kept_nodes)
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
    replace_items(graph.value_info, [v for v in graph.value_info if v.name in custom])
    for value in graph.output:
        if value.name not in custom and value.type.WhichOneof("value") == "tensor_type":
            # A dtype that the file has wrong would end inference too.
            value.ClearField("type")


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
