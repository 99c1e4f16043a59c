"""The field types of a plan: quantities, fractions, one-or-several; and the base of every group of keys.

For: reading one value as people write it, with a JSON Schema that says so. Not for: which keys there are (models.py,
pipelines.py, budgets.py).
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, model_validator
from pydantic_core import PydanticCustomError

from seatrial import units
from seatrial.errors import did_you_mean

BackendName = Literal[
    "onnxruntime-cpu",
    "onnxruntime-cuda",
    "onnxruntime-tensorrt",
    "onnxruntime-tensorrt-rtx",
    "onnxruntime-openvino",
    "tensorrt",
    "tensorrt-rtx",
    "openvino-cpu",
    "openvino-gpu",
    "fake",
]
Precision = Literal["fp32", "fp16", "bf16", "int8", "int8-u8", "fp8"]


class Strict(BaseModel):
    """Frozen, and an unknown key is an error that names the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            keys = [f.alias or name for name, f in cls.model_fields.items()]
            for key in data:
                if key not in keys and key not in cls.model_fields:
                    raise PydanticCustomError(
                        "unknown_key",
                        "unknown key{near}; known keys are {known}",
                        {"key": str(key), "near": did_you_mean(str(key), keys), "known": ", ".join(keys)},
                    )
        return data


def _positive(value: float, text: Any) -> float:
    if value <= 0:
        raise ValueError(f"expected a quantity above zero, got {text!r}")
    return value


Duration = Annotated[
    float, BeforeValidator(lambda v: _positive(units.duration_s(v), v), json_schema_input_type=str | float)
]
Percent = Annotated[float, BeforeValidator(units.fraction, json_schema_input_type=str | float)]

Decibels = Annotated[float, BeforeValidator(units.decibels, json_schema_input_type=str | float)]


def _ratio(value: Any) -> float:
    """A number, or one written as a fraction: 1/255."""
    if isinstance(value, str) and re.fullmatch(r"\s*[\d.]+\s*/\s*[\d.]+\s*", value):
        over, under = value.split("/")
        try:
            return float(Fraction(over.strip()) / Fraction(under.strip()))
        except (ValueError, ZeroDivisionError):
            pass
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"expected a number or a fraction such as 1/255, got {value!r}") from None


def _listed(value: Any) -> Any:
    return value if value is None or isinstance(value, list | tuple) else [value]


Ratio = Annotated[float, BeforeValidator(_ratio, json_schema_input_type=str | float)]
Channels = Annotated[
    tuple[Ratio, ...],
    BeforeValidator(_listed, json_schema_input_type=str | float | list[str | float]),
    Field(min_length=1, max_length=3),
]
# One value may stand for a list of one.
Names = Annotated[list[str], BeforeValidator(_listed, json_schema_input_type=str | list[str])]
Backends = Annotated[
    list[BackendName],
    BeforeValidator(_listed, json_schema_input_type=BackendName | list[BackendName]),
    Field(min_length=1),
]
Precisions = Annotated[
    list[Precision], BeforeValidator(_listed, json_schema_input_type=Precision | list[Precision]), Field(min_length=1)
]
Counts = Annotated[
    list[PositiveInt],
    BeforeValidator(_listed, json_schema_input_type=PositiveInt | list[PositiveInt]),
    Field(min_length=1),
]
