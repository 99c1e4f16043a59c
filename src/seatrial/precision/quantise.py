"""Models whose products are quantised, scales calibrated on feeds: int8 in two forms, and float8. By onnxruntime.quantization.

For: a model that `prepared` gave, to Q/DQ pairs about its convolutions and matrix products. Not for: 16 bits (half.py).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from seatrial.errors import ModelError
from seatrial.precision.prepare import inside_graphs
from seatrial.precision.recipe import Recipe

Feeds = Mapping[str, npt.NDArray[Any]]
METHODS = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}


@dataclass(frozen=True)
class Form:
    """How numbers are quantised: names of onnxruntime.quantization's types, and its options."""

    activations: str
    weights: str
    operators: tuple[str, ...]
    options: tuple[tuple[str, bool], ...] = ()


# Only the heavy operators: a detector's head joins box pixels (0 to 640) and scores (0 to 1) in one tensor, and one
# scale for both would round every score to zero.
PRODUCTS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
FORMS = {
    # What TensorRT takes: zero points of zero, and a bias that stays float.
    "int8": Form(
        "QInt8",
        "QInt8",
        PRODUCTS,
        (("ActivationSymmetric", True), ("WeightSymmetric", True), ("QuantizeBias", False)),
    ),
    # What ONNX Runtime's CPU provider has fast kernels for.
    "int8-u8": Form("QUInt8", "QInt8", PRODUCTS),
    "fp8": Form("QFLOAT8E4M3FN", "QFLOAT8E4M3FN", PRODUCTS, (("QuantizeBias", False),)),
}


def quantised(proto: Any, form: str, feeds: Iterable[Feeds], method: str, recipe: Recipe, out: Path) -> None:
    """Writes the model with Q/DQ pairs to `out`; scales a channel for weights, a tensor for activations.

    method: minmax, entropy or percentile, of how an activation's range follows from what was seen; fp8 has its own.

    Raises:
        ModelError: it has no operator to quantise, or the quantizer cannot.
    """
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._feeds = iter(feeds)

        def get_next(self) -> Feeds | None:
            return next(self._feeds, None)

    own = FORMS[form]
    operators = [o for o in own.operators if o not in recipe.operators]
    nodes = [n for n in proto.graph.node if n.op_type in operators]
    kept = [n.name for n in nodes if recipe.keeps(n)]
    if len(kept) == len(nodes):
        held = ", which the recipe keeps all" if nodes else f", and the model has none{inside_graphs(proto)}"
        raise ModelError(f"nothing to quantize: {form} applies to {', '.join(own.operators)}{held}; use fp32")
    # It logs advice that does not apply here ("consider pre-processing"), on the root logger.
    logging.getLogger().setLevel(logging.ERROR)
    source = out.with_suffix(".prepared.onnx")
    onnx.save(proto, str(source))
    try:
        quantize_static(
            str(source),
            str(out),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=operators,
            nodes_to_exclude=kept,
            per_channel=True,
            # Full-range weights: CPUs without VNNI may saturate in 16-bit sums, which parity then shows.
            reduce_range=False,
            weight_type=QuantType[own.weights],
            activation_type=QuantType[own.activations],
            calibrate_method=CalibrationMethod["Distribution" if form == "fp8" else METHODS[method]],
            extra_options=dict(own.options),
        )
    except ModelError:
        raise
    except Exception as e:  # the quantizer raises bare exceptions of many kinds
        raise ModelError(f"cannot be quantized to {form}: {type(e).__name__}: {str(e)[:300]}") from e
    if not any(n.op_type == "QuantizeLinear" for n in onnx.load(str(out), load_external_data=False).graph.node):
        raise ModelError(f"nothing was quantized to {form}, of {len(nodes) - len(kept)} nodes that could be; use fp32")
