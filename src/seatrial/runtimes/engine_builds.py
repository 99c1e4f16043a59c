"""Which backends run an engine that is built for the device, and by which ways two builds of one model come apart.

For: comparisons, since a builder times kernels and chooses by it, so that two builds of one model differ in speed. Not for:
building.
"""

from __future__ import annotations

from typing import Literal

from seatrial.runtimes.choice import BackendChoice

# Fewer say nothing of what builds differ by.
LEAST_BUILDS = 3
# numbered: kept, and told apart by a number; each time: whoever opens the model builds anew; given: one that the options name.
Engines = Literal["", "numbered", "each time", "given"]


def engines_of(choice: BackendChoice) -> Engines:
    """'' for a backend without engines."""
    if choice.backend in ("tensorrt", "tensorrt-rtx"):
        return "given" if choice.options.get("engine") else "numbered"
    if choice.backend == "onnxruntime-tensorrt":
        return "numbered" if choice.options.get("engine_cache", True) else "each time"
    return "each time" if choice.backend == "onnxruntime-tensorrt-rtx" else ""
