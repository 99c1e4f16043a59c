"""What a plan says of how a model's other precisions are made. Not for: making them (precision)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from seatrial.plan.fields import Strict


class KeepFp32(Strict):
    """What stays in fp32 when the model is converted: nodes by name, in which * stands for any text, and operators."""

    nodes: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()


class Convert(Strict):
    """How the model's other precisions are made. Not read for fp32, which is the file as it is."""

    calibration: Literal["minmax", "entropy", "percentile"] = Field(
        "minmax", description="of int8: how an activation's range follows from what was seen"
    )
    images: PositiveInt = Field(64, description="so many of the trial's images are run for ranges, spread over all")
    keep_fp32: KeepFp32 = KeepFp32()
