"""What the harness itself costs and sees on a machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from seatrial.history.records.comparison import Comparison


@dataclass(frozen=True)
class Harness:
    """Nanoseconds. *_loop_ns: a whole iteration on work that does nothing, median of rounds. wake_late_ns: how late an
    open loop begins a request that nothing keeps waiting (p50, p99). comparison: a model against itself."""

    clock_step_ns: int
    clock_read_ns: float
    native_loop_ns: float
    python_loop_ns: float
    wake_late_ns: tuple[float, float]
    comparison: Comparison

    def to_dict(self) -> dict[str, Any]:
        plain = asdict(self)
        return plain | {"comparison": self.comparison.model_dump(mode="json")}
