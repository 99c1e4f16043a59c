"""An ONNX model that knows pictures by the colour at their centre, and gives each the tensors that it was told.

For: any layout of outputs, with the right answer by construction. Not for: the layouts (encode.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def lookup_model(
    path: Path,
    codes: np.ndarray,
    outputs: Mapping[str, np.ndarray],
    side: int | None,
    metadata: Mapping[str, str] | None = None,
    shapes: Mapping[str, Sequence[int | str]] | None = None,
    batch: int | str = "batch",
    rows: Mapping[str, np.ndarray] | None = None,
    more_inputs: Mapping[str, tuple[str, Sequence[int | str]]] | None = None,
    numbered: Sequence[str] = (),
) -> Path:
    """Writes the model.

    codes (M, 3): what the input holds at its centre, by picture. outputs: (M, …) by name: of each picture without the batch.
    shapes: what the file says of an output's shape, with the batch; by default its own. rows: of outputs whose first dimension
    is no batch but how many were found in all of it, one picture's behind the other's: how many of each picture's rows there
    are. numbered: those of them whose column 0 becomes the picture's place in the batch. side: of the input; None leaves its
    sides open. more_inputs: others by name, with their dtype and shape, which change nothing.
    """
    tensors = [
        numpy_helper.from_array(codes.astype(np.float32)[None], "codes"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
        numpy_helper.from_array(np.array([2], np.int64), "two"),
        numpy_helper.from_array(np.array([0], np.int64), "zero"),
    ]
    nodes = [
        helper.make_node("Shape", ["images"], ["sides"], start=2),
        helper.make_node("Div", ["sides", "two"], ["middle"]),
        helper.make_node("Split", ["middle"], ["middle_y", "middle_x"], num_outputs=2),
        helper.make_node("Gather", ["images", "middle_y"], ["row"], axis=2),
        helper.make_node("Gather", ["row", "middle_x"], ["pixel"], axis=3),
        helper.make_node("Flatten", ["pixel"], ["colour"]),
        helper.make_node("Unsqueeze", ["colour", "one"], ["one_colour"]),
        helper.make_node("Sub", ["one_colour", "codes"], ["apart"]),
        helper.make_node("Mul", ["apart", "apart"], ["squares"]),
        helper.make_node("ReduceSum", ["squares", "two"], ["distance"], keepdims=0),
        helper.make_node("ArgMin", ["distance"], ["picture"], axis=1, keepdims=0),
    ]
    infos = []
    for name, table in outputs.items():
        tensors.append(numpy_helper.from_array(np.ascontiguousarray(table), f"{name}_table"))
        counted = rows is not None and name in rows
        nodes.append(
            helper.make_node("Gather", [f"{name}_table", "picture"], [f"{name}_whole" if counted else name], axis=0)
        )
        if counted:
            tensors.append(numpy_helper.from_array(np.asarray(rows[name], np.int64), f"{name}_rows"))
            tensors.append(numpy_helper.from_array(np.arange(table.shape[1])[None], f"{name}_places"))
            last = f"{name}_found" if name in numbered else name
            nodes += [
                helper.make_node("Gather", [f"{name}_rows", "picture"], [f"{name}_count"], axis=0),
                helper.make_node("Unsqueeze", [f"{name}_count", "one"], [f"{name}_counts"]),
                helper.make_node("Less", [f"{name}_places", f"{name}_counts"], [f"{name}_there"]),
                helper.make_node("NonZero", [f"{name}_there"], [f"{name}_axes"]),
                helper.make_node("Transpose", [f"{name}_axes"], [f"{name}_pairs"], perm=[1, 0]),
                helper.make_node("GatherND", [f"{name}_whole", f"{name}_pairs"], [last]),
            ]
            if name in numbered:
                tensors.append(numpy_helper.from_array(np.array([table.shape[2]], np.int64), f"{name}_end"))
                nodes += [
                    helper.make_node("Gather", [f"{name}_pairs", "zero"], [f"{name}_image"], axis=1),
                    helper.make_node("Cast", [f"{name}_image"], [f"{name}_number"], to=TensorProto.FLOAT),
                    helper.make_node("Slice", [last, "one", f"{name}_end", "one"], [f"{name}_others"]),
                    helper.make_node("Concat", [f"{name}_number", f"{name}_others"], [name], axis=1),
                ]
        own = ["found", *table.shape[2:]] if counted else [batch, *table.shape[1:]]
        shape = (shapes or {}).get(name, own)
        infos.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(table.dtype), list(shape)))
    sides = [side or "height", side or "width"]
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, *sides])]
    for name, (dtype, shape) in (more_inputs or {}).items():
        inputs.append(
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))
        )
    graph = helper.make_graph(nodes, "lookup", inputs, infos, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
