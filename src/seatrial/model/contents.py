"""What an ONNX file holds: versions, weights by dtype, operators. For: `inspect`. Not for: what it costs to run (cost.py).

Nothing is run and no data is read: a tensor's size follows from its shape and dtype, wherever its bytes lie.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.errors import ModelError
from seatrial.model.external_data import all_graphs, all_nodes, all_tensors
from seatrial.model.file import FAKE_SUFFIX

# Domains that the ONNX standard has; whatever else is of a runtime, of an exporter, or of the model itself.
STANDARD_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training")
_NAMES = {"FLOAT": "float32", "DOUBLE": "float64", "STRING": "text"}


@dataclass(frozen=True)
class Held:
    """Tensors in a file. by_dtype: how many values and how many bytes, by dtype, the most bytes first."""

    by_dtype: dict[str, tuple[int, int]]

    @property
    def values(self) -> int:
        return sum(values for values, _ in self.by_dtype.values())

    @property
    def size_bytes(self) -> int:
        return sum(size for _, size in self.by_dtype.values())


@dataclass(frozen=True)
class Operator:
    """domain: '' for the standard's own. function: whether the model itself defines it."""

    name: str
    domain: str
    count: int
    function: bool = False

    @property
    def custom(self) -> bool:
        return self.domain not in STANDARD_DOMAINS


@dataclass(frozen=True)
class Contents:
    """parameters: of initializers, in every graph; constants: tensors of Constant nodes, where some exporters put weights.

    operators: of every graph and function, the most frequent first. nodes: in all; inside: those of them in subgraphs of
    control flow.
    """

    ir_version: int
    producer: str
    opsets: dict[str, int]
    parameters: Held
    constants: Held
    operators: tuple[Operator, ...]
    nodes: int
    inside: int


def contents_of(path: Path) -> Contents:
    """Of a file that inspect_model has read: it checks, this counts. ModelError where a tensor's shape is impossible, and for
    the fake backend's script."""
    model = structure_of(path)
    functions = {(f.domain, f.name) for f in model.functions}
    counted = Counter((n.domain, n.op_type) for n in all_nodes(model))
    _check_dims(path, model)
    graphs = all_graphs(model)
    initializers = [t for g in graphs for t in (*g.initializer, *(s.values for s in g.sparse_initializer))]
    return Contents(
        ir_version=model.ir_version,
        producer=" ".join(filter(None, (model.producer_name, model.producer_version))),
        opsets={o.domain: o.version for o in model.opset_import},
        parameters=_held(initializers),
        constants=_held(t for node in all_nodes(model) if node.op_type == "Constant" for t in _constants(node)),
        operators=tuple(
            Operator(name, domain, count, (domain, name) in functions)
            for (domain, name), count in sorted(counted.items(), key=lambda item: (-item[1], item[0][1]))
        ),
        nodes=counted.total(),
        inside=sum(len(g.node) for g in graphs) - len(model.graph.node),
    )


def _check_dims(path: Path, model: Any) -> None:
    for tensor in all_tensors(model):
        if any(d < 0 for d in tensor.dims):
            raise ModelError(
                f"{path}: tensor {tensor.name!r} is said to have the shape {list(tensor.dims)}, which no tensor can have; "
                "export the model again"
            )


def structure_of(path: Path) -> Any:
    """The file as a ModelProto, without the data that lies outside it."""
    import onnx

    if path.name.endswith(FAKE_SUFFIX):
        raise ModelError(
            f"{path}: expected an ONNX model, got the fake backend's script; give a file that ends in .onnx"
        )
    return onnx.load(str(path), load_external_data=False)


def _constants(node: Any) -> Iterable[Any]:
    for attribute in node.attribute:
        if attribute.name == "value" and attribute.HasField("t"):
            yield attribute.t
        elif attribute.name == "sparse_value" and attribute.HasField("sparse_tensor"):
            yield attribute.sparse_tensor.values


def _held(tensors: Iterable[Any]) -> Held:
    found: dict[str, tuple[int, int]] = {}
    for tensor in tensors:
        name, values = dtype_name(tensor.data_type), math.prod(tensor.dims)
        before = found.get(name, (0, 0))
        found[name] = before[0] + values, before[1] + _bytes(tensor, name, values)
    return Held(dict(sorted(found.items(), key=lambda item: -item[1][1])))


def dtype_name(data_type: int) -> str:
    """'float32' of FLOAT, 'float8e4m3fn' of FLOAT8E4M3FN; 'unknown' of a number that this onnx does not know."""
    import onnx

    try:
        name: str = onnx.TensorProto.DataType.Name(data_type)
    except ValueError:
        return "unknown"
    return _NAMES.get(name, name.lower())


def _bytes(tensor: Any, dtype: str, values: int) -> int:
    """As packed as the format packs it: two values of four bits in a byte, one value of bool in one."""
    if dtype == "text":
        return sum(map(len, tensor.string_data))
    bits = re.search(r"\d+", dtype)
    return math.ceil(values * int(bits[0] if bits else 8) / 8)
