"""Accuracy, or without a truth what parity has, against latency: a point a cell, and the line of those that none beats.

Not for: which is deployed (choice.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seatrial.history.records import CellRecord
from seatrial.report.choice import seconds_an_image, unbeaten
from seatrial.report.plots import FAINT, INK, PIPELINE_COLOURS, figure_of, legend, svg_of
from seatrial.report.rightness import rightness_of
from seatrial.report.ticks import in_figures, in_seconds, limits, scale

# By precision; in a colour by pipeline.
MARKS = {"fp32": "o", "fp16": "s", "bf16": "D", "int8": "^", "int8-u8": "v", "fp8": "P"}

_HOLLOW: dict[str, Any] = {"markerfacecolor": "none", "markeredgewidth": 1.4}


def tradeoff(cells: Sequence[CellRecord], pipelines: Sequence[str]) -> str:
    """'' where fewer than two cells have a figure of one kind. Labelled are those that no other one beats; hollow those that
    did not run in the precision that they were asked for."""
    from matplotlib.lines import Line2D

    right = rightness_of([c for c in cells if c.status == "ok"])
    if right is None:
        return ""
    shown = [c for c in cells if c.id in right.values]
    figure, axes = figure_of(9.6, 4.2)
    colours = {name: PIPELINE_COLOURS[i % len(PIPELINE_COLOURS)] for i, name in enumerate(pipelines)}
    for cell in shown:
        axes.plot(
            seconds_an_image(cell), right.values[cell.id], MARKS.get(cell.precision, "X"), color=colours[cell.pipeline],
            markersize=8, alpha=0.75, **(_HOLLOW if cell.ran_in else {"markeredgewidth": 0}),
        )  # fmt: skip
    front = unbeaten(shown, right.goodness)
    axes.plot(
        [seconds_an_image(c) for c in front], [right.values[c.id] for c in front], color=FAINT, linewidth=1.2, zorder=0,
        drawstyle="steps-post",
    )  # fmt: skip
    for k, cell in enumerate(front):
        # Below and above in turn, and farther each time: neighbours' words are not to meet.
        up = (-14 - 12 * (k // 2)) if k % 2 == 0 else 8 + 12 * (k // 2)
        axes.annotate(
            cell.configuration, (seconds_an_image(cell), right.values[cell.id]), (6, up), textcoords="offset points",
            fontsize=8, color=INK,
        )  # fmt: skip
    if right.exact is not None:
        axes.axhline(right.exact, color=FAINT, linewidth=0.8, linestyle=":", zorder=0)
        axes.annotate(
            "as the reference, to the bit", (1, right.exact), (-4, 3), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="right", fontsize=8, color=FAINT,
        )  # fmt: skip
    low, high = limits([seconds_an_image(c) for c in shown], log=True)
    # Room for the last one's words.
    scale(axes, "x", (low, high * (high / low) ** 0.3), in_seconds, log=True)
    low, high = limits(right.values.values(), pad=0.15)
    scale(axes, "y", (low, high if right.most is None else min(high, right.most)), in_figures)
    # Room for the marks of those that have the most, where no tick is.
    axes.set_ylim(low, high)
    axes.set_xlabel("median latency an image, end to end", color=INK, fontsize=9)
    axes.set_ylabel(right.label, color=INK, fontsize=9)
    drawn = [p for p in MARKS if any(c.precision == p for c in shown)]
    there = [n for n in pipelines if any(c.pipeline == n for c in shown)]
    dots = [Line2D([], [], color=colours[n], marker="o", linestyle="none", label=n) for n in there]
    marks = [Line2D([], [], color=INK, marker=MARKS[p], linestyle="none", label=p) for p in drawn]
    if any(c.ran_in for c in shown):
        what = "ran in another, or not told"
        marks.append(Line2D([], [], color=INK, marker="o", linestyle="none", label=what, **_HOLLOW))
    legend(figure, [*dots, *marks])
    return svg_of(figure, "tradeoff")
