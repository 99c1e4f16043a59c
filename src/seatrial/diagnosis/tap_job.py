"""A plan's pipeline tapped in a process of its own: every image through it as it runs, and what each stage gave.

For: our own side of a comparison, and folders that others compare with. Not for: times, or which cell is meant (sides.py).
"""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic.dataclasses import dataclass

from seatrial.diagnosis.begun import begin
from seatrial.diagnosis.calibration import InputRange, calibrated_range
from seatrial.errors import PlanError, SeatrialError, printable, short_list
from seatrial.history.records.diagnosis import Invariant
from seatrial.jobs.job import Job, Tell
from seatrial.jobs.opened import OpenedPipeline, open_pipeline
from seatrial.jobs.workload import STRICT, PipelineWorkload
from seatrial.model.file import FAKE_SUFFIX
from seatrial.plan import pipelines
from seatrial.taps.shown import ImageTaps
from seatrial.taps.writer import TapsWriter

if TYPE_CHECKING:
    from seatrial.diagnosis.way import Way

Array = npt.NDArray[Any]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class TapTask:
    """out: the folder to write, which has to be empty. producer: what its taps.json says of it. alone_s: for what must hold of
    the side by itself, with batches of `together` where it runs no larger ones; 0 where nobody asks."""

    workload: PipelineWorkload
    out: str
    producer: str
    together: int = 0
    alone_s: float = 0.0


@dataclass(frozen=True, config=STRICT, kw_only=True)
class TapAnswer:
    """stages: that were tapped. changed: of these such as a later stage changed in place; what was kept is from before.
    invariants, computed_in (Backend's own account, of other precisions than fp32) and input_range (of a model whose file
    quantises its input): where they were asked for."""

    images: int
    stages: tuple[str, ...]
    changed: tuple[str, ...] = ()
    invariants: tuple[Invariant, ...] = ()
    computed_in: dict[str, int] = field(default_factory=dict)
    input_range: InputRange | None = None


def tap(task: TapTask, folder: Path, tell: Tell) -> TapAnswer:
    w = task.workload
    with _named(w, [name for _, name in w.images[: w.batch]]):
        opened = open_pipeline(w, tell)
    with opened.backend:
        taps = _Tapped(w, opened)
        colors: dict[Literal["decoded", "resized"], Any] = dict.fromkeys(("decoded", "resized"), w.spec.decode.color)
        runs = {"precision": w.precision, "backend": w.backend.backend}
        with TapsWriter(
            Path(task.out), task.producer, taps.stages, color=colors, batch=w.batch, total=len(w.images), **runs
        ) as writer:
            for start in range(0, len(w.images), w.batch):
                tell("tapping", start / len(w.images))
                names = [name for _, name in w.images[start : start + w.batch]]
                begin(folder, names)
                with _named(w, names):
                    rows = taps.of_batch(start, len(names))
                for k, (name, found) in enumerate(zip(names, rows, strict=True)):
                    writer.add(name, found, hashlib.sha256(opened.data[start + k]).hexdigest())
        alone = _by_itself(task, opened, taps, tell) if task.alone_s else {}
    return TapAnswer(images=len(w.images), stages=taps.stages, changed=tuple(sorted(taps.changed)), **alone)


def _by_itself(task: TapTask, opened: OpenedPipeline, taps: _Tapped, tell: Tell) -> dict[str, Any]:
    from seatrial.diagnosis.alone import held_alone

    tell("trying the candidate by itself", 1.0)
    w, computed = task.workload, {}
    if w.precision != "fp32":
        try:
            computed = {str(kind): int(n) for kind, n in opened.backend.computed_in(opened.feeds).items()}
        except Exception:  # whatever a runtime raises: what was tapped stands
            traceback.print_exc()
    held = held_alone(w, "candidate", task.together, task.alone_s, opened.backend.run)
    return {"invariants": held, "computed_in": computed, "input_range": taps.input_range()}


@contextmanager
def _named(w: PipelineWorkload, names: Sequence[str]) -> Iterator[None]:
    """An error that is none of seatrial's own is a stage's of the user: PlanError with the images, and where it was raised."""
    try:
        yield
    except (SeatrialError, MemoryError):
        raise
    except (Exception, SystemExit, KeyboardInterrupt) as e:
        traceback.print_exc()
        last = traceback.extract_tb(e.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}, in {last.name}"
        said = f"{type(e).__name__} on {printable(short_list(names))}: {printable(str(e))}"
        raise PlanError(f"raised {said}; its traceback ends in {where}", subject=f"pipelines.{w.name}") from None


class _Tapped:
    """changed: stages whose value a later one was seen to change in place."""

    def __init__(self, w: PipelineWorkload, opened: OpenedPipeline) -> None:
        from seatrial.diagnosis.candidates import before_nms, has_candidates
        from seatrial.pipeline.build import pick_input

        self._w, self._opened = w, opened
        self._input = pick_input(f"pipelines.{w.name}", w.spec, w.model_info).name
        way = _way(w, opened)
        # Where the pipeline itself does not stop. A preprocess of the user's own has no such size.
        self._resized = way.steps.get("resized")
        self._candidates = before_nms(way).steps["results"] if has_candidates(w.spec) else None
        self.changed: set[str] = set()
        self._range = None
        if not w.model.endswith(FAKE_SUFFIX):
            self._range = calibrated_range(Path(w.model), self._input)
        self._fed: list[tuple[float, float, float]] = []
        raw = isinstance(w.spec.postprocess, pipelines.Postprocess) and w.spec.postprocess.task == "raw"
        self.stages = (
            "decoded",
            *(["resized"] if self._resized else []),
            "input",
            "outputs",
            *(["candidates"] if self._candidates else []),
            *([] if raw else ["results"]),
        )

    def of_batch(self, start: int, count: int) -> list[ImageTaps]:
        """What each image of a batch had. A batch that is not full is filled up with its last image, as a cell's is."""
        from seatrial.diagnosis.at import At
        from seatrial.pipeline.image_outputs import outputs_by_image, with_batch

        w, opened = self._w, self._opened
        last = len(opened.data) - 1
        images = [opened.pipeline.decode(opened.data[min(i, last)]) for i in range(start, start + w.batch)]
        decoded = [np.array(image) for image in images]
        geometries = opened.pipeline.preprocess(images, opened.feeds)
        self._watch("decoded", decoded, images)
        inputs = np.array(opened.feeds[self._input])
        if self._range:
            low, high, _ = self._range
            self._fed.append(
                (float(inputs.min()), float(inputs.max()), float(((inputs < low) | (inputs > high)).mean()))
            )
        outputs = opened.backend.run(opened.feeds)
        kept = [np.array(o) for o in outputs]
        results = opened.pipeline.postprocess(outputs, geometries)
        self._watch("outputs", kept, outputs)
        rows = outputs_by_image(w.spec.postprocess, w.model_info.outputs, kept, w.batch)
        names = [info.name for info in w.model_info.outputs]
        own = [[with_batch(row, whole) for row, whole in zip(rows[k], kept, strict=True)] for k in range(count)]
        return [
            ImageTaps(
                decoded=decoded[k],
                resized=self._resized_of(decoded[k]),
                input=inputs[k : k + 1],
                outputs=dict(zip(names, own[k], strict=True)),
                candidates=self._candidates(At(own[k], geometries[k])).value if self._candidates else None,
                results=results[k],
            )
            for k in range(count)
        ]

    def input_range(self) -> InputRange | None:
        """None of a model whose file does not quantise its input."""
        if not self._range:
            return None
        low, high, symmetric = self._range
        least, greatest, outside = zip(*self._fed, strict=True)
        fed = min(least), max(greatest)
        return InputRange(calibrated=(low, high), symmetric=symmetric, fed=fed, outside=float(np.mean(outside)))

    def _resized_of(self, decoded: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8] | None:
        from seatrial.diagnosis.at import At

        return np.asarray(self._resized(At(decoded)).value) if self._resized else None

    def _watch(self, stage: str, before: Sequence[Array], after: Sequence[Array]) -> None:
        if any(not np.array_equal(b, a, equal_nan=b.dtype.kind == "f") for b, a in zip(before, after, strict=True)):
            self.changed.add(stage)


def _way(w: PipelineWorkload, opened: OpenedPipeline) -> Way:
    from seatrial.diagnosis.way import Subject, way_of

    def run(feeds: Any) -> list[Any]:
        return list(opened.backend.run(feeds))

    return way_of(Subject(w.name, w.model_info, Path(w.folder), run, w.allow_code, w.batch), w.spec)


JOB = Job("seatrial.diagnosis.tap_job", TapTask, TapAnswer, tap, timed=False)
