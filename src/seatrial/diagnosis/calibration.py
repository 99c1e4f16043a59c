"""Whether an int8 candidate was calibrated on other values than it is fed: by its file's own scales, or by calibrating again.

For: a file whose input is quantised, and which recorded outputs are looked into: those of as few values as eight bits have.
Not for: calibrating again (recalibration.py), how a model is quantised in a plan (precision/quantise.py), or what explains
outputs otherwise (mutations/model.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic.dataclasses import dataclass as checked

from seatrial.diagnosis.diagnose import Part
from seatrial.diagnosis.recalibration import CHOSEN_BY, FEW, MOST_BYTES, MOST_CALIBRATING, Recalibration
from seatrial.diagnosis.stages import INPUT, OUTPUTS
from seatrial.diagnosis.way import Way
from seatrial.history.records.diagnosis import Diagnosis
from seatrial.jobs.workload import STRICT

Array = npt.NDArray[Any]
# A range so many times another one is of other values: no set of pictures is so much darker than another.
FAR = 3.0
# A range reaches so far below zero, as a share of its size, or not at all.
BELOW, NOT_BELOW = 0.4, 0.05
# Outputs of eight bits take fewer values than the reference's, though functions behind the last product multiply them.
FEWER_VALUES = 0.5
# Of a few scores an image nothing is seen of that: eight bits have 256 values.
ENOUGH_VALUES = 1024


@checked(frozen=True, config=STRICT, kw_only=True)
class InputRange:
    """calibrated: the least and the greatest that the file's first QuantizeLinear tells apart; symmetric: about zero, whatever
    was seen. fed: the least and the greatest of the side's own inputs; outside: the share of them beyond the calibrated
    range."""

    calibrated: tuple[float, float]
    symmetric: bool
    fed: tuple[float, float]
    outside: float


def calibrated_range(model: Path, name: str) -> tuple[float, float, bool] | None:
    """Of the input of that name, and whether it is symmetric by its kind; None where the file quantises it nowhere."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(model), load_external_data=False).graph
    constants = {i.name: i for i in graph.initializer}
    node = next((n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == name), None)
    if node is None or any(n not in constants for n in list(node.input)[1:]):
        return None
    scale, zero = numpy_helper.to_array(constants[node.input[1]]), np.zeros(1, np.uint8)
    if len(node.input) > 2:
        zero = numpy_helper.to_array(constants[node.input[2]])
    if scale.size != 1 or zero.dtype.kind not in "iu":
        return None
    ends = np.iinfo(zero.dtype)
    step, middle = float(scale.reshape(-1)[0]), int(zero.reshape(-1)[0])
    symmetric = zero.dtype.kind == "i" and middle == 0
    return (ends.min - middle) * step, (ends.max - middle) * step, symmetric


def range_wrong(found: InputRange) -> Diagnosis | None:
    """By the file's own scale: None where it fits what the candidate is fed."""
    # Quantisers keep zero within.
    fed = min(found.fed[0], 0.0), max(found.fed[1], 0.0)
    own, real = (max(abs(low), abs(high)) for low, high in (found.calibrated, fed))
    below_own, below_real = -found.calibrated[0] / (own or 1.0), -fed[0] / (real or 1.0)
    signs = (below_own, below_real), (below_real, below_own)
    other_sign = not found.symmetric and any(a > BELOW and b < NOT_BELOW for a, b in signs)
    if not real or not (own >= FAR * real or real >= FAR * own or other_sign):
        return None
    low, high = found.calibrated
    cut = f", so that {found.outside:.0%} of the values are cut off" if found.outside >= 0.01 else ""
    levels = (fed[1] - fed[0]) / (high - low) * 255
    few = f", so that they take {max(1, round(levels))} of 256 levels" if levels < 255 / FAR else ""
    return Diagnosis(
        fault="calibration",
        what="was calibrated on other values than it is fed",
        stage=OUTPUTS,
        evidence=f"its file quantises the input for {low:.4g} to {high:.4g}, and it is fed {found.fed[0]:.4g} to "
        f"{found.fed[1]:.4g}{cut or few}",
    )


def calibrated_otherwise(part: Part, way: Way, limit_s: float, tell: Callable[[str], None]) -> Diagnosis | None:
    """The reference's own fp32 model in int8, calibrated on changed values until it gives what the candidate gave. part: one
    that nothing else explains. None where none does, or the candidate's outputs are not of eight bits. tell: what was not
    tried, and why."""
    inside = (part.stretch.start, part.stretch.end) == (INPUT, OUTPUTS)
    if not inside or way.subject.open is None or len(way.subject.model.inputs) != 1 or len(part.differing) < CHOSEN_BY:
        return None
    each = np.asarray(part.stretch.given(0)).nbytes or 1
    count = min(len(part.distances), MOST_CALIBRATING, max(FEW, MOST_BYTES // each))
    tensors = [part.stretch.given(i) for i in range(count)]
    if not _in_fewer_values(part, way) or any(t is None or t.dtype != np.float32 for t in tensors):
        return None
    return Recalibration(part, way, tensors, time.monotonic() + limit_s, tell).found()


def _in_fewer_values(part: Part, way: Way) -> bool:
    """Whether the candidate's outputs, of all images together, take far fewer values than the reference's; or are too few for
    that to show, so that they may be of eight bits."""
    images, enough = part.differing[: 2 * CHOSEN_BY], False
    for k in range(len(way.subject.model.outputs)):
        reference = np.concatenate([part.stretch.made(way, i).value[k].ravel() for i in images])
        candidate = np.concatenate([np.asarray(part.stretch.candidate(i)[k]).ravel() for i in images])
        enough = enough or reference.size >= ENOUGH_VALUES
        if len(np.unique(candidate)) <= FEWER_VALUES * len(np.unique(reference)):
            return True
    return not enough
