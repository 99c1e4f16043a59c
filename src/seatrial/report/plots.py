"""The report's plots as inline SVG, by matplotlib. For: pictures of a record. Not for: computing what they show."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.history.records import CellRecord, configuration
from seatrial.stages import DECODE, END_TO_END, INFER, POSTPROCESS, PREPROCESS, QUEUE
from seatrial.units import format_seconds

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


def waterfall(cells: Sequence[CellRecord]) -> str:
    """Mean time of each stage an image, one bar a cell, stages laid end to end: where the time goes."""
    figure, axes = figure_of(9.6, 0.9 + 0.34 * len(cells))
    for row, cell in enumerate(cells):
        left = 0.0
        for stage, colour in STAGE_COLOURS.items():
            if stage not in cell.stages:
                continue
            width = cell.stages[stage].mean.value / cell.batch * 1e3
            axes.barh(row, width, left=left, color=colour, height=0.62, label=stage if row == 0 else None)
            left += width
        axes.annotate(
            f"{left:.3g} ms", (left, row), (5, 0), textcoords="offset points", va="center", fontsize=9, color=INK
        )
    axes.set_yticks(range(len(cells)), [f"{c.pipeline} · {configuration(c.id)}" for c in cells])
    axes.invert_yaxis()
    axes.set_xlabel("mean time an image, ms", color=INK, fontsize=9)
    axes.margins(x=0.12, y=0.01)
    axes.set_xlim(left=0)
    figure.legend(loc="outside upper right", ncols=4, frameon=False, fontsize=9)
    return svg_of(figure, "waterfall")


def distributions(
    cells: Sequence[CellRecord], seconds: Mapping[str, npt.NDArray[np.float64]], pipelines: Sequence[str]
) -> str:
    """End-to-end latency of iterations, one strip a cell, with p50, p90 and p99; the extremes are always drawn."""
    figure, axes = figure_of(9.6, 0.9 + 0.4 * len(cells))
    rng = np.random.default_rng(0)
    for row, cell in enumerate(cells):
        ms = seconds[cell.id] * 1e3
        colour = PIPELINE_COLOURS[list(pipelines).index(cell.pipeline) % len(PIPELINE_COLOURS)]
        # A page of a few hundred kilobytes: a random part of the crowd, but every one of the slowest and fastest.
        ranked = np.sort(ms)
        shown = (
            ms
            if len(ms) <= DOTS
            else np.concatenate([ranked[:20], rng.choice(ranked[20:-80], DOTS - 100, replace=False), ranked[-80:]])
        )
        axes.scatter(shown, row + rng.uniform(-0.22, 0.22, len(shown)), s=5, color=colour, alpha=0.35, linewidths=0)
        for quantile, tall in ((0.5, 0.36), (0.9, 0.28), (0.99, 0.2)):
            x = float(np.quantile(ms, quantile, method="inverted_cdf"))
            low, high = getattr(cell.stages[END_TO_END], f"p{quantile * 100:g}").interval or (None, None)
            if low and high:
                axes.plot(
                    [low * 1e3, high * 1e3], [row, row], color=INK, linewidth=5, alpha=0.25, solid_capstyle="butt"
                )
            axes.plot([x, x], [row - tall, row + tall], color=INK, linewidth=1.4)
    axes.set_yticks(range(len(cells)), [f"{c.pipeline} · {configuration(c.id)}" for c in cells])
    axes.invert_yaxis()
    everything = np.concatenate([seconds[c.id] for c in cells])
    axes.set_xscale("log")
    low, high = float(everything.min()) * 0.9, float(everything.max()) * 1.1
    ticks = [m * 10.0**e for e in range(-9, 4) for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    axes.set_xticks([t * 1e3 for t in ticks], [format_seconds(t).replace(".00", "").replace(".0 ", " ") for t in ticks])
    axes.minorticks_off()
    axes.grid(axis="x", color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(
        "latency of a batch, end to end; long to short marks: p50, p90, p99; bars: their 95 % intervals",
        color=INK,
        fontsize=9,
    )
    return svg_of(figure, "distributions")
