"""What OpenVINO gets wrong in int8 models, found before a number is believed: signed tensors that a Concat joins.

OpenVINO's CPU plugin joins such tensors as uint8 where a convolution reads them, and loses their scale on the way (seen in
2026.4.1): each number is rounded to a whole one and ends at 127, while ONNX Runtime answers the same file right. Detectors'
necks are made of such Concats. The same numbers with a uint8 zero point of 128 are computed right.

For: a model that was compiled, by OpenVINO's own account of what it made. Whether the OpenVINO at hand has the fault is tried
on two numbers, so that a mended one is believed. Not for: rewriting the model; what runs is what the file says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

# Behind these other numbers begin: a walk ends there.
_PRODUCTS = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData", "MatMul")


def wrong_joins(network: Any, compiled: Any, device: str) -> list[str]:
    """Names of the Concats of signed int8 tensors that `compiled` joins as uint8 before a convolution, and gets wrong.

    network: the model as OpenVINO reads it. Empty where the OpenVINO at hand computes such a Concat right.
    """
    joins = {op.get_friendly_name() for op in network.get_ops() if op.get_type_name() == "Concat" and _is_at_risk(op)}
    found = sorted(joins & set(_unsigned_concats(compiled))) if joins else []
    return found if found and not joins_right(device) else []


@cache
def joins_right(device: str) -> bool:
    """Whether two signed int8 tensors, joined and multiplied, give their sum here: (0.5, -1.5) · (3, 5) = -6."""
    import openvino as ov
    from openvino import opset13 as op

    def number(value: float) -> Any:
        return op.constant(np.float32(value))

    def quantised(value: Any) -> Any:
        rounded = op.fake_quantize(value, number(-64), number(63.5), number(-128), number(127), 256)
        return op.multiply(op.convert(op.convert(rounded, "i8"), "f32"), number(0.5))

    inputs = [op.parameter([1, 1, 1, 1], np.float32) for _ in range(2)]
    whole = op.constant(np.array([12, 20], np.int8).reshape(1, 2, 1, 1))
    weights = op.multiply(op.convert(whole, "f32"), number(0.25))
    product = op.convolution(op.concat(list(map(quantised, inputs)), 1), weights, [1, 1], [0, 0], [0, 0], [1, 1])
    compiled = ov.Core().compile_model(ov.Model([product], inputs, "probe"), device)
    answer = compiled([np.full((1, 1, 1, 1), value, np.float32) for value in (0.5, -1.5)])[0]
    return abs(float(answer.item()) + 6) < 0.1


def _unsigned_concats(compiled: Any) -> Iterator[str]:
    """Names, in the model as it was read, of what the plugin joins as uint8."""
    for layer in compiled.get_runtime_model().get_ops():
        about = layer.get_rt_info()
        if "layerType" not in about or _text(about["layerType"]) != "Concatenation":
            continue
        if "u8" in _text(about["outputPrecisions"]):
            yield from _text(about["originalLayersNames"]).split(",")


def _is_at_risk(concat: Any) -> bool:
    """Signed int8 numbers go in, or come out, and a convolution of all channels reads them."""
    after = list(_walk(concat, _readers))
    if not any(op.get_type_name() == "Convolution" for op in after):
        return False
    return any(_is_to_int8(op) for op in (*after, *_walk(concat, _makers)))


def _walk(start: Any, neighbours: Callable[[Any], list[Any]]) -> Iterator[Any]:
    """From `start` on to the nearest products, these included."""
    left, seen = neighbours(start), set()
    while left:
        op = left.pop()
        if op.get_friendly_name() in seen:
            continue
        seen.add(op.get_friendly_name())
        yield op
        if op.get_type_name() not in _PRODUCTS:
            left += neighbours(op)


def _readers(op: Any) -> list[Any]:
    return [reader.get_node() for output in op.outputs() for reader in output.get_target_inputs()]


def _makers(op: Any) -> list[Any]:
    return [value.get_source_output().get_node() for value in op.inputs()]


def _is_to_int8(op: Any) -> bool:
    """An activation that is quantised; a weight is a Constant of int8."""
    return op.get_type_name() == "Convert" and str(op.get_output_element_type(0).get_type_name()) == "i8"


def _text(value: Any) -> str:
    return str(getattr(value, "value", value))
