"""Plots of loads and comparisons: latency over time, latency against rate, clients against throughput, pairs of a comparison.

For: pictures of a record, as inline SVG. Not for: computing what they show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.history.records import CellRecord, Comparison, LoadResult, RatePoint
from seatrial.report.highlights import worth_telling
from seatrial.report.plots import DASHED, FAINT, INK, PIPELINE_COLOURS, dot_size, figure_of, legend, svg_of
from seatrial.report.ticks import in_figures, in_seconds, limits, scale

MOST_POINTS = 1500
HOLDS = {"yes": "#009E73", "no": "#D55E00", "unsure": "#E69F00"}
MEDIAN, TAIL = "#56B4E9", "#0072B2"
# As many numbers of clients as have room on an axis.
MOST_COUNTS = 30
BAND, CONTROL = "#eef1f4", "#9aa5b1"


def timeline(cells: Sequence[CellRecord], tables_s: Mapping[str, npt.NDArray[np.float64]]) -> str:
    """Latency of each request by when it started; one row a cell, spikes ringed. tables_s: (n, 3) start, latency, wait."""
    from matplotlib.figure import Figure

    # A row of its own has room to show how high a spike is; of many, where they are must do.
    height = max(0.95, 2.2 / len(cells))
    figure = Figure(figsize=(9.6, 0.5 + height * len(cells)), layout="constrained")
    rows = figure.subplots(len(cells), 1, squeeze=False)[:, 0]
    for axes, cell in zip(rows, cells, strict=True):
        table = tables_s[cell.id]
        at_s, own = table[:, 0] - table[0, 0], table[:, 1]
        # Every slow request is drawn; of the crowd, as many as the eye can tell apart.
        order = np.argsort(own)
        crowd, slow = order[:-50], order[-50:]
        step = max(1, len(crowd) // MOST_POINTS)
        shown = np.sort(np.concatenate([np.sort(crowd)[::step], slow]))
        axes.scatter(at_s[shown], own[shown], s=dot_size(shown), color=PIPELINE_COLOURS[0], alpha=0.5, linewidths=0)
        # A spike of a server is one of its service: it is known by when that began.
        began_s = table[:, 0] + table[:, 2]
        for s in worth_telling(cell.spikes):
            known = s.causes and s.causes != ("unexplained",)
            row = int(np.argmin(np.abs(began_s - began_s.min() - s.at_s)))
            axes.scatter(
                [at_s[row]],
                [own[row]],
                s=36,
                facecolors="none",
                edgecolors=HOLDS["no"] if known else FAINT,
                clip_on=False,
                zorder=3,
            )
        axes.set_title(f"{cell.pipeline} · {cell.configuration}", loc="left", fontsize=9, color=INK)
        scale(axes, "x", limits([0.0, float(at_s.max())]), in_figures)
        # Of few rows each is high enough for more.
        scale(axes, "y", limits(own, log=True, pad=0.08), in_seconds, least=2 if len(cells) > 2 else 3, log=True)
        axes.grid(visible=False, axis="x")
        axes.tick_params(colors=INK, labelsize=8, length=0)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(FAINT)
    rows[-1].set_xlabel("seconds since the first request", color=INK, fontsize=9)
    return svg_of(figure, "timeline")


def rate_curve(load: LoadResult) -> str:
    """Latency against offered rate, with intervals; the bound, and where it is estimated to stop holding."""
    assert load.bound_s is not None
    figure, axes = figure_of(9.6, 3.8)
    points = sorted(load.curve, key=lambda p: p.offered_per_s)
    rates = [p.offered_per_s for p in points]
    for name, colour in (("p50", MEDIAN), ("tail", TAIL)):
        # Where nothing is estimated, or a figure is only what was seen, a line would say where the bound is met.
        sure = [getattr(p, name).value if _sure(p, name) else np.nan for p in points]
        if load.rate_estimate:
            axes.plot(rates, sure, color=colour, linewidth=1.2, zorder=2)
        for p in points:
            m = getattr(p, name)
            axes.plot([p.offered_per_s] * 2, m.ends, color=colour, linewidth=3, alpha=0.3)
            edge = MEDIAN if name == "p50" else HOLDS[p.holds]
            face = edge if _sure(p, name) else "white"
            axes.scatter([p.offered_per_s], [m.value], s=34, color=edge, facecolor=face, zorder=3)
    axes.axhline(load.bound_s, color=INK, linewidth=1, linestyle=DASHED)
    axes.annotate(
        f"bound {load.bound}", (0.005, load.bound_s), (0, 4), xycoords=("axes fraction", "data"),
        textcoords="offset points", fontsize=9, color=INK,
    )  # fmt: skip
    estimate = load.rate_estimate.ends if load.rate_estimate and load.rate_estimate.interval else ()
    spans = []
    if estimate:
        shade = axes.axvspan(*estimate, color=HOLDS["yes"], alpha=0.2, linewidth=0)
        shade.set_label("the highest that holds, estimated")
        spans = [shade]
    shown = [end for p in points for m in (p.p50, p.tail) for end in (m.value, *m.ends)]
    scale(axes, "y", limits([*shown, load.bound_s], log=True), in_seconds, log=True)
    scale(axes, "x", limits([*rates, *estimate]), in_figures)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("offered requests a second", color=INK, fontsize=9)
    legend(figure, [*_rate_marks(load), *spans])
    return svg_of(figure, "rate-curve")


def _sure(point: RatePoint, name: str) -> bool:
    """Whether 'p50' or the 'tail' is more than what was seen."""
    interval = getattr(point, name).interval
    return interval is not None and interval[1] is not None and (name == "p50" or point.holds != "unsure")


def _rate_marks(load: LoadResult) -> list[Any]:
    """What the marks of a rate's percentiles mean, of those that there are."""
    from matplotlib.lines import Line2D

    tail = load.bound.partition("@")[2]
    found = {p.holds for p in load.curve}
    said = {"yes": f"{tail}: holds", "no": f"{tail}: does not hold", "unsure": f"{tail}: unsure"}
    meant = [("p50", MEDIAN, MEDIAN)]
    meant += [(said[k], HOLDS[k], "white" if k == "unsure" else HOLDS[k]) for k in HOLDS if k in found]
    if any(not _sure(p, "p50") or not (_sure(p, "tail") or p.holds == "unsure") for p in load.curve):
        meant.append(("open: as seen, no upper bound", INK, "white"))
    return [
        Line2D([], [], marker="o", markersize=6, color=edge, markerfacecolor=face, linestyle="none", label=label)
        for label, edge, face in meant
    ]


def scaling(cells: Sequence[CellRecord], knee: tuple[int, int]) -> str:
    """Throughput by clients, the line that each client's full share would give, and the knee."""
    figure, axes = figure_of(9.6, 3.2)
    loads = sorted((c.load for c in cells if c.load), key=lambda r: r.clients)
    points = [(r.clients, r.requests_per_s) for r in loads if r.requests_per_s]
    counts, values = [n for n, _ in points], [m.value for _, m in points]
    ideal = values[0] / counts[0] * counts[-1]
    axes.plot([0, counts[-1]], [0, ideal], color=FAINT, linewidth=1, linestyle=DASHED)
    axes.plot(counts, values, color="#0072B2", linewidth=1.4, marker="o", markersize=5)
    for n, m in points:
        low, high = m.interval or (m.value, m.value)
        axes.plot([n, n], [low, high], color="#0072B2", linewidth=4, alpha=0.3)
    for clients in set(knee):
        axes.axvline(clients, color=HOLDS["no"], linewidth=1)
    axes.annotate("knee", (knee[0], 0), (4, 4), textcoords="offset points", fontsize=9, color=HOLDS["no"])
    shown = counts[-1:]
    for n in reversed(counts[:-1]):
        if shown[0] - n > counts[-1] / MOST_COUNTS:
            shown.insert(0, n)
    # A lone count would be no scale.
    shown = shown if len(shown) > 1 else [0, *shown]
    axes.set_xticks(shown, [str(n) for n in shown])
    axes.set_xlim(0, counts[-1] * 1.05)
    # Of many clients the dashed line leads far beyond what there is to see.
    best = max(end for _, m in points if m for end in (m.value, *m.ends))
    scale(axes, "y", (0.0, max(best, min(ideal, 1.5 * best)) * 1.05 or 1.0), in_figures)
    axes.set_xlabel("clients; dashed: each as fast as one alone", color=INK, fontsize=9)
    axes.set_ylabel("requests a second", color=INK, fontsize=9)
    return svg_of(figure, "scaling")


def pair_effects(c: Comparison) -> str:
    """Every round's change of B and of A against itself, both intervals, and the margin as a band."""
    figure, axes = figure_of(9.6, 2.4)
    rng = np.random.default_rng(0)
    axes.axvspan(-c.margin / (1 + c.margin) * 100, c.margin * 100, color=BAND, linewidth=0, zorder=0)
    axes.axvline(0, color=FAINT, linewidth=1, zorder=1)
    rows = (
        ("B against A", [p.effect for p in c.pairs], c.change, "#0072B2"),
        ("A against A", [p.control for p in c.pairs if p.control is not None], c.control, CONTROL),
    )
    for row, (_, effects, summary, colour) in enumerate(rows):
        percent = np.expm1(np.array(effects)) * 100
        axes.scatter(
            percent,
            row + rng.uniform(-0.16, 0.16, len(percent)),
            s=22,
            color=colour,
            alpha=0.65,
            linewidths=0,
            zorder=3,
        )
        if summary and summary.interval and summary.interval[0] is not None and summary.interval[1] is not None:
            low, high = summary.interval[0] * 100, summary.interval[1] * 100
            axes.plot([low, high], [row, row], color=INK, linewidth=2, zorder=4)
            axes.plot([summary.value * 100] * 2, [row - 0.22, row + 0.22], color=INK, linewidth=2, zorder=4)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    ends = [v for _, _, m, _ in rows if m for v in (m.value, *m.ends)]
    changes = [e for _, effects, *_ in rows for e in np.expm1(effects)]
    scale(axes, "x", limits(100 * v for v in (*ends, *changes, 0.0, c.margin, -c.margin)), in_figures)
    axes.grid(visible=False)
    axes.set_xlabel(
        "change in %; line: interval; band: the margin, inside which a change does not matter", color=INK, fontsize=9
    )
    return svg_of(figure, f"pairs-{c.metric}")
