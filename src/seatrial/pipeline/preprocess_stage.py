"""The stage before the model: images to the arrays that it is fed, by the built-in kernel or by the user's own function.

For: buffers that stay in place, and what a user's function may return. Not for: checks against the model (build.py), or pixels
(kernels/preprocess.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import PlanError
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.preprocess import Preprocess
from seatrial.pipeline.extra_inputs import extra_values

Array = npt.NDArray[Any]


def no_batch(mode: str) -> str:
    return (
        f"preprocess.mode {mode} gives each image a size of its own, and several of them are no batch; set matrix.batch_sizes: "
        "[1], or mode: letterbox"
    )


def kernel_stage(where: str, kernel: Preprocess, input_name: str, extra: dict[str, tuple[str, str]]) -> tuple[Any, Any]:
    def allocate(batch: int) -> dict[str, Array]:
        if kernel.varies and batch > 1:
            raise PlanError(no_batch(kernel.mode), key=f"{where}.preprocess.mode")
        feeds = {name: np.zeros((batch, 2), dtype) for name, (_, dtype) in extra.items()}
        return {input_name: np.zeros((batch, *kernel.shape), kernel.dtype), **feeds}

    def preprocess(images: Sequence[npt.NDArray[np.uint8]], feeds: dict[str, Array]) -> list[Geometry]:
        if kernel.varies:
            shape = kernel.shape_of(kernel.geometry(images[0].shape[:2]).input_hw)
            feeds[input_name] = _with_shape(feeds[input_name], (1, *shape))
        # One thread: runtimes keep theirs spinning on the cell's cores between two runs, and more would wait for them.
        geometries = kernel.batch_with_geometries(images, out=feeds[input_name])[1]
        for name, (kind, _) in extra.items():
            feeds[name][...] = [extra_values(kind, g) for g in geometries]
        return geometries

    return allocate, preprocess


def _with_shape(kept: Array, shape: tuple[int, ...]) -> Array:
    """An array of that shape in the memory of the one before, where it has room: new pages would cost each image their time."""
    room = kept if kept.base is None else kept.base
    size = math.prod(shape)
    return room.reshape(-1)[:size].reshape(shape) if room.size >= size else np.zeros(shape, kept.dtype)


def user_stage(function: Callable[..., Any], input_name: str) -> tuple[Any, Any]:
    def allocate(_batch: int) -> dict[str, Array]:
        return {}

    def preprocess(images: Sequence[npt.NDArray[np.uint8]], feeds: dict[str, Array]) -> list[Geometry]:
        rows: dict[str, list[Array]] = {}
        geometries = []
        for image in images:
            given, geometry = _user_tensor(function(image))
            for key, value in (given if isinstance(given, dict) else {input_name: given}).items():
                array = np.asarray(value)
                if array.ndim == 0 or len(array) != 1 or array.dtype.kind not in "fiub":
                    raise PlanError(
                        f"the Python preprocess gave {array.dtype} of shape {array.shape} for input {key}; expected numbers of "
                        "shape (1, …), one image with its batch dimension"
                    )
                rows.setdefault(key, []).append(array)
            geometries.append(geometry or Geometry(image.shape[:2], image.shape[:2], image.shape[:2], 0, 0))
        if not rows:
            raise PlanError("the Python preprocess gave no input; expected an array, or a dict of input name to array")
        for key, values in rows.items():
            batch = np.ascontiguousarray(np.concatenate(values, axis=0))
            kept = feeds.get(key)
            if kept is not None and kept.shape == batch.shape and kept.dtype == batch.dtype:
                kept[...] = batch
            else:
                feeds[key] = batch
        return geometries

    return allocate, preprocess


def with_geometry(where: str, preprocess: Any) -> Any:
    """A built-in decoder brings boxes and masks back to the image, and only the user's function knows how it got here."""

    def checked(images: Sequence[npt.NDArray[np.uint8]], feeds: dict[str, Array]) -> list[Geometry]:
        geometries: list[Geometry] = preprocess(images, feeds)
        if any(g.input_hw == g.source_hw for g in geometries) and not any(_holds(feeds, g) for g in geometries):
            raise PlanError(
                f"{where}.preprocess: a built-in postprocess needs to know where pixels went; return (array, "
                "seatrial.Geometry), for instance from seatrial.Preprocess.geometry, or use a Python postprocess"
            )
        return geometries

    return checked


def _holds(feeds: dict[str, Array], geometry: Geometry) -> bool:
    """Whether a tensor has the geometry's size, so that no resize is a possible truth."""
    return any(geometry.input_hw in (a.shape[1:3], a.shape[2:4]) for a in feeds.values() if a.ndim == 4)


def _user_tensor(given: Any) -> tuple[Any, Geometry | None]:
    """What a Python preprocess returned: the tensor(s), with the Geometry where it is one of two."""
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Geometry):
        return given
    return given, None
