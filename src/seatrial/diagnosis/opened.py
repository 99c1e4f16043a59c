"""A reference pipeline opened as a way: its model loaded, its steps ready, and others opened where a mistake needs them.

For: whoever diagnoses. Not for: timing (jobs/opened.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.backends import OpenOptions, availability, open_backend
from seatrial.backends.base import Backend
from seatrial.diagnosis.open_models import OpenModels
from seatrial.diagnosis.steps import ModelFile
from seatrial.diagnosis.way import Feeds, Run, Subject, Way, way_of
from seatrial.images.files import ImageBytes
from seatrial.jobs.job import Tell
from seatrial.jobs.opened import build, image_bytes
from seatrial.jobs.workload import PipelineWorkload
from seatrial.model.file import inspect_model
from seatrial.runtimes.choice import BackendChoice

# Whom to ask where two backends disagree, in this order.
JUDGES = ("onnxruntime-cpu", "openvino-cpu")
OTHER_THREADS = 2


@dataclass(frozen=True, eq=False)
class OpenedWay:
    """names: of its images, in order; encoded: their bytes, by name. again: the same model once more, by what differs. judges:
    the same model by backends that are neither side's, by name."""

    way: Way
    names: tuple[str, ...]
    data: ImageBytes
    again: Sequence[tuple[str, Callable[[], Run]]] = ()
    judges: Mapping[str, Run] = field(default_factory=dict)

    def encoded(self, name: str) -> bytes:
        return self.data[self.names.index(name)]


@contextmanager
def open_way(
    w: PipelineWorkload,
    tell: Tell = lambda _step, _share: None,
    other_backend: str = "",
    choices: Sequence[BackendChoice] = (),
) -> Iterator[OpenedWay]:
    """other_backend: the candidate's, which cannot judge itself; '' where nobody knows. choices: backends of the plan.

    Raises what opening a pipeline raises: PlanError, ModelError, BackendUnavailableError.
    """
    pipeline = build(w)
    data = image_bytes(w)
    feeds = pipeline.allocate(w.batch)
    pipeline.preprocess([pipeline.decode(data[i % len(data)]) for i in range(w.batch)], feeds)
    shapes = {name: array.shape for name, array in feeds.items()}
    with ExitStack() as stack:
        others = stack.enter_context(OpenModels())

        def backend(path: Path, batch: int, choice: BackendChoice, threads: int = w.threads) -> Backend:
            own = {name: (batch, *shape[1:]) for name, shape in shapes.items()}
            info = w.model_info if str(path) == w.model else inspect_model(path)
            fixed = OpenOptions.for_shapes(info, threads, own)
            return open_backend(choice, path, fixed if pipeline.fixed_shapes else OpenOptions.for_mix(threads))

        def of_file(file: ModelFile, batch: int) -> Run:
            def opening() -> Backend:
                with file() as path:
                    return backend(path, batch, w.backend)

            return others.run(opening)

        tell("loading", 0.0)
        model = Path(w.model)
        own = stack.enter_context(backend(model, w.batch, w.backend))
        judges = {
            c.backend: _late(lambda c=c: others.run(lambda: backend(model, w.batch, c)))  # type: ignore[misc]
            for c in _judges(w.backend.backend, other_backend, choices)
        }
        subject = Subject(
            w.name,
            w.model_info,
            Path(w.folder),
            lambda feeds: list(own.run(feeds)),
            w.allow_code,
            w.batch,
            open=of_file,
            judge=next(iter(judges.values()), None),
        )
        again = [
            ("opened anew", lambda: others.run(lambda: backend(model, w.batch, w.backend))),
            (
                f"{OTHER_THREADS} threads",
                lambda: others.run(lambda: backend(model, w.batch, w.backend, OTHER_THREADS)),
            ),
        ]
        yield OpenedWay(way_of(subject, w.spec), tuple(name for _, name in w.images), data, again, judges)


def _judges(reference: str, candidate: str, choices: Sequence[BackendChoice]) -> list[BackendChoice]:
    """Backends that are here and neither side's, one of each kind."""
    known = {c.backend: c for c in [*reversed(choices), *map(BackendChoice, reversed(JUDGES))]}
    return [c for n, c in reversed(known.items()) if n not in (reference, candidate, "fake") and availability(n).ok]


def _late(opened: Callable[[], Run]) -> Run:
    """Opened when it is first run: most diagnoses ask for no judge."""
    kept: list[Run] = []

    def run(feeds: Feeds) -> list[object]:
        if not kept:
            kept.append(opened())
        return list(kept[0](feeds))

    return run  # type: ignore[return-value]
