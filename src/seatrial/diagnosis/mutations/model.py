"""Mistakes about the model: another image's answer, batches, overflow in 16 bits, attributes of its graph, calibration.

For: the stage of raw outputs. Not for: where inside the model two runs part (localise), or how a graph is changed
(graph_changes.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.graph_changes import graph_changes, with_float16_range
from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.stages import INPUT, OUTPUTS, RESULTS
from seatrial.diagnosis.way import At, Feeds, Mates, Run, Subject, Way
from seatrial.errors import ModelError
from seatrial.model.file import FAKE_SUFFIX

Array = npt.NDArray[Any]
BATCHES = (2, 4, 8, 16)


def model_mutations(way: Way) -> Iterator[Mutation]:
    yield from _stale()
    yield from _batches(way)
    yield from _of_other_files(way)
    if way.subject.judge is not None:
        judge = way.subject.judge
        what = "agrees with a third backend, against the reference's"
        yield Mutation("backend-wrong", what, OUTPUTS, lambda way: way.with_run(judge))


def _other(at: int) -> Callable[[int, int], Sequence[int]]:
    """The image so many before; of the first, none was before: its own."""
    return lambda place, count: [place + at if 0 <= place + at < count else place]


def _stale() -> Iterator[Mutation]:
    """The candidate gives what it had before the image was through, of its order."""
    for stage, said in ((OUTPUTS, "outputs"), (RESULTS, "results")):
        which = {
            f"gives the {said} of the image before": _other(-1),
            f"gives the {said} of the image behind": _other(1),
            f"gives the {said} of the image two before": _other(-2),
            f"gives the first image's {said} for all": lambda _place, _count: [0],
        }
        which |= {f"gives the {said} of the batch of {b} before": _other(-b) for b in BATCHES[1:]}
        for what, of in which.items():
            yield _among("stale-output", what, stage, stage, of, lambda theirs: theirs[0].value)


def _among(
    fault: str, what: str, stage: str, source: str, of: Callable[[int, int], Sequence[int]], make: Callable[..., Any]
) -> Mutation:
    return Mutation(fault, what, stage, lambda way: way.with_mates(Mates(stage, source, of, make)))


def _batches(way: Way) -> Iterator[Mutation]:
    """Of images that went through in batches, in order, the last one filled up or shorter."""
    for batch in BATCHES:

        def first(place: int, _count: int, batch: int = batch) -> list[int]:
            return [place // batch * batch]

        def last(place: int, count: int, batch: int = batch) -> list[int]:
            return [min(place // batch * batch + batch, count) - 1]

        for stage, said in ((OUTPUTS, "outputs"), (RESULTS, "results")):
            for which, of in (("first", first), ("last", last)):
                what = f"gives the {said} of the {which} row to each of its batch of {batch}"
                yield _among("batch-dependent", what, stage, stage, of, lambda theirs: theirs[0].value)
        if way.subject.open is not None:
            yield _together(way.subject, batch)


def _together(subject: Subject, batch: int) -> Mutation:
    """The reference's own model, which may not treat rows apart either."""

    def of(place: int, count: int) -> list[int]:
        """The image itself first, then its batch, filled up with the last."""
        start = place // batch * batch
        return [place, *(min(k, count - 1) for k in range(start, start + batch))]

    def change(way: Way) -> Way:
        assert subject.open
        if batch <= subject.batch or len(way.subject.model.inputs) != 1:
            raise ValueError("a batch as the reference's own, or of a model with more than the image")
        run, name = subject.open(subject.model.path, batch), way.subject.model.inputs[0].name

        def make(theirs: Sequence[At]) -> list[Array]:
            own, rows = theirs[0], theirs[1:]
            place = next(k for k, at in enumerate(rows) if at is own or at.value is own.value)
            outputs = run({name: np.concatenate([at.value for at in rows])})
            if any(len(o) != batch for o in outputs):
                raise ValueError("outputs without a row an image")
            return [np.array(o[place : place + 1]) for o in outputs]

        return way.with_mates(Mates(OUTPUTS, INPUT, of, make))

    return Mutation("batch-dependent", f"runs batches of {batch}, whose rows the model mixes", OUTPUTS, change)


def _of_other_files(way: Way) -> Iterator[Mutation]:
    subject = way.subject
    if subject.open is None or str(subject.model.path).endswith(FAKE_SUFFIX):
        return

    def ranged() -> Any:
        return with_float16_range(subject.model.path)

    yield Mutation("fp16-overflow", "computes all of the model in float16, which overflows", OUTPUTS, _of_graph(ranged))
    for fault, what, changed in graph_changes(subject.model.path):
        yield Mutation(fault, what, OUTPUTS, _of_graph(changed))
    if subject.recalibrated is not None:
        for what, feeds in _CALIBRATED.items():
            yield Mutation("calibration", what, OUTPUTS, _of_calibration(feeds))


def _opened(subject: Subject, proto: Callable[[], Any]) -> Run:
    """ModelError where the changed model is none."""
    import onnx

    assert subject.open
    with TemporaryDirectory() as folder:
        path = Path(folder) / "changed.onnx"
        try:
            onnx.save(proto(), str(path))
        except Exception as e:  # protobuf's own, of a model beyond 2 GiB
            raise ModelError(f"cannot be changed: {e}") from e
        return subject.open(path, subject.batch)


def _of_graph(changed: Callable[[], Any]) -> Callable[[Way], Way]:
    return lambda way: way.with_run(_opened(way.subject, changed))


def _of_calibration(feeds: Callable[[Feeds], Feeds]) -> Callable[[Way], Way]:
    def change(way: Way) -> Way:
        assert way.subject.recalibrated
        return way.with_run(way.subject.recalibrated(feeds))

    return change


def _each(change: Callable[[Array], Array]) -> Callable[[Feeds], Feeds]:
    """Of every feed of four dimensions: images."""
    return lambda feeds: {k: change(v).astype(v.dtype) if v.ndim == 4 else v for k, v in feeds.items()}


_MEAN = np.array((0.485, 0.456, 0.406), np.float32).reshape(1, 3, 1, 1)
_STD = np.array((0.229, 0.224, 0.225), np.float32).reshape(1, 3, 1, 1)
_CALIBRATED: dict[str, Callable[[Feeds], Feeds]] = {
    "was calibrated on values that were not divided by 255": _each(lambda x: x * np.float32(255)),
    "was calibrated on values that were divided by 255 twice": _each(lambda x: x / np.float32(255)),
    "was calibrated on values with ImageNet's mean and std applied": _each(lambda x: (x - _MEAN) / _STD),
    "was calibrated on values without ImageNet's mean and std": _each(lambda x: x * _STD + _MEAN),
    "was calibrated on values from -1 to 1": _each(lambda x: x * np.float32(2) - np.float32(1)),
    "was calibrated on values from 0 to 1 in place of -1 to 1": _each(lambda x: (x + np.float32(1)) / np.float32(2)),
    "was calibrated on channels in the other order": _each(lambda x: x[:, ::-1]),
    "was calibrated on noise": _each(lambda x: np.random.default_rng(0).random(x.shape, np.float32)),
    "was calibrated on nothing but zeros": _each(np.zeros_like),
}
