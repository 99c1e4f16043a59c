"""Mistakes about the model: another image's answer, batches, overflow in 16 bits, attributes of its graph, calibration.

For: the stage of raw outputs. Not for: where inside the model two runs part (localise), or how a graph is changed
(graph_changes.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.graph_changes import graph_changes, with_float16_range
from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.stages import INPUT, OUTPUTS, RESULTS
from seatrial.diagnosis.way import At, Mates, Run, Subject, Way
from seatrial.errors import ModelError
from seatrial.model.file import FAKE_SUFFIX

Array = npt.NDArray[Any]
BATCHES = (2, 4, 8, 16)
# What a third backend says that takes the candidate's part.
AGAINST = "against the reference's"


def model_mutations(way: Way) -> Iterator[Mutation]:
    yield from _stale()
    yield from _batches(way)
    yield from _of_other_files(way)
    if way.subject.judge is not None:
        judge = way.subject.judge
        what = f"agrees with a third backend, {AGAINST}"
        yield Mutation("backend-wrong", what, OUTPUTS, lambda way: way.with_run(judge))


def _other(at: int) -> Callable[[int, int], Sequence[int]]:
    """The image so many before; of the first none was before. ValueError where that is so of most: it says nothing of them."""

    def of(place: int, count: int) -> list[int]:
        if count <= 2 * abs(at):
            raise ValueError(f"{count} images are too few to be {abs(at)} late")
        return [place + at] if 0 <= place + at < count else []

    return of


def _own(own: At, theirs: Sequence[At]) -> Any:
    return (theirs[0] if theirs else own).value


def _zeros(own: At, theirs: Sequence[At]) -> Any:
    """What a buffer holds that nobody has written yet."""
    return theirs[0].value if theirs else [np.zeros_like(o) for o in own.value]


def _stale() -> Iterator[Mutation]:
    """The candidate gives what it had before the image was through, of its order."""
    for stage, said in ((OUTPUTS, "outputs"), (RESULTS, "results")):
        which = {
            f"gives the {said} of the image before": _other(-1),
            f"gives the {said} of the image behind": _other(1),
            f"gives the {said} of the image two before": _other(-2),
        }
        which |= {f"gives the {said} of the batch of {b} before": _other(-b) for b in BATCHES[1:]}
        for what, of in which.items():
            yield _among("stale-output", what, stage, stage, of, _own)
            if stage == OUTPUTS:
                yield _among("stale-output", f"{what}, and zeros where there is none", stage, stage, of, _zeros)
        yield _among("stale-output", f"gives the first image's {said} for all", stage, stage, lambda _p, _n: [0], _own)


def _among(
    fault: str,
    what: str,
    stage: str,
    source: str,
    of: Callable[[int, int], Sequence[int]],
    make: Callable[[At, Sequence[At]], Any],
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
                yield _among("batch-dependent", what, stage, stage, of, _own)
        yield _turned(batch)
        if way.subject.open is not None:
            yield _together(way.subject, batch)


def _turned(batch: int) -> Mutation:
    """Of a batch's outputs, whose memory is read with the next axis first: at batch 1 that is the same."""

    def make(own: At, theirs: Sequence[At]) -> list[Array]:
        place = next(k for k, at in enumerate(theirs) if _alike(at.value, own.value))
        found = []
        for output in range(len(own.value)):
            whole = np.concatenate([at.value[output][:1] for at in theirs])
            if whole.ndim < 2:
                raise ValueError("an output of one axis has no other order")
            count, channels = whole.shape[:2]
            found.append(whole.reshape(channels, count, *whole.shape[2:])[:, place][None])
        return found

    def of(place: int, count: int) -> list[int]:
        """Its batch, the last one shorter."""
        start = place // batch * batch
        return list(range(start, min(start + batch, count)))

    what = f"reads the outputs of a batch of {batch} as if the batch were their second axis"
    return _among("batch-dependent", what, OUTPUTS, OUTPUTS, of, make)


def _alike(a: Sequence[Array], b: Sequence[Array]) -> bool:
    return all(x is y or np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in zip(a, b, strict=True))


def _together(subject: Subject, batch: int) -> Mutation:
    """The reference's own model, which may not treat rows apart either."""

    def of(place: int, count: int) -> list[int]:
        """Its batch, filled up with the last."""
        start = place // batch * batch
        return [min(k, count - 1) for k in range(start, start + batch)]

    def change(way: Way) -> Way:
        assert subject.open
        if batch <= subject.batch or len(way.subject.model.inputs) != 1:
            raise ValueError("a batch as the reference's own, or of a model with more than the image")
        run, name = subject.open(lambda: nullcontext(subject.model.path), batch), way.subject.model.inputs[0].name

        def make(own: At, rows: Sequence[At]) -> list[Array]:
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


def _of_graph(changed: Callable[[], Any]) -> Callable[[Way], Way]:
    """ModelError where the changed model is none. Opened once, whatever else is changed with it."""
    opened: list[Run] = []

    def change(way: Way) -> Way:
        assert way.subject.open
        if not opened:
            opened.append(way.subject.open(partial(_file, changed), way.subject.batch))
        return way.with_run(opened[0])

    return change


@contextmanager
def _file(changed: Callable[[], Any]) -> Iterator[Path]:
    import onnx

    with TemporaryDirectory() as folder:
        path = Path(folder) / "changed.onnx"
        try:
            onnx.save(changed(), str(path))
        except Exception as e:  # protobuf's own, of a model beyond 2 GiB
            raise ModelError(f"cannot be changed: {e}") from e
        yield path
