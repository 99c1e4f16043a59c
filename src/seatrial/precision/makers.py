"""A precision's name to how it is made. For: the order of steps. Not for: the steps themselves, or where the file goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import ModelError, did_you_mean
from seatrial.model.file import ModelInfo
from seatrial.precision.closeness import by_onnx_runtime, sqnr_db
from seatrial.precision.conversion import Calibration, Conversion, Kept, Maker
from seatrial.precision.float8 import in_float8
from seatrial.precision.half import halved
from seatrial.precision.prepare import BFLOAT16_OPSET, LEAST_OPSET, prepared
from seatrial.precision.quantise import PRODUCTS, quantised
from seatrial.precision.ranges import greatest_magnitudes

Feeds = Mapping[str, npt.NDArray[Any]]
# What folding and another opset may change: rounding. Below it another model was made.
LEAST_SQNR_DB = 60.0
NO_DIFFERENCE = 1e-5
# Of how many rows these leave decides the last bit of a score.
_COUNT_ROWS = ("NonMaxSuppression", "NonZero", "TopK", "Unique", "Compress")


def _half(model: ModelInfo, out: Path, calibration: Calibration, precision: str) -> Conversion:
    feeds = _Feeds(calibration)
    proto = _base(model, calibration, feeds, BFLOAT16_OPSET if precision == "bf16" else LEAST_OPSET)
    # bfloat16 ends where float32 does.
    greatest = greatest_magnitudes(proto, feeds) if precision == "fp16" else {}
    made = halved(proto, precision, greatest, calibration.recipe)
    _save(made.proto, out)
    return Conversion(precision, made.nodes, made.kept)


def _integers(model: ModelInfo, out: Path, calibration: Calibration, precision: str) -> Conversion:
    feeds = _Feeds(calibration)
    proto = _base(model, calibration, feeds)
    quantised(proto, precision, feeds, calibration.method, calibration.recipe, out)
    return _products(proto, precision, calibration)


def _float8(model: ModelInfo, out: Path, calibration: Calibration) -> Conversion:
    feeds = _Feeds(calibration)
    proto = _base(model, calibration, feeds)
    _save(in_float8(proto, greatest_magnitudes(proto, feeds), calibration.recipe), out)
    return _products(proto, "fp8", calibration)


MAKERS: dict[str, Maker] = {
    "fp16": lambda model, out, calibration: _half(model, out, calibration, "fp16"),
    "bf16": lambda model, out, calibration: _half(model, out, calibration, "bf16"),
    "int8": lambda model, out, calibration: _integers(model, out, calibration, "int8"),
    "int8-u8": lambda model, out, calibration: _integers(model, out, calibration, "int8-u8"),
    "fp8": _float8,
}


def first_feeds(calibration: Calibration) -> Feeds:
    """A copy: a pipeline fills the same memory for the next image. ModelError where there is none."""
    first = next(iter(calibration.feeds()), None)
    if first is None:
        raise ModelError("there is no image to calibrate on; name at least one")
    return {name: array.copy() for name, array in first.items()}


class _Feeds:
    """The calibration's feeds from the start each time, and the first of them by itself."""

    def __init__(self, calibration: Calibration) -> None:
        self._again = calibration.feeds
        self.first = first_feeds(calibration)

    def __iter__(self) -> Iterator[Feeds]:
        return iter(self._again())


def _base(model: ModelInfo, calibration: Calibration, feeds: _Feeds, opset: int = LEAST_OPSET) -> Any:
    """What is converted, once its answers and the recipe's names are found to be the model's."""
    proto = prepared(model, opset)
    if absent := calibration.recipe.unmatched(list(proto.graph.node)):
        known = sorted({n.op_type for n in proto.graph.node} | {n.name for n in proto.graph.node})
        near = did_you_mean(absent[0], known)
        raise ModelError(
            f"keep_fp32: the model has no node and no operator called {', '.join(absent)}{near}; see 'seatrial inspect', or "
            "open the model in a viewer"
        )
    return _same(model, proto, feeds.first)


def _same(model: ModelInfo, proto: Any, feeds: Feeds) -> Any:
    """The prepared model, once it has answered as the file does. Converters have been seen to drop a node."""
    try:
        before, after = (by_onnx_runtime(source, feeds) for source in (str(model.path), proto.SerializeToString()))
    except Exception as e:  # onnxruntime raises its own types, none with a common public base
        raise ModelError(f"it cannot be run to be converted: {str(e).splitlines()[0][:300]}") from e
    counts = any(n.op_type in _COUNT_ROWS for n in proto.graph.node)
    for name, own in before.items():
        made = after.get(name)
        if made is None:
            raise ModelError(
                f"brought to a newer opset it has no output {name}; this is a fault of the conversion, please report it"
            )
        if own.shape != made.shape and not (counts and own.ndim == made.ndim):
            raise ModelError(
                f"brought to a newer opset it gives {name} of shape {made.shape}, not {own.shape}; this is a fault of "
                "the conversion, please report it with the model"
            )
        if own.shape == made.shape and not counts and _differ(own, made):
            raise ModelError(
                f"brought to a newer opset it gives another {name}, {sqnr_db(own, made):.0f} dB above the difference; "
                "this is a fault of the conversion, please report it with the model"
            )
    return proto


def _differ(own: npt.NDArray[Any], made: npt.NDArray[Any]) -> bool:
    """Beyond rounding; a map of a sigmoid's values near nothing is noise itself."""
    if own.dtype.kind != "f":
        return not np.array_equal(own, made)
    return sqnr_db(own, made) < LEAST_SQNR_DB and not np.allclose(own, made, rtol=0, atol=NO_DIFFERENCE, equal_nan=True)


def _products(proto: Any, precision: str, calibration: Calibration) -> Conversion:
    nodes = [n for n in proto.graph.node if n.op_type in PRODUCTS]
    kept = tuple(Kept(n.name, n.op_type, "the recipe says so") for n in nodes if calibration.recipe.keeps(n))
    return Conversion(precision, len(nodes) - len(kept), kept)


def _save(proto: Any, out: Path) -> None:
    import onnx

    onnx.save(proto, str(out))
