"""The smallest set of nodes that, kept in fp32, brings a reduced model's answers back: a recipe for `convert --keep-fp32`.

For: what a converter's ranges did not tell, or what must be said to another converter. Nodes are ranked by what overflows and
by their errors on equal inputs, and delta debugging leaves out what is not needed. Not for: conversions (precision).
"""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from seatrial.errors import UsageError, count_of, did_you_mean
from seatrial.localise.graph import Graph, graph_of
from seatrial.localise.outputs import OutputDistance
from seatrial.localise.rule import LOST, LOST_SHARE, output_limits
from seatrial.localise.scratch import Scratch
from seatrial.localise.search import search
from seatrial.localise.smallest import smallest
from seatrial.localise.taps import ORT_CPU, Side
from seatrial.model.file import inspect_model
from seatrial.precision.half import GREATEST, halved
from seatrial.precision.prepare import BFLOAT16_OPSET, LEAST_OPSET, prepared
from seatrial.precision.quantise import PRODUCTS, quantised
from seatrial.precision.ranges import greatest_magnitudes
from seatrial.precision.recipe import Recipe
from seatrial.runtimes.choice import BackendChoice

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
Answers = Mapping[str, Array]
Says = Callable[[str, float], None]
# Of each image, the outputs by name: whether they are good enough.
Metric = Callable[[Sequence[Answers]], bool]
# What runs each here: ONNX Runtime on the CPU has no kernels for bfloat16.
BACKENDS = {"fp16": ORT_CPU, "bf16": "openvino-cpu", "int8": ORT_CPU, "int8-u8": ORT_CPU}


@dataclass(frozen=True)
class FoundRecipe:
    """nodes: to keep in fp32, by the names that `convert` gives them. restores: whether that brings the answers back; where
    not, nothing does. minimal: whether none can be left out. before, after: the greatest error of an output without and with
    it, over its spread. candidates: nodes that compute in the precision without it. tried: conversions made and run."""

    precision: str
    nodes: tuple[str, ...]
    restores: bool
    minimal: bool
    before: float
    after: float
    candidates: int
    tried: int

    @property
    def recipe(self) -> Recipe:
        """With what stands for other names in a pattern taken as it is."""
        return Recipe(tuple(glob.escape(n) for n in self.nodes))

    def text(self) -> str:
        """As `--keep-fp32 FILE.yaml` reads it."""
        return yaml.safe_dump({"nodes": list(self.recipe.nodes)}, allow_unicode=True, sort_keys=False)


def find_recipe(
    model: Path,
    precision: str,
    feeds: Sequence[Feeds],
    metric: Metric | None = None,
    backend: str = "",
    most: int = 200,
    threads: int = 1,
    says: Says = lambda _step, _share: None,
) -> FoundRecipe:
    """What to keep of a model in fp16, bf16, int8 or int8-u8. In 16 bits no range that the feeds would tell keeps anything by
    itself: the recipe says all of it, also to another converter.

    metric: takes every image's outputs; without one they must be as near to the model's own as rule.py's limits for the
    precision ask. most: conversions to try.

    Raises:
        ModelError: the model cannot be converted, whatever is kept.
    """
    if precision not in BACKENDS:
        near = did_you_mean(precision, list(BACKENDS))
        raise UsageError(f"expected a recipe for {', '.join(BACKENDS)}, got {precision!r}{near}")
    with tempfile.TemporaryDirectory(prefix="seatrial-recipe-") as folder:
        return _Hunt(model, precision, feeds, metric, backend or BACKENDS[precision], Path(folder), threads, says).find(
            most
        )


class _Hunt:
    def __init__(
        self,
        model: Path,
        precision: str,
        feeds: Sequence[Feeds],
        metric: Metric | None,
        backend: str,
        folder: Path,
        threads: int,
        says: Says,
    ) -> None:
        self.precision, self.feeds, self.metric, self.says = precision, feeds, metric, says
        self.backend, self.threads, self.folder = backend, threads, folder
        self.scratch = Scratch(folder)
        info = inspect_model(model)
        self.proto = prepared(info, BFLOAT16_OPSET if precision == "bf16" else LEAST_OPSET)
        self.own = Side(self._graph(self.proto), BackendChoice(ORT_CPU), self.scratch, threads)
        self.outputs = tuple(o for o in self.own.graph.outputs if o in self.own.graph.moving)
        self.answers = list(self._run(self.own))
        self.limit = output_limits(precision)[0]

    def find(self, most: int) -> FoundRecipe:
        whole = self._reduced(frozenset())
        candidates = self._candidates(whole)
        before = self._error(self._run(whole))
        ranked, overflowing = self._ranked(candidates)

        def enough(kept: frozenset[str]) -> bool:
            self.says(f"trying {count_of(len(kept), 'node')} in fp32", 0.0)
            if kept.issuperset(candidates):
                return self._good(self.answers)
            return self._good(list(self._run(self._reduced(kept))))

        found = smallest(ranked, enough, overflowing, most)
        kept = frozenset(found.items)
        after = 0.0 if kept.issuperset(candidates) else self._error(self._run(self._reduced(kept)))
        return FoundRecipe(
            self.precision, found.items, found.enough, found.minimal, before, after, len(candidates), found.asked
        )

    def _graph(self, proto: Any) -> Graph:
        return graph_of(proto, self.folder)

    def _reduced(self, kept: frozenset[str]) -> Side:
        """The model in the precision but for those nodes, as `convert` makes it."""
        recipe = Recipe(tuple(glob.escape(n) for n in sorted(kept)))
        if self.precision in GREATEST:
            proto = halved(self.proto, self.precision, {}, recipe).proto
        else:
            import onnx

            path = self.folder / "reduced.onnx"
            quantised(self.proto, self.precision, self.feeds, "minmax", recipe, path)
            proto = onnx.load(str(path))
        return Side(self._graph(proto), BackendChoice(self.backend), self.scratch, self.threads)

    def _candidates(self, side: Side) -> tuple[str, ...]:
        """Nodes of the model's own that give 16 bits, or are quantised."""
        import onnx

        if self.precision not in GREATEST:
            return tuple(n.name for n in self.proto.graph.node if n.op_type in PRODUCTS)
        element = onnx.TensorProto.FLOAT16 if self.precision == "fp16" else onnx.TensorProto.BFLOAT16
        own = {n.name for n in self.proto.graph.node}
        graph = side.graph
        return tuple(
            n.name for n in graph.nodes if n.name in own and any(graph.types.get(o) == element for o in n.output)
        )

    def _ranked(self, candidates: Sequence[str]) -> tuple[list[str], int]:
        """Nodes that touch a number which the precision does not hold, then those with the greatest errors on equal inputs,
        where the others are kept; and how many the first are."""
        greatest = greatest_magnitudes(self.proto, self.feeds)
        # Of eight bits the scales follow the numbers.
        end = GREATEST.get(self.precision, np.inf)
        graph = self.own.graph
        beyond = {n for n, most in greatest.items() if most > end}
        first = [n.name for n in graph.nodes if n.name in candidates and beyond & {*n.input, *n.output}]
        rest = [n for n in candidates if n not in set(first)]
        if not rest:
            return first, len(first)
        self.says("ranking nodes by their errors", 0.0)
        found = search(self.own, self._reduced(frozenset(first)), self.feeds[:1], ("fp32", self.precision))
        errors = {e.node: e.own_error if e.own_error is not None else e.error for e in found.errors}
        return first + sorted(rest, key=lambda n: -errors.get(n, 0.0)), len(first)

    def _run(self, side: Side) -> Iterator[dict[str, Array]]:
        with side.opened(self.outputs, self.feeds[0]) as opened:
            for feeds in self.feeds:
                yield opened.run(feeds)

    def _good(self, answers: Sequence[Answers]) -> bool:
        if self.metric is not None:
            return self.metric(answers)
        return all(
            d.whole.error <= self.limit and (d.row_errors > LOST).sum() <= LOST_SHARE * len(d.row_errors)
            for d in self._distances(answers)
        )

    def _error(self, answers: Iterator[dict[str, Array]]) -> float:
        return max((d.whole.error for d in self._distances(list(answers))), default=0.0)

    def _distances(self, answers: Sequence[Answers]) -> list[OutputDistance]:
        found = {name: OutputDistance(name in self.own.graph.shares) for name in self.outputs}
        for own, made in zip(self.answers, answers, strict=True):
            for name, distance in found.items():
                distance.add(own[name], made[name])
        return list(found.values())
