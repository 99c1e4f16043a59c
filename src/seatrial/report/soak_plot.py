"""A soak's windows over time: each figure a row, the warm-up shaded, the slope as a line where there is one.

For: a picture of a record, as inline SVG. Not for: computing what it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from seatrial.history.records import SoakFigure, SoakResult, SoakWindow
from seatrial.report.plots import FAINT, INK, PIPELINE_COLOURS, svg_of
from seatrial.report.ticks import in_figures, in_seconds, limits, scale

_BAND = "#eef1f4"
_SIZES = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
_VALUES: dict[str, Callable[[SoakWindow], float | None]] = {
    "latency-p50": lambda w: w.p50_s,
    "latency-p99": lambda w: w.p99_s,
    "memory": lambda w: w.memory_bytes,
    "cpu-clock": lambda w: w.cpu_mhz,
    "cpu-temperature": lambda w: w.cpu_celsius,
    "gpu-clock": lambda w: w.gpu_mhz,
    "gpu-memory": lambda w: w.gpu_memory_bytes,
    "gpu-temperature": lambda w: w.gpu_celsius,
    "gpu-power": lambda w: w.gpu_watts,
}


def soak_plot(soak: SoakResult, name: str) -> str:
    """'' where no figure has a window. name: of the picture, unlike any other's in its page."""
    from matplotlib.figure import Figure

    figures = [
        f for f in soak.figures if f.name in _VALUES and any(_VALUES[f.name](w) is not None for w in soak.windows)
    ]
    if not figures:
        return ""
    figure = Figure(figsize=(9.6, 0.5 + 1.25 * len(figures)), layout="constrained")
    rows = figure.subplots(len(figures), 1, squeeze=False)[:, 0]
    began_ns = soak.windows[0].start_ns
    minutes = np.array([(w.start_ns - began_ns) / 1e9 / 60 + w.seconds / 120 for w in soak.windows])
    for axes, shown in zip(rows, figures, strict=True):
        values = np.array([np.nan if (v := _VALUES[shown.name](w)) is None else v for w in soak.windows], np.float64)
        size, unit = _scale_of(shown.unit, values)
        values = values / size
        axes.axvspan(0, soak.left_out_s / 60, color=_BAND, linewidth=0, zorder=0)
        axes.plot(minutes, values, color=PIPELINE_COLOURS[0], marker="o", markersize=2.5, linewidth=0.8, alpha=0.8)
        line = _line(shown, soak, minutes, values, size)
        if line:
            axes.plot(*line, color=PIPELINE_COLOURS[1], linewidth=1.4, zorder=3)
        axes.set_title(f"{shown.name.replace('-', ' ')}{unit}", loc="left", fontsize=9, color=INK)
        scale(axes, "x", limits([0.0, soak.measured_s / 60], pad=0.0), in_figures)
        scale(axes, "y", limits(values, pad=0.12), in_seconds if shown.unit == "s" else in_figures, least=2)
        axes.grid(visible=False, axis="x")
        axes.tick_params(colors=INK, labelsize=8, length=0)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(FAINT)
    rows[-1].set_xlabel("minutes; shaded: warm-up, in no slope; line: a slope that is told", color=INK, fontsize=9)
    return svg_of(figure, name)


def _line(
    shown: SoakFigure, soak: SoakResult, minutes: np.ndarray, values: np.ndarray, size: float
) -> tuple[Sequence[float], Sequence[float]] | None:
    """size: what `values` were divided by. Two ends of the slope through the middle of the windows behind the warm-up."""
    behind = (minutes * 60 > soak.left_out_s) & np.isfinite(values)
    if shown.word == "unknown" or shown.change_per_h is None or not behind.any():
        return None
    at, middle = float(minutes[behind].mean()), float(values[behind].mean())
    ends = [float(minutes[behind].min()), float(minutes[behind].max())]
    return ends, [middle + shown.change_per_h / size * (end - at) / 60 for end in ends]


def _scale_of(unit: str, values: np.ndarray) -> tuple[float, str]:
    """What values are divided by, so that ticks fall on round figures, and the words for it behind the title."""
    if unit == "B":
        most = float(np.nanmax(values))
        size, word = next(((s, w) for s, w in _SIZES if most >= s), (1.0, "B"))
        return size, f" in {word}"
    return 1.0, "" if unit == "s" else f" in {unit}"
