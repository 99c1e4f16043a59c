"""A reference pipeline opened as a way: its model loaded, its steps ready. For: whoever diagnoses or taps. Not for: timing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from seatrial.backends import OpenOptions, open_backend
from seatrial.diagnosis.way import Feeds, Subject, Way, way_of
from seatrial.images.files import ImageBytes
from seatrial.jobs.job import Tell
from seatrial.jobs.opened import build, image_bytes
from seatrial.jobs.workload import PipelineWorkload


@dataclass(frozen=True, eq=False)
class OpenedWay:
    """names: of its images, in order; encoded: their bytes, by name."""

    way: Way
    names: tuple[str, ...]
    data: ImageBytes

    def encoded(self, name: str) -> bytes:
        return self.data[self.names.index(name)]


@contextmanager
def open_way(w: PipelineWorkload, tell: Tell = lambda _step, _share: None) -> Iterator[OpenedWay]:
    """Raises what opening a pipeline raises: PlanError, ModelError, BackendUnavailableError."""
    pipeline = build(w)
    data = image_bytes(w)
    feeds = pipeline.allocate(w.batch)
    pipeline.preprocess([pipeline.decode(data[i % len(data)]) for i in range(w.batch)], feeds)
    shapes = {name: array.shape for name, array in feeds.items()}
    fixed = OpenOptions.for_shapes(w.model_info, w.threads, shapes, w.clients)
    tell("loading", 0.0)
    with open_backend(
        w.backend, Path(w.model), fixed if pipeline.fixed_shapes else OpenOptions.for_mix(w.threads)
    ) as backend:

        def run(feeds: Feeds) -> list[object]:
            return list(backend.run(feeds))

        subject = Subject(w.name, w.model_info, Path(w.folder), run, w.allow_code, w.batch)  # type: ignore[arg-type]
        yield OpenedWay(way_of(subject, w.spec), tuple(name for _, name in w.images), data)
