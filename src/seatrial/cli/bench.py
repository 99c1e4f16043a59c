"""seatrial bench: one model or pipeline, under one or several loads."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from seatrial.cli.app import (
    DebugOption,
    JsonOption,
    QuietOption,
    ResultsOption,
    command,
    console,
    print_error,
    write_json,
)
from seatrial.cli.bench_text import print_cell, print_sweep
from seatrial.errors import ExitCode, UsageError, did_you_mean
from seatrial.units import duration_s

SCENARIOS = ("single-stream", "multi-stream", "offline", "server", "paced")
MLPERF = ("mlperf-single-stream", "mlperf-multi-stream", "mlperf-offline", "mlperf-server")
LONGEST_S = 24 * 3600.0
LARGEST_TENSOR = 1 << 31
Value = TypeVar("Value")


def backend_names(incomplete: str) -> list[str]:
    from seatrial.backends.catalogue import NAMES

    return [n for n in NAMES if n.startswith(incomplete)]


@command(
    examples=[
        "seatrial bench model.onnx",
        "seatrial bench model.onnx --backend openvino-cpu --batch 4 --threads 2",
        "seatrial bench detector.onnx --shape x=1x3x640x640 --max-time 30s --json bench.json",
        "seatrial bench trial.yaml:candidate --scenario server --rate 20",
        "seatrial bench model.onnx --scenario server --find-rate --latency-bound 50ms@p99 --max-time 60s",
        "seatrial bench model.onnx --scenario multi-stream --clients 1,2,4",
        "seatrial bench model.onnx --scenario paced --gap 0ms,5ms,50ms",
        "seatrial bench detector.onnx --mix x=1x3x320x320@3 --mix x=1x3x640x640@1",
    ]
)
def bench(
    model: Annotated[str, typer.Argument(help="An ONNX file, PLAN, PLAN:PIPELINE, or 'demo'.", show_default=False)],
    backend: Annotated[
        str | None,
        typer.Option(
            "--backend", "-b", help="What runs it.", autocompletion=backend_names, show_default="onnxruntime-cpu"
        ),
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Images a request.", show_default="1")] = None,
    threads: Annotated[
        str,
        typer.Option(
            "--threads",
            metavar="N[,N…]",
            help="The runtime's threads, of each client; several: a sweep.",
            show_default="1",
        ),
    ] = "",
    scenario: Annotated[
        str, typer.Option("--scenario", help=f"How requests come: {', '.join((*SCENARIOS, *MLPERF))}.")
    ] = "single-stream",
    clients: Annotated[
        str,
        typer.Option(
            "--clients",
            metavar="N[,N…]",
            help="Requests at once, each client its own; several: a sweep.",
            show_default="1; offline: as many as keep all cores busy",
        ),
    ] = "",
    rate: Annotated[
        str, typer.Option("--rate", metavar="QPS[,QPS…]", help="Requests a second of the server scenario.")
    ] = "",
    arrivals: Annotated[
        str,
        typer.Option("--arrivals", metavar="KIND|FILE", help="poisson, constant, or a file of seconds, one a line."),
    ] = "poisson",
    gap: Annotated[
        str, typer.Option("--gap", metavar="TIME[,TIME…]", help="Idle time behind each request of the paced scenario.")
    ] = "",
    find_rate: Annotated[
        bool, typer.Option("--find-rate", help="Search for the highest rate that holds --latency-bound.")
    ] = False,
    latency_bound: Annotated[str, typer.Option("--latency-bound", metavar="TIME@pN", help="Such as 50ms@p99.")] = "",
    percentile: Annotated[
        list[str] | None,
        typer.Option(
            "--percentile", metavar="pN", help="Ask for one more, such as p99.9; refused where there are too few."
        ),
    ] = None,
    max_time: Annotated[
        str, typer.Option("--max-time", metavar="TIME", help="Longest measurement of each load, such as '30 s'.")
    ] = "10 s",
    shape: Annotated[
        list[str] | None,
        typer.Option("--shape", metavar="NAME=SHAPE", help="Shape of an input, such as x=1x3x640x640."),
    ] = None,
    mix: Annotated[
        list[str] | None,
        typer.Option(
            "--mix", metavar="NAME=SHAPE@WEIGHT", help="One shape of a mix, with its weight; give two or more."
        ),
    ] = None,
    loop: Annotated[
        str, typer.Option("--loop", help="native: ONNX Runtime's C API; python: its Python binding.")
    ] = "native",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Arrivals, orders and made-up inputs follow from it.")] = 0,
    allow_code: Annotated[bool, typer.Option("--allow-code", help="Let a plan's Python stages run.")] = False,
    results: ResultsOption = Path("results"),
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Measure one model on made-up inputs, or a plan's pipeline on its images, in fresh processes, under a load."""
    from seatrial.cli.tables import print_warnings
    from seatrial.history.store import single_run
    from seatrial.report.html import write_report
    from seatrial.timing.environment import machine_name
    from seatrial.trial.bench import Sweep, run_bench

    if loop not in ("native", "python"):
        raise UsageError(f"--loop: expected native or python, got {loop!r}{did_you_mean(loop, ['native', 'python'])}")
    check_backend_name(backend)
    seconds = _time("--max-time", max_time)
    shapes = shapes_of(shape)
    if find_rate and percentile:
        raise UsageError("--percentile: a search has many rates; the percentile to hold stands in --latency-bound")
    thread_counts = _several("--threads", threads, lambda t: _count("--threads", t), str) if threads else [None]
    loads = _loads(scenario, clients, thread_counts, rate, arrivals, gap, find_rate, latency_bound, mix)
    sweep = Sweep(loads, seconds, tuple(_percentile("--percentile", p)[0] for p in percentile or ()), seed)
    out = console(quiet, json)
    with single_run(results, machine_name()) as run, out.status("checking") as status:
        options: dict[str, Any] = {
            "backend": backend,
            "batch": batch,
            "threads": thread_counts[0],
            "native": loop == "native",
        }
        subject = _subject(model, options, shapes, bool(mix), allow_code, run)
        outcome = run_bench(run, subject, sweep, lambda step, share: status.update(f"{step} {share:.0%}"))
    record = outcome.record
    for number, cell in enumerate(record.cells):
        if number:
            out.print()
        print_cell(out, Path(model).name, cell)
    print_sweep(out, record.cells)
    print_warnings(out, {w: () for w in record.warnings if w != outcome.problem}, len(record.cells))
    for d in record.environment.get("disturbances", [])[:3]:
        out.print(f"note: {d['what']}; {d['cure']}", style="dim", markup=False)
    write_json(json, record.to_json())
    out.print(f"report: {write_report(run)}", markup=False, soft_wrap=True)
    if outcome.problem:
        print_error(outcome.problem)
    return outcome.exit_code


def check_backend_name(backend: str | None) -> None:
    from seatrial.backends.catalogue import NAMES

    if backend is not None and backend not in NAMES:
        raise UsageError(
            f"--backend: expected one of {', '.join(NAMES)}, got {backend!r}{did_you_mean(backend, list(NAMES))}"
        )


def _subject(
    text: str, options: dict[str, Any], shapes: dict[str, tuple[int, ...]], mixed: bool, allow_code: bool, run: Any
) -> Any:
    from seatrial.cli.subjects import is_plan, pipeline_name, plan_of
    from seatrial.trial.bench import model_bench, pipeline_bench
    from seatrial.trial.preflight import preflight

    if not is_plan(text):
        given = {
            "backend": options["backend"] or "onnxruntime-cpu", "batch": options["batch"] or 1,
            "threads": options["threads"] or 1, "native": options["native"],
        }  # fmt: skip
        return model_bench(Path(text), shapes=shapes, open_shapes=mixed, **given)
    if shapes or mixed:
        raise UsageError(
            f"--shape and --mix: the preprocess stages of {text.rpartition(':')[0] or text} give the shapes; leave them away, "
            "or give an ONNX model instead of a plan"
        )
    plan = plan_of(text)
    ready = preflight(plan, allow_code, lambda _: None)
    return pipeline_bench(ready, run, pipeline_name(text, plan, 0), **options)


def _loads(
    scenario: str,
    clients: str,
    threads: Sequence[int | None],
    rate: str,
    arrivals: str,
    gap: str,
    find_rate: bool,
    latency_bound: str,
    mix: list[str] | None,
) -> list[Any]:
    """Every load that the options ask for, and a UsageError for options that do not go together."""
    from seatrial.trial.bench import LoadPoint
    from seatrial.trial.task import Load

    known = (*SCENARIOS, *MLPERF)
    if scenario not in known:
        raise UsageError(
            f"--scenario: expected one of {', '.join(known)}, got {scenario!r}{did_you_mean(scenario, list(known))}"
        )
    server = scenario in ("server", "mlperf-server")
    for name, given, where in (
        ("--rate", rate, server), ("--find-rate", find_rate, scenario == "server"),
        ("--latency-bound", latency_bound, server), ("--gap", gap, scenario == "paced"),
        ("--arrivals", arrivals != "poisson", scenario == "server"),
    ):  # fmt: skip
        if given and not where:
            scenarios = {
                "--gap": "paced",
                "--rate": "server or mlperf-server",
                "--latency-bound": "server or mlperf-server",
            }
            raise UsageError(
                f"{name} belongs to --scenario {scenarios.get(name, 'server')}, not {scenario}; change one of the two"
            )
    counts = _several("--clients", clients, lambda c: _count("--clients", c), str) if clients else [1]
    if scenario in ("single-stream", "paced", "mlperf-single-stream") and counts != [1]:
        raise UsageError(f"--clients: {scenario} has one client; use --scenario multi-stream or server for more")
    fields: dict[str, Any] = {"mix": _mix(mix)}
    if scenario.startswith("mlperf-"):
        fields |= {"mlperf": scenario, "scenario": "mlperf"}
    else:
        fields["scenario"] = scenario
    if server and arrivals not in ("poisson", "constant"):
        from seatrial.timing.arrivals import read_trace

        if rate or find_rate:
            raise UsageError("--rate and --find-rate: a recorded trace has its own rate; leave them away, or the trace")
        if not Path(arrivals).exists():
            near = did_you_mean(arrivals, ["poisson", "constant"])
            raise UsageError(
                f"--arrivals: expected poisson, constant or a file of seconds, one a line; no file is called {arrivals!r}{near}"
            )
        fields |= {"arrivals": "trace", "arrivals_s": read_trace(Path(arrivals))}
    elif server:
        fields["arrivals"] = arrivals
    if latency_bound:
        fields |= _bound(latency_bound)
    if find_rate:
        if not latency_bound:
            raise UsageError("--find-rate needs --latency-bound, such as 50ms@p99")
        if rate:
            raise UsageError("--find-rate looks for the rate itself; leave --rate away")
    elif latency_bound and scenario == "server":
        raise UsageError("--latency-bound is what --find-rate searches with; give --find-rate too")
    rates: list[float | None] = [*_several("--rate", rate, _rate, "{:g}".format)] if rate else [None]
    if server and not rate and not find_rate and fields.get("arrivals") != "trace":
        search = ", or --find-rate with --latency-bound" if scenario == "server" else ""
        raise UsageError(f"--scenario {scenario} needs --rate, such as 20 requests a second{search}")
    gaps = _several("--gap", gap, lambda g: _time("--gap", g, zero=True), lambda s: f"{s * 1e3:g}ms") if gap else [0.0]
    if scenario == "paced" and not gap:
        raise UsageError("--scenario paced needs --gap, such as 20ms, or several: 0ms,5ms,50ms")
    return [
        LoadPoint(Load(**fields, rate=r, gap_s=g), None if scenario == "offline" and not clients else c, t)
        for t in threads for c in counts for r in rates for g in gaps
    ]  # fmt: skip


def _several(option: str, text: str, parse: Callable[[str], Value], show: Callable[[Value], str]) -> list[Value]:
    """Values with commas between them. UsageError for one that comes twice: cells of a sweep are told apart by them."""
    values = [parse(part) for part in text.split(",")]
    shown = [show(value) for value in values]
    twice = next((s for s in shown if shown.count(s) > 1), "")
    if twice:
        raise UsageError(f"{option}: expected different values, got {twice} twice in {text!r}; leave one away")
    return values


def _count(option: str, text: str) -> int:
    if re.fullmatch(r"\s*0*[1-9][0-9]{0,5}\s*", text) is None:
        raise UsageError(f"{option}: expected whole numbers from 1 on, such as 1,2,4, got {text!r}")
    return int(text)


def _rate(text: str) -> float:
    try:
        value = float(text.strip().removesuffix("/s").strip())
    except ValueError:
        value = -1.0
    if not 0 < value < 1e7:
        raise UsageError(f"--rate: expected requests a second above 0 and below 10 million, such as 20, got {text!r}")
    return value


def _time(option: str, text: str, zero: bool = False) -> float:
    try:
        seconds = duration_s(text)
    except ValueError as e:
        raise UsageError(f"{option}: {e}") from None
    if seconds < 0 or (seconds == 0 and not zero):
        raise UsageError(f"{option}: expected a time {'of zero or more' if zero else 'above zero'}, got {text!r}")
    if seconds > LONGEST_S:
        raise UsageError(f"{option}: expected a time of at most 24 h, got {text!r}")
    return seconds


def _percentile(option: str, text: str) -> tuple[str, float]:
    match = re.fullmatch(r"[pP](\d{1,2}(?:\.\d{1,4})?)", text.strip())
    if match is None or not 0 < float(match[1]) < 100:
        raise UsageError(f"{option}: expected a percentile between p0 and p100, such as p99 or p99.9, got {text!r}")
    return f"p{float(match[1]):g}", float(match[1]) / 100


def _bound(text: str) -> dict[str, float]:
    time, at, percentile = text.partition("@")
    if not at:
        raise UsageError(f"--latency-bound: expected a time and its percentile, such as 50ms@p99, got {text!r}")
    return {
        "bound_s": _time("--latency-bound", time), "bound_quantile": _percentile("--latency-bound", percentile)[1]
    }  # fmt: skip


def _mix(texts: list[str] | None) -> list[tuple[dict[str, tuple[int, ...]], float]]:
    """Shapes of one input; a model with several gives them as NAME=SHAPE;NAME=SHAPE@WEIGHT."""
    mix = []
    for text in texts or []:
        shapes, _, weight = text.rpartition("@") if "@" in text else (text, "", "1")
        try:
            value = float(weight)
        except ValueError:
            value = -1.0
        if not 0 < value < 1e9:
            raise UsageError(
                f"--mix: expected NAME=SHAPE@WEIGHT with a weight above 0, such as x=1x3x640x640@2, got {text!r}"
            )
        mix.append((shapes_of(shapes.split(";"), "--mix"), value))
    if len(mix) == 1:
        raise UsageError("--mix: one shape is no mix; give --mix again, or use --shape")
    return mix


def shapes_of(texts: Sequence[str] | None, option: str = "--shape") -> dict[str, tuple[int, ...]]:
    """`--shape NAME=SHAPE`, given any number of times."""
    pairs = [_shape(text, option) for text in texts or []]
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"{option}: expected one shape for input {name!r}, got {names.count(name)}; leave one away"
            )
    return dict(pairs)


def _shape(text: str, option: str) -> tuple[str, tuple[int, ...]]:
    match = re.fullmatch(r"(.+)=([0-9]{1,9}(?:[x,][0-9]{1,9})*)", text.strip())
    if match is None:
        raise UsageError(f"{option}: expected NAME=SHAPE such as x=1x3x640x640, got {text!r}")
    shape = tuple(int(v) for v in re.split("[x,]", match[2]))
    if not 0 < math.prod(shape) <= LARGEST_TENSOR:
        raise UsageError(
            f"{option}: expected dimensions from 1 on and at most {LARGEST_TENSOR:,} elements, got {text!r}"
        )
    return match[1], shape
