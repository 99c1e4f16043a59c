"""Which types an engine's layers compute in: of the parsed network where there is no device, of the engine's inspector on one.

For: the requested against the actual precision. A network says what must be computed in what; only the inspector says what is.
Not for: other runtimes (backends/computed_in.py).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_PRODUCT_LAYERS = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY")
_QUANTISED = ("int8", "fp8", "int4", "fp4")
# Both generations' names, those of tensors' formats in sentences among them.
_NAMES = (
    (r"\bBF16\b|\bBFloat16\b", "bf16"),
    (r"\bFP16\b|\bHalf\b", "fp16"),
    (r"\bFP32\b|\bFloat\b", "fp32"),
    (r"\bFP8\b|\bE4M3\b", "fp8"),
    (r"\bFP4\b|\bE2M1\b", "fp4"),
    (r"\bU?Int8\b", "int8"),
    (r"\bInt4\b", "int4"),
    (r"\bInt32\b", "int32"),
    (r"\bInt64\b", "int64"),
    (r"\bBool\b", "bool"),
)
_MULTIPLIES = re.compile(r"conv|gemm|matmul|matrix_?multiply", re.IGNORECASE)
_NODE = re.compile(r"\[ONNX Layer: (.*?)\]")


@dataclass(frozen=True)
class Layer:
    """nodes: of the ONNX file, where the library tells. takes: the type of its first input, or of both factors before they
    were dequantised; gives: of its output. tactic: the kernel's name, of an engine."""

    name: str
    kind: str
    nodes: tuple[str, ...]
    takes: str
    gives: str
    tactic: str = ""


def of_network(network: Any) -> tuple[Layer, ...]:
    """Of the parsed network. A product whose two factors come out of DequantizeLinear computes in what these take."""
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    makers = {layer.get_output(i).name: layer for layer in layers for i in range(layer.num_outputs)}
    return tuple(
        Layer(
            layer.name,
            layer.type.name,
            _nodes(layer.metadata or ""),
            _taken(layer, makers),
            _type(layer.get_output(0).dtype.name) if layer.num_outputs else "",
        )
        for layer in layers
    )


def _taken(layer: Any, makers: Mapping[str, Any]) -> str:
    given = [layer.get_input(i) for i in range(layer.num_inputs)]
    types = [_type(t.dtype.name) for t in given if t is not None]
    if layer.type.name in _PRODUCT_LAYERS:
        before = [_before_dequantising(t, makers) for t in given[:2]]
        if len(before) == 2 and before[0] and before[1]:
            return before[0]
    return types[0] if types else ""


def _before_dequantising(tensor: Any, makers: Mapping[str, Any]) -> str:
    """'int8' of a tensor that comes from a DequantizeLinear, through what only moves it; '' of any other."""
    for _ in range(8):
        layer = makers.get(tensor.name) if tensor is not None else None
        if layer is None:
            return ""
        if layer.type.name == "DEQUANTIZE":
            found = _type(layer.get_input(0).dtype.name)
            return found if found in _QUANTISED else ""
        if layer.type.name not in ("SHUFFLE", "IDENTITY", "CAST", "SQUEEZE", "UNSQUEEZE"):
            return ""
        tensor = layer.get_input(0)
    return ""


def of_inspector(text: str) -> tuple[Layer, ...]:
    """Of an engine's inspector in JSON: TensorRT 10's schema (Bindings, Format/Datatype), and 11's and RTX's (I/O Tensors,
    Datatype). Without a kind and types where the engine was not built with detailed names.

    Raises:
        ValueError: it is of neither schema.
    """
    said = json.loads(text)
    if not isinstance(said, dict) or not isinstance(said.get("Layers"), list):
        raise ValueError("expected an inspector's object with Layers")
    if not ("Bindings" in said or "I/O Tensors" in said):
        raise ValueError(f"expected an inspector's Bindings or I/O Tensors, got {', '.join(said)}")
    return tuple(_inspected(layer) for layer in said["Layers"])


def _inspected(layer: Any) -> Layer:
    if isinstance(layer, str):
        return Layer(layer, "", (), "", "")
    weights = layer.get("Weights")
    taken = _type(weights["Type"]) if isinstance(weights, dict) and weights.get("Type") else ""
    inputs, outputs = (_types(layer.get(side) or ()) for side in ("Inputs", "Outputs"))
    return Layer(
        str(layer.get("Name", "")),
        str(layer.get("ParameterType") or layer.get("LayerType") or ""),
        _nodes(str(layer.get("Metadata", ""))),
        inputs[0] if inputs else taken,
        outputs[0] if outputs else "",
        str(layer.get("TacticName", "")),
    )


def _types(tensors: Iterable[Mapping[str, Any]]) -> list[str]:
    keys = ("Format/Datatype", "Datatype", "DataType")
    return [_type(str(next((t[k] for k in keys if k in t), ""))) for t in tensors]


def computed_in(layers: Iterable[Layer], products: Collection[str], casts: Collection[str] = ()) -> dict[str, int]:
    """How many of the ONNX nodes that multiply compute in which type. A node that no layer names is counted as unknown; so is
    one that was fused with another product or with a Cast, with the types that go in and out: within, any may be used."""
    # A Gemm becomes a product and what it adds to; a fusion has copies about it: that which multiplies counts.
    ordered = sorted(layers, key=lambda layer: bool(_MULTIPLIES.search(f"{layer.kind} {layer.tactic}")))
    by_node = {node: _computes(layer, products, casts) for layer in ordered for node in layer.nodes if layer.takes}
    return dict(Counter(by_node.get(name) or "unknown" for name in products))


def _computes(layer: Layer, products: Collection[str], casts: Collection[str]) -> str:
    if sum(node in products for node in layer.nodes) > 1 or any(node in casts for node in layer.nodes):
        return f"unknown (fused: {layer.takes} goes in, {layer.gives or 'an unknown type'} comes out)"
    return layer.takes


def product_nodes(proto: Any) -> list[str]:
    """Names of the file's convolutions and matrix products, by which layers name them."""
    return [node.name for node in proto.graph.node if node.op_type in PRODUCTS]


def cast_nodes(proto: Any) -> list[str]:
    return [node.name for node in proto.graph.node if node.op_type in ("Cast", "CastLike")]


def _nodes(metadata: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_NODE.findall(metadata)))


def _type(said: str) -> str:
    """'FLOAT', 'Row major linear FP32' and 'Float' are all fp32. What is not known stays as it is said."""
    return next((name for pattern, name in _NAMES if re.search(pattern, said, re.IGNORECASE)), said.lower())
