"""An ONNX file as a graph of named tensors: who makes each, who reads it, and which depend on no input.

For: pairing and cutting graphs. Not for: what is inside of If and Loop, which count as one node; nor the weights' values, which
stay in the file where they lie outside of it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import ModelError
from seatrial.model.file import inspect_model
from seatrial.model.nodes import names_read, sort_nodes, subgraphs

_SHARES = ("Sigmoid", "HardSigmoid", "Softmax")
_MOVES = (
    *(
        "Cast",
        "QuantizeLinear",
        "DequantizeLinear",
        "Identity",
        "Reshape",
        "Transpose",
        "Squeeze",
        "Unsqueeze",
        "Flatten",
    ),
    *("Slice", "Gather", "Split", "Concat", "MaxPool", "ReduceMax", "Max", "Resize"),
)
# They hand a tensor on, rounded or not: what a converter puts between two nodes of the original.
CARRIERS = ("Cast", "CastLike", "QuantizeLinear", "DequantizeLinear", "Identity", "Dropout")


@dataclass(frozen=True)
class Graph:
    """proto: the ModelProto, its nodes in an order in which they can run. folder: of its external data."""

    proto: Any
    folder: Path

    @cached_property
    def nodes(self) -> list[Any]:
        return list(self.proto.graph.node)

    @cached_property
    def reads(self) -> list[frozenset[str]]:
        """Of each node, with what graphs inside of it take from outside."""
        return [frozenset(names_read(n)) for n in self.nodes]

    @cached_property
    def makers(self) -> dict[str, int]:
        """A tensor's node, by its number."""
        return {o: i for i, node in enumerate(self.nodes) for o in node.output if o}

    @cached_property
    def initialisers(self) -> dict[str, Any]:
        return {t.name: t for t in self.proto.graph.initializer}

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Without those that have a value in the file."""
        return tuple(v.name for v in self.proto.graph.input if v.name not in self.initialisers)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        return tuple(v.name for v in self.proto.graph.output)

    @cached_property
    def types(self) -> dict[str, int]:
        """Element types, as far as onnx infers them; 0 of what is no tensor."""
        import onnx

        try:
            graph = onnx.shape_inference.infer_shapes(self.proto).graph
        except Exception:  # of many kinds; runtimes infer by themselves
            graph = self.proto.graph
        found = {
            v.name: v.type.tensor_type.elem_type if v.type.WhichOneof("value") == "tensor_type" else 0
            for v in (*graph.value_info, *graph.input, *graph.output)
            if v.type.WhichOneof("value")
        }
        return found | {t.name: t.data_type for t in graph.initializer}

    @cached_property
    def variable(self) -> tuple[str, ...]:
        """Tensors of numbers that nodes make and that depend on an input, in the order in which they are made."""
        from onnx import TensorProto

        moving, found = set(self.inputs), []
        for node, read in zip(self.nodes, self.reads, strict=True):
            if not read & moving and not node.op_type.startswith("Random"):
                continue
            moving.update(node.output)
            found += [o for o in node.output if o and self.types.get(o, 1) not in (0, TensorProto.STRING)]
        return tuple(found)

    @cached_property
    def moving(self) -> frozenset[str]:
        return frozenset((*self.inputs, *self.variable))

    @cached_property
    def shares(self) -> frozenset[str]:
        """Tensors of values between 0 and 1 by their making, such as a sigmoid's, also where they are only moved about."""
        found: set[str] = set()
        for node in self.nodes:
            moved = node.op_type in _MOVES and all(i in found for i in node.input if i and self.moves(i))
            if node.op_type in _SHARES or moved:
                found.update(node.output)
        return frozenset(found)

    def label(self, index: int) -> str:
        """A node's name; its first output's where it has none."""
        node = self.nodes[index]
        return str(node.name or next(filter(None, node.output), f"{node.op_type}_{index}"))

    def origin(self, tensor: str) -> str:
        """The tensor that this one is a copy of, through casts and quantisation."""
        while tensor in self.makers and (node := self.nodes[self.makers[tensor]]).op_type in CARRIERS:
            tensor = node.input[0]
        return tensor

    def origin_operator(self, tensor: str) -> str:
        maker = self.makers.get(self.origin(tensor))
        return "" if maker is None else str(self.nodes[maker].op_type)

    def moves(self, name: str) -> bool:
        """Whether a tensor depends on an input."""
        return name in self.moving or self.origin(name) in self.moving

    def readers(self, index: int) -> tuple[str, ...]:
        """Operators that read what a node gives, through casts and quantisation."""
        found: list[str] = []
        waiting = list(self.nodes[index].output)
        while waiting:
            for reader in self._readers.get(waiting.pop(), ()):
                node = self.nodes[reader]
                if node.op_type in CARRIERS:
                    waiting += node.output
                else:
                    found.append(str(node.op_type))
        return tuple(sorted(found))

    @cached_property
    def _readers(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for index, read in enumerate(self.reads):
            for name in read:
                found.setdefault(name, []).append(index)
        return found

    def constant(self, name: str) -> Any:
        """The tensor that stands in the file under that name, as an initialiser or in a Constant node; or None."""
        if name in self.initialisers:
            return self.initialisers[name]
        node = self.nodes[self.makers[name]] if name in self.makers else None
        return None if node is None else next((a.t for a in node.attribute if a.name == "value"), None)

    def values(self, name: str) -> npt.NDArray[Any] | None:
        """Of a constant; None of what NumPy has no type for, or what cannot be read."""
        from onnx import numpy_helper

        tensor = self.constant(name)
        try:
            return None if tensor is None else np.asarray(numpy_helper.to_array(tensor, base_dir=str(self.folder)))
        except (ValueError, TypeError, OSError):
            return None

    def checksum(self, name: str) -> int:
        """Of a constant's values; of one that nodes compute of others, of how; 0 where they cannot be read."""
        if name not in self._checksums:
            values = self.values(name)
            if values is not None:
                words = np.ascontiguousarray(values).tobytes()
            elif name in self.makers:
                node = self.nodes[self.makers[name]]
                own = sorted(x.SerializeToString() for x in node.attribute)
                words = repr((node.op_type, own, [self.checksum(i) for i in node.input if i])).encode()
            else:
                words = b""
            self._checksums[name] = zlib.crc32(words)
        return self._checksums[name]

    @cached_property
    def _checksums(self) -> dict[str, int]:
        return {}

    @cached_property
    def holding_graphs(self) -> tuple[str, ...]:
        """Nodes that hold graphs of their own."""
        return tuple(self.label(i) for i, n in enumerate(self.nodes) if subgraphs(n))


def read_graph(path: Path) -> Graph:
    """ModelError as inspect_model raises it, and where nodes wait for each other."""
    import onnx

    inspect_model(path)
    return graph_of(onnx.load(str(path), load_external_data=False), path.absolute().parent)


def graph_of(proto: Any, folder: Path) -> Graph:
    """Of a model in memory, whose nodes are put in order."""
    if problem := sort_nodes(proto.graph):
        raise ModelError(f"{problem}: no runtime can run it; export the model again")
    return Graph(proto, folder)
