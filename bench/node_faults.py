"""Faults for one node of an ONNX network, and other names for all of it: what localise_faults.py plants.

For: what goes wrong in exports and rewrites, done by hand on the graph. Not for: how it is found; nothing here knows that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from seatrial.model.nodes import names_read

Fault = Callable[[Any, Any, np.random.Generator], str]


def holder(proto: Any, name: str) -> Any:
    """The tensor of a constant: an initialiser's or a Constant node's; None of what is computed."""
    for tensor in proto.graph.initializer:
        if tensor.name == name:
            return tensor
    for node in proto.graph.node:
        if node.op_type == "Constant" and name in node.output:
            return next((a.t for a in node.attribute if a.name == "value"), None)
    return None


def only_reader(proto: Any, name: str) -> bool:
    return sum(name in n.input for n in proto.graph.node) == 1


def change(proto: Any, node: Any, place: int, values: Any) -> bool:
    """Another value for one constant input; False where it is no constant of this node's own."""
    tensor = holder(proto, node.input[place]) if len(node.input) > place else None
    if tensor is None or not only_reader(proto, node.input[place]):
        return False
    array = numpy_helper.to_array(tensor)
    if array.dtype != np.float32 or array.size == 0:
        return False
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(values(array.copy()), np.float32), tensor.name))
    return True


def weights(proto: Any, node: Any, rng: np.random.Generator) -> str:
    """A twentieth of the weights, or one channel, moved by a share of their spread."""
    if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "PRelu", "Mul", "Add"):
        return ""
    share = float(rng.choice([0.05, 0.3, 1.0]))

    def moved(w: Any) -> Any:
        by = share * (w.std() or abs(w).max() or 1.0)
        if rng.random() < 0.5 and w.ndim > 1:
            w[int(rng.integers(len(w)))] += by
        else:
            w += np.where(rng.random(w.shape) < 0.05, by, 0) if w.size > 40 else by
        return w

    return f"weights by {share:g} of their spread" if change(proto, node, 1, moved) else ""


def no_bias(_proto: Any, node: Any, _rng: np.random.Generator) -> str:
    if node.op_type not in ("Conv", "ConvTranspose", "Gemm") or len(node.input) < 3:
        return ""
    del node.input[2:]
    return "bias dropped"


def padding(_proto: Any, node: Any, _rng: np.random.Generator) -> str:
    """One pixel from the end to the beginning."""
    pads = next((a for a in node.attribute if a.name == "pads"), None)
    if node.op_type not in ("Conv", "MaxPool", "AveragePool") or pads is None or not pads.ints[-1]:
        return ""
    half = len(pads.ints) // 2
    pads.ints[half - 1] += 1
    pads.ints[-1] -= 1
    return "padding shifted by a pixel"


def attribute(_proto: Any, node: Any, rng: np.random.Generator) -> str:
    """epsilon, alpha, axis, ceil_mode, dilation and what else changes a number without another shape, most times."""
    given = {a.name: a for a in node.attribute}

    def put(name: str, value: Any) -> str:
        for a in list(node.attribute):
            if a.name == name:
                node.attribute.remove(a)
        node.attribute.append(onnx.helper.make_attribute(name, value))
        return f"{name} = {value}"

    match node.op_type:
        case "BatchNormalization" | "InstanceNormalization" | "LayerNormalization":
            return put("epsilon", float(rng.choice([1e-3, 1e-2])))
        case "LeakyRelu" | "HardSigmoid" | "Elu":
            return put("alpha", given["alpha"].f * 1.3 if "alpha" in given else 0.3)
        case "Softmax":
            return put("axis", 1 if given.get("axis") is None or given["axis"].i in (-1, 2, 3) else -1)
        case "MaxPool" | "AveragePool":
            return put("ceil_mode", 1 - (given["ceil_mode"].i if "ceil_mode" in given else 0))
        case "Resize":
            mode = given["mode"].s if "mode" in given else b"nearest"
            if mode == b"nearest":
                return put(
                    "nearest_mode",
                    "ceil" if given.get("nearest_mode") is None or given["nearest_mode"].s != b"ceil" else "floor",
                )
            return put("coordinate_transformation_mode", "align_corners")
        case "Concat":
            if len(node.input) < 2:
                return ""
            first, second = node.input[0], node.input[1]
            node.input[0], node.input[1] = second, first
            return "inputs in another order"
        case "Transpose":
            perm = given["perm"].ints if "perm" in given else []
            if len(perm) < 2:
                return ""
            perm[-1], perm[-2] = perm[-2], perm[-1]
            return "last two axes the other way round"
        case "Gemm":
            return put("alpha", 1.02)
    return ""


REPLACED = {
    "Relu": ["LeakyRelu", "Elu", "Abs"],
    "LeakyRelu": ["Relu"],
    "Sigmoid": ["HardSigmoid", "Tanh"],
    "HardSigmoid": ["Sigmoid"],
    "HardSwish": ["Relu"],
    "Add": ["Sub", "Max"],
    "Sub": ["Add"],
    "Mul": ["Add", "Min"],
    "Div": ["Mul"],
    "MaxPool": ["AveragePool"],
    "GlobalAveragePool": ["GlobalMaxPool"],
    "Sqrt": ["Abs"],
    "Exp": ["Softplus"],
}
KEPT = {"AveragePool": {"kernel_shape", "strides", "pads", "ceil_mode", "auto_pad"}}


def operator(_proto: Any, node: Any, rng: np.random.Generator) -> str:
    if node.op_type not in REPLACED:
        return ""
    before = node.op_type
    node.op_type = str(rng.choice(REPLACED[before]))
    kept = [a for a in node.attribute if a.name in KEPT.get(node.op_type, ())]
    del node.attribute[:]
    node.attribute.extend(kept)
    return f"{before} -> {node.op_type}"


FAULTS: dict[str, Fault] = {
    "weights": weights,
    "bias": no_bias,
    "padding": padding,
    "attribute": attribute,
    "operator": operator,
}


def planted(proto: Any, rng: np.random.Generator) -> tuple[Any, int, str, str]:
    """A copy with one fault: its node's number, the kind, what was done. A kind first, then nodes until one takes it."""
    while True:
        kind = str(rng.choice(list(FAULTS)))
        for at in rng.permutation(len(proto.graph.node)).tolist():
            made = onnx.ModelProto()
            made.CopyFrom(proto)
            with contextlib.suppress(KeyError):
                if what := FAULTS[kind](made, made.graph.node[at], rng):
                    del made.graph.value_info[:]
                    return made, at, kind, what


def renamed(proto: Any, rng: np.random.Generator) -> Any:
    """Every tensor, node and output with a number for a name, and the nodes in another order. Nothing but structure is left."""
    names: dict[str, str] = {}
    numbers = iter(rng.permutation(100_000).tolist())

    def of(name: str) -> str:
        return names.setdefault(name, f"t{next(numbers)}") if name else ""

    def graph(g: Any) -> None:
        for value in (*g.input, *g.output, *g.initializer):
            value.name = of(value.name)
        for node in g.node:
            node.name = f"n{next(numbers)}"
            node.input[:] = [of(i) for i in node.input]
            node.output[:] = [of(o) for o in node.output]
            for a in node.attribute:
                for inner in ([a.g] if a.HasField("g") else []) + list(a.graphs):
                    graph(inner)
        del g.value_info[:]

    graph(proto.graph)
    shuffle(proto.graph, rng)
    return proto


def shuffle(graph: Any, rng: np.random.Generator) -> None:
    """Another order in which the nodes can run."""
    made = {o for n in graph.node for o in n.output}
    left, done, order = list(graph.node), set[str](), []
    while left:
        ready = [n for n in left if not ((names_read(n) & made) - done)]
        node = ready[int(rng.integers(len(ready)))]
        left.remove(node)
        done.update(node.output)
        order.append(onnx.NodeProto.FromString(node.SerializeToString()))
    del graph.node[:]
    graph.node.extend(order)
