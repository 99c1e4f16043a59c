"""float16 and bfloat16 models: casts where a node's arithmetic can be in 16 bits, and nothing else changed.

For: an onnx model that `prepared` gave. Inputs and outputs stay float32, so that a pipeline feeds and reads what it did. Not
for: which numbers the model makes (ranges.py). Own code, since of the converters at hand none makes bfloat16 without torch,
and those for float16 clamp constants that float16 cannot hold, a BatchNorm's variance among them, without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from seatrial.errors import ModelError
from seatrial.model.nodes import subgraphs
from seatrial.precision.conversion import Kept
from seatrial.precision.fold import drop_unread
from seatrial.precision.names import untyped_in
from seatrial.precision.recipe import Recipe
from seatrial.precision.sizes import of_sizes
from seatrial.precision.sums import SQUARE, sum_of, window

# Magnitudes that the type holds: the greatest, the least with all its digits, the least of all.
GREATEST = {"fp16": 65504.0, "bf16": 3.3895313892515355e38}
LEAST_NORMAL = {"fp16": 2.0**-14, "bf16": 2.0**-126}
LEAST = {"fp16": 2.0**-24, "bf16": 2.0**-133}
_ADDITIVE = ("Add", "Sub", "Max", "Min", "Clip", "Where", "Concat", "Pad", "Sum")
# An activation may be this much greater on another image than on those that were run.
HEADROOM = 2.0
# What they give is of the type that an attribute or a second input says, or is a number of pixels or of things: 16 bits hold
# whole numbers up to 2048 (bfloat16: 256).
_OWN_TYPE = {
    *(
        "Cast",
        "CastLike",
        "Constant",
        "ConstantOfShape",
        "EyeLike",
        "Range",
        "RandomNormal",
        "RandomUniform",
        "Bernoulli",
    ),
    *("RandomNormalLike", "RandomUniformLike", "Multinomial", "CumSum", "NonMaxSuppression", "GridSample", "RoiAlign"),
}
_QUANTISED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")


@dataclass(frozen=True)
class Halved:
    """The ModelProto, how many nodes compute in 16 bits, and which that work on floats do not."""

    proto: Any
    nodes: int
    kept: tuple[Kept, ...]


def halved(proto: Any, precision: str, greatest: Mapping[str, float], recipe: Recipe = Recipe()) -> Halved:
    """The model with every node in 16 bits that may be.

    precision: fp16 or bf16. greatest: magnitudes of its tensors, by name, that were seen on images.

    Raises:
        ModelError: no node may be, or the outcome does not pass onnx's checker.
    """
    import onnx

    plan = _Plan(proto, precision, greatest, recipe)
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    count = _Rewriter(made, plan).run()
    if not count:
        reasons = sorted({k.reason for k in plan.kept}) or ["it computes nothing in floats"]
        raise ModelError(f"{precision}: no node of the model can compute in it: {'; '.join(reasons[:3])}")
    del made.graph.value_info[:]
    try:
        made = onnx.shape_inference.infer_shapes(made, data_prop=True)
        onnx.checker.check_model(made, full_check=True)
    except Exception as e:  # of many kinds
        raise ModelError(f"{precision}: the converted model is not sound: {str(e)[:300]}") from e
    return Halved(made, count, tuple(plan.kept))


class _Plan:
    """Which nodes change, and of these which inputs and outputs."""

    def __init__(self, proto: Any, precision: str, greatest: Mapping[str, float], recipe: Recipe) -> None:
        import onnx

        self.precision = precision
        self.element = onnx.TensorProto.FLOAT16 if precision == "fp16" else onnx.TensorProto.BFLOAT16
        self.type_name = "tensor(float16)" if precision == "fp16" else "tensor(bfloat16)"
        self.opset = next(o.version for o in proto.opset_import if o.domain in ("", "ai.onnx"))
        graph = proto.graph
        self.constants = {t.name: t for t in graph.initializer}
        self.floats = {t.name for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
                self.floats.add(value.name)
        # Names that must go on meaning a float32 tensor: for callers, and for the insides of If and Loop.
        self.pinned = {o.name for o in graph.output}
        # Nothing is known of their type: they may be float32, which no neighbour in 16 bits can read.
        self.untyped = untyped_in(graph)
        self.sizes = of_sizes(graph)
        for node in graph.node:
            self.pinned |= set(_captured(node))
        self.greatest = greatest
        self.recipe = recipe
        self.kept: list[Kept] = []
        self.changes: dict[str, tuple[list[int], list[int]]] = {}
        for node in graph.node:
            inputs = [i for i, name in enumerate(node.input) if name in self.floats]
            outputs = [i for i, name in enumerate(node.output) if name in self.floats]
            unknown = not self.untyped.isdisjoint(node.output)
            if not inputs and not outputs and not unknown:
                continue
            own = self._of_type(node, inputs, outputs)
            reason = self._why_kept(node, own)
            if not outputs and not unknown:
                # Shapes, comparisons, the greatest one's place: nothing of it is kept in floats.
                if not reason:
                    self.changes[node.name] = own
            elif reason:
                self.kept.append(Kept(node.name, node.op_type, reason))
            else:
                self.changes[node.name] = own

    def _of_type(self, node: Any, inputs: list[int], outputs: list[int]) -> tuple[list[int], list[int]]:
        """Of its float32 inputs and outputs those that the operator also takes in 16 bits."""
        import onnx

        try:
            schema = onnx.defs.get_schema(node.op_type, self.opset, node.domain)
        except onnx.defs.SchemaError:
            return [], []
        allowed = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}

        def takes(parameters: Any, index: int) -> bool:
            parameter = parameters[min(index, len(parameters) - 1)]
            return self.type_name in allowed.get(parameter.type_str, {parameter.type_str})

        return [i for i in inputs if takes(schema.inputs, i)], [i for i in outputs if takes(schema.outputs, i)]

    def _why_kept(self, node: Any, own: tuple[list[int], list[int]]) -> str:
        if self.recipe.keeps(node):
            return "the recipe says so"
        if node.op_type in _QUANTISED:
            return "it is quantised"
        if subgraphs(node):
            return "it holds a graph of its own"
        if node.op_type in _OWN_TYPE:
            return "what it gives is typed by itself, or counts"
        if not self.untyped.isdisjoint((*node.input, *node.output)):
            return "the type of what it reads or gives is not known"
        if not self.sizes.isdisjoint(self.floats.intersection(node.output)):
            return "it works out sizes"
        if not any(own):
            return f"the operator does not take {self.precision}"
        if self.precision == "fp16" and (why := self._why_summed(node)):
            return why
        names = [node.input[i] for i in own[0]]
        for name in (*names, *(node.output[i] for i in own[1])):
            if self.greatest.get(name, 0.0) * HEADROOM > GREATEST[self.precision]:
                end = GREATEST[self.precision]
                return f"{name} was seen to reach {self.greatest[name]:.4g}, and {self.precision} ends at {end:.4g}"
        for name in names:
            if why := self._does_not_hold(name, node.op_type):
                return why
        return ""

    def _why_summed(self, node: Any) -> str:
        """What it adds up inside itself may be beyond float16, though neither what it reads is nor what it gives."""
        if node.op_type in SQUARE:
            return "squares, powers and products of many numbers leave float16's range both ways"
        greatest = self.greatest.get(sum_of(node), 0.0)
        if node.op_type == "AveragePool":
            greatest = window(node) * self.greatest.get(node.input[0], 0.0)
        if greatest * HEADROOM > GREATEST["fp16"]:
            return f"what it adds up was seen to reach {greatest:.4g}, and fp16 ends at {GREATEST['fp16']:.4g}"
        return ""

    def _does_not_hold(self, name: str, operator: str) -> str:
        if name not in self.constants:
            return ""
        from onnx import numpy_helper

        values = np.abs(numpy_helper.to_array(self.constants[name]).astype(np.float64))
        values = values[np.isfinite(values) & (values > 0)]
        if not values.size:
            return ""
        most = float(values.max())
        if most > GREATEST[self.precision]:
            return f"its constant {name} reaches {most:.4g}"
        # A weight near zero beside others may go to zero; a divisor may not, nor a variance, nor all of them. Of what is only
        # added, such as an epsilon, it matters that it is not nothing.
        least = float(values.min()) if operator in ("Div", "BatchNormalization") else most
        if least < (LEAST[self.precision] if operator in _ADDITIVE else LEAST_NORMAL[self.precision]):
            return f"its constant {name} has {least:.4g}, of which {self.precision} keeps few digits or none"
        return ""


class _Rewriter:
    """Casts between nodes that change and those that do not, each once."""

    def __init__(self, made: Any, plan: _Plan) -> None:
        self.made, self.plan = made, plan
        self.taken = set(plan.floats) | {n for node in made.graph.node for n in (*node.input, *node.output)}
        # By a float32 tensor's name, what it is called in 16 bits; and the reverse for those that only exist in 16.
        self.as_half: dict[str, str] = {}
        self.only_half: set[str] = set()
        self.as_float: dict[str, str] = {}
        self.nodes: list[Any] = []

    def run(self) -> int:
        for node in list(self.made.graph.node):
            inputs, outputs = self.plan.changes.get(node.name, ([], []))
            if not outputs and any(node.input[i] not in self.only_half | set(self.plan.constants) for i in inputs):
                # For a shape or a comparison alone nothing is cast.
                inputs = []
            for index, name in enumerate(node.input):
                if name in self.plan.floats:
                    node.input[index] = self._half(name) if index in inputs else self._float(name)
            self.nodes.append(node)
            for index in outputs:
                self._give_half(node, index)
        del self.made.graph.node[:]
        self.made.graph.node.extend(self.nodes)
        drop_unread(self.made.graph, self.made)
        return sum(1 for _, outputs in self.plan.changes.values() if outputs)

    def _half(self, name: str) -> str:
        if name in self.only_half:
            return name
        if name not in self.as_half:
            own = self._fresh(name)
            if name in self.plan.constants:
                self.made.graph.initializer.append(_half_constant(self.plan.constants[name], own, self.plan.element))
            else:
                self._cast(name, own, self.plan.element)
            self.as_half[name] = own
        return self.as_half[name]

    def _float(self, name: str) -> str:
        if name not in self.only_half:
            return name
        if name not in self.as_float:
            import onnx

            self.as_float[name] = self._fresh(name, "fp32")
            self._cast(name, self.as_float[name], onnx.TensorProto.FLOAT)
        return self.as_float[name]

    def _give_half(self, node: Any, index: int) -> None:
        name = node.output[index]
        if name not in self.plan.pinned:
            self.only_half.add(name)
            return
        import onnx

        node.output[index] = self.as_half[name] = self._fresh(name)
        self._cast(self.as_half[name], name, onnx.TensorProto.FLOAT)

    def _cast(self, source: str, target: str, element: int) -> None:
        import onnx

        self.nodes.append(onnx.helper.make_node("Cast", [source], [target], name=f"cast_to_{target}", to=element))

    def _fresh(self, name: str, suffix: str = "") -> str:
        own = f"{name}_{suffix or self.plan.precision}"
        while own in self.taken:
            own += "_"
        self.taken.add(own)
        return own


def _half_constant(tensor: Any, name: str, element: int) -> Any:
    import onnx
    from onnx import numpy_helper

    values = numpy_helper.to_array(tensor)
    if element == onnx.TensorProto.FLOAT16:
        return numpy_helper.from_array(values.astype(np.float16), name)
    import ml_dtypes

    raw = values.astype(ml_dtypes.bfloat16).tobytes()
    return onnx.helper.make_tensor(name, element, tensor.dims, raw, raw=True)


def _captured(node: Any) -> Iterator[str]:
    """Names that the graphs inside a node read; their own among them, which do no harm."""
    for graph in subgraphs(node):
        for inner in graph.node:
            yield from inner.input
            yield from _captured(inner)
        yield from (o.name for o in graph.output)
