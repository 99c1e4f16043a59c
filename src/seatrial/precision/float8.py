"""float8 (E4M3) models: Q/DQ pairs about convolutions and matrix products, scales from the greatest magnitudes.

For: a model that `prepared` gave. Own code: onnxruntime.quantization takes scales from the spread of an assumed distribution,
and makes NaN of a channel of zeros. E4M3 has three bits of mantissa over fifteen powers of two, so that a scale only has to
keep the greatest magnitude inside: there is no better one to look for, as there is among int8's even steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import ModelError
from seatrial.precision.fold import drop_unread
from seatrial.precision.names import fresh_name, names_in
from seatrial.precision.prepare import inside_graphs
from seatrial.precision.quantise import PRODUCTS
from seatrial.precision.recipe import Recipe

F32 = npt.NDArray[np.float32]
GREATEST = 448.0


@dataclass(frozen=True)
class InFloat8:
    """The ModelProto, and why products were left that could have been quantised, by name."""

    proto: Any
    left: Mapping[str, str]


def in_float8(proto: Any, greatest: Mapping[str, float], recipe: Recipe = Recipe()) -> InFloat8:
    """The model with its products' activations quantised a tensor, their weights a channel; biases stay float32.

    greatest: magnitudes of its tensors, by name, that were seen on images.

    Raises:
        ModelError: it has no product whose numbers are finite, or the outcome does not pass onnx's checker.
    """
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(proto)
    graph = made.graph
    constants = {t.name: t for t in graph.initializer}
    floats = {t.name for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT} | set(greatest)
    pairs: dict[tuple[str, int | None], str] = {}
    nodes: list[Any] = []
    left: dict[str, str] = {}
    taken = names_in(graph)
    count = 0
    for node in graph.node:
        own = [n for n in node.input[:2] if n in floats] if node.op_type in PRODUCTS else []
        endless = next((n for n in own if not np.isfinite(greatest.get(n, 0.0))), "")
        if endless:
            left[node.name] = f"{endless} was seen to be NaN or infinite, for which there is no scale"
        if len(own) == 2 and not endless and not recipe.keeps(node):
            count += 1
            for index, name in enumerate(node.input[:2]):
                axis = _channel_axis(node, index, constants)
                if (name, axis) not in pairs:
                    scale = _scale(constants.get(name), axis, greatest.get(name, 0.0))
                    pairs[name, axis] = _pair(graph, nodes, name, axis, scale, constants.get(name), taken)
                node.input[index] = pairs[name, axis]
        nodes.append(node)
    if not count:
        raise ModelError(
            f"nothing to quantize: fp8 applies to {', '.join(PRODUCTS)}, and the model has none that may be"
            f"{inside_graphs(made)}; use fp32"
        )
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unread(graph, made)
    del graph.value_info[:]
    try:
        made = onnx.shape_inference.infer_shapes(made, data_prop=True)
        onnx.checker.check_model(made, full_check=True)
    except Exception as e:  # of many kinds
        raise ModelError(f"fp8: the converted model is not sound: {str(e)[:300]}") from e
    return InFloat8(made, left)


def _channel_axis(node: Any, index: int, constants: Mapping[str, Any]) -> int | None:
    """Of constant weights the axis of the output's channels; None of activations, and where a channel's weights lie apart."""
    if index != 1 or node.input[1] not in constants:
        return None
    attributes = {a.name: a.i for a in node.attribute}
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        # (channels in, channels out / groups, …): of several groups one column serves several output channels.
        return 1 if attributes.get("group", 1) == 1 else None
    if node.op_type == "Gemm":
        return 0 if attributes.get("transB", 0) else 1
    rank = len(constants[node.input[1]].dims)
    return rank - 1 if rank == 2 else None


def _scale(constant: Any, axis: int | None, greatest: float) -> F32:
    """One, or one a channel. Of what is zero throughout any does."""
    from onnx import numpy_helper

    if constant is None:
        most = np.array(greatest)
    else:
        values = np.abs(numpy_helper.to_array(constant).astype(np.float64))
        most = values.max() if axis is None else values.max(axis=tuple(a for a in range(values.ndim) if a != axis))
    scale = np.asarray(most, np.float64) / GREATEST
    # Below it 1 / scale overflows.
    return np.where(scale < np.finfo(np.float32).tiny, 1.0, scale).astype(np.float32)


def _pair(graph: Any, nodes: list[Any], name: str, axis: int | None, scale: F32, constant: Any, taken: set[str]) -> str:
    """Quantised and back. Of a constant only the way back is in the graph, and its eight bits are in the file."""
    import onnx

    own = fresh_name(f"{name}_fp8" if axis is None else f"{name}_fp8_{axis}", taken)
    scale_name, zero_name, held = (fresh_name(f"{own}_{part}", taken) for part in ("scale", "zero", "q"))
    element = onnx.TensorProto.FLOAT8E4M3FN
    given = {} if axis is None else {"axis": axis}
    zero = onnx.helper.make_tensor(zero_name, element, scale.shape, bytes(scale.size), raw=True)
    graph.initializer.extend([onnx.numpy_helper.from_array(scale, scale_name), zero])
    typed = [scale_name, zero_name]
    if constant is None:
        nodes.append(onnx.helper.make_node("QuantizeLinear", [name, *typed], [held], name=f"quantise_{own}"))
    else:
        graph.initializer.append(_eight_bits(constant, held, axis, scale))
    nodes.append(onnx.helper.make_node("DequantizeLinear", [held, *typed], [own], name=f"dequantise_{own}", **given))
    return own


def _eight_bits(constant: Any, name: str, axis: int | None, scale: F32) -> Any:
    import ml_dtypes
    import onnx

    values = onnx.numpy_helper.to_array(constant)
    by_channel = scale if axis is None else scale.reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    # Beyond 448 the type has only NaN.
    held = np.clip(values / by_channel, -GREATEST, GREATEST).astype(ml_dtypes.float8_e4m3fn)
    return onnx.helper.make_tensor(name, onnx.TensorProto.FLOAT8E4M3FN, values.shape, held.tobytes(), raw=True)
