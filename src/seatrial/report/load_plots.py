"""Plots of loads and comparisons: latency over time, latency against rate, clients against throughput, pairs of a comparison.

For: pictures of a record, as inline SVG. Not for: computing what they show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from seatrial.history.records import CellRecord, Comparison, LoadResult, configuration
from seatrial.report.highlights import worth_telling
from seatrial.report.plots import FAINT, INK, PIPELINE_COLOURS, figure_of, svg_of
from seatrial.units import format_seconds

MOST_POINTS = 1500
HOLDS = {"yes": "#009E73", "no": "#D55E00", "unsure": "#E69F00"}
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
        at_s, ms = table[:, 0] - table[0, 0], table[:, 1] * 1e3
        # Every slow request is drawn; of the crowd, as many as the eye can tell apart.
        order = np.argsort(ms)
        crowd, slow = order[:-50], order[-50:]
        step = max(1, len(crowd) // MOST_POINTS)
        shown = np.sort(np.concatenate([np.sort(crowd)[::step], slow]))
        axes.scatter(at_s[shown], ms[shown], s=3, color=PIPELINE_COLOURS[0], alpha=0.5, linewidths=0)
        # A spike of a server is one of its service: it is known by when that began.
        began_s = table[:, 0] + table[:, 2]
        for s in worth_telling(cell.spikes):
            known = s.causes and s.causes != ("unexplained",)
            row = int(np.argmin(np.abs(began_s - began_s.min() - s.at_s)))
            axes.scatter(
                [at_s[row]],
                [ms[row]],
                s=36,
                facecolors="none",
                edgecolors=HOLDS["no"] if known else FAINT,
                clip_on=False,
                zorder=3,
            )
        axes.set_yscale("log")
        axes.set_title(f"{cell.pipeline} · {configuration(cell.id)}", loc="left", fontsize=9, color=INK)
        low, high = float(ms.min()) * 0.9, float(ms.max()) * 1.2
        axes.set_ylim(low, high)
        ticks = [m * 10.0**e for e in range(-5, 6) for m in (1, 2, 5) if low <= m * 10.0**e <= high]
        ticks = ticks[:: max(1, -(-len(ticks) // 3))] or [float(np.median(ms))]
        axes.set_yticks(ticks, [format_seconds(t / 1e3).replace(".00", "").replace(".0 ", " ") for t in ticks])
        axes.minorticks_off()
        axes.tick_params(colors=INK, labelsize=8, length=0)
        axes.grid(axis="y", color="#e4e7eb", linewidth=0.8)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(FAINT)
    rows[-1].set_xlabel("seconds since the first request", color=INK, fontsize=9)
    return svg_of(figure, "timeline")


def rate_curve(load: LoadResult) -> str:
    """Latency against offered rate, with intervals; the bound, and where it is estimated to stop holding."""
    figure, axes = figure_of(9.6, 3.8)
    points = sorted(load.curve, key=lambda p: p.offered_per_s)
    for name, colour in (("p50", "#56B4E9"), ("tail", "#0072B2")):
        rates = [p.offered_per_s for p in points]
        values = [getattr(p, name).value * 1e3 for p in points]
        label = name if name == "p50" else load.bound.partition("@")[2]
        axes.plot(rates, values, color=colour, linewidth=1.2, label=label, zorder=2)
        for p in points:
            m = getattr(p, name)
            low, high = m.interval or (None, None)
            axes.plot(
                [p.offered_per_s] * 2,
                [(low or m.value) * 1e3, (high or m.value) * 1e3],
                color=colour,
                linewidth=3,
                alpha=0.3,
            )
    for p in points:
        axes.scatter([p.offered_per_s], [p.tail.value * 1e3], s=34, color=HOLDS[p.holds], zorder=3)
    assert load.bound_s is not None
    bound_ms = load.bound_s * 1e3
    axes.axhline(bound_ms, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        f"bound {load.bound}",
        (0.005, bound_ms),
        (0, 4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        fontsize=9,
        color=INK,
    )
    if load.rate_estimate and load.rate_estimate.interval:
        low, high = load.rate_estimate.interval
        axes.axvspan(low, high, color="#009E73", alpha=0.2, linewidth=0)
    axes.set_yscale("log")
    _plain_log_ticks(axes)
    axes.set_xlabel(
        "offered requests a second" + ("; shaded: the highest that holds, estimated" if load.rate_estimate else ""),
        color=INK,
        fontsize=9,
    )
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0.0, 0.9))
    return svg_of(figure, "rate-curve")


def scaling(cells: Sequence[CellRecord], knee: tuple[int, int]) -> str:
    """Throughput by clients, the line that each client's full share would give, and the knee."""
    figure, axes = figure_of(9.6, 3.2)
    loads = sorted((c.load for c in cells if c.load), key=lambda r: r.clients)
    points = [(r.clients, r.requests_per_s) for r in loads if r.requests_per_s]
    counts = [n for n, _ in points]
    values = [m.value for _, m in points]
    axes.plot([0, counts[-1]], [0, values[0] / counts[0] * counts[-1]], color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(counts, values, color="#0072B2", linewidth=1.4, marker="o", markersize=5)
    for n, m in points:
        low, high = m.interval or (m.value, m.value)
        axes.plot([n, n], [low, high], color="#0072B2", linewidth=4, alpha=0.3)
    for clients in set(knee):
        axes.axvline(clients, color=HOLDS["no"], linewidth=1)
    axes.annotate("knee", (knee[0], 0), (4, 4), textcoords="offset points", fontsize=9, color=HOLDS["no"])
    axes.set_xticks(counts)
    axes.set_xlim(0, counts[-1] * 1.05)
    axes.set_ylim(bottom=0)
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
    axes.set_xlabel(
        "change in %; line: interval; band: the margin, inside which a change does not matter", color=INK, fontsize=9
    )
    return svg_of(figure, f"pairs-{c.metric}")


def _plain_log_ticks(axes: object) -> None:
    low, high = axes.get_ylim()  # type: ignore[attr-defined]
    ticks = [m * 10.0**e for e in range(-4, 7) for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    axes.set_yticks(ticks, [format_seconds(t / 1e3).replace(".00", "").replace(".0 ", " ") for t in ticks])  # type: ignore[attr-defined]
    axes.minorticks_off()  # type: ignore[attr-defined]
    axes.grid(axis="y", color="#e4e7eb", linewidth=0.8)  # type: ignore[attr-defined]
    axes.set_axisbelow(True)  # type: ignore[attr-defined]
