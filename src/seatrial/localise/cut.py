"""Pieces of a graph, each run alone on tensors that are given to it: by ONNX Runtime's CPU provider, node by node.

For: the exact test, one side's tensors into the other's next stage. Not for: what a model answers as a whole (taps.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.localise.graph import Graph
from seatrial.localise.pieces import Piece
from seatrial.localise.scratch import Scratch
from seatrial.model.nodes import subgraphs

Array = npt.NDArray[Any]


class CutModel:
    """Pieces side by side in one session, none of which hears of another. Whatever ONNX Runtime raises comes through."""

    def __init__(
        self,
        graph: Graph,
        pieces: Sequence[Piece],
        scratch: Scratch,
        threads: int,
        types: Mapping[str, int] | None = None,
    ) -> None:
        import onnx
        import onnxruntime as ort

        self._graph = graph
        self._outputs = {_own(number, name): (number, name) for number, p in enumerate(pieces) for name in p.outputs}
        self._types = {
            name: graph.types.get(name) or (types or {}).get(name) or onnx.TensorProto.FLOAT
            for p in pieces
            for name in p.inputs
        }
        path = scratch.write(self._model(pieces), graph.folder)
        settings = ort.SessionOptions()
        settings.log_severity_level = 4
        settings.intra_op_num_threads = threads
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            self._session = ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        finally:
            scratch.drop(path)

    def _model(self, pieces: Sequence[Piece]) -> Any:
        import onnx

        source = self._graph.proto
        made = onnx.ModelProto(ir_version=source.ir_version, producer_name="seatrial")
        made.opset_import.extend(source.opset_import)
        made.functions.extend(source.functions)
        made.graph.name = "pieces"
        for number, piece in enumerate(pieces):
            made.graph.node.extend(self._nodes(number, piece))
        read = {name for p in pieces for i in p.nodes for name in self._graph.reads[i]}
        made.graph.initializer.extend(t for name, t in self._graph.initialisers.items() if name in read)
        made.graph.sparse_initializer.extend(s for s in source.graph.sparse_initializer if s.values.name in read)
        for name, element in self._types.items():
            made.graph.input.append(onnx.helper.make_tensor_value_info(name, element, None))
        made.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self._outputs)
        return made

    def _nodes(self, number: int, piece: Piece) -> Iterable[Any]:
        import onnx

        made = {o for i in piece.nodes for o in self._graph.nodes[i].output if o}
        renamed = {name: _own(number, name) for name in made}
        for i in piece.nodes:
            node = onnx.NodeProto()
            node.CopyFrom(self._graph.nodes[i])
            node.name = f"{number}/{i}"
            _rename_reads(node, renamed)
            node.output[:] = [renamed.get(o, o) for o in node.output]
            yield node

    def run(self, values: Mapping[str, Array]) -> list[dict[str, Array]]:
        """Of each piece its outputs. values: of every input of every piece."""
        import onnx

        feeds = {}
        for name, element in self._types.items():
            kind = onnx.helper.tensor_dtype_to_np_dtype(element)
            with np.errstate(over="ignore", invalid="ignore"):
                feeds[name] = np.ascontiguousarray(values[name].astype(kind, copy=False)).reshape(values[name].shape)
        found: list[dict[str, Array]] = [{} for _ in range(1 + max((n for n, _ in self._outputs.values()), default=-1))]
        for own, array in zip(self._outputs, self._session.run(list(self._outputs), feeds), strict=True):
            number, name = self._outputs[own]
            found[number][name] = array
        return found


def _own(number: int, name: str) -> str:
    return f"piece{number}/{name}"


def _rename_reads(node: Any, renamed: Mapping[str, str]) -> None:
    """Also in graphs inside of it, but for what is theirs."""
    node.input[:] = [renamed.get(i, i) for i in node.input]
    for graph in subgraphs(node):
        theirs = {v.name for v in (*graph.input, *graph.initializer)} | {o for n in graph.node for o in n.output}
        outer = {k: v for k, v in renamed.items() if k not in theirs}
        for inner in graph.node:
            _rename_reads(inner, outer)
        for output in graph.output:
            output.name = outer.get(output.name, output.name)
