"""What a search inside two models found. For: both ends of its process, and who shows it. Not for: finding it (search.py)."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

# Infinite errors, of shapes or NaN, go through JSON between the processes.
_CONFIG = ConfigDict(extra="forbid", ser_json_inf_nan="constants")
Verdict = Literal["equal", "differ", "not enough"]


@dataclass(frozen=True, config=_CONFIG, kw_only=True)
class Jump:
    """A node that answers otherwise on the very inputs that the judged side gave it.

    node, operator: of A; other_node, other_operator: of B. error_in: the greatest error between both runs at its inputs;
    error_out: at its output; own_error: on equal inputs, with its tolerance. judged: whose answers are held against the other
    side's node. among: more nodes that stand between the same matched tensors, any of which it may be. confirmed: False where
    the node could not be run alone, and the errors' ratio alone speaks. how: in what the files differ there; or ''.
    """

    node: str
    operator: str
    other_node: str
    other_operator: str
    tensor: str
    position: int
    error_in: float
    error_out: float
    own_error: float
    tolerance: float
    judged: Literal["A", "B"] = "B"
    among: tuple[str, ...] = ()
    confirmed: bool = True
    how: str = ""

    @property
    def said(self) -> str:
        replaced = f" ({self.other_operator} in B)" if self.other_operator not in ("", self.operator) else ""
        return f"{self.operator} {self.node}{replaced}"


@dataclass(frozen=True, config=_CONFIG, kw_only=True)
class TensorError:
    """Of a matched tensor between both runs, by its place in A's order; own_error: on equal inputs, None where not tried."""

    tensor: str
    node: str
    operator: str
    position: int
    error: float
    own_error: float | None = None


@dataclass(frozen=True, config=_CONFIG, kw_only=True)
class OutputError:
    """Of a whole model's output. special: values that are NaN or infinite on one side alone. shapes: A's and B's where unlike.
    neither: of `values` so many are NaN, or infinite alike, on both sides, which says nothing of either.

    rows: along the axis that differs most, with the worst's error over its own spread, and how many are lost. quiet: shares of
    one, of which none says anything on either side.
    """

    tensor: str
    node: str
    error: float
    special: int = 0
    shapes: tuple[tuple[int, ...], ...] = ()
    worst_row: float = 0.0
    rows: int = 0
    lost_rows: int = 0
    quiet: bool = False
    values: int = 0
    neither: int = 0

    @property
    def says_nothing(self) -> bool:
        return 0 < self.values == self.neither


@dataclass(frozen=True, config=_CONFIG, kw_only=True)
class InsideModel:
    """outputs: of the whole models. jumps: in A's order. matched: tensors; unmatched_a, unmatched_b: tensors without a partner.

    untested: nodes that could not be run alone. nodes: of A. images: how many inputs. notes: what limits the finding.
    """

    verdict: Verdict
    reason: str
    outputs: tuple[OutputError, ...]
    limits: tuple[float, float]
    first: Jump | None
    jumps: tuple[Jump, ...]
    errors: tuple[TensorError, ...]
    matched: int
    unmatched_a: int
    unmatched_b: int
    nodes: int
    images: int
    untested: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
