"""Each image's part of a run's outputs, as the plan's format tells them apart; else one row of the batch an image.

For: whoever keeps or compares raw outputs image by image. Not for: decoding, which cuts by the same rule (kernels).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from seatrial.errors import ModelError
from seatrial.kernels.detection_formats import FORMATS, shapes_of
from seatrial.kernels.tensor_shapes import Shapes
from seatrial.model.file import TensorInfo
from seatrial.pipeline.outputs_read import outputs_read
from seatrial.plan import pipelines

Array = npt.NDArray[Any]


def outputs_by_image(
    postprocess: pipelines.Postprocess | pipelines.UserCode,
    infos: Sequence[TensorInfo],
    outputs: Sequence[Array],
    batch: int,
) -> list[list[Array]]:
    """[image][output], views of the outputs, in the order of `infos`, which are those of the model's file.

    Raises:
        ModelError: the format cannot tell one image's rows from another's.
    """
    rows = [[row_of(o, k, batch) for o in outputs] for k in range(batch)]
    indices, shapes = _cut_by_format(postprocess, infos, outputs)
    if shapes is None:
        return rows
    read = [outputs[i] for i in indices]
    try:
        own = shapes.images(read, batch)
    except ValueError as e:
        form = postprocess.format if isinstance(postprocess, pipelines.Postprocess) else None
        raise ModelError(f"format '{form}': {e}") from None
    for image, tensors in zip(rows, own, strict=True):
        for i, tensor in zip(indices, tensors, strict=True):
            image[i] = tensor
    return rows


def _cut_by_format(
    postprocess: pipelines.Postprocess | pipelines.UserCode, infos: Sequence[TensorInfo], outputs: Sequence[Array]
) -> tuple[list[int], Shapes | None]:
    """Which outputs a format's shapes divide among the images, and how; none where nothing but the batch does."""
    form = FORMATS.get(postprocess.format or "") if isinstance(postprocess, pipelines.Postprocess) else None
    if form is None or not form.shapes or not isinstance(postprocess, pipelines.Postprocess):
        return [], None
    names = [o.name for o in infos]
    indices = [names.index(n) for n in outputs_read(postprocess, infos)]
    shapes = shapes_of(form, [outputs[i] for i in indices])
    return (indices, shapes) if shapes is not None else ([], None)


def rows_without_image(
    postprocess: pipelines.Postprocess | pipelines.UserCode,
    infos: Sequence[TensorInfo],
    outputs: Sequence[Array],
    batch: int,
) -> dict[str, int]:
    """Outputs of several images whose rows are no images, and how many there are: a list of all images' detections, say, which
    stands as a whole for each image. One whose number of rows the file fixes is the same for all, such as anchors."""
    if batch < 2:
        return {}
    indices, _ = _cut_by_format(postprocess, infos, outputs)
    return {
        info.name: len(o)
        for k, (info, o) in enumerate(zip(infos, outputs, strict=True))
        if k not in indices and o.ndim and len(o) != batch and not (info.shape and isinstance(info.shape[0], int))
    }


def row_of(output: Array, row: int, batch: int) -> Array:
    """One image's part of an output; the whole of an output that has no batch dimension."""
    own: Array = output[row] if output.ndim and len(output) == batch else output
    return own


def first_image(
    postprocess: pipelines.Postprocess | pipelines.UserCode,
    infos: Sequence[TensorInfo],
    outputs: Sequence[Array],
    batch: int,
) -> list[Array]:
    """What a run of this image alone would have given: its part of each output, behind a batch of one.

    Raises:
        ModelError: as outputs_by_image.
    """
    rows = outputs_by_image(postprocess, infos, outputs, batch)[0]
    return [with_batch(row, whole) for row, whole in zip(rows, outputs, strict=True)]


def with_batch(row: Array, whole: Array) -> Array:
    """With a batch of one where the run's output had a batch."""
    return row[None] if row.ndim == whole.ndim - 1 else row
