"""A pipeline with its backend opened, ready to run image after image. For: what is timed. Not for: timing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy.typing as npt

from seatrial._native.timing import now_ns
from seatrial.jobs.job import Tell
from seatrial.jobs.workload import OpenedFacts, PipelineWorkload
from seatrial.timing.measure import image_order

if TYPE_CHECKING:
    from seatrial.backends import Backend
    from seatrial.images.files import ImageBytes
    from seatrial.kernels.geometry import Geometry
    from seatrial.pipeline.build import Pipeline

Array = npt.NDArray[Any]


@dataclass
class OpenedPipeline:
    """One client's: feeds are its own buffers, order its own sequence of images. load_s and first_inference_s are of the
    backend; another client's are 0, since the model is loaded once."""

    pipeline: Pipeline
    backend: Backend
    data: ImageBytes
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
        # Memory goes back in the stage that needs it last: behind the last lap its time would be in no stage.
        del images
        lap()
        outputs = self.backend.run(self.feeds)
        lap()
        self.pipeline.postprocess(outputs, geometries)
        del outputs, geometries
        lap()

    def restart(self, seed: int) -> None:
        """Begins a new order of images: two pipelines with the same seed see the same images from here on."""
        self.order = image_order(len(self.data), seed)

    def another(self, seed: int) -> OpenedPipeline:
        """The same pipeline and model for another client, with buffers and an image order of its own."""
        feeds = self.pipeline.allocate(self.batch)
        self.pipeline.preprocess(self.first_images, feeds)
        order = image_order(len(self.data), seed)
        return OpenedPipeline(
            self.pipeline, self.backend.another(), self.data, feeds, self.batch, order, self.first_images
        )

    def facts(self) -> OpenedFacts:
        return OpenedFacts(
            load_s=self.load_s,
            first_inference_s=self.first_inference_s,
            details=self.backend.details(),
            io_policy=self.backend.io_policy(),
            kernels_change=self.backend.kernels_change,
        )


def build(w: PipelineWorkload, engine: Literal["native", "reference"] | None = None) -> Pipeline:
    """`engine` replaces the plan's own."""
    from seatrial.pipeline.build import build_pipeline
    from seatrial.plan import pipelines

    spec = w.spec
    if engine:
        spec = pipelines.Pipeline.model_validate(spec.model_dump(exclude_unset=True) | {"engine": engine})
    return build_pipeline(w.name, spec, w.model_info, Path(w.folder), w.allow_code)


def image_bytes(w: PipelineWorkload) -> ImageBytes:
    from seatrial.images.files import ImageBytes, ImageFile

    return ImageBytes([ImageFile(Path(path), name) for path, name in w.images])


def open_pipeline(w: PipelineWorkload, tell: Tell = lambda _step, _share: None) -> OpenedPipeline:
    """Decodes and preprocesses the first batch, loads the model, and runs once, so that errors come before the measurement."""
    import cv2

    from seatrial.backends import OpenOptions, open_backend

    cv2.setNumThreads(w.threads)
    pipeline = build(w)
    data = image_bytes(w)
    feeds = pipeline.allocate(w.batch)
    first: list[Any] = [pipeline.decode(data[i % len(data)]) for i in range(w.batch)]
    geometries: list[Geometry] = pipeline.preprocess(first, feeds)
    shapes = {name: array.shape for name, array in feeds.items()}
    fixed = OpenOptions.for_shapes(w.model_info, w.threads, shapes, w.clients)
    options = fixed if pipeline.fixed_shapes else OpenOptions.for_mix(w.threads, w.clients)
    options = replace(options, build_number=w.build_number)
    tell("loading", 0.0)
    began = now_ns()
    backend = open_backend(w.backend, Path(w.model), options, w.native)
    try:
        loaded = now_ns()
        outputs = backend.run(feeds)
        answered = now_ns()
        pipeline.postprocess(outputs, geometries)
    except BaseException:
        backend.close()
        raise
    return OpenedPipeline(
        pipeline,
        backend,
        data,
        feeds,
        w.batch,
        image_order(len(data), w.seed),
        first,
        (loaded - began) / 1e9,
        (answered - loaded) / 1e9,
    )
