"""Whether an int8 candidate was calibrated on other values than it is fed: by its file's own scales, or by calibrating again.

For: a file whose input is quantised, and recorded outputs that take as few values as eight bits have. Not for: how a model is
quantised in a plan (precision/quantise.py), or what explains outputs otherwise (mutations/model.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic.dataclasses import dataclass as checked

from seatrial.diagnosis.diagnose import Part
from seatrial.diagnosis.search import LEAST_EXPLAINED, RUNNER_UP_FACTOR
from seatrial.diagnosis.stages import INPUT, OUTPUTS
from seatrial.diagnosis.way import Feeds, Run, Way
from seatrial.errors import ModelError, SeatrialError
from seatrial.history.records.diagnosis import Diagnosis
from seatrial.jobs.workload import STRICT
from seatrial.pipeline.build import preprocess_kernel
from seatrial.plan import pipelines
from seatrial.precision.quantise import PRODUCTS

Array = npt.NDArray[Any]
# A range so many times another one is of other values: no set of pictures is so much darker than another.
FAR = 3.0
# A range reaches so far below zero, as a share of its size, or not at all.
BELOW, NOT_BELOW = 0.4, 0.05
# Outputs of eight bits take fewer values than the reference's, though functions behind the last product multiply them.
FEWER_VALUES = 0.5
# Of so many images, at most, the first so many calibrate: as many as people take, in the order of their names.
CALIBRATING = (8, 32)
# Of the images that differ so many choose, and as many others confirm.
CHOSEN_BY = 4
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# What leaves so little is not to be bettered.
NEAR = (1 - LEAST_EXPLAINED) / RUNNER_UP_FACTOR
# Whichever way it was quantised, the same calibration is recognised; which way fits best is tried once that is known.
RECIPES: tuple[tuple[tuple[str, ...] | None, bool], ...] = ((("Conv",), False), (PRODUCTS, True), (None, False))


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


def calibrated_otherwise(part: Part, way: Way, limit_s: float) -> Diagnosis | None:
    """The reference's own fp32 model in int8, calibrated on changed values until it gives what the candidate gave. part: one
    that nothing else explains. None where none does, or the candidate's outputs are not of eight bits."""
    inside = (part.stretch.start, part.stretch.end) == (INPUT, OUTPUTS)
    if not inside or way.subject.open is None or len(way.subject.model.inputs) != 1 or len(part.differing) < CHOSEN_BY:
        return None
    tensors = [part.stretch.given(i) for i in range(min(len(part.distances), max(CALIBRATING)))]
    if not _in_fewer_values(part, way) or any(t is None or t.dtype != np.float32 for t in tensors):
        return None
    return _Recalibration(part, way, tensors, time.monotonic() + limit_s).found()


def _in_fewer_values(part: Part, way: Way) -> bool:
    """Whether the candidate's outputs, of all images together, take far fewer values than the reference's."""
    images = part.differing[: 2 * CHOSEN_BY]
    for k in range(len(way.subject.model.outputs)):
        reference = np.concatenate([part.stretch.made(way, i).value[k].ravel() for i in images])
        candidate = np.concatenate([np.asarray(part.stretch.candidate(i)[k]).ravel() for i in images])
        if len(np.unique(candidate)) <= FEWER_VALUES * len(np.unique(reference)):
            return True
    return False


@dataclass(frozen=True)
class _Tried:
    what: str
    change: Callable[[Array], Array]
    left: float
    way: Way


def changes(spec: pipelines.Pipeline) -> dict[str, Callable[[Array], Array]]:
    """Of a tensor as the plan prepares it to one as it was prepared to calibrate, by what the candidate then did."""
    mean: Array = np.zeros(1, np.float32)
    std: Array = np.ones(1, np.float32)
    channels = (1, -1, 1, 1)
    if isinstance(spec.preprocess, pipelines.Preprocess):
        kernel = preprocess_kernel(spec)
        channels = (1, -1, 1, 1) if kernel.layout == "nchw" else (1, 1, 1, -1)
        mean, std = (np.asarray(v, np.float32).reshape(channels) for v in (kernel.mean, kernel.std))

    def of_levels(change: Callable[[Array], Array]) -> Callable[[Array], Array]:
        """change: of what the image is before mean and std."""
        return lambda tensor: np.asarray((change(tensor * std + mean) - mean) / std)

    found = {
        "was calibrated on values that were not divided by 255": of_levels(lambda x: x * 255),
        "was calibrated on values that were divided by 255 twice": of_levels(lambda x: x / 255),
        "was calibrated on images an eighth as bright": of_levels(lambda x: x / 8),
        "was calibrated on noise": of_levels(lambda x: np.random.default_rng(0).random(x.shape, np.float32)),
        "was calibrated on nothing but zeros": lambda x: np.zeros_like(x),
        "was calibrated on values from -1 to 1": lambda x: (x * std + mean) * 2 - 1,
        "was calibrated on channels in the other order": lambda x: np.flip(x, channels.index(-1)),
    }
    if mean.any() or (std != 1).any():
        return found | {"was calibrated on values without mean and std": lambda x: x * std + mean}
    own, spread = (np.array(v, np.float32).reshape(channels) for v in (_MEAN, _STD))
    return found | {"was calibrated on values with ImageNet's mean and std": lambda x: (x - own) / spread}


def _left_of(tried: _Tried) -> float:
    return tried.left


class _Recalibration:
    """tensors: the candidate's inputs, in order. deadline: of time.monotonic()."""

    def __init__(self, part: Part, way: Way, tensors: Sequence[Array], deadline: float) -> None:
        self._part, self._way, self._tensors, self._deadline = part, way, tensors, deadline
        self._chosen_by, self._confirmed_by = part.differing[0::2][:CHOSEN_BY], part.differing[1::2][:CHOSEN_BY]

    def found(self) -> Diagnosis | None:
        right = next(self._each("", lambda tensor: tensor, RECIPES[:1], CALIBRATING[:1]), None)
        if right is None:
            return None
        best = right
        for what, change in changes(self._way.spec).items():
            best = min([best, *self._each(what, change, RECIPES[:1], CALIBRATING[:1])], key=_left_of)
            if best.left <= NEAR:
                break
        if best.left > NEAR:
            best = min([best, *self._each(best.what, best.change, RECIPES, CALIBRATING)], key=_left_of)
        left = self._left(best.way, self._confirmed_by)
        # Int8 that was calibrated as it should be is not the reference either.
        known = [self._left(right.way, self._confirmed_by)]
        known += [1 - e.explained for e in (self._part.found.near if self._part.found else ())]
        if best is right or 1 - left < LEAST_EXPLAINED or min(known) < RUNNER_UP_FACTOR * left:
            return None
        return Diagnosis(
            fault="calibration",
            what=best.what,
            stage=OUTPUTS,
            explained=round(1 - left, 6),
            confirmed=len(self._confirmed_by),
        )

    def _each(
        self,
        what: str,
        change: Callable[[Array], Array],
        recipes: Sequence[tuple[tuple[str, ...] | None, bool]],
        counts: Sequence[int],
    ) -> Iterator[_Tried]:
        """Nothing more once time is up."""
        for operators, per_channel in recipes:
            for count in dict.fromkeys(min(c, len(self._tensors)) for c in counts):
                if time.monotonic() > self._deadline:
                    return
                try:
                    way = self._way.with_run(self._recalibrated(change, count, operators, per_channel))
                    yield _Tried(what, change, self._left(way, self._chosen_by), way)
                except (SeatrialError, ValueError):
                    continue  # a model that cannot be quantised so was not quantised so

    def _left(self, way: Way, images: Sequence[int]) -> float:
        """Share of the difference that stays."""
        stretch = self._part.stretch
        return sum(stretch.distance(way, i) for i in images) / (sum(self._part.distances[i] for i in images) or 1.0)

    def _recalibrated(
        self, change: Callable[[Array], Array], count: int, operators: tuple[str, ...] | None, per_channel: bool
    ) -> Run:
        subject = self._way.subject
        name = subject.model.inputs[0].name
        assert subject.open

        @contextmanager
        def file() -> Iterator[Path]:
            with TemporaryDirectory() as folder:
                out = Path(folder) / "int8.onnx"
                feeds = [{name: change(t).astype(np.float32)} for t in self._tensors[:count]]
                quantised_plainly(subject.model.path, feeds, operators, per_channel, out)
                yield out

        return subject.open(file, subject.batch)


def quantised_plainly(
    model: Path, feeds: Sequence[Feeds], operators: tuple[str, ...] | None, per_channel: bool, out: Path
) -> None:
    """By onnxruntime.quantization as people call it: static, QDQ, least to greatest. operators: None for all that it knows.

    ModelError where it cannot."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._feeds = iter(feeds)

        def get_next(self) -> Feeds | None:
            return next(self._feeds, None)

    ready = out.with_suffix(".ready.onnx")
    try:
        quant_pre_process(str(model), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready),
            str(out),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(operators) if operators else None,
            per_channel=per_channel,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    except Exception as e:  # the quantizer raises bare exceptions of many kinds
        raise ModelError(f"cannot be quantized: {type(e).__name__}: {str(e)[:300]}") from e
