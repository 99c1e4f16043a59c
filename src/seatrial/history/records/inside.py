"""What was found inside two models, as `seatrial.parity/1` has it: nodes that answer otherwise on equal inputs.

For: `seatrial parity A.onnx B.onnx`, and `inside` of a plan's parity. Not for: finding it (localise), whose result this is.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from seatrial.history.records.values import Frozen

# Infinite where shapes differ or one side is not finite, which JSON has no number for.
Error = Annotated[
    float,
    BeforeValidator(lambda value: math.inf if value is None else value),
    PlainSerializer(lambda value: value if math.isfinite(value) else None, return_type=float | None),
]


class InsideOutput(Frozen):
    """Of a whole model's output; as localise.OutputError."""

    tensor: str
    node: str = ""
    error: Error
    special: int = 0
    shapes: tuple[tuple[int, ...], ...] = ()
    worst_row: Error = 0.0
    rows: int = 0
    lost_rows: int = 0
    quiet: bool = False


class InsideJump(Frozen):
    """A node that is to blame; as localise.Jump."""

    node: str
    operator: str
    other_node: str = ""
    other_operator: str = ""
    tensor: str
    position: int
    error_in: Error
    error_out: Error
    own_error: Error
    tolerance: float
    judged: Literal["A", "B"] = "B"
    among: tuple[str, ...] = ()
    confirmed: bool = True
    how: str = ""

    @property
    def said(self) -> str:
        replaced = f" ({self.other_operator} in B)" if self.other_operator not in ("", self.operator) else ""
        return f"{self.operator} {self.node}{replaced}"


class InsideTensor(Frozen):
    """Of a tensor between both runs, by its node's place; own_error: on equal inputs, None where it was not tried."""

    tensor: str
    node: str = ""
    operator: str = ""
    position: int
    error: Error
    own_error: float | None = None


class Inside(Frozen):
    """nodes: of A. images: how many inputs. matched, unmatched_a, unmatched_b: tensors with and without a partner. untested:
    nodes that could not be run alone. notes: what limits the finding."""

    outputs: tuple[InsideOutput, ...] = ()
    limits: tuple[float, float] | None = None
    jumps: tuple[InsideJump, ...] = ()
    errors: tuple[InsideTensor, ...] = ()
    matched: int = 0
    unmatched_a: int = 0
    unmatched_b: int = 0
    nodes: int = 0
    images: int = 0
    untested: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class InsideOfPlan(Inside):
    """Of two sides of a plan. a, b: the reference's and the candidate's model and backend, in words."""

    verdict: Literal["equal", "differ", "not enough"]
    reason: str
    a: str
    b: str


class ModelSide(Frozen):
    """One of two models, and what it ran on."""

    model: str
    backend: str
    backend_options: dict[str, Any] = {}


class FirstNode(Frozen):
    """Where two models part."""

    stage: Literal["outputs"] = "outputs"
    node: str
    tensor: str
    metric: str
    value: Error
    floor: float


class FoundRecipe(Frozen):
    """Nodes that must stay in fp32; as localise.FoundRecipe."""

    precision: str
    nodes: tuple[str, ...]
    restores: bool
    minimal: bool
    before: Error
    after: Error
    candidates: int
    tried: int


class ModelsParity(Frozen):
    """What `seatrial parity A.onnx B.onnx --json` gives."""

    schema_: Literal["seatrial.parity/1"] = Field("seatrial.parity/1", alias="schema")
    kind: Literal["models"]
    a: ModelSide
    b: ModelSide
    made_up_inputs: bool
    verdict: Literal["PASS", "FAIL", "INCONCLUSIVE"]
    reason: str
    first_divergence: FirstNode | None
    inside: Inside
    recipe: FoundRecipe | None = None
