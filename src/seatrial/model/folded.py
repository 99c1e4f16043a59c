"""Small values that follow from known shapes, worked out: the sizes that a Reshape or a Resize is given by other nodes.

For: shape inference that stops where an exporter computes sizes (inferred.py). Not for: anything that depends on the data.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

# Each gives at most as many values as its inputs' product: of what is small, a hostile file cannot ask for much.
_SAFE = {
    "Identity", "Cast", "Gather", "Slice", "Concat", "Unsqueeze", "Squeeze", "Reshape", "Flatten", "Transpose", "Split", "Neg",
    "Abs", "Floor", "Ceil", "Sqrt", "Not", "ReduceProd", "ReduceSum", "ReduceMin", "ReduceMax", "Size",
}  # fmt: skip
_BROADCAST = {"Add", "Sub", "Mul", "Div", "Mod", "Min", "Max", "Equal", "Less", "Greater", "And", "Or", "Where"}
MOST_VALUES = 1024


class Folder:
    """Keeps what it has worked out between rounds. `values`: by name, NumPy arrays of at most MOST_VALUES values."""

    def __init__(self, model: Any) -> None:
        import onnx

        self.values: dict[str, Any] = {}
        self._opsets = list(model.opset_import)
        for tensor in model.graph.initializer:
            self._keep(tensor.name, onnx.numpy_helper.to_array, tensor)

    def round(self, graph: Any, shapes: Mapping[str, tuple[int | None, ...]]) -> list[str]:
        """Works out what it can, in the graph's order. Names that were not known before."""
        before = set(self.values)
        for node in graph.node:
            if node.domain in ("", "ai.onnx") and not all(o in self.values for o in node.output):
                self._evaluate(node, shapes)
        return [name for name in self.values if name not in before]

    def _evaluate(self, node: Any, shapes: Mapping[str, tuple[int | None, ...]]) -> None:
        import numpy as np

        if node.op_type == "Shape":
            shape = shapes.get(node.input[0])
            if shape is None:  # not even its rank is known
                return
            ends = {a.name: a.i for a in node.attribute}
            part = shape[slice(ends.get("start", 0), ends.get("end"))]
            if all(d is not None for d in part):
                self.values[node.output[0]] = np.array(part, np.int64)
        elif all(not i or i in self.values for i in node.input) and self._is_small(node):
            self._run(node)

    def _is_small(self, node: Any) -> bool:
        """Whether it is one of those that may run here, and gives few values; several dimensions multiply."""
        import numpy as np

        if node.op_type == "ConstantOfShape":
            sizes = self.values[node.input[0]].ravel().tolist()
            return bool(math.prod(sizes) <= MOST_VALUES)
        if node.op_type in _BROADCAST:
            try:
                shape = np.broadcast_shapes(*(self.values[i].shape for i in node.input))
            except (ValueError, KeyError):
                return False
            return math.prod(shape) <= MOST_VALUES
        return node.op_type == "Constant" or node.op_type in _SAFE

    def _run(self, node: Any) -> None:
        from onnx import ValueInfoProto
        from onnx.helper import make_graph, make_model
        from onnx.reference import ReferenceEvaluator

        fed = {i: self.values[i] for i in node.input if i}
        graph = make_graph([node], "one", [ValueInfoProto(name=i) for i in fed], [])
        graph.output.extend(ValueInfoProto(name=o) for o in node.output if o)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = ReferenceEvaluator(make_model(graph, opset_imports=self._opsets)).run(None, fed)
        except Exception:  # what the file says may be impossible, in ways as many as there are operators
            return
        for name, value in zip([o for o in node.output if o], found, strict=True):
            self._keep(name, lambda v: v, value)

    def _keep(self, name: str, read: Any, source: Any) -> None:
        import numpy as np

        try:
            array = np.asarray(read(source))
        except Exception:  # a malformed tensor, or one whose dtype NumPy does not have
            return
        if array.dtype.kind in "iufb" and math.prod(array.shape) <= MOST_VALUES:
            self.values[name] = array
