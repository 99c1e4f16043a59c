"""A pipeline as five replaceable steps, and what each step gave of an image. For: pipelines and injections alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Placement:
    """Where a picture went: x_input = x_source * scale_xy[0] + offset_xy[0], likewise y."""

    source_hw: tuple[int, int]
    input_hw: tuple[int, int]
    scale_xy: tuple[float, float]
    offset_xy: tuple[float, float]


@dataclass(frozen=True)
class Steps:
    """decode: file's bytes to BGR (H, W, 3) uint8. resize: that to (h, w, 3) uint8 of the input's size, still BGR, and where it
    went. tensor: that to (1, …). infer: (B, …) to outputs by name. results: one image's outputs (1, …) to arrays by field."""

    decode: Callable[[bytes], Array]
    resize: Callable[[Array], tuple[Array, Placement]]
    tensor: Callable[[Array], Array]
    infer: Callable[[Array], dict[str, Array]]
    results: Callable[[dict[str, Array], Placement], dict[str, Array]]
    batch: int = 1


@dataclass(frozen=True)
class Trace:
    """What one image's way gave at each stage."""

    name: str
    decoded: Array
    resized: Array
    tensor: Array
    outputs: dict[str, Array]
    results: dict[str, Array]


def run(steps: Steps, files: Iterable[tuple[str, bytes]]) -> Iterator[Trace]:
    """files: name and bytes. One trace an image, in their order; the model sees `batch` of them at a time."""
    waiting: list[tuple[str, Array, Array, Placement, Array]] = []
    for name, data in files:
        decoded = steps.decode(data)
        resized, placement = steps.resize(decoded)
        waiting.append((name, decoded, resized, placement, steps.tensor(resized)))
        if len(waiting) == steps.batch:
            yield from _traces(steps, waiting)
            waiting = []
    if waiting:
        yield from _traces(steps, waiting)


def _traces(steps: Steps, rows: list[tuple[str, Array, Array, Placement, Array]]) -> Iterator[Trace]:
    outputs = steps.infer(np.concatenate([tensor for *_, tensor in rows]))
    for k, (name, decoded, resized, placement, tensor) in enumerate(rows):
        own = {key: value[k : k + 1] for key, value in outputs.items()}
        yield Trace(name, decoded, resized, tensor, own, steps.results(own, placement))


# Within this two runtimes differ in fp32 (docs/plan.md): results that are no further apart show nothing.
RTOL = ATOL = 1e-3


def alike(a: Trace, b: Trace, results_only: bool = False) -> bool:
    """Whether nothing tells the two apart: no bit of a stage, or of results alone nothing beyond what runtimes differ by."""
    results = list(zip(a.results.values(), b.results.values()))
    if results_only:
        return all(x.shape == y.shape and np.allclose(x, y, RTOL, ATOL, equal_nan=True) for x, y in results)
    pairs = [*results, (a.decoded, b.decoded), (a.resized, b.resized), (a.tensor, b.tensor)]
    pairs += list(zip(a.outputs.values(), b.outputs.values()))
    return all(x.shape == y.shape and np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in pairs)
