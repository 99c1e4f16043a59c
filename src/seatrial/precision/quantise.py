"""Models whose products are int8, in two forms, with scales from what was seen on feeds. By onnxruntime.quantization.

For: a model that `prepared` gave, to Q/DQ pairs about its convolutions and matrix products. Not for: 16 bits (half.py) or
float8 (float8.py).
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import ModelError
from seatrial.model.nodes import sort_nodes
from seatrial.precision.names import without_clashes
from seatrial.precision.prepare import inside_graphs
from seatrial.precision.ranges import Range, value_ranges
from seatrial.precision.recipe import Recipe

Feeds = Mapping[str, npt.NDArray[Any]]
METHODS = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}


# What onnxruntime.quantization puts behind a tensor's name, without looking whether that is one already.
_QUANTIZERS = (
    *("_scale", "_zero_point", "_quantized", "_quantized_scale", "_quantized_zero_point", "_dequantized"),
    *("_QuantizeLinear_Input", "_QuantizeLinear_Output", "_DequantizeLinear_Input", "_DequantizeLinear_Output"),
)


@dataclass(frozen=True)
class Form:
    """How numbers are quantised: names of onnxruntime.quantization's types, and its options."""

    activations: str
    weights: str
    options: tuple[tuple[str, bool], ...] = ()


# Only the heavy operators: a detector's head joins box pixels (0 to 640) and scores (0 to 1) in one tensor, and one
# scale for both would round every score to zero.
PRODUCTS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
FORMS = {
    # What TensorRT takes: zero points of zero, and a bias that stays float.
    "int8": Form("QInt8", "QInt8", (("ActivationSymmetric", True), ("WeightSymmetric", True), ("QuantizeBias", False))),
    # What ONNX Runtime's CPU provider has fast kernels for.
    "int8-u8": Form("QUInt8", "QInt8"),
}


def quantised(proto: Any, form: str, feeds: Iterable[Feeds], method: str, recipe: Recipe, out: Path) -> dict[str, str]:
    """Writes the model with Q/DQ pairs to `out`; scales a channel for weights, a tensor for activations.

    method: minmax, entropy or percentile, of how an activation's range follows from what was seen. Returns why nodes were left
    that could be quantised, by name.

    Raises:
        ModelError: it has no operator to quantise, or the quantizer cannot.
    """
    import onnx
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData

    nodes = [n for n in proto.graph.node if n.op_type in PRODUCTS]
    if all(recipe.keeps(n) for n in nodes):
        held = ", which the recipe keeps all" if nodes else f", and the model has none{inside_graphs(proto)}"
        raise ModelError(f"nothing to quantize: {form} applies to {', '.join(PRODUCTS)}{held}; use fp32")
    proto = without_clashes(proto, _QUANTIZERS)
    seen = value_ranges(proto, feeds)
    left = {n.name: why for n in nodes if (why := _not_finite(n, seen))}
    kept = [n.name for n in nodes if recipe.keeps(n) or n.name in left]
    if len(kept) == len(nodes):
        raise ModelError(f"nothing to quantize: {next(iter(left.values()))}; use fp32")
    if left and method != "minmax":
        raise ModelError(f"{method} has no histogram of what is no number: {next(iter(left.values()))}; take minmax")
    # It logs advice that does not apply here ("consider pre-processing"), on the root logger.
    logging.getLogger().setLevel(logging.ERROR)
    try:
        if method == "minmax":
            finite = {
                n: (np.float32(low), np.float32(high)) for n, (low, high) in seen.items() if np.isfinite(high - low)
            }
            ranges = TensorsData(CalibrationMethod.MinMax, finite)
        else:
            ranges = _by_histograms(proto, feeds, method)
        _write(proto, FORMS[form], ranges, kept, out)
    except ModelError:
        raise
    except Exception as e:  # the quantizer raises bare exceptions of many kinds
        raise ModelError(f"cannot be quantized to {form}: {type(e).__name__}: {str(e)[:300]}") from e
    if not any(n.op_type == "QuantizeLinear" for n in onnx.load(str(out), load_external_data=False).graph.node):
        raise ModelError(f"nothing was quantized to {form}, of {len(nodes) - len(kept)} nodes that could be; use fp32")
    return left


def _not_finite(node: Any, seen: Mapping[str, Range]) -> str:
    """Why there is no scale for what a product reads or gives; '' where there is one."""
    for name in (*node.input, *node.output):
        if not np.isfinite(seen.get(name, (0.0, 0.0))).all():
            return f"{name} was seen to be NaN or infinite, for which there is no scale"
    return ""


def _by_histograms(proto: Any, feeds: Iterable[Feeds], method: str) -> Any:
    """Image by image: pictures may be of several sizes, and all that they make at once fits in no memory."""
    import onnx
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

    with tempfile.TemporaryDirectory(prefix="seatrial-calibrate-") as folder:
        source = Path(folder) / "prepared.onnx"
        onnx.save(proto, str(source))
        calibrator = create_calibrator(
            source, PRODUCTS, str(Path(folder) / "watched.onnx"), CalibrationMethod[METHODS[method]]
        )
        # It prints what it is about.
        with contextlib.redirect_stdout(io.StringIO()):
            for given in feeds:
                calibrator.collect_data(_Once(given))
            return calibrator.compute_data()


class _Once:
    """What onnxruntime's calibrators read from: one picture, and then nothing."""

    def __init__(self, given: Feeds) -> None:
        self._given: Feeds | None = given

    def get_next(self) -> Feeds | None:
        given, self._given = self._given, None
        return given


def _write(proto: Any, form: Form, ranges: Any, kept: list[str], out: Path) -> None:
    """As quantize_static does, once it has the ranges."""
    import onnx
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    made = onnx.ModelProto()
    made.CopyFrom(proto)
    quantizer = QDQQuantizer(
        made,
        per_channel=True,
        # Full-range weights: CPUs without VNNI may saturate in 16-bit sums, which parity then shows.
        reduce_range=False,
        weight_qType=QuantType[form.weights],
        activation_qType=QuantType[form.activations],
        tensors_range=ranges,
        nodes_to_quantize=[],
        nodes_to_exclude=kept,
        op_types_to_quantize=list(PRODUCTS),
        extra_options=dict(form.options),
    )
    quantizer.quantize_model()
    quantizer.model.save_model_to_file(str(out), False)
    whole = onnx.load(str(out))
    # It does not see what graphs inside a node read.
    sort_nodes(whole.graph)
    onnx.checker.check_model(whole, full_check=True)
    onnx.save(whole, str(out))
