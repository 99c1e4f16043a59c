"""seatrial bench: one model or pipeline, under one or several loads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from seatrial.cli.load_options import MLPERF, SCENARIOS, LoadOptions, loads_of
from seatrial.cli.output import console, print_error, print_taken, shown, write_json
from seatrial.cli.shell import (
    AllowCodeOption,
    DebugOption,
    JsonOption,
    LoopOption,
    QuietOption,
    ResultsOption,
    ShapeOption,
    command,
)
from seatrial.cli.soak_options import DEFAULT_MAX_TIME, soak_of
from seatrial.cli.words import (
    BACKEND_HELP,
    backend_names,
    check_backend_name,
    count,
    percentile_of,
    several,
    shapes_of,
    time_s,
)
from seatrial.errors import NOT_UTF8, ExitCode, UsageError, did_you_mean, is_utf8, printable
from seatrial.report.bench_text import print_bench


@command(
    examples=[
        "seatrial bench model.onnx",
        "seatrial bench model.onnx --backend openvino-cpu --batch 4 --threads 2",
        "seatrial bench detector.onnx --shape x=1x3x640x640 --max-time 30s --json bench.json",
        "seatrial bench detector.onnx --images photos/",
        "seatrial bench trial.yaml:candidate --scenario server --rate 20",
        "seatrial bench model.onnx --scenario server --find-rate --latency-bound 100ms@p95 --max-time 60s",
        "seatrial bench model.onnx --scenario multi-stream --clients 1,2,4",
        "seatrial bench model.onnx --scenario paced --gap 0ms,5ms,50ms",
        "seatrial bench model.onnx --soak 30min --max-memory-growth 10MiB/h --max-latency-growth 2%/h",
        "seatrial bench detector.onnx --mix x=1x3x320x320@3 --mix x=1x3x640x640@1",
    ]
)
def bench(
    model: Annotated[str, typer.Argument(help="An ONNX file, PLAN, PLAN:PIPELINE, or 'demo'.", show_default=False)],
    images: Annotated[
        str | None,
        typer.Option(
            "--images",
            metavar="PATH",
            help="Measure the model's pipeline, as 'init' guesses it, on these images: a folder, or one.",
            show_default=False,
        ),
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            "--backend", "-b", help=BACKEND_HELP, autocompletion=backend_names, show_default="onnxruntime-cpu"
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
        bool, typer.Option("--find-rate", help="Find the highest rate that holds --latency-bound.")
    ] = False,
    latency_bound: Annotated[str, typer.Option("--latency-bound", metavar="TIME@pN", help="Such as 100ms@p95.")] = "",
    percentile: Annotated[
        list[str] | None,
        typer.Option(
            "--percentile", metavar="pN", help="Ask for one more, such as p99.9; refused where there are too few."
        ),
    ] = None,
    max_time: Annotated[
        str, typer.Option("--max-time", metavar="TIME", help="Longest measurement of each load, such as '30 s'.")
    ] = DEFAULT_MAX_TIME,
    soak: Annotated[
        str,
        typer.Option(
            "--soak", metavar="TIME", help="Go on for so long, such as 30min, and report what moves meanwhile."
        ),
    ] = "",
    max_memory_growth: Annotated[
        str, typer.Option("--max-memory-growth", metavar="SIZE/h", help="Of a soak: the most allowed, such as 10MiB/h.")
    ] = "",
    max_latency_growth: Annotated[
        str,
        typer.Option(
            "--max-latency-growth", metavar="N%/h[@p99]", help="Of a soak's p50: the most allowed, such as 2%/h."
        ),
    ] = "",
    lock_clocks: Annotated[
        str,
        typer.Option(
            "--lock-clocks",
            metavar="MHZ|base",
            help="Hold the GPU's clock meanwhile, where that is permitted; else it is observed.",
        ),
    ] = "",
    shape: ShapeOption = None,
    mix: Annotated[
        list[str] | None,
        typer.Option(
            "--mix", metavar="NAME=SHAPE@WEIGHT", help="One shape of a mix, with its weight; give two or more."
        ),
    ] = None,
    loop: LoopOption = "native",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Arrivals, orders and made-up inputs follow from it.")] = 0,
    allow_code: AllowCodeOption = False,
    results: ResultsOption = Path("results"),
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Measure one model on made-up inputs, or a pipeline on images (--images or a plan's), in fresh processes, under a load."""
    from seatrial.cli.subjects import is_plan
    from seatrial.history.run_folder import new_run
    from seatrial.loads.bench import run_bench
    from seatrial.loads.sweep import Sweep
    from seatrial.machine.environment import machine_name
    from seatrial.report.html import write_report

    if loop not in ("native", "python"):
        raise UsageError(f"--loop: expected native or python, got {loop!r}{did_you_mean(loop, ['native', 'python'])}")
    if not is_plan(model):  # which may have names of its own
        check_backend_name(backend)
    seconds = time_s("--max-time", max_time)
    shapes = shapes_of(shape)
    if find_rate and percentile:
        raise UsageError("--percentile: a search has many rates; the percentile to hold stands in --latency-bound")
    thread_counts = several("--threads", threads, lambda t: count("--threads", t), str) if threads else [None]
    loads = loads_of(LoadOptions(scenario, clients, thread_counts, rate, arrivals, gap, find_rate, latency_bound, mix))
    soak_plan = soak_of(soak, max_memory_growth, max_latency_growth, max_time, percentile)
    asked = tuple(percentile_of("--percentile", p)[0] for p in percentile or ())
    sweep = Sweep(loads, seconds, asked, seed, soak_plan, lock_clocks)
    out = console(quiet, json)
    with new_run(results, machine_name()) as run, out.status("checking") as status:
        options: dict[str, Any] = {
            "backend": backend,
            "batch": batch,
            "threads": thread_counts[0],
            "native": loop == "native",
        }
        if images is None:
            subject = _subject(model, options, shapes, bool(mix), allow_code, run)
        else:
            subject = _on_images(model, images, options, shapes, bool(mix), run, out)
        outcome = run_bench(run, subject, sweep, lambda step, share: status.update(Text(f"{step} {share:.0%}")))
    record = outcome.record
    print_taken(out, subject.taken)
    print_bench(out, record)
    write_json(json, record.to_json())
    out.print(f"report: {shown(write_report(run))}", markup=False, soft_wrap=True)
    if outcome.problem:
        print_error(outcome.problem)
    return outcome.exit_code


def _subject(
    text: str, options: dict[str, Any], shapes: dict[str, tuple[int, ...]], mixed: bool, allow_code: bool, run: Any
) -> Any:
    from seatrial.cells.preflight import preflight
    from seatrial.cli.subjects import is_plan, pipeline_name, plan_of
    from seatrial.loads.subject import model_bench, pipeline_bench

    if not is_plan(text):
        given = {
            "backend": options["backend"] or "onnxruntime-cpu",
            "batch": options["batch"] or 1,
            "threads": options["threads"] or 1,
            "native": options["native"],
        }
        return model_bench(Path(text), shapes=shapes, open_shapes=mixed, **given)
    if shapes or mixed:
        raise UsageError(
            f"--shape and --mix: the preprocess stages of {text.rpartition(':')[0] or text} give the shapes; leave them away, "
            "or give an ONNX model instead of a plan"
        )
    plan = plan_of(text)
    ready = preflight(plan, allow_code, lambda _: None)
    return pipeline_bench(ready, run, pipeline_name(text, plan, 0), **options)


def _on_images(
    text: str,
    images: str,
    options: dict[str, Any],
    shapes: dict[str, tuple[int, ...]],
    mixed: bool,
    run: Any,
    out: Any,
) -> Any:
    """A model's pipeline, as init guesses it, without a plan."""
    from seatrial.cells.preflight import preflight
    from seatrial.cli.subjects import is_plan
    from seatrial.history.records import PlanSection
    from seatrial.loads.guessed import PIPELINE, guessed_plan
    from seatrial.loads.subject import pipeline_bench
    from seatrial.report.guess_text import print_guess

    if is_plan(text):
        raise UsageError(
            f"--images: {text} is a plan, which names its own images; leave it away, or give an ONNX model"
        )
    if mixed:
        raise UsageError("--images and --mix: a pipeline's pictures all have one size; leave one of them away")
    if not is_utf8(images):
        raise UsageError(f"--images {printable(images)}: {NOT_UTF8}")
    given = {"backend": options["backend"] or "onnxruntime-cpu", "batch": options["batch"]}
    found = guessed_plan(Path(text), images, shapes=shapes, **given)
    ready = preflight(found.plan, False, lambda _: None)
    print_guess(out, Path(text).name, found.info, found.guess.why, found.guess.unsure)
    options = {**options, "backend": found.choice, "batch": found.batch}
    subject = pipeline_bench(ready, run, PIPELINE, **options)
    warnings = tuple(w for w in subject.warnings if w.code != "check-marks")
    # No file holds the plan: what it says is in the record.
    plan = PlanSection(digest=found.plan.digest, text=found.plan.text)
    return replace(subject, plan=plan, warnings=(*found.warning, *warnings))
