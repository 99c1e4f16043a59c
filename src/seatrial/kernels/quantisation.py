"""How the values of a quantised input are checked. For: quant_scale and zero_point. Not for: pixels (reference.py)."""

from __future__ import annotations

from typing import Any

import numpy as np

from seatrial.kernels.arguments import ArgumentError, finite_numbers, is_whole


def checked_quantisation(
    dtype: str, quant_scale: float | None, zero_point: Any, plain: bool
) -> tuple[float | None, int]:
    """Scale and zero point of an input of `dtype`. plain: whether its values are raw levels.

    Raises:
        ArgumentError: the three do not go together, or are out of range.
    """
    if quant_scale is None:
        if dtype == "uint8" and not plain:
            raise ArgumentError(
                "dtype",
                "uint8 keeps raw levels and needs scale 1, mean 0 and std 1; expected float32 or float16, or a quant_scale",
            )
        if dtype == "int8":
            raise ArgumentError("dtype", "int8 needs a quant_scale; expected the model's input scale and zero_point")
        if zero_point:
            raise ArgumentError("zero_point", f"expected a quant_scale with it, got zero_point {zero_point} alone")
        return None, 0
    if dtype not in ("uint8", "int8"):
        raise ArgumentError("quant_scale", f"expected dtype uint8 or int8 with it, got {dtype}")
    (scale,) = finite_numbers("quant_scale", quant_scale, 1)
    if np.float32(scale) <= 0:
        raise ArgumentError("quant_scale", f"expected a positive finite number, got {quant_scale}")
    if isinstance(zero_point, np.ndarray) and zero_point.size == 1:  # as ONNX's initialisers come
        zero_point = zero_point.reshape(-1)[0]
    limits = np.iinfo(dtype)
    if not is_whole(zero_point) or not limits.min <= zero_point <= limits.max:
        raise ArgumentError(
            "zero_point",
            f"expected a whole number from {limits.min} to {limits.max} for {dtype}, got {zero_point!r}",
        )
    return scale, int(zero_point)
