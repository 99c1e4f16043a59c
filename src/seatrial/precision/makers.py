"""A precision's name to how it is made. For: the order of steps. Not for: the steps themselves, or where the file goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from seatrial.errors import ModelError, did_you_mean
from seatrial.model.file import ModelInfo
from seatrial.precision.conversion import Calibration, Conversion, Maker
from seatrial.precision.counted import counted
from seatrial.precision.feeds import CalibrationFeeds
from seatrial.precision.float8 import in_float8
from seatrial.precision.half import halved
from seatrial.precision.prepare import BFLOAT16_OPSET, LEAST_OPSET, prepared
from seatrial.precision.quantise import quantised
from seatrial.precision.ranges import greatest_magnitudes
from seatrial.precision.same import check_same


def _half(model: ModelInfo, out: Path, calibration: Calibration, precision: str) -> Conversion:
    feeds = CalibrationFeeds(calibration)
    proto = _base(model, calibration, feeds, BFLOAT16_OPSET if precision == "bf16" else LEAST_OPSET)
    # bfloat16 ends where float32 does.
    greatest = greatest_magnitudes(proto, feeds) if precision == "fp16" else {}
    made = halved(proto, precision, greatest, calibration.recipe)
    _save(made.proto, out)
    return Conversion(precision, made.nodes, made.kept, warnings=feeds.warnings(precision))


def _integers(model: ModelInfo, out: Path, calibration: Calibration, precision: str) -> Conversion:
    import onnx

    feeds = CalibrationFeeds(calibration)
    proto = _base(model, calibration, feeds)
    left = quantised(proto, precision, feeds, calibration.method, calibration.recipe, out)
    found = counted(onnx.load(str(out)), proto, precision, calibration.recipe, left)
    return replace(found, warnings=feeds.warnings(precision))


def _float8(model: ModelInfo, out: Path, calibration: Calibration) -> Conversion:
    feeds = CalibrationFeeds(calibration)
    proto = _base(model, calibration, feeds)
    made = in_float8(proto, greatest_magnitudes(proto, feeds), calibration.recipe)
    _save(made.proto, out)
    found = counted(made.proto, proto, "fp8", calibration.recipe, made.left)
    return replace(found, warnings=feeds.warnings("fp8"))


MAKERS: dict[str, Maker] = {
    "fp16": lambda model, out, calibration: _half(model, out, calibration, "fp16"),
    "bf16": lambda model, out, calibration: _half(model, out, calibration, "bf16"),
    "int8": lambda model, out, calibration: _integers(model, out, calibration, "int8"),
    "int8-u8": lambda model, out, calibration: _integers(model, out, calibration, "int8-u8"),
    "fp8": _float8,
}


def _base(model: ModelInfo, calibration: Calibration, feeds: CalibrationFeeds, opset: int = LEAST_OPSET) -> Any:
    """What is converted, once its answers and the recipe's names are found to be the model's."""
    proto = prepared(model, opset)
    if absent := calibration.recipe.unmatched(list(proto.graph.node)):
        known = sorted({n.op_type for n in proto.graph.node} | {n.name for n in proto.graph.node})
        near = did_you_mean(absent[0], known)
        raise ModelError(
            f"keep_fp32: the model has no node and no operator called {', '.join(absent)}{near}; see 'seatrial inspect', or "
            "open the model in a viewer"
        )
    check_same(model, proto, feeds.first)
    return proto


def _save(proto: Any, out: Path) -> None:
    import onnx

    onnx.save(proto, str(out))
