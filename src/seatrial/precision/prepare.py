"""A model as every converter wants it: one file in memory, a current opset, constants and BatchNorms folded, names unique.

For: what a variant is made of. Not for: the variants (half.py, quantise.py), or what a user's own file is run as.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from seatrial.errors import ModelError, count_of, short_list
from seatrial.model.external_data import all_graphs, all_nodes
from seatrial.model.file import ModelInfo
from seatrial.precision.fold import constants_as_initialisers, fold_batch_norms
from seatrial.precision.older_operators import note_older, restore_older
from seatrial.precision.runtime_types import ask_runtime

# The first opset in which QuantizeLinear knows float8, and which TensorRT's parser takes whole.
LEAST_OPSET = 19
# The first in which convolutions take bfloat16.
BFLOAT16_OPSET = 22


def prepared(model: ModelInfo, least_opset: int = LEAST_OPSET) -> Any:
    """The ModelProto, checked in full: its nodes sorted and named, its weights inside.

    Raises:
        ModelError: the model cannot be read, brought to that opset, or does not pass onnx's checker.
    """
    import onnx
    from onnx import version_converter

    proto = onnx.load(str(model.path))
    _weights_are_numbers(proto, model)
    _constants_are_no_inputs(proto)
    _name_dimensions(proto)
    try:
        if _opset(proto) < least_opset:
            older = note_older(proto, _opset(proto))
            proto = version_converter.convert_version(proto, least_opset)
            restore_older(proto, older)
        constants_as_initialisers(proto)
        fold_batch_norms(proto)
        _name_nodes(proto)
        whole = _with_shapes(proto)
        onnx.checker.check_model(whole, full_check=True)
    except ModelError as e:
        raise ModelError(e.text, subject=model.path) from None
    except Exception as e:  # onnx raises bare exceptions of many kinds
        raise ModelError(
            f"cannot be brought to opset {least_opset}: {type(e).__name__}: {str(e)[:300]}", subject=model.path
        ) from e
    return whole


def inside_graphs(proto: Any) -> str:
    """', beside what stands in graphs of their own (If if_3)', which stay as they are; '' of a model without control flow."""
    holding = [n for n in proto.graph.node if any(a.HasField("g") or a.graphs for a in n.attribute)]
    if not holding:
        return ""
    return f", beside what stands in graphs of their own ({short_list([f'{n.op_type} {n.name}' for n in holding], 3)})"


def _weights_are_numbers(proto: Any, model: ModelInfo) -> None:
    """ModelError for NaN in a constant: every precision would keep it, and no range can be told. Infinities may be masks."""
    from onnx import TensorProto, numpy_helper

    held = [(t.name, t) for graph in all_graphs(proto) for t in graph.initializer]
    for node in all_nodes(proto):
        if node.op_type == "Constant":
            held += [(node.output[0], a.t) for a in node.attribute if a.HasField("t")]
            if any(np.isnan([a.f, *a.floats]).any() for a in node.attribute):
                raise _no_numbers(1, node.output[0], model)
    for name, tensor in held:
        if tensor.data_type in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16):
            try:
                missing = int(np.isnan(numpy_helper.to_array(tensor)).sum())
            except ValueError:
                size = " x ".join(map(str, tensor.dims))
                raise ModelError(
                    f"constant {name} says that it is {size}, and the file holds another number: it is cut off "
                    "or damaged; export the model anew",
                    subject=model.path,
                ) from None
            if missing:
                raise _no_numbers(missing, name, model)


def _no_numbers(missing: int, name: str, model: ModelInfo) -> ModelError:
    values = count_of(missing, "value is", "values are")
    return ModelError(
        f"{values} NaN in constant {name}, and so are the answers that depend on it: export the model anew from weights that "
        "are numbers",
        subject=model.path,
    )


def _constants_are_no_inputs(proto: Any) -> None:
    """Files of before 2019 list each weight as an input too, with its value as a default."""
    constants = {t.name for t in proto.graph.initializer}
    own = [i for i in proto.graph.input if i.name not in constants]
    del proto.graph.input[:]
    proto.graph.input.extend(own)
    proto.ir_version = max(proto.ir_version, 8)


def _with_shapes(proto: Any) -> Any:
    """Worked out anew. What a file says of its outputs is not always so: then it is left out, as runtimes do."""
    import onnx

    del proto.graph.value_info[:]
    try:
        whole = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError:
        for output in proto.graph.output:
            output.type.tensor_type.ClearField("shape")
        whole = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    # Each answer may let inference go on behind it.
    if ask_runtime(whole):
        whole = onnx.shape_inference.infer_shapes(whole, data_prop=True)
    if shapeless := [o.name for o in whole.graph.output if _is_shapeless(o)]:
        raise ModelError(
            f"output {shapeless[0]} states no shape, and neither onnx nor ONNX Runtime can tell how many dimensions it has: "
            "export the model with the shapes of its outputs"
        )
    return whole


def _is_shapeless(output: Any) -> bool:
    kind = output.type.WhichOneof("value")
    return kind is None or (kind == "tensor_type" and not output.type.tensor_type.HasField("shape"))


def _opset(proto: Any) -> int:
    return next((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), 0)


def _name_dimensions(proto: Any) -> None:
    """Dimensions of one name are of one size: exporters that call height and width both '?' do not mean that.

    A name that an input has once stays: runtimes are told sizes by it.
    """
    initialised = {t.name for t in proto.graph.initializer}
    taken = {
        d.dim_param for value in (*proto.graph.input, *proto.graph.output) for d in _dimensions(value) if d.dim_param
    }
    renamed: set[str] = set()
    for value in proto.graph.input:
        if value.name in initialised:
            continue
        names = Counter(d.dim_param for d in _dimensions(value))
        for axis, dimension in enumerate(_dimensions(value)):
            # Zero and below stand for an unknown size in some exporters' files.
            unnamed = not dimension.dim_param and dimension.dim_value <= 0
            if not unnamed and (not dimension.dim_param or names[dimension.dim_param] == 1):
                continue
            renamed.add(dimension.dim_param)
            name = f"{value.name}_{axis}"
            while name in taken:
                name += "_"
            taken.add(name)
            dimension.dim_param = name
    for value in proto.graph.output:
        for dimension in _dimensions(value):
            if dimension.dim_param in renamed:
                dimension.ClearField("dim_param")


def _dimensions(value: Any) -> list[Any]:
    tensor = value.type.tensor_type
    return list(tensor.shape.dim) if tensor.HasField("shape") else []


def _name_nodes(proto: Any) -> None:
    """So that a recipe can name them, and a message does."""
    taken: set[str] = set()
    for index, node in enumerate(proto.graph.node):
        name = node.name or f"{node.op_type}_{index}"
        while name in taken:
            name += "_"
        taken.add(name)
        node.name = name
