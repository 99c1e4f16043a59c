"""A model on its backend with chosen tensors marked as outputs. For: what a side really computes. Not for: comparing.

Marking a tensor keeps a runtime from fusing across it. Where ONNX Runtime's CPU provider would carry float32 between the nodes
of a float16 model, each tensor is rounded in between, as a device does that computes in float16.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import CellError
from seatrial.localise.graph import Graph
from seatrial.localise.scratch import Scratch
from seatrial.runtimes.choice import BackendChoice

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
ORT_CPU = "onnxruntime-cpu"


@dataclass(frozen=True)
class Side:
    """threads: of the runtime."""

    graph: Graph
    backend: BackendChoice
    scratch: Scratch
    threads: int = 1

    @property
    def rounds_itself(self) -> bool:
        """False of float16 on a backend that would compute it in float32."""
        import onnx

        half = onnx.TensorProto.FLOAT16
        return self.backend.backend != ORT_CPU or half not in self.graph.types.values()

    @contextmanager
    def opened(self, tensors: Sequence[str], feeds: Feeds, sizes: bool = False) -> Iterator[Opened]:
        """With those tensors, or with how many values each holds."""
        from seatrial.backends import OpenOptions, open_backend

        proto = self._marked(tensors, sizes)
        path = self.scratch.write(proto, self.graph.folder)
        shapes = {name: tuple(array.shape) for name, array in feeds.items()}
        choice = self.backend
        if not self.rounds_itself:
            # Its optimiser would take out what rounds.
            choice = replace(choice, options={**choice.options, "graph_optimization": "disabled"})
        try:
            with open_backend(choice, path, OpenOptions(self.threads, input_shapes=shapes)) as backend:
                yield Opened(backend, tuple(tensors), {n: self.graph.types.get(n, 0) for n in self.graph.inputs})
        finally:
            self.scratch.drop(path)

    def _marked(self, tensors: Sequence[str], sizes: bool) -> Any:
        import onnx

        made = onnx.ModelProto()
        made.CopyFrom(self.graph.proto)
        if not self.rounds_itself:
            _round_between(made, self.graph)
        graph = made.graph
        wide = {onnx.TensorProto.BFLOAT16} | {v for k, v in onnx.TensorProto.DataType.items() if k.startswith("FLOAT8")}
        declared = {o.name: o.SerializeToString() for o in graph.output}
        del graph.output[:]
        for name in tensors:
            if sizes:
                graph.node.append(onnx.helper.make_node("Size", [name], [f"{name}__size"]))
                graph.output.append(onnx.helper.make_tensor_value_info(f"{name}__size", onnx.TensorProto.INT64, []))
            elif self.graph.types.get(name) in wide:
                # NumPy has no such type.
                to = onnx.TensorProto.FLOAT
                graph.node.append(onnx.helper.make_node("Cast", [name], [f"{name}__float32"], to=to))
                graph.output.append(onnx.helper.make_tensor_value_info(f"{name}__float32", to, None))
            elif name in declared:
                graph.output.append(onnx.ValueInfoProto.FromString(declared[name]))
            else:
                graph.output.append(onnx.ValueInfoProto(name=name))
        return made


@dataclass(frozen=True)
class Opened:
    """types: of the inputs, which a converter may have made float16."""

    backend: Any
    tensors: tuple[str, ...]
    types: Mapping[str, int]

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Copies, by name."""
        import onnx

        kinds = {n: onnx.helper.tensor_dtype_to_np_dtype(t) for n, t in self.types.items() if t}
        # Held here while it runs: backends read feeds where they lie.
        own = {name: array.astype(kinds.get(name, array.dtype), copy=False) for name, array in feeds.items()}
        arrays = self.backend.run(own)
        if len(arrays) != len(self.tensors):
            raise CellError(f"expected {len(self.tensors)} outputs, as many as are marked, got {len(arrays)}")
        return {name: np.array(array) for name, array in zip(self.tensors, arrays, strict=True)}


def _round_between(made: Any, graph: Graph) -> None:
    """Two Identity nodes behind each float16 tensor: one alone ONNX Runtime still takes into float32."""
    import onnx
    from onnx import TensorProto

    nodes = []
    outputs = set(graph.outputs)
    for node in made.graph.node:
        nodes.append(node)
        for i, name in enumerate(node.output):
            if graph.types.get(name) == TensorProto.FLOAT16 and name not in outputs and name in graph.moving:
                node.output[i] = f"{name}__unrounded"
                nodes.append(onnx.helper.make_node("Identity", [f"{name}__unrounded"], [f"{name}__rounded"]))
                nodes.append(onnx.helper.make_node("Identity", [f"{name}__rounded"], [name]))
    kept = [onnx.NodeProto.FromString(n.SerializeToString()) for n in nodes]
    del made.graph.node[:]
    made.graph.node.extend(kept)
