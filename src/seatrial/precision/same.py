"""Whether what is converted answers as the file does: converters have been seen to drop a node, or a Resize's coordinates.

For: makers.py, before anything is made. Not for: how near a converted model comes (closeness.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import ModelError
from seatrial.model.file import ModelInfo
from seatrial.model.nodes import names_read, subgraphs
from seatrial.precision.closeness import by_onnx_runtime, sqnr_db

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
# What folding and another opset may change: rounding. Below it another model was made.
LEAST_SQNR_DB = 60.0
NO_DIFFERENCE = 1e-5
# Of whole numbers and truths, where a rounded score may fall to the other side.
LEAST_EQUAL = 0.99
# Of how many rows these leave, and in which order, the last bit of a score decides.
DECIDE = ("NonMaxSuppression", "NonZero", "TopK", "Unique", "Compress", "ArgMax", "ArgMin")
_CURE = "this is a fault of the conversion, please report it with the model"


def decided_by(proto: Any) -> dict[str, str]:
    """Values of the main graph that lie behind a node that decides by a bit, and that node's operator."""
    found: dict[str, str] = {}
    for node in proto.graph.node:
        behind = next((found[n] for n in names_read(node) if n in found), "")
        if operator := _decides(node) or behind:
            found |= dict.fromkeys(filter(None, node.output), operator)
    return found


def check_same(model: ModelInfo, proto: Any, feeds: Feeds) -> None:
    """ModelError where the prepared model answers otherwise than the file, or the file gives no numbers.

    Of outputs behind a node that decides by a bit what goes into that node is compared; and they themselves, where that is
    the same to the bit.
    """
    import onnx

    decided = decided_by(proto)
    file = onnx.load(str(model.path))
    before_it = _before_decisions(proto, decided, {o for n in file.graph.node for o in n.output})
    sources = (
        (_giving(p, before_it) for p in (file, proto)) if before_it else (str(model.path), proto.SerializeToString())
    )
    try:
        before, after = (by_onnx_runtime(source, feeds) for source in sources)
    except Exception as e:  # onnxruntime raises its own types, none with a common public base
        raise ModelError(f"it cannot be run to be converted: {str(e).splitlines()[0][:300]}") from e
    _are_numbers({o.name: before[o.name] for o in file.graph.output if o.name in before})
    exact = all(n in after and np.array_equal(before[n], after[n], equal_nan=True) for n in before_it)
    for name, own in before.items():
        _compare(name, own, after.get(name), by="" if exact else decided.get(name, ""))


def _compare(name: str, own: Array, made: Array | None, by: str) -> None:
    """by: which operator decides this output by a bit; '' of those that must be the same."""
    if made is None:
        raise ModelError(f"brought to a newer opset it has no output {name}; {_CURE}")
    if own.shape != made.shape and not (by and own.ndim == made.ndim):
        raise ModelError(f"brought to a newer opset it gives {name} of shape {made.shape}, not {own.shape}; {_CURE}")
    if own.shape == made.shape and not by and _differ(own, made):
        how = f"{sqnr_db(own, made):.0f} dB above the difference" if own.dtype.kind == "f" else "of other numbers"
        raise ModelError(f"brought to a newer opset it gives another {name}, {how}; {_CURE}")


def _are_numbers(outputs: Mapping[str, Array]) -> None:
    floats = {n: a for n, a in outputs.items() if a.dtype.kind == "f" and a.size}
    if floats and all(np.isnan(a).all() for a in floats.values()):
        raise ModelError(
            f"its own answers to the first picture are NaN throughout ({', '.join(floats)}): no precision can be near that; "
            "see that the preprocessing is the model's, and that its weights are numbers"
        )


def _decides(node: Any) -> str:
    if node.op_type in DECIDE:
        return str(node.op_type)
    return next((found for g in subgraphs(node) for n in g.node if (found := _decides(n))), "")


def _before_decisions(proto: Any, decided: Mapping[str, str], of_the_file: set[str]) -> list[str]:
    """Floats that go into the first nodes that decide; where a converter gave one a name of its own, what that is made of."""
    import onnx

    values = (*proto.graph.value_info, *proto.graph.output)
    floats = {v.name for v in values if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    makers = {o: node for node in proto.graph.node for o in node.output if o}
    waiting = [n for node in proto.graph.node if _decides(node) for n in names_read(node)]
    found: dict[str, None] = {}
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or name in decided or name not in makers:
            continue
        seen.add(name)
        if name in of_the_file and name in floats:
            found[name] = None
        else:
            waiting += names_read(makers[name])
    return list(found)


def _giving(proto: Any, names: list[str]) -> bytes:
    """With more outputs, whose types the runtime knows."""
    made = type(proto)()
    made.CopyFrom(proto)
    for name in set(names) - {o.name for o in proto.graph.output}:
        made.graph.output.add().name = name
    return bytes(made.SerializeToString())


def _differ(own: Array, made: Array) -> bool:
    """Beyond rounding; a map of a sigmoid's values near nothing is noise itself."""
    if own.dtype.kind != "f":
        return own.size > 0 and float((own == made).mean()) < LEAST_EQUAL
    return sqnr_db(own, made) < LEAST_SQNR_DB and not np.allclose(own, made, rtol=0, atol=NO_DIFFERENCE, equal_nan=True)
