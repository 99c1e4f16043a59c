"""A runtime's refusal of a size, in words for who chose the size: what the model takes, and what to give.

For: a worker's and a side's failures. Not for: refusals for another reason, which stay the runtime's own words.
"""

from __future__ import annotations

from collections.abc import Mapping

from seatrial.errors import ModelError, SeatrialError, option
from seatrial.jobs.workload import ModelWorkload, PipelineWorkload, Workload
from seatrial.model.file import ModelInfo
from seatrial.model.fitting import why_refused
from seatrial.model.image_size import Size, image_input, size_in, sized
from seatrial.plan import pipelines

Shapes = Mapping[str, tuple[int, ...]]


def explained(e: SeatrialError, work: Workload) -> SeatrialError:
    """The same error, or one about the size where that is what the runtime refused."""
    if isinstance(work, PipelineWorkload):
        return _of_pipeline(e, work)
    if isinstance(work, ModelWorkload):
        return of_shapes(e, work.model_info, work.input_shapes)
    return e


def of_shapes(e: SeatrialError, info: ModelInfo, shapes: Shapes) -> SeatrialError:
    """As explained, of a model on made-up inputs."""
    image = image_input(info)
    words, size = why_refused(info, shapes) if e.refusal else ("", None)
    if image is None or size is None:
        return e
    given, batch = shapes[image.name], shapes[image.name][0]
    cure = f"give {option('shape')} {image.name}={_by(sized(image, batch, size))}"
    return ModelError(f"no {_by(given)} goes into {image}: {words}; {cure}", subject=e.subject)


def _of_pipeline(e: SeatrialError, work: PipelineWorkload) -> SeatrialError:
    image, spec = image_input(work.model_info), work.spec.preprocess
    if not e.refusal or image is None or not isinstance(spec, pipelines.Preprocess):
        return e
    shape = sized(image, work.batch, spec.size)
    words, size = why_refused(work.model_info, {image.name: shape})
    if size is None:
        return e
    return ModelError(
        f"no {_sides(size_in(image, shape))} picture goes into {image}: {words}; set it to [{size[0]}, {size[1]}]",
        key=f"pipelines.{work.name}.preprocess.size",
    )


def _sides(size: Size) -> str:
    return f"{size[0]} × {size[1]}"


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
