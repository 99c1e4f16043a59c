"""What an ONNX file holds: versions, weights by dtype, operators. For: `inspect`. Not for: what it costs to run (cost.py).

Nothing is run and no data is read: a tensor's size follows from its shape and dtype, wherever its bytes lie.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.errors import ModelError
from seatrial.model.dtypes import dtype_name, packed_bytes
from seatrial.model.external_data import all_graphs, all_nodes, all_tensors
from seatrial.model.file import FAKE_SUFFIX
from seatrial.model.quantised import packed_weights

# Domains that the ONNX standard has; whatever else is of a runtime, of an exporter, or of the model itself.
STANDARD_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training")
# No machine can address more values; sizes beyond this are nonsense, and overflow when they are printed.
MOST_VALUES = 2**63 - 1
# dtype, number of values, bytes.
_Part = tuple[str, int, int]


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
    control flow. node_names: of the nodes that have one, by operator, in the file's order.
    """

    ir_version: int
    producer: str
    opsets: dict[str, int]
    parameters: Held
    constants: Held
    operators: tuple[Operator, ...]
    nodes: int
    inside: int
    node_names: dict[str, tuple[str, ...]]


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
        parameters=_held(_parameters(model, initializers)),
        constants=_held(part for node in all_nodes(model) if node.op_type == "Constant" for part in _constants(node)),
        operators=tuple(
            Operator(name, domain, count, (domain, name) in functions)
            for (domain, name), count in sorted(counted.items(), key=lambda item: (-item[1], item[0][1]))
        ),
        nodes=counted.total(),
        inside=sum(len(g.node) for g in graphs) - len(model.graph.node),
        node_names=_node_names(all_nodes(model)),
    )


def _node_names(nodes: Iterable[Any]) -> dict[str, tuple[str, ...]]:
    names: dict[str, list[str]] = {}
    for node in nodes:
        if node.name:
            names.setdefault(node.op_type, []).append(node.name)
    return {operator: tuple(own) for operator, own in names.items()}


def _check_dims(path: Path, model: Any) -> None:
    for tensor in all_tensors(model):
        if any(d < 0 for d in tensor.dims) or math.prod(tensor.dims) > MOST_VALUES:
            raise ModelError(
                f"{path}: tensor {tensor.name!r} is said to have the shape {_shown(tensor.dims)}, which no tensor can have; "
                "export the model again"
            )


def _shown(dims: Sequence[int]) -> str:
    return str(list(dims)) if len(dims) <= 8 else f"[{', '.join(map(str, dims[:6]))}, … {len(dims)} dimensions]"


def structure_of(path: Path) -> Any:
    """The file as a ModelProto, without the data that lies outside it."""
    import onnx

    if path.name.endswith(FAKE_SUFFIX):
        raise ModelError(
            f"{path}: expected an ONNX model, got the fake backend's script; give a file that ends in .onnx"
        )
    return onnx.load(str(path), load_external_data=False)


def _parameters(model: Any, initializers: Iterable[Any]) -> Iterable[_Part]:
    packed = packed_weights(model)
    for tensor in initializers:
        dtype, values, size = _part(tensor)
        # Several weights in each value: their bytes stay what the file holds.
        dtype, values = packed.get(tensor.name, (dtype, values))
        yield dtype, values, size


def _constants(node: Any) -> Iterable[_Part]:
    """Whichever of its attributes holds the value."""
    for a in node.attribute:
        if a.name == "value" and a.HasField("t"):
            yield _part(a.t)
        elif a.name == "sparse_value" and a.HasField("sparse_tensor"):
            yield _part(a.sparse_tensor.values)
        elif a.name in ("value_float", "value_floats"):
            count = 1 if a.name == "value_float" else len(a.floats)
            yield "float32", count, 4 * count
        elif a.name in ("value_int", "value_ints"):
            count = 1 if a.name == "value_int" else len(a.ints)
            yield "int64", count, 8 * count
        elif a.name in ("value_string", "value_strings"):
            texts = [a.s] if a.name == "value_string" else a.strings
            yield "text", len(texts), sum(map(len, texts))


def _part(tensor: Any) -> _Part:
    dtype, values = dtype_name(tensor.data_type), math.prod(tensor.dims)
    if dtype == "text":
        return dtype, values, sum(map(len, tensor.string_data))
    size = packed_bytes(dtype, values)
    return dtype, values, values if size is None else size


def _held(parts: Iterable[_Part]) -> Held:
    found: dict[str, tuple[int, int]] = {}
    for dtype, values, size in parts:
        before = found.get(dtype, (0, 0))
        found[dtype] = before[0] + values, before[1] + size
    return Held(dict(sorted(found.items(), key=lambda item: -item[1][1])))
