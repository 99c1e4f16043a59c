"""The reference's fp32 model in int8 once more, calibrated on wrong values, until it gives what an int8 candidate gave.

For: recorded outputs of eight bits that nothing else explains. Which images calibrated the candidate nobody knows, so that
several sets are tried. Not for: a file's own scales (calibration.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.diagnose import Part
from seatrial.diagnosis.distance import distance
from seatrial.diagnosis.fit import NO_ROOM
from seatrial.diagnosis.search import LEAST_EXPLAINED, RUNNER_UP_FACTOR
from seatrial.diagnosis.stages import OUTPUTS
from seatrial.diagnosis.way import Feeds, Run, Way
from seatrial.errors import ModelError, SeatrialError
from seatrial.history.records.diagnosis import Diagnosis
from seatrial.pipeline.build import preprocess_kernel
from seatrial.plan import pipelines
from seatrial.precision.quantise import PRODUCTS

Array = npt.NDArray[Any]
# Operators that are quantised, None for all that the quantiser knows; and whether weights are, channel by channel.
Operators = tuple[str, ...] | None
Recipe = tuple[Operators, bool]
# Of the images that differ so many choose, and as many others confirm.
CHOSEN_BY = 4
MOST_CALIBRATING = 96
# Of all of them together, and once more as they were changed.
MOST_BYTES = 256 << 20
# So many calibrate, as many as people take.
FEW, MANY = 8, 32
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Where two mistakes with the values come as near.
UNTOLD = "was calibrated on other values than it is fed"
# What leaves so little is not to be bettered.
NEAR = (1 - LEAST_EXPLAINED) / RUNNER_UP_FACTOR
# On so many sets right values must have been tried, and be farther, before what is only near is named.
LEAST_RIGHT = 3
# Whichever way it was quantised, the same calibration is recognised; which way fits best is tried once that is known.
RECIPES: tuple[Recipe, ...] = ((("Conv",), False), (PRODUCTS, True), (None, False))


def sets_of(count: int) -> list[Sequence[int]]:
    """Of so many images those that people calibrate on, each set once, the most usual first."""
    step = max(1, count // FEW)
    wanted = (
        range(min(FEW, count)),
        range(min(MANY, count)),
        range(max(0, count - FEW), count),
        range(step // 2, count, step),
        range(count),
        range(max(0, count - MANY), count),
        range(count // 2, count // 2 + 1),
    )
    return list({tuple(images): images for images in wanted}.values())


@dataclass(frozen=True, eq=False)
class _Calibrated:
    """One calibration: what was done to the values, '' of the right ones. apart: how far from the candidate each image is."""

    what: str
    change: Callable[[Array], Array]
    recipe: Recipe
    apart: dict[int, float]


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


class Recalibration:
    """tensors: the candidate's inputs, in order. deadline: of time.monotonic(). tell: what was not tried, and why."""

    def __init__(
        self, part: Part, way: Way, tensors: Sequence[Array], deadline: float, tell: Callable[[str], None]
    ) -> None:
        self._tell = tell
        self._part, self._way, self._tensors, self._deadline = part, way, tensors, deadline
        self._chosen_by, self._confirmed_by = part.differing[0::2][:CHOSEN_BY], part.differing[1::2][:CHOSEN_BY]
        self._near = [1 - e.explained for e in (part.found.near if part.found else ())]

    def found(self) -> Diagnosis | None:
        """Each mistake on the first images; the nearest two by other recipes; then the right values and these on other sets."""
        first, *others = sets_of(len(self._tensors))
        known = list(self._each("", _as_it_is, RECIPES[:1], [first]))
        if not known:
            return None
        for what, change in changes(self._way.spec).items():
            known += self._each(what, change, RECIPES[:1], [first])
            if self._of_choice(known[-1]) <= NEAR:
                return self._named(known[-1], known)
        nearest = sorted((m for m in known if m.what), key=self._of_choice)[:2]
        for m in nearest:
            known += self._each(m.what, m.change, RECIPES[1:], [first])
        if not nearest:
            return None
        recipe = min((m for m in known if m.what), key=self._of_choice).recipe
        for m in (known[0], *nearest):
            sets = others if recipe == RECIPES[0] or m.what else [first, *others]
            known += self._each(m.what, m.change, [recipe], sets)
        best = min(known, key=self._of_choice)
        return self._named(best, known)

    def _named(self, best: _Calibrated, known: Sequence[_Calibrated]) -> Diagnosis | None:
        """By the usual rule, on images that it was not chosen by. Int8 that was calibrated as it should be is not the reference
        either."""
        left = self._left(best, self._confirmed_by)
        right = [self._left(m, self._confirmed_by) for m in known if not m.what]
        if not best.what or 1 - left < LEAST_EXPLAINED or min([*right, *self._near]) < RUNNER_UP_FACTOR * left:
            return None
        # What leaves more may be another mistake with the values, on images that were not tried; or none, on such; and outputs
        # that are next to the same for all images are anything's.
        few = len(right) < min(LEAST_RIGHT, len(sets_of(len(self._tensors))))
        if left > NEAR and (few or self._left_of_mean() < RUNNER_UP_FACTOR * left):
            return None
        return Diagnosis(
            fault="calibration",
            what=best.what if left <= NEAR else UNTOLD,
            stage=OUTPUTS,
            explained=round(1 - left, 6),
            confirmed=len(self._confirmed_by),
        )

    @cached_property
    def _ready(self) -> bytes:
        return ready_to_quantise(self._way.subject.model.path)

    def _each(
        self, what: str, change: Callable[[Array], Array], recipes: Sequence[Recipe], sets: Sequence[Sequence[int]]
    ) -> Iterator[_Calibrated]:
        """Nothing more once time is up."""
        for recipe in recipes:
            for images in sets:
                if time.monotonic() > self._deadline:
                    self._tell("calibration: time was up before all sets of images and values had been tried")
                    return
                try:
                    run = self._recalibrated([change(self._tensors[i]).astype(np.float32) for i in images], recipe)
                    yield self._calibrated(what, change, recipe, self._way.with_run(run))
                except (SeatrialError, ValueError):
                    continue  # a model that cannot be quantised so was not quantised so
                except MemoryError:
                    self._tell(f"calibration: {NO_ROOM}")
                    return

    def _calibrated(self, what: str, change: Callable[[Array], Array], recipe: Recipe, way: Way) -> _Calibrated:
        images = (*self._chosen_by, *self._confirmed_by)
        return _Calibrated(what, change, recipe, {i: self._part.stretch.distance(way, i) for i in images})

    def _of_choice(self, calibrated: _Calibrated) -> float:
        return self._left(calibrated, self._chosen_by)

    def _left(self, calibrated: _Calibrated, images: Sequence[int]) -> float:
        """Share of the difference that stays."""
        return sum(calibrated.apart[i] for i in images) / self._whole(images)

    def _left_of_mean(self) -> float:
        """What the candidate's own mean leaves, which says nothing of any image."""
        of_choice = [self._part.stretch.candidate(i) for i in self._chosen_by]
        mean = [np.mean(values, axis=0) for values in zip(*of_choice, strict=True)]
        images = self._confirmed_by
        return sum(distance(OUTPUTS, mean, self._part.stretch.candidate(i)) for i in images) / self._whole(images)

    def _whole(self, images: Sequence[int]) -> float:
        return sum(self._part.distances[i] for i in images) or 1.0

    def _recalibrated(self, tensors: Sequence[Array], recipe: Recipe) -> Run:
        subject = self._way.subject
        name = subject.model.inputs[0].name
        assert subject.open

        @contextmanager
        def file() -> Iterator[Path]:
            with TemporaryDirectory() as folder:
                out = Path(folder) / "int8.onnx"
                quantised(self._ready, [{name: t} for t in tensors], *recipe, out)
                yield out

        return subject.open(file, subject.batch)


def _as_it_is(tensor: Array) -> Array:
    return tensor


def quantised_plainly(model: Path, feeds: Sequence[Feeds], operators: Operators, per_channel: bool, out: Path) -> None:
    """By onnxruntime.quantization as people call it: static, QDQ, least to greatest. operators: None for all that it knows.

    ModelError where it cannot."""
    quantised(ready_to_quantise(model), feeds, operators, per_channel, out)


def ready_to_quantise(model: Path) -> bytes:
    """The model with its shapes inferred, as a file's bytes. ModelError where it cannot be."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        try:
            quant_pre_process(str(model), str(ready), skip_symbolic_shape=True)
        except Exception as e:  # the quantizer raises bare exceptions of many kinds
            raise _refused(e) from e
        return ready.read_bytes()


def quantised(ready: bytes, feeds: Sequence[Feeds], operators: Operators, per_channel: bool, out: Path) -> None:
    """See quantised_plainly."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._feeds = iter(feeds)

        def get_next(self) -> Feeds | None:
            return next(self._feeds, None)

    path = out.with_suffix(".ready.onnx")
    path.write_bytes(ready)
    try:
        quantize_static(
            str(path),
            str(out),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(operators) if operators else None,
            per_channel=per_channel,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    except Exception as e:
        raise _refused(e) from e


def _refused(e: Exception) -> ModelError:
    return ModelError(f"cannot be quantized: {type(e).__name__}: {str(e)[:300]}")
