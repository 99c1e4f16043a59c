"""seatrial bench: one model in one configuration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from seatrial.cli.app import DebugOption, JsonOption, QuietOption, ResultsOption, command, console, write_json
from seatrial.errors import ExitCode, UsageError, did_you_mean
from seatrial.units import duration_s, format_bytes, format_rate, format_seconds


def backend_names(incomplete: str) -> list[str]:
    from seatrial.backends.catalogue import NAMES

    return [n for n in NAMES if n.startswith(incomplete)]


@command(
    examples=[
        "seatrial bench model.onnx",
        "seatrial bench model.onnx --backend openvino-cpu --batch 4 --threads 2",
        "seatrial bench detector.onnx --shape x=1x3x640x640 --max-time 30s --json bench.json",
    ]
)
def bench(
    model: Annotated[Path, typer.Argument(help="An ONNX file.", show_default=False)],
    backend: Annotated[
        str, typer.Option("--backend", "-b", help="What runs it.", autocompletion=backend_names)
    ] = "onnxruntime-cpu",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images a run.")] = 1,
    threads: Annotated[int, typer.Option("--threads", min=1, help="The runtime's threads.")] = 1,
    max_time: Annotated[
        str, typer.Option("--max-time", metavar="TIME", help="Longest measurement, such as '30 s'.")
    ] = "10 s",
    shape: Annotated[
        list[str] | None,
        typer.Option("--shape", metavar="NAME=SHAPE", help="Shape of an input, such as x=1x3x640x640."),
    ] = None,
    results: ResultsOption = Path("results"),
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Measure one model alone, on made-up inputs, in a fresh process."""
    from seatrial.backends.catalogue import NAMES
    from seatrial.trial.bench import run_bench

    if backend not in NAMES:
        raise UsageError(
            f"--backend: expected one of {', '.join(NAMES)}, got {backend!r}{did_you_mean(backend, list(NAMES))}"
        )
    try:
        seconds = duration_s(max_time)
    except ValueError as e:
        raise UsageError(f"--max-time: {e}") from None
    if seconds <= 0:
        raise UsageError(f"--max-time: expected a time above zero, got {max_time!r}")
    shapes = shapes_of(shape)
    out = console(quiet, json)
    with out.status("loading") as status:
        record = run_bench(
            model, backend, batch=batch, threads=threads, max_time_s=seconds, shapes=shapes, results=results,
            tell=lambda step, share: status.update(f"{step} {share:.0%}"),
        )  # fmt: skip
    cell = record.cells[0]
    latency = cell.stages["infer"]
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("p50", "p90", "p99"):
        value = getattr(latency, name)
        low, high = value.interval
        span = f"95 % interval {format_seconds(low) if low else '?'} to {format_seconds(high) if high else '?'}"
        table.add_row(name, format_seconds(value.value), "; ".join([span, *value.warnings]))
    assert cell.throughput
    assert cell.peak_memory
    assert cell.cold_start
    assert cell.load
    assert cell.first_inference
    table.add_row(
        "throughput",
        format_rate(cell.throughput.value),
        f"{latency.p50.n} runs, worth {latency.p50.n_eff} independent ones",
    )
    load = f"load {format_seconds(cell.load.value)}, first inference {format_seconds(cell.first_inference.value)}"
    table.add_row("cold start", format_seconds(cell.cold_start.value), load)
    table.add_row("peak memory", format_bytes(cell.peak_memory.value), "of the whole process")
    out.print(
        Text.assemble((model.name, "bold"), f"  {' · '.join(cell.backend_details.values())} · batch {cell.batch}")
    )
    out.print(table)
    out.print(
        f"{cell.io_policy}; warm-up {cell.warm_up} runs; pinned to core(s) {', '.join(map(str, cell.affinity)) or '–'}",
        style="dim",
    )
    for warning in cell.warnings:
        out.print(warning, style="yellow", markup=False)
    write_json(json, record.to_json())
    return ExitCode.PASS


def shapes_of(texts: list[str] | None) -> dict[str, tuple[int, ...]]:
    """`--shape NAME=SHAPE`, given any number of times."""
    return dict(_shape(text) for text in texts or [])


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    match = re.fullmatch(r"(.+)=(\d+(?:[x,]\d+)*)", text)
    if match is None:
        raise UsageError(f"--shape: expected NAME=SHAPE such as x=1x3x640x640, got {text!r}")
    return match[1], tuple(int(v) for v in re.split("[x,]", match[2]))
