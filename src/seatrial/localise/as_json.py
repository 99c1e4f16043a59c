"""What was found inside two models, as JSON has it: numbers that are not finite are null, and said beside.

For: `--json` and reports. Not for: what passes between processes (result.py).
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from seatrial.localise.recipe import FoundRecipe
from seatrial.localise.result import InsideModel

VERDICTS = {"equal": "PASS", "differ": "FAIL", "not enough": "INCONCLUSIVE"}


def inside_json(found: InsideModel) -> dict[str, Any]:
    """first_divergence as `seatrial.parity/1` has it of every stage; the rest under `inside`."""
    first = found.first
    divergence = first and {
        "stage": "outputs",
        "node": first.node,
        "tensor": first.tensor,
        "metric": "rms error over spread, on equal inputs",
        "value": first.own_error,
        "floor": first.tolerance,
    }
    found_json: dict[str, Any] = _finite(
        {
            "verdict": VERDICTS[found.verdict],
            "reason": found.reason,
            "first_divergence": divergence,
            "inside": {k: v for k, v in asdict(found).items() if k not in ("verdict", "reason", "first")},
        }
    )
    return found_json


def recipe_json(found: FoundRecipe) -> dict[str, Any]:
    found_json: dict[str, Any] = _finite(asdict(found))
    return found_json


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
