"""Which shapes go through a model's graph, by ONNX's own shape inference: nothing is run, and no weight is read.

For: the cure in a message. Inference lets pass what it cannot follow, so that a shape which it takes may still be refused by a
runtime; one that it refuses is wrong. Not for: checks before a run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from seatrial.model.file import FAKE_SUFFIX, ModelInfo, TensorInfo
from seatrial.model.image_size import (
    Size,
    image_input,
    open_sides,
    size_in,
    size_words,
    sized,
    stated_size,
    stated_stride,
)
from seatrial.model.nodes import sort_nodes

Shapes = Mapping[str, tuple[int, ...]]
COMMON_SIDES = (640, 224, 320, 256, 416, 384, 512, 448, 518, 336, 299, 800, 1024, 192, 160, 128, 112, 96, 64, 32, 28)
COMMON_LENGTHS = (16, 1, 2, 4, 32, 64, 77, 128, 256, 384, 512, 768, 1024)
MULTIPLES = (2, 4, 8, 14, 16, 32, 64, 128)
# Larger initialisers are weights, whose values no shape depends on.
MOST_VALUES = 1024


def why_refused(info: ModelInfo, shapes: Shapes) -> tuple[str, Size | None]:
    """What a refused shape of the picture has against it, and the size to take in its place; '' where nothing tells."""
    image = image_input(info)
    if image is None or not open_sides(image) or image.name not in shapes:
        return "", None
    given = size_in(image, shapes[image.name])
    stated = stated_size(info)
    says = f"; its metadata says {size_words(stated)}" if stated else ""
    for find in (stated_stride, multiple_of):
        multiple = find(info) or 1
        if given[0] % multiple or given[1] % multiple:
            nearest = (max(1, round(given[0] / multiple)) * multiple, max(1, round(given[1] / multiple)) * multiple)
            sound = stated if stated and not (stated[0] % multiple or stated[1] % multiple) else None
            return f"this model takes multiples of {multiple}{says}", sound or nearest
    graph = _Graph.of(info)
    fit = stated or _common_size(graph, image, given)
    if fit is None or fit == given or graph is None or graph.takes(shapes):
        return "", None
    return f"this model takes {size_words(fit)}{says}", fit


def example_shape(info: ModelInfo, tensor: TensorInfo, batch: int, known: Shapes) -> tuple[int, ...]:
    """A shape of an open input that goes through the graph with what is known of the others, where any common one does."""
    named = info.named_sizes(known)
    tries = list(_tries(tensor, batch, named))
    graph = _Graph.of(info)
    others = {n: s for n, s in known.items() if n != tensor.name}
    return next((t for t in tries if graph and graph.takes({**others, tensor.name: t})), tries[0])


def _tries(tensor: TensorInfo, batch: int, named: Mapping[str, int]) -> Iterable[tuple[int, ...]]:
    if not tensor.ranked:
        for rank in (4, 3, 2):
            yield from _tries(replace(tensor, shape=(None,) * rank, ranked=True), batch, named)
        return
    known = [named.get(d, d) if isinstance(d, str) else d for d in tensor.shape]
    known[:1] = [d if isinstance(d, int) else batch for d in known[:1]]
    own = TensorInfo(tensor.name, tuple(known), tensor.dtype)
    if len(known) == 4:
        for channels in (None, 1):
            yield from (sized(own, batch, (side, side), channels) for side in COMMON_SIDES)
        return
    for length in COMMON_LENGTHS:
        yield tuple(d if isinstance(d, int) else length for d in known)


def multiple_of(info: ModelInfo) -> int | None:
    """The least number whose odd multiples go through the graph as sides of the picture, where not every size does."""
    graph, image = _Graph.of(info), image_input(info)
    if graph is None or image is None or graph.takes({image.name: sized(image, 1, (321, 321))}):
        return None
    for multiple in MULTIPLES:
        side = multiple * (320 // multiple | 1)
        if graph.takes({image.name: sized(image, 1, (side, side))}):
            return multiple
    return None


def _common_size(graph: _Graph | None, image: TensorInfo, given: Size) -> Size | None:
    """The common size nearest to the given one that goes through the graph."""
    sides = sorted(COMMON_SIDES, key=lambda side: abs(side - max(given)))
    fits = ((s, s) for s in sides if graph and graph.takes({image.name: sized(image, 1, (s, s))}))
    return next(fits, None)


class _Graph:
    """A model's graph without its weights."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @staticmethod
    def of(info: ModelInfo) -> _Graph | None:
        """None where there is no graph to ask."""
        return None if info.path.name.endswith(FAKE_SUFFIX) else _graph_of(info)

    def takes(self, shapes: Shapes) -> bool:
        """Whether inference finds no contradiction with inputs of these shapes; others stay as the file has them."""
        import onnx

        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        for value in model.graph.input:
            sizes, tensor = shapes.get(value.name, ()), value.type.tensor_type
            if sizes and not tensor.HasField("shape"):
                tensor.shape.dim.extend(onnx.TensorShapeProto.Dimension() for _ in sizes)
            for dim, size in zip(tensor.shape.dim, sizes, strict=False):
                dim.dim_value = size
        try:
            onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        except Exception:  # InferenceError, and protobuf's own
            return False
        return True


@lru_cache(maxsize=4)
def _loaded(path: str, _digest: str) -> Any:
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception:  # it was read before: whoever runs it says what is wrong with it now
        return None
    for tensor in model.graph.initializer:
        # Its dimensions stay, which are what inference reads.
        if math.prod(tensor.dims) > MOST_VALUES:
            for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
                tensor.ClearField(field)
    sort_nodes(model.graph)
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return model


def _graph_of(info: ModelInfo) -> _Graph | None:
    model = _loaded(str(info.path.absolute()), info.digest)
    return None if model is None else _Graph(model)
