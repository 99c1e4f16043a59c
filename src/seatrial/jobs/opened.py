"""A task's pipeline with its backend opened, ready to run image after image. For: what is timed. Not for: timing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from seatrial._native.timing import now_ns
from seatrial.jobs.task import Task
from seatrial.stages import MODEL_STAGES, PIPELINE_STAGES, QUEUE
from seatrial.timing.measure import image_order

if TYPE_CHECKING:
    from seatrial.backends import Backend
    from seatrial.kernels.geometry import Geometry
    from seatrial.pipeline.build import Pipeline

Array = npt.NDArray[Any]


def stage_names(task: Task) -> list[str]:
    """The stages of a task's samples, in order: a server's begin with the wait for it."""
    names = PIPELINE_STAGES if task.pipeline else MODEL_STAGES
    return [QUEUE, *names] if task.load.scenario == "server" else list(names)


@dataclass
class OpenedPipeline:
    """One client's: feeds are its own buffers, order its own sequence of images. load_s and first_inference_s are of the
    backend; another client's are 0, since the model is loaded once."""

    pipeline: Pipeline
    backend: Backend
    data: Any
    feeds: dict[str, Array]
    batch: int
    order: Iterator[int]
    first_images: list[Any]
    load_s: float = 0.0
    first_inference_s: float = 0.0

    def iterate(self, lap: Callable[[], None]) -> None:
        images = [self.pipeline.decode(self.data[next(self.order)]) for _ in range(self.batch)]
        lap()
        geometries = self.pipeline.preprocess(images, self.feeds)
        lap()
        outputs = self.backend.run(self.feeds)
        lap()
        self.pipeline.postprocess(outputs, geometries)
        lap()

    def restart(self, seed: int) -> None:
        """Begins a new order of images: two pipelines with the same seed see the same images from here on."""
        self.order = image_order(len(self.data), seed)

    def another(self, task: Task, client: int) -> OpenedPipeline:
        """The same pipeline and model for another client, with buffers and an image order of its own."""
        feeds = self.pipeline.allocate(self.batch)
        self.pipeline.preprocess(self.first_images, feeds)
        order = image_order(len(self.data), task.seed + client)
        return OpenedPipeline(
            self.pipeline, self.backend.another(), self.data, feeds, self.batch, order, self.first_images
        )


def build(task: Task, engine: str | None = None) -> Pipeline:
    """The task's pipeline; `engine` replaces the plan's own."""
    from seatrial.pipeline.build import build_pipeline
    from seatrial.plan import models

    spec = models.Pipeline.model_validate(task.pipeline | ({"engine": engine} if engine else {}))
    return build_pipeline(task.pipeline_name, spec, task.model_info, Path(task.folder), task.allow_code)


def image_bytes(task: Task) -> Any:
    from seatrial.images.files import ImageBytes, ImageFile

    return ImageBytes([ImageFile(Path(path), name) for path, name in task.images])


def open_pipeline(task: Task, tell: Callable[[str, float], None] = lambda _step, _share: None) -> OpenedPipeline:
    """Decodes and preprocesses the first batch, loads the model, and runs once, so that errors come before the measurement."""
    import cv2

    from seatrial.backends import OpenOptions, open_backend

    cv2.setNumThreads(task.threads)
    pipeline = build(task)
    data = image_bytes(task)
    feeds = pipeline.allocate(task.batch)
    first: list[Any] = [pipeline.decode(data[i % len(data)]) for i in range(task.batch)]
    geometries: list[Geometry] = pipeline.preprocess(first, feeds)
    shapes = {name: array.shape for name, array in feeds.items()}
    options = OpenOptions.for_shapes(task.model_info, task.threads, shapes, task.clients)
    tell("loading", 0.0)
    began = now_ns()
    backend = open_backend(task.backend, Path(task.model), options, task.native)
    try:
        loaded = now_ns()
        outputs = backend.run(feeds)
        answered = now_ns()
        pipeline.postprocess(outputs, geometries)
    except BaseException:
        backend.close()
        raise
    return OpenedPipeline(
        pipeline, backend, data, feeds, task.batch, image_order(len(data), task.seed), first,
        (loaded - began) / 1e9, (answered - loaded) / 1e9,
    )  # fmt: skip
