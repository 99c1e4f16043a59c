"""The input shapes at which a model's cost is counted: fixed in the file, given, or what its metadata says.

Not for: shapes to measure with, which nobody guesses (shapes.py).
"""

from __future__ import annotations

from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.model.image_size import stated_size
from seatrial.model.shapes import batch_input, fixed_shapes


def counted_shapes(info: ModelInfo, given: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Shape of every input, for one image where the batch is open.

    Raises:
        UsageError: `given` names no input, or a shape that it cannot take.
        ModelError: a dimension is open and nothing says what it is; the message has the option to give.
    """
    shapes = dict(given)
    size = stated_size(info)
    counted = next((i for i in info.inputs if i.name == batch_input(info)), None)
    if size and counted and counted.name not in given and (guessed := _image(counted, size)):
        shapes[counted.name] = guessed
    first = shapes[counted.name][:1] if counted and counted.name in shapes else counted.shape[:1] if counted else ()
    batch = first[0] if first and isinstance(first[0], int) else 1
    return fixed_shapes(info, batch, shapes)


def _image(tensor: TensorInfo, size: tuple[int, int]) -> tuple[int, ...] | None:
    """The shape of one image of that size; None where the input is no image, or fixed otherwise."""
    if len(tensor.shape) != 4:
        return None
    last = tensor.shape[3] in (1, 3) and tensor.shape[1] not in (1, 3)
    sizes = (1, *size, tensor.shape[3]) if last else (1, tensor.shape[1], *size)
    shape = tuple(own if isinstance(own, int) else given for own, given in zip(tensor.shape, sizes, strict=True))
    return shape if all(isinstance(d, int) for d in shape) else None  # type: ignore[return-value]
