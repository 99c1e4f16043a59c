"""A model's graph with another attribute: what exporters and runtimes are known to set otherwise.

For: ceil_mode and count_include_pad of pooling, where strided nodes pad, how a Resize samples, epsilons. Not for: opening it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

_POOLS = ("MaxPool", "AveragePool", "LpPool")
_SAMPLED = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
_ROUNDED = ("round_prefer_floor", "floor", "ceil", "round_prefer_ceil")
_EPSILONS = (1e-3, 1e-5, 1e-6, 1e-12)
_NORMALISED = ("BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization")


def graph_changes(path: Path) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """The fault, what each does, as a clause about the candidate, and what makes the changed ModelProto. All nodes of a kind
    change alike, as they do by another exporter."""
    import onnx

    whole = onnx.load(str(path))
    nodes = list(whole.graph.node)
    kinds = {n.op_type for n in nodes}
    yield from (("pooling-mode", *change) for change in _pools(whole, kinds))
    yield from (("half-pixel", *change) for change in _grids(whole, kinds))
    yield from (("activation", *change) for change in _ends(whole, nodes))
    yield from (("graph-attribute", *change) for change in _others(whole, nodes, kinds))


def _grids(whole: Any, kinds: set[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    if "Resize" in kinds:
        for mode in _SAMPLED:
            said = f"samples its resizes by {mode} coordinates"
            yield said, _set(whole, ("Resize",), "coordinate_transformation_mode", mode, "half_pixel")
        for mode in _ROUNDED:
            said = f"rounds coordinates of its resizes by {mode}"
            yield said, _set(whole, ("Resize",), "nearest_mode", mode, "round_prefer_floor")


def _ends(whole: Any, nodes: list[Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The activation at the end, by another: behind it what went in is no longer known."""
    last = next((n.op_type for n in reversed(nodes) if n.op_type in ("Sigmoid", "Softmax")), None)
    if last == "Softmax":
        yield "ends in a sigmoid where the model has a softmax", _ending(whole, "Sigmoid")
    elif last == "Sigmoid":
        yield "ends in a softmax along axis 1 where the model has a sigmoid", _ending(whole, "Softmax", axis=1)
        yield "ends in a softmax along the last axis where the model has a sigmoid", _ending(whole, "Softmax", axis=-1)


def _ending(whole: Any, kind: str, **attributes: int) -> Callable[[], Any]:
    def made() -> Any:
        from onnx import helper

        copy = _copy(whole)
        last = next(n for n in reversed(copy.graph.node) if n.op_type in ("Sigmoid", "Softmax"))
        last.op_type = kind
        del last.attribute[:]
        last.attribute.extend(helper.make_attribute(k, v) for k, v in attributes.items())
        return _checked(copy, 1)

    return made


def _others(whole: Any, nodes: list[Any], kinds: set[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    if "Resize" in kinds:
        for mode in ("nearest", "linear"):
            yield f"resizes by {mode} inside the model", _set(whole, ("Resize",), "mode", mode, "nearest")
    if kinds & set(_NORMALISED):
        for epsilon in _EPSILONS:
            yield f"normalises with an epsilon of {epsilon:g}", _set(whole, _NORMALISED, "epsilon", epsilon, 1e-5)
    if "LeakyRelu" in kinds:
        for alpha in (0.01, 0.1, 0.2):
            yield f"has leaky ReLUs of slope {alpha:g}", _set(whole, ("LeakyRelu",), "alpha", alpha, 0.01)
    if "Gelu" in kinds:
        for form in ("tanh", "none"):
            yield f"has GELUs with approximate {form}", _set(whole, ("Gelu",), "approximate", form, "none")
    if any(n.op_type in ("Conv", *_POOLS) and any(_pads(n)) for n in nodes):
        yield "pads below and to the right first (SAME_UPPER)", _moved(whole, 1)
        yield "pads above and to the left first (SAME_LOWER)", _moved(whole, 0)


def _pools(whole: Any, kinds: set[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    if kinds & set(_POOLS):
        for value, said in ((1, "rounds sizes of its pools up (ceil_mode)"), (0, "rounds sizes of its pools down")):
            yield said, _set(whole, _POOLS, "ceil_mode", value, 0)
    if "AveragePool" in kinds:
        for value, said in ((1, "counts padding in its averages"), (0, "leaves padding out of its averages")):
            yield said, _set(whole, ("AveragePool",), "count_include_pad", value, 0)
        yield "takes the greatest of its pools, not the mean", _renamed(whole, "AveragePool", "MaxPool")
    if "MaxPool" in kinds:
        yield "takes the mean of its pools, not the greatest", _renamed(whole, "MaxPool", "AveragePool")


def _set(whole: Any, operators: tuple[str, ...], name: str, value: Any, default: Any) -> Callable[[], Any]:
    def made() -> Any:
        """ValueError where the nodes have the value already."""
        from onnx import helper

        copy = _copy(whole)
        changed = 0
        for node in (n for n in copy.graph.node if n.op_type in operators):
            own = next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)
            own = own.decode() if isinstance(own, bytes) else own
            if own == value or (isinstance(own, float) and abs(own - value) < 1e-3 * value):
                continue
            kept = [a for a in node.attribute if a.name != name]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute(name, value)])
            changed += 1
        return _checked(copy, changed)

    return made


def _renamed(whole: Any, old: str, new: str) -> Callable[[], Any]:
    unread = {"AveragePool": ("dilations", "storage_order"), "MaxPool": ("count_include_pad",)}[new]

    def made() -> Any:
        copy = _copy(whole)
        own = [n for n in copy.graph.node if n.op_type == old and len(n.output) == 1]
        for node in own:
            node.op_type = new
            kept = [a for a in node.attribute if a.name not in unread]
            del node.attribute[:]
            node.attribute.extend(kept)
        return _checked(copy, len(own))

    return made


def _moved(whole: Any, end: int) -> Callable[[], Any]:
    """Of strided nodes with as much padding on both sides: one row and column of it from one side to nowhere on the other.

    What TensorFlow's SAME does where an even size is halved: kernel 3, stride 2 pads (0, 1), PyTorch's padding=1 (1, 1)."""

    def made() -> Any:
        from onnx import helper

        copy = _copy(whole)
        changed = 0
        for node in (n for n in copy.graph.node if n.op_type in ("Conv", *_POOLS)):
            pads = _pads(node)
            strides = next((list(a.ints) for a in node.attribute if a.name == "strides"), [])
            half = len(pads) // 2
            if not pads or pads[:half] != pads[half:] or not any(s > 1 for s in strides):
                continue
            low = [p - 1 if s > 1 and p else p for p, s in zip(pads[:half], strides, strict=False)]
            moved = [*low, *pads[half:]] if end else [*pads[:half], *low]
            kept = [a for a in node.attribute if a.name not in ("pads", "auto_pad")]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute("pads", moved)])
            changed += 1
        return _checked(copy, changed)

    return made


def _pads(node: Any) -> list[int]:
    return next((list(a.ints) for a in node.attribute if a.name == "pads"), [])


def _copy(whole: Any) -> Any:
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(whole)
    # Shapes that were inferred are those of the attributes that change.
    del copy.graph.value_info[:]
    return copy


def _checked(copy: Any, changed: int) -> Any:
    if not changed:
        raise ValueError("no node of the model has it otherwise")
    return copy


# Beyond it float16 is infinite.
_FLOAT16_END = 65504.0


def with_float16_range(path: Path) -> Any:
    """The model, still in float32, whose every tensor is infinite where float16 would be: what overflows without what is only
    rounded, and by any backend, whose own float16 may keep float32 in between. ModelError's causes are onnx's own."""
    import onnx
    from onnx import helper, numpy_helper

    copy = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    floats = {
        v.name
        for v in (*copy.graph.value_info, *copy.graph.output)
        if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    del copy.graph.value_info[:]
    for name, value in (("f16_end", _FLOAT16_END), ("f16_inf", np.inf), ("f16_one", 1.0)):
        copy.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    nodes: list[Any] = []
    for node in list(copy.graph.node):
        nodes.append(node)
        for k, name in enumerate(node.output):
            # A Constant's zero times infinity is none of float16's.
            if name not in floats or node.op_type == "Constant":
                continue
            whole = f"{name}_whole"
            node.output[k] = whole
            nodes += [
                helper.make_node("Abs", [whole], [f"{name}_size"]),
                helper.make_node("Greater", [f"{name}_size", "f16_end"], [f"{name}_over"]),
                helper.make_node("Where", [f"{name}_over", "f16_inf", "f16_one"], [f"{name}_times"]),
                helper.make_node("Mul", [whole, f"{name}_times"], [name]),
            ]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy
