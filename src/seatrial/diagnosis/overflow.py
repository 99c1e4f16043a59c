"""Overflow of float16 at one place of a model, of what size nobody knows: found where the candidate has NaN or infinity.

For: a candidate whose own numbers are not finite where the reference's are: its scales inside may be others. Not
for: a file whose values pass float16's end as they are (graph_changes.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.stages import INPUT, OUTPUTS
from seatrial.diagnosis.stretch import Stretch
from seatrial.diagnosis.way import Feeds, Run, Way

Array = npt.NDArray[Any]
F64 = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]
# What makes values greater than those that it is given; in a model of more places than can be looked at, sums alone.
_SUMS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
_GROWING = (*_SUMS, "Add", "Sub", "Mul", "Div", "Pow", "Exp", "ReduceSum", "ReduceSumSquare", "BatchNormalization")
MOST_PLACES = 64
# So many places are looked at closely, on a grid of so many ends and then by so many thirds; the best of them are tried.
_CLOSELY, _STEPS, _THIRDS, _TRIED = 6, 7, 6, 2
_ENDS = "f16_ends"
FIT_IMAGES = 12


@dataclass(frozen=True, eq=False)
class _Gated:
    """The reference's model with an end at each place. sizes (2, places): the greatest value there, of feeds, and the greatest
    of either sign; run: with ends (places,)."""

    places: tuple[str, ...]
    sizes: Callable[[Feeds], F64]
    run: Callable[[Feeds, F64], list[Array]]


def fit_overflow(stretch: Stretch, way: Way, images: Sequence[int]) -> list[Mutation]:
    if stretch.end != OUTPUTS or way.subject.open is None or len(way.subject.model.inputs) != 1:
        return []
    # Those that agree say as much.
    images = list(dict.fromkeys([*images, *range(len(stretch.names))]))[:FIT_IMAGES]
    broken = {i: _broken(stretch.candidate(i)) for i in images}
    own = {i: _broken(stretch.made(way, i).value) for i in images}
    if not any(bits.any() for bits in broken.values()) or any(bits.any() for bits in own.values()):
        return []
    gated, name = _opened(way), way.subject.model.inputs[0].name
    feeds = {i: {name: np.repeat(stretch.at(way, i, INPUT).value, way.subject.batch, axis=0)} for i in images}
    shown = sorted((i for i in images if broken[i].any()), key=lambda i: int(broken[i].sum()))
    clean = [i for i in images if not broken[i].any()]
    low, high = _bounds({i: gated.sizes(feeds[i]) for i in images}, shown, clean)
    few = [*shown[:: max(1, len(shown) // 3)][:3], *clean[:3]]
    least, every = (_apart_of(gated, [(feeds[i], broken[i]) for i in some]) for some in (shown[:1], few))
    places = [p for p in range(len(gated.places)) if 0 < high[p] < np.inf]
    coarse = {p: min(least(p, end) for end in _grid(low[p], high[p], 2)) for p in places}
    likely = sorted(places, key=lambda p: coarse[p])[:_CLOSELY]
    found = [(p, _nearest(partial(every if clean else least, p), low[p], high[p])) for p in likely]
    best = sorted(found, key=lambda f: every(*f))[:_TRIED]
    return [_mutation(gated, p, _thirds(partial(every, p), end / 1.1, end * 1.1, end)) for p, end in best]


def _bounds(sizes: dict[int, F64], shown: Sequence[int], clean: Sequence[int]) -> tuple[F64, F64]:
    """Of each place's end: it lies below the greatest value of each image with NaN, and above that of the others, unless what
    follows hides it."""
    high = np.array([sizes[i][1] for i in shown]).min(axis=0)
    low = np.array([sizes[i][0] for i in clean]).max(axis=0, initial=0.0) if clean else np.zeros_like(high)
    return np.where(low < high, np.maximum(low, high / 100), high / 100), high


def _broken(outputs: Sequence[Array]) -> Bits:
    """Of all elements of all outputs: which are no numbers."""
    return np.concatenate([~np.isfinite(np.asarray(o, np.float32)).ravel() for o in outputs])


def _apart_of(gated: _Gated, images: Sequence[tuple[Feeds, Bits]]) -> Callable[[int, float], float]:
    """Of an end at a place: the share of elements that are no numbers on one side alone."""

    def one(feeds: Feeds, broken: Bits, place: int, end: float) -> float:
        made = _broken(gated.run(feeds, _ends(gated, place, end)))
        return float((made != broken).mean()) if made.shape == broken.shape else 1.0

    return cache(lambda place, end: float(np.mean([one(feeds, broken, place, end) for feeds, broken in images])))


def _ends(gated: _Gated, place: int, end: float) -> F64:
    ends = np.full(len(gated.places), np.inf)
    ends[place] = end
    return ends


def _grid(low: float, high: float, steps: int) -> list[float]:
    """Each as much greater than the one before: values of a layer have no scale of their own."""
    return [float(v) for v in np.geomspace(low, high, steps + 2)[1:-1]]


def _nearest(apart: Callable[[float], float], low: float, high: float) -> float:
    """The lower the end, the more is none. Far below and far above it nothing changes, so that a grid comes first."""
    grid = [float(low), *_grid(low, high, _STEPS), float(high)]
    best = min(range(1, len(grid) - 1), key=lambda k: apart(grid[k]))
    return _thirds(apart, grid[best - 1], grid[best + 1], grid[best])


def _thirds(apart: Callable[[float], float], low: float, high: float, best: float) -> float:
    for _ in range(_THIRDS):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, b) if apart(a) <= apart(b) else (a, high)
    return min((best, (low + high) / 2), key=apart)


def _mutation(gated: _Gated, place: int, end: float) -> Mutation:
    what = f"overflows float16 at '{gated.places[place]}', where the reference's values pass {end:.4g}"

    def change(way: Way) -> Way:
        return way.with_run(lambda feeds: gated.run(feeds, _ends(gated, place, end)))

    return Mutation("fp16-overflow", what, OUTPUTS, change, parameters=2)


def _opened(way: Way) -> _Gated:
    places: list[str] = []

    @contextmanager
    def file() -> Iterator[Path]:
        import onnx

        with TemporaryDirectory() as folder:
            path = Path(folder) / "gated.onnx"
            proto, names = _with_ends(way.subject.model.path)
            places[:] = names
            onnx.save(proto, str(path))
            yield path

    assert way.subject.open
    opened: Run = way.subject.open(file, way.subject.batch)
    count = len(way.subject.model.outputs)

    def run(feeds: Feeds, ends: F64) -> list[Array]:
        return opened({**feeds, _ENDS: ends.astype(np.float32)})[:count]

    def sizes(feeds: Feeds) -> F64:
        ends = np.full(len(places), np.inf, np.float32)
        return np.array([float(np.max(o)) for o in opened({**feeds, _ENDS: ends})[count:]]).reshape(-1, 2).T

    return _Gated(tuple(places), sizes, run)


def _with_ends(path: Path) -> tuple[Any, list[str]]:
    """The model with one input more, its ends, and two outputs more a place: see _Gated.sizes."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    copy = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    graph = copy.graph
    known = (*graph.value_info, *graph.output)
    floats = {v.name for v in known if v.type.tensor_type.elem_type == TensorProto.FLOAT}
    chosen = _places(graph, floats)
    del graph.value_info[:]
    graph.input.append(helper.make_tensor_value_info(_ENDS, TensorProto.FLOAT, [len(chosen)]))
    for name, value in (("f16_inf", np.inf), ("f16_one", 1.0)):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    nodes: list[Any] = []
    for node in list(graph.node):
        nodes.append(node)
        name = node.output[0] if node.output else ""
        if name not in chosen:
            continue
        k = chosen[name]
        whole, size, end = f"{name}_whole", f"{name}_size", f"{name}_end"
        node.output[0] = whole
        graph.initializer.append(numpy_helper.from_array(np.array(k, np.int64), f"{name}_place"))
        nodes += [
            helper.make_node("Abs", [whole], [size]),
            helper.make_node("ReduceMax", [whole], [f"{name}_high"], keepdims=0),
            helper.make_node("ReduceMax", [size], [f"{name}_greatest"], keepdims=0),
            helper.make_node("Gather", [_ENDS, f"{name}_place"], [end]),
            helper.make_node("Greater", [size, end], [f"{name}_over"]),
            helper.make_node("Where", [f"{name}_over", "f16_inf", "f16_one"], [f"{name}_times"]),
            helper.make_node("Mul", [whole, f"{name}_times"], [name]),
        ]
        for greatest in (f"{name}_high", f"{name}_greatest"):
            graph.output.append(helper.make_tensor_value_info(greatest, TensorProto.FLOAT, []))
    del graph.node[:]
    graph.node.extend(nodes)
    # Outputs come in the order of nodes, as the places do.
    return copy, list(chosen)


def _places(graph: Any, floats: set[str]) -> dict[str, int]:
    """Names of tensors in the order of their nodes, numbered."""
    for kinds in (_GROWING, _SUMS):
        names = [n.output[0] for n in graph.node if n.op_type in kinds and n.output[0] in floats]
        if len(names) <= MOST_PLACES:
            break
    step = -(-len(names) // MOST_PLACES) or 1
    return {name: k for k, name in enumerate(names[::step])}
