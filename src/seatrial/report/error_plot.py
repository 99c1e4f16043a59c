"""Errors over a model's graph, a dot a tensor, with the nodes that are to blame. Not for: which those are (localise)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from seatrial.report.plots import DASHED, FAINT, INK, PIPELINE_COLOURS, figure_of, legend, svg_of
from seatrial.report.ticks import in_figures, limits, scale

# What float32 cannot tell from nothing, in the lowest line; what is not finite stands in the highest.
LEAST, MOST = 1e-8, 10.0
NAMED = 5
# Of the width, which is about what a node's name takes.
APART = 0.2


class TensorDot(Protocol):
    @property
    def position(self) -> int: ...
    @property
    def error(self) -> float: ...
    @property
    def own_error(self) -> float | None: ...


class JumpDot(Protocol):
    @property
    def position(self) -> int: ...
    @property
    def node(self) -> str: ...
    @property
    def own_error(self) -> float: ...
    @property
    def tolerance(self) -> float: ...


def error_plot(errors: Sequence[TensorDot], jumps: Sequence[JumpDot]) -> str:
    """As localise.InsideModel has both; '' where no tensor was held. The first few jumps are named."""
    from matplotlib.lines import Line2D

    if not errors:
        return ""
    figure, axes = figure_of(9.6, 3.6)
    carried, alone, blamed = PIPELINE_COLOURS[0], FAINT, PIPELINE_COLOURS[1]
    x = [e.position for e in errors]
    axes.plot(x, [_drawn(e.error) for e in errors], "o", color=carried, markersize=3.5, markeredgewidth=0)
    own = [(e.position, _drawn(e.own_error)) for e in errors if e.own_error is not None]
    axes.plot([p for p, _ in own], [v for _, v in own], "o", color=alone, markersize=3.5, markeredgewidth=0)
    axes.plot([j.position for j in jumps], [_drawn(j.own_error) for j in jumps], "D", color=blamed, markersize=7)
    for k, jump in enumerate(_named(jumps, max(x) - min(x))):
        axes.annotate(
            jump.node, (jump.position, _drawn(jump.own_error)), (6, 8 + 11 * (k % 2)), textcoords="offset points",
            fontsize=8, color=INK,
        )  # fmt: skip
    if jumps:
        axes.axhline(min(j.tolerance for j in jumps), color=FAINT, linewidth=1, linestyle=DASHED)
    # Room for the last one's name.
    scale(axes, "x", (min(x) - 1.0, max(x) * 1.15 + 1.0), in_figures)
    scale(axes, "y", limits([LEAST, MOST], log=True), in_figures, log=True)
    axes.set_xlabel("node of A, in the order in which they run", color=INK, fontsize=9)
    axes.set_ylabel("error over the tensor's spread", color=INK, fontsize=9)
    words = ((carried, "o", "between both runs"), (alone, "o", "on equal inputs"), (blamed, "D", "to blame"))
    drawn = words if jumps else words[:2]
    legend(figure, [Line2D([], [], color=c, marker=m, linestyle="none", label=text) for c, m, text in drawn])
    return svg_of(figure, "errors")


def _named(jumps: Sequence[JumpDot], width: float) -> list[JumpDot]:
    """The first, and others whose names do not run into one another."""
    found: list[JumpDot] = []
    for jump in jumps:
        if len(found) < NAMED and all(abs(jump.position - f.position) >= APART * width for f in found):
            found.append(jump)
    return found


def _drawn(error: float) -> float:
    return MOST if math.isinf(error) else min(max(error, LEAST), MOST)
