"""Between which values the numbers in a model lie on images: what scales, and a type with less range, are chosen by.

For: 16 bits, float8 and int8's minmax. Not for: int8's other ways to a scale (quantise.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import ModelError
from seatrial.precision.names import fresh_name, names_in
from seatrial.precision.sums import axes_of, sum_node, sum_of

Feeds = Mapping[str, npt.NDArray[Any]]
Range = tuple[float, float]


def value_ranges(proto: Any, feeds: Iterable[Feeds]) -> dict[str, Range]:
    """Least and greatest of every float32 tensor that a node of the main graph gives or an input is, over all feeds, and 0.

    Infinite both ways where it holds NaN. Of a node that adds up inside itself, also the sum, as sums.sum_of calls it.

    Raises:
        ModelError: ONNX Runtime cannot run the model, or there are no feeds.
    """
    import onnx
    import onnxruntime as ort

    floats = {v.name: v for v in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info) if _is_float(v)}
    names = [o for node in proto.graph.node for o in node.output if o in floats]
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    watched = _Watched(made)
    for name in names:
        watched.add(name, name)
    sums = [(n, sum_node(n, _rank(floats, n), watched.fresh("sum"))) for n in proto.graph.node if n.output[0] in floats]
    for node, adds in [s for s in sums if s[1] is not None]:
        made.graph.node.append(adds)
        watched.add(adds.output[0], sum_of(node))
    for name, axes in axes_of([adds for _, adds in sums if adds is not None]).items():
        watched.constant(np.array(axes, np.int64), name)
    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    # Fused nodes have no numbers in between.
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    found: dict[str, Range] = {}
    try:
        session = ort.InferenceSession(made.SerializeToString(), settings, providers=["CPUExecutionProvider"])
        for given in feeds:
            for name, array in given.items():
                if array.dtype == np.float32:
                    _note(found, name, array)
            values = session.run(list(watched.outputs), dict(given))
            for name, value in zip(watched.outputs.values(), values, strict=True):
                _note(found, name, value)
    except ModelError:
        raise
    except Exception as e:  # onnxruntime raises its own types, none with a common public base
        raise ModelError(f"its numbers on images cannot be measured: {str(e).splitlines()[0][:300]}") from e
    if not found and names:
        raise ModelError("its numbers on images cannot be measured: there are no images")
    return found


def greatest_magnitudes(proto: Any, feeds: Iterable[Feeds]) -> dict[str, float]:
    """The same, as one number each."""
    return {name: max(-least, most) for name, (least, most) in value_ranges(proto, feeds).items()}


class _Watched:
    """Nodes beside the model that work out a tensor's extremes; `outputs` names them, and whose they are."""

    def __init__(self, made: Any) -> None:
        self.made = made
        self.taken = names_in(made.graph)
        self.held: set[str] = set()
        self.flat, self.zero = self.fresh("flat"), self.fresh("zero")
        self.constant(np.array([-1], np.int64), self.flat)
        self.constant(np.zeros(1, np.float32), self.zero)
        self.outputs: dict[str, str] = {}

    def fresh(self, part: str) -> str:
        return fresh_name(f"__watched_{len(self.taken)}_{part}", self.taken)

    def constant(self, values: npt.NDArray[Any], name: str) -> None:
        from onnx import numpy_helper

        if name not in self.held:
            self.held.add(name)
            self.made.graph.initializer.append(numpy_helper.from_array(values, name))

    def add(self, name: str, called: str) -> None:
        from onnx import helper

        graph = self.made.graph
        row, whole = self.fresh("row"), self.fresh("all")
        # Of one element more, zero, so that there is always one: what NMS leaves may be nothing.
        graph.node.append(helper.make_node("Reshape", [name, self.flat], [row]))
        graph.node.append(helper.make_node("Concat", [row, self.zero], [whole], axis=0))
        for operator in ("ReduceMin", "ReduceMax"):
            one = self.fresh("extreme")
            graph.node.append(helper.make_node(operator, [whole], [one], keepdims=0))
            self.give(one, called)
        # Where there is NaN an extreme may be a number all the same, and a sum of it times zero is none.
        nothing, one = self.fresh("nothing"), self.fresh("extreme")
        graph.node.append(helper.make_node("Mul", [whole, self.zero], [nothing]))
        graph.node.append(helper.make_node("ReduceSum", [nothing], [one], keepdims=0))
        self.give(one, called)

    def give(self, one: str, called: str) -> None:
        from onnx import TensorProto, helper

        self.made.graph.output.append(helper.make_tensor_value_info(one, TensorProto.FLOAT, []))
        self.outputs[one] = called


def _rank(values: Mapping[str, Any], node: Any) -> int | None:
    tensor = values[node.input[0]].type.tensor_type if node.input and node.input[0] in values else None
    return len(tensor.shape.dim) if tensor is not None and tensor.HasField("shape") else None


def _is_float(value: Any) -> bool:
    import onnx

    return bool(value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT)


def _note(found: dict[str, Range], name: str, values: npt.NDArray[Any]) -> None:
    least, most = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if np.isnan(least) or np.isnan(most):
        least, most = -np.inf, np.inf
    before = found.get(name, (0.0, 0.0))
    found[name] = min(before[0], least), max(before[1], most)
