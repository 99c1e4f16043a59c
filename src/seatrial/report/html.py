"""report.html: one self-contained page that opens without a network. Verdict first.

For: rendering a complete run. Not for: numbers of its own; every figure stands in record.json or samples.parquet.
"""

from __future__ import annotations

import base64
import functools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import ResultsError
from seatrial.history.files import write_atomic
from seatrial.history.find import load_record
from seatrial.history.records import CellRecord, EngineComparison, LoadResult, Record, configuration
from seatrial.history.run_folder import RunFolder
from seatrial.report.backend_words import io_policies, named_backends
from seatrial.report.bench_text import binding_costs
from seatrial.report.choice import choice_said
from seatrial.report.class_table import class_table
from seatrial.report.error_plot import error_plot
from seatrial.report.finding_words import explained_said, fix_said
from seatrial.report.groups import alike_warnings, group_warnings, rows_of
from seatrial.report.highlights import throughput_knee, worth_telling
from seatrial.report.load_plots import pair_effects, rate_curve, scaling, timeline
from seatrial.report.page_environment import page_environment, style
from seatrial.report.parity_words import inside_said
from seatrial.report.percentiles import asked_of, bounded, in_a_row, missing, shown_percentiles, tail_of
from seatrial.report.plots import distributions, waterfall
from seatrial.report.soak_plot import soak_plot
from seatrial.report.soak_text import soak_notes, soak_scope
from seatrial.report.tradeoff_plot import tradeoff
from seatrial.stages import END_TO_END, POSTPROCESS, QUEUE
from seatrial.units import format_bytes, format_rate, format_seconds, format_value

if TYPE_CHECKING:
    import jinja2

MOST_TIMELINES = 24
MOST_SPIKES = 12


def write_report(run: RunFolder) -> Path:
    """Renders a run's report beside its record; gives its path. ResultsError where it can't be read or written."""
    path = run.path / "report.html"
    write_atomic(path, render(run).encode())
    return path


@functools.cache
def template() -> jinja2.Template:
    """Compiled once a process."""
    environment = page_environment()
    environment.filters.update(
        seconds=format_seconds,
        bytes=format_bytes,
        rate=format_rate,
        configuration=configuration,
        bounded=bounded,
        in_a_row=in_a_row,
        explained=explained_said,
        inside=inside_said,
        error_plot=lambda inside: error_plot(inside.errors, inside.jumps),
        fix=fix_said,
        tail_of=tail_of,
        binding_costs=binding_costs,
        zip=zip,
    )
    environment.globals.update(format_value=format_value)
    return environment.get_template("report.html.j2")


def render(run: RunFolder) -> str:
    record = load_record(run)
    ok = [c for c in record.cells if c.status == "ok"]
    ordered = sorted(ok, key=lambda c: (c.batch, c.backend, c.precision, c.threads))
    tables = _starts_and_latencies(run, ok)
    seconds = {name: table[:, 1] for name, table in tables.items()}
    pipelines = list(dict.fromkeys(c.pipeline for c in record.cells))
    percentiles = shown_percentiles(asked_of(record))
    # The requests of a search came at many rates: their curve tells what a mean over all of them would hide.
    steady = [c for c in ordered if not (c.load and c.load.curve)]
    return template().render(
        record=record,
        facts=defaultdict(lambda: None, record.environment.facts),
        css=style(),
        rows=rows_of(record),
        ok=ordered,
        steady=steady,
        unbounded=missing(
            (p, getattr(c.stages[END_TO_END], p), text)
            for c in steady
            for p, text in zip(percentiles, tail_of(c.stages[END_TO_END], percentiles), strict=True)
        ),
        percentiles=percentiles,
        waits=any(QUEUE in c.stages for c in steady),
        loads=_loads(ordered) if record.kind == "bench" else [],
        failed=[c for c in record.cells if c.status == "failed"],
        skipped=[c for c in record.cells if c.status == "skipped"],
        choice=choice_said(record) if record.kind == "trial" else "",
        tradeoff=tradeoff(ordered, pipelines) if record.kind == "trial" else "",
        waterfall=waterfall(steady) if steady else "",
        distributions=distributions(steady, seconds, pipelines) if steady and seconds else "",
        timeline=timeline(timed, tables) if (timed := [c for c in ordered if c.id in tables][:MOST_TIMELINES]) else "",
        subject=_subject(record),
        searches=[(c, rate_curve(c.load)) for c in ordered if c.load and c.load.curve],
        clients=_scaling(ordered),
        soaks=_soaks(record.cells),
        comparisons=[(c, pair_effects(c) if c.pairs else "") for c in record.comparisons],
        spikes=_spikes(ordered),
        # A bench's cells differ in their loads, which a map of configurations has no room for.
        heatmaps=[_heatmap(p, ok) for p in pipelines if record.kind != "bench" and any(c.pipeline == p for c in ok)],
        engines=(engines := _engines(ok)),
        engines_said=_engines_said(engines),
        pictures=_pictures(run, record),
        by_class=class_table(ordered),
        pipelines=pipelines,
        baseline=next((c.across.reference.rsplit(".", 4)[0] for c in ok if c.across), "reference"),
        warnings=_warnings(record),
        named=named_backends(ok),
        io_policies=io_policies(ok),
        runtimes=list(dict.fromkeys(" · ".join(c.measured.backend_details.values()) for c in ok)),
        cores="; ".join(dict.fromkeys(", ".join(map(str, c.measured.affinity)) or "none" for c in ok)),
    )


def _starts_and_latencies(run: RunFolder, cells: list[CellRecord]) -> dict[str, npt.NDArray[np.float64]]:
    """(n, 3) seconds a cell: when each request began, or was due; how long it took; and how much of that was waiting."""
    path = run.path / "samples.parquet"
    if not path.is_file():
        return {}
    import pandas as pd
    import pyarrow.parquet as pq

    names = ["start_ns", "end_to_end_ns", "queue_ns"]
    try:
        frame = pd.read_parquet(path, columns=["cell", *(n for n in names if n in pq.read_schema(path).names)])
    except (OSError, ValueError, KeyError) as e:
        raise ResultsError(f"{path}: cannot be read ({e}); restore it, or run it again") from None
    frame = frame.reindex(columns=["cell", *names]).fillna({"queue_ns": 0})
    tables = {c.id: frame.loc[frame["cell"] == c.id, names].to_numpy(float) / 1e9 for c in cells}
    return {name: table for name, table in tables.items() if len(table)}


def _subject(record: Record) -> str:
    """What a bench measured, or a comparison compared."""
    if record.comparisons:
        return f"{record.comparisons[0].b} against {record.comparisons[0].a}"
    if not record.models:
        raise ResultsError(f"{record.id}: its record does not say which model was measured; run it again")
    name, model = next(iter(record.models.items()))
    file = model.path.split("/")[-1]
    return f"pipeline {name} with {file}" if record.images.count else f"{file} alone, on made-up inputs"


def _scaling(cells: list[CellRecord]) -> str:
    """Drawn where a bench swept over clients that send as fast as they can, and over nothing else."""
    cells = [c for c in cells if c.load and c.load.scenario in ("multi-stream", "offline")]
    loads = [c.load for c in cells if c.load and c.load.requests_per_s]
    counts = [load.clients for load in loads]
    if len(set(counts)) < 2 or len(set(counts)) != len(counts) or len({c.threads for c in cells}) > 1:
        return ""
    return scaling(cells, throughput_knee(loads))


def _loads(cells: list[CellRecord]) -> list[tuple[CellRecord, LoadResult]]:
    """Cells of which there is more to tell than their latencies."""
    loads = [(c, c.load) for c in cells if c.load and not c.load.curve]
    return [
        (c, r)
        for c, r in loads
        if r.scenario != "single-stream" or r.shapes or r.percentiles or r.refused or r.official or r.python_path
    ]


def _soaks(cells: Sequence[CellRecord]) -> list[dict[str, Any]]:
    """Also of those that were ended early: their windows stay."""
    soaked = [(c, c.soak) for c in cells if c.soak]
    return [
        {"cell": c, "soak": s, "scope": soak_scope(s), "notes": [*soak_notes(s)], "plot": soak_plot(s, f"soak-{n}")}
        for n, (c, s) in enumerate(soaked)
    ]


def _spikes(cells: list[CellRecord]) -> list[dict[str, Any]]:
    """The slowest outliers of all cells, with their causes."""
    rows = [{"cell": c, "spike": s} for c in cells for s in worth_telling(c.spikes)]
    return sorted(rows, key=lambda r: -r["spike"].times_median)[:MOST_SPIKES]  # type: ignore[attr-defined]


def _heatmap(pipeline: str, cells: list[CellRecord]) -> dict[str, Any]:
    """Throughput by backend and precision (rows) and batch and threads (columns), shaded by the pipeline's best."""
    own = [c for c in cells if c.pipeline == pipeline and c.measured.throughput]
    columns = sorted({(c.batch, c.threads) for c in own})
    lines = list(dict.fromkeys((c.backend, c.precision) for c in own))
    best = max(c.measured.throughput.value for c in own if c.measured.throughput)
    by_key = {(c.backend, c.precision, c.batch, c.threads): c for c in own}
    rows = []
    for backend, precision in lines:
        row = []
        for batch, threads in columns:
            cell = by_key.get((backend, precision, batch, threads))
            value = cell.measured.throughput.value if cell and cell.measured.throughput else None
            latency = cell.stages[END_TO_END].p50.value if cell else None
            row.append({"value": value, "latency": latency, "shade": value / best if value else 0})
        ran = next((f" ({c.ran_in})" for c in own if (c.backend, c.precision) == (backend, precision) and c.ran_in), "")
        rows.append({"name": f"{backend} {precision}{ran}", "cells": row})
    many = len({t for _, t in columns}) > 1
    heads = [f"batch {b}" + (f", {t} threads" if many else "") for b, t in columns]
    return {"pipeline": pipeline, "heads": heads, "rows": rows}


def _engines(cells: list[CellRecord]) -> list[dict[str, Any]]:
    """Native against reference kernels: a row a pipeline, batch, threads and stage, over all cells that share them.

    Times are of the cell with the median ratio; a difference is the worst of all, with its cell.
    """
    groups: dict[tuple[int, int, str, str], list[tuple[CellRecord, EngineComparison]]] = {}
    for cell in cells:
        for stage, compared in cell.measured.engines.items():
            groups.setdefault((cell.batch, cell.threads, cell.pipeline, stage), []).append((cell, compared))
    rows = []
    for (batch, threads, pipeline, stage), members in groups.items():
        by_ratio = sorted(members, key=lambda m: m[1].reference.value / max(m[1].native.value, 1e-12))
        cell, e = by_ratio[len(by_ratio) // 2]
        unlike = [m for m in members if not m[1].same]
        worst = max(unlike, key=lambda m: m[1].difference or 0.0) if unlike else None
        rows.append(
            {
                "pipeline": pipeline,
                "stage": stage,
                "batch": batch,
                "threads": threads,
                "cells": len(members),
                "engine": cell.engine,
                "in_cell": cell.stages[stage].p50.value,
                "native": e.native,
                "reference": e.reference,
                "ratio": e.reference.value / e.native.value if e.native.value else None,
                "unlike": len(unlike),
                "difference": worst[1].difference if worst else None,
                "where": worst[0].id if worst else "",
            }
        )
    return sorted(rows, key=lambda r: (r["batch"], r["threads"], r["pipeline"], r["stage"] == POSTPROCESS))


def _engines_said(rows: list[dict[str, Any]]) -> str:
    """All of them in a line: how many times as fast each stage is."""
    ratios: dict[str, list[float]] = {}
    for row in rows:
        if row["ratio"]:
            ratios.setdefault(row["stage"], []).append(row["ratio"])
    spans = {
        stage: " to ".join(dict.fromkeys(f"{r:.1f}" for r in (min(own), max(own)))) for stage, own in ratios.items()
    }
    parts = [f"{stage} {span} × as fast" for stage, span in spans.items()]
    return "; ".join([*parts, "results differ" if any(row["unlike"] for row in rows) else "identical results"])


def _pictures(run: RunFolder, record: Record) -> list[dict[str, Any]]:
    """Pictures by image, each with its pixels inlined; one that was deleted is left out."""
    grouped: dict[str, dict[str, Any]] = {}
    for picture in record.pictures:
        file = (run.path / picture.file).resolve()
        if file.is_relative_to(run.path.resolve()) and file.is_file():
            data = base64.b64encode(file.read_bytes()).decode()
            side = {
                "pipeline": picture.pipeline,
                "shows": picture.shows,
                "configuration": configuration(picture.cell),
                "caption": picture.caption,
                "legend": picture.legend,
                "src": f"data:image/jpeg;base64,{data}",
            }
            own = {"image": picture.image, "why": picture.why, "note": picture.note, "sides": []}
            grouped.setdefault(picture.image, own)["sides"].append(side)
    return list(grouped.values())


def _warnings(record: Record) -> list[dict[str, str]]:
    rows = []
    for warnings, cells in alike_warnings(group_warnings(record)):
        more = f"; {len(warnings) - 1} more like it" if len(warnings) > 1 else ""
        rows.append({"text": f"{warnings[0]}{more}", "cells": ", ".join(cells)})
    return rows
