"""Why TensorRT takes no network of a file, or builds no engine of it: in words that name the node and the cure.

For: what it takes and then computes otherwise, which is refused before it is asked; its own first error, made readable. Not
for: what a library lacks (library.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from seatrial.backends.tensorrt.log import Log, plain
from seatrial.errors import ModelError, flag, printable
from seatrial.model.dtypes import dtype_name
from seatrial.model.external_data import all_nodes, all_tensors
from seatrial.model.file import ModelInfo, not_an_array

# Types of QuantizeLinear that it has none of.
_NOT_QUANTISED = ("uint8", "int16", "uint16")
_INT8 = f"{flag('precision')} int8"
INT8_FORM = f"TensorRT's int8 is signed and symmetric, a bias in floats: make it of the float model with {_INT8}"
_KEEP = f"keep it in fp32 with {flag('keep_fp32')} {{operator}}, or take fp16"


@dataclass(frozen=True)
class _Cure:
    """What the library says, in a pattern whose groups fill the text; and what to do."""

    pattern: re.Pattern[str]
    text: str


def _cures(*pairs: tuple[str, str]) -> tuple[_Cure, ...]:
    return tuple(_Cure(re.compile(pattern, re.DOTALL), text) for pattern, text in pairs)


_OF_NODES = _cures(
    (r"current type = BF16", _KEEP),
    (r"[Nn]on-zero zero point", INT8_FORM),
    (r"input has type Int32 but must have type FP8", f"a bias in int32 is not taken: {INT8_FORM}"),
    (r"[Ii][Nn][Tt]16", INT8_FORM),
)
_OF_BUILDS = _cures(
    (r"has no runners that implement it", "it parses, and no kernel computes it: leave it out of the model"),
    (r"Could not infer output types", f"no kernel takes these types: {_KEEP}"),
    (r"workspace limit|Compiling this graph requires workspace", "set a larger workspace_mib, or none"),
    (r"Requested size was \d+ bytes", "set a larger workspace_mib, or none"),
    (r"contradictory IOptimizationProfile|different constant values", "dimensions that share a name need equal sizes"),
    (r"FP32 GEMM is not supported", f"sm75 computes products in fp16 alone: convert with {flag('precision')} fp16"),
    (r"HW-specific datatypes: fp8", f"fp8 wants sm89 or later: leave the others out of {flag('for')}"),
    (r"HW-specific datatypes: bf16", f"bf16 wants sm80 or later: leave sm75 out of {flag('for')}, or take fp16"),
    (r"cudaError \d+|CUDA initialization failure", "it needs a CUDA driver for this"),
    (r"[Oo]ut of memory|Insufficient memory", "set workspace_mib lower, or build for a smaller batch"),
)  # fmt: skip


def refuse_what_it_misreads(model: ModelInfo, proto: Any) -> None:
    """ModelError for what it parses and then computes otherwise than the file says.

    uint8 is read as int8, so that all above 127 is lost; float64 is computed in float32, and even the inputs'
    buffers are taken for float32.
    """

    if problem := not_an_array(model):
        raise ModelError(problem, subject=model.path)
    for tensor in (*model.inputs, *model.outputs):
        if tensor.dtype == "object":
            raise ModelError(f"{tensor} holds text, and TensorRT takes numbers alone", subject=model.path)
    wide = [t for t in (*model.inputs, *model.outputs) if t.dtype == "float64"]
    if wide:
        raise ModelError(
            f"{wide[0]} is float64, which TensorRT takes for float32, its buffer too; export the model in float32",
            subject=model.path,
        )
    held = _held(proto)
    for node in all_nodes(proto):
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            said = {a.name: a.i for a in node.attribute}
            types = [held[name] for name in (*node.input[:1], *node.input[2:3]) if name in held]
            types += [dtype_name(said["output_dtype"])] if said.get("output_dtype") else []
            # Without a zero point and a type it is uint8, by the standard.
            silent = node.op_type == "QuantizeLinear" and len(node.input) < 3 and not said.get("output_dtype")
            wrong = next((t for t in types if t in _NOT_QUANTISED), "uint8" if silent else "")
            if wrong:
                how = "reads as int8" if wrong == "uint8" else "does not take"
                raise ModelError(
                    f"{_shown(node.name, node.op_type)} quantises to {wrong}, which TensorRT {how}: {INT8_FORM}",
                    subject=model.path,
                )


def computed_in_less(proto: Any) -> str:
    """What the library computes in another type than the file says, without a word; '' where nothing is."""
    import onnx

    to_double = any(
        a.name == "to" and a.i == onnx.TensorProto.DOUBLE
        for n in all_nodes(proto)
        if n.op_type == "Cast"
        for a in n.attribute
    )
    if to_double or any(t.data_type == onnx.TensorProto.DOUBLE for t in all_tensors(proto)):
        return "the file computes in float64 in places, which TensorRT computes in float32"
    return ""


def _held(proto: Any) -> dict[str, str]:
    """Dtypes of constants, by the name of their value."""
    held = {t.name: dtype_name(t.data_type) for t in all_tensors(proto) if t.name}
    for node in all_nodes(proto):
        if node.op_type == "Constant":
            held.update((node.output[0], dtype_name(a.t.data_type)) for a in node.attribute if a.HasField("t"))
    return held


def not_parsed(model: ModelInfo, label: str, errors: Iterable[Any], log: Log) -> ModelError:
    """Of the parser's own errors: the first that names a node, else the first."""
    found = list(errors)
    named = next((e for e in found if e.node_operator()), found[0] if found else None)
    if named is None:
        return ModelError(
            f"{label} cannot parse it: {plain(log.first_error()) or 'it does not say why'}", subject=model.path
        )
    where, operator = _shown(named.node_name(), named.node_operator()), named.node_operator()
    said = _said(named.desc())
    if "Plugin not found" in said:
        text = f"{label} has no {where} (opset {model.opset}), and no plugins are loaded; export standard operators"
    elif not said:
        cure = f"the file {model.held}, and {INT8_FORM}" if model.arithmetic else "export the model without it"
        text = f"{label} does not support {where} (opset {model.opset}); {cure}"
    else:
        cure = next((c.text.format(operator=operator) for c in _OF_NODES if c.pattern.search(said)), "")
        text = f"{label} does not take {where} (opset {model.opset}): {said}{f'; {cure}' if cure else ''}"
    return ModelError(text, subject=model.path, refusal=True)


def _said(desc: str) -> str:
    """Of several lines the one that is no 'Invalid Node' and no driver's; '' of the bare 'false' of a check."""
    lines = [plain(line) for line in desc.splitlines()]
    told = [line for line in lines if line and not line.startswith("Invalid Node") and "cudaError" not in line]
    text = (told or lines or [""])[0]
    return "" if text == "false" else text


def not_built(model: ModelInfo, label: str, log: Log, proto: Any) -> ModelError:
    """Of the log's first error, which may name a layer that was a node."""
    whole = log.first_error()
    node, said = _node_in(whole, proto), plain(whole) or "it does not say why"
    cure = next((c for c in _OF_BUILDS if c.pattern.search(said)), None)
    operator = node.op_type if node is not None else "NODE"
    where = f" for {_shown(node.name, node.op_type)} (opset {model.opset})" if node is not None else ""
    advice = f"; {cure.text.format(operator=operator)}" if cure else ""
    if node is not None and node.op_type == "NonMaxSuppression":
        advice = "; it parses, and no kernel computes it: export the model without NMS, which seatrial's decoders do"
    return ModelError(f"{label} builds no engine{where}: {said[:300]}{advice}", subject=model.path, refusal=True)


def _node_in(said: str, proto: Any) -> Any:
    """The node that an error of the builder is about: its name stands there whole, perhaps numbered on ('nms_0')."""
    words = {re.sub(r"_\d+$", "", w) for w in re.findall(r"[^\s,;'\"]+", said)} | set(re.findall(r"[^\s,;'\"]+", said))
    named = [node for node in proto.graph.node if node.name and node.name in words]
    return max(named, key=lambda node: len(node.name), default=None)


def _shown(name: str, operator: str) -> str:
    return f"{printable(operator)} {printable(name)}".strip() if operator else "the model"
