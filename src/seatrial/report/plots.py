"""The report's plots as inline SVG, by matplotlib. For: pictures of a record. Not for: computing what they show."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.history.records import CellRecord, Measured
from seatrial.report.ticks import in_figures, in_seconds, limits, scale
from seatrial.stages import DECODE, END_TO_END, INFER, POSTPROCESS, PREPROCESS, QUEUE
from seatrial.units import seconds_unit

# Okabe and Ito's palette: told apart by colour-blind readers too.
STAGE_COLOURS = {
    QUEUE: "#9aa5b1",
    DECODE: "#56B4E9",
    PREPROCESS: "#E69F00",
    INFER: "#0072B2",
    POSTPROCESS: "#009E73",
}
PIPELINE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, FAINT = "#1f2933", "#9aa5b1"
DASHED = (0, (4, 3))
# A percentile without an upper bound: open, and pointing to where it may lie.
OPEN: dict[str, Any] = {"color": INK, "marker": ">", "markerfacecolor": "white", "markersize": 6, "linestyle": "none"}
INTERVAL: dict[str, Any] = {"color": INK, "linewidth": 5, "alpha": 0.25, "solid_capstyle": "butt"}
# Half the height of their marks.
PERCENTILES = {"p50": 0.36, "p90": 0.28, "p99": 0.2}
DOTS = 400


def figure_of(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9, length=0)
    return figure, axes


def dot_size(shown: npt.NDArray[Any]) -> int:
    """Of a few, each is to be seen; of a crowd, how dense it is."""
    return 9 if len(shown) < 100 else 5


def svg_of(figure: Any, name: str) -> str:
    from matplotlib import rc_context

    buffer = io.StringIO()
    # Text stays text: searchable, and small. A fixed salt makes the same record give the same bytes.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    # Element ids must not meet those of the next plot in the same page.
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    # The plot scales with the page.
    text = re.sub(r'<svg ([^>]*?)width="[^"]+"', r"<svg \1", text, count=1)
    return re.sub(r'<svg ([^>]*?)height="[^"]+"', r"<svg \1", text, count=1)


def legend(figure: Any, handles: Sequence[Any]) -> None:
    """In a line above the plot, where it hides nothing, from the left: a phone shows that side first."""
    if not handles:
        return
    where: dict[str, Any] = {"loc": "outside upper left", "ncols": len(handles)}
    figure.legend(handles=handles, **where, frameon=False, fontsize=9, handlelength=1.4, handletextpad=0.5)


def waterfall(cells: Sequence[CellRecord]) -> str:
    """Mean time of each stage an image, one bar a cell, stages laid end to end: where the time goes."""
    from matplotlib.patches import Patch

    figure, axes = figure_of(9.6, 0.9 + 0.34 * len(cells))
    totals = [sum(c.stages[s].mean.value for s in STAGE_COLOURS if s in c.stages) / c.batch for c in cells]
    factor, unit = seconds_unit(max(totals))
    for row, cell in enumerate(cells):
        left = 0.0
        for stage in (s for s in STAGE_COLOURS if s in cell.stages):
            width = cell.stages[stage].mean.value / cell.batch / factor
            axes.barh(row, width, left=left, color=STAGE_COLOURS[stage], height=0.62)
            left += width
        axes.annotate(
            f"{left:.3g} {unit}", (left, row), (5, 0), textcoords="offset points", va="center", fontsize=9, color=INK
        )
    axes.set_yticks(range(len(cells)), [f"{c.pipeline} · {c.configuration}" for c in cells])
    axes.set_ylim(len(cells) - 0.5, -0.5)
    # Room behind the longest bar for its figure.
    scale(axes, "x", (0.0, max(totals) / factor * 1.12 or 1.0), in_figures)
    axes.grid(visible=False)
    axes.set_xlabel(f"mean time an image, {unit}", color=INK, fontsize=9)
    drawn = [s for s in STAGE_COLOURS if any(s in c.stages for c in cells)]
    legend(figure, [Patch(color=STAGE_COLOURS[s], label=s) for s in drawn])
    return svg_of(figure, "waterfall")


def distributions(
    cells: Sequence[CellRecord], seconds: Mapping[str, npt.NDArray[np.float64]], pipelines: Sequence[str]
) -> str:
    """End-to-end latency of iterations, one strip a cell, with p50, p90 and p99; the extremes are always drawn."""
    figure, axes = figure_of(9.6, 1.1 + 0.4 * len(cells))
    rng = np.random.default_rng(0)
    marks: list[tuple[int, str, Measured]] = []
    for row, cell in enumerate(cells):
        own = seconds[cell.id]
        colour = PIPELINE_COLOURS[list(pipelines).index(cell.pipeline) % len(PIPELINE_COLOURS)]
        # A page of a few hundred kilobytes: a random part of the crowd, but every one of the slowest and fastest.
        ranked = np.sort(own)
        shown = (
            own
            if len(own) <= DOTS
            else np.concatenate([ranked[:20], rng.choice(ranked[20:-80], DOTS - 100, replace=False), ranked[-80:]])
        )
        axes.scatter(
            shown, row + rng.uniform(-0.22, 0.22, len(shown)), s=dot_size(shown), color=colour, alpha=0.35, linewidths=0
        )
        marks += [(row, name, getattr(cell.stages[END_TO_END], name)) for name in PERCENTILES]
    handles = _percentile_marks(axes, marks)
    axes.set_yticks(range(len(cells)), [f"{c.pipeline} · {c.configuration}" for c in cells])
    axes.set_ylim(len(cells) - 0.5, -0.5)
    known = [end for *_, m in marks for end in (m.interval or ()) if end is not None]
    scale(axes, "x", limits([*known, *(s for c in cells for s in seconds[c.id])], log=True), in_seconds, log=True)
    axes.set_xlabel("latency of a batch, end to end", color=INK, fontsize=9)
    legend(figure, handles)
    return svg_of(figure, "distributions")


def _percentile_marks(axes: Any, marks: Sequence[tuple[int, str, Measured]]) -> list[Any]:
    """Of those that are bounded from above, the value and its interval; of others an open mark at what they surely reach.

    What can't be said of so few requests is not drawn. Gives what the legend explains.
    """
    from matplotlib.lines import Line2D

    bounded, unbounded = set(), set()
    for row, name, m in marks:
        low, high = m.interval or (None, None)
        ends = [row - PERCENTILES[name], row + PERCENTILES[name]]
        if high is not None:
            axes.plot([m.value] * 2, ends, color=INK, linewidth=1.4)
            bounded.add(name)
            if low is not None:
                axes.plot([low, high], [row] * 2, **INTERVAL)
        elif low is not None:
            axes.plot([low] * 2, ends, color=INK, linewidth=1, linestyle=DASHED)
            axes.plot([low], [row], **OPEN)
            unbounded.add(name)
    handles = []
    if bounded:
        upright: dict[str, Any] = {"marker": "|", "markersize": 11, "markeredgewidth": 1.4, "linestyle": "none"}
        handles = [Line2D([], [], color=INK, **upright, label=_names(bounded))]
        handles += [Line2D([], [], **INTERVAL, label="95 % interval")]
    if unbounded:
        said = f"{_names(unbounded)}: at least this; too few requests for an upper bound"
        handles += [Line2D([], [], **OPEN, label=said)]
    return handles


def _names(percentiles: Collection[str]) -> str:
    """As they are told apart: by the lengths of their marks."""
    return ", ".join(p for p in PERCENTILES if p in percentiles) + (" (long to short)" if len(percentiles) > 1 else "")
