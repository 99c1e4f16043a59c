"""seatrial convert: a model's file in another precision, made as a trial's cells would run it."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from seatrial.cli.output import console, shown, write_json
from seatrial.cli.shell import AllowCodeOption, DebugOption, JsonOption, QuietOption, ShapeOption, command
from seatrial.cli.subjects import pipeline_name, plan_of
from seatrial.cli.words import shapes_of
from seatrial.errors import ExitCode, UsageError, count_of, did_you_mean, printable
from seatrial.plan.convert import Convert
from seatrial.plan.fields import Precision
from seatrial.report.hanging import hanging, sentence
from seatrial.units import format_value

if TYPE_CHECKING:
    from rich.console import Console

    from seatrial.plan.load import PlanFile
    from seatrial.precision.conversion import Conversion

MADE = tuple(p for p in get_args(Precision) if p != "fp32")
NODES_NAMED = 3
METHODS = get_args(Convert.model_fields["calibration"].annotation)
SCHEMA = "seatrial.conversion/1"


@command(
    name="convert",
    examples=[
        "seatrial convert model.onnx --precision fp16 --images photos/",
        "seatrial convert trial.yaml:candidate --precision int8-u8 --output candidate-int8.onnx",
        "seatrial convert model.onnx --precision fp16 --keep-fp32 'Softmax,/head/*'",
    ],
)
def convert_command(
    subject: Annotated[str, typer.Argument(metavar="MODEL", help="MODEL.onnx or PLAN:PIPELINE.", show_default=False)],
    precision: Annotated[str, typer.Option("--precision", metavar="NAME", help=", ".join(MADE) + ".")],
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", help="Of a model: pictures that ranges are seen on; else the demo's."),
    ] = None,
    plan: Annotated[
        str | None,
        typer.Option("--plan", metavar="PLAN:PIPELINE", help="Of a model: whose preprocessing and images count."),
    ] = None,
    keep_fp32: Annotated[
        str | None,
        typer.Option("--keep-fp32", metavar="RECIPE", help="What stays: a file, or operators and nodes after commas."),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            "--calibration", metavar="METHOD", help="Of int8: minmax, entropy or percentile; else the plan's."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="Pictures that ranges are seen on; else 64.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: NAME-PRECISION.onnx, here.")
    ] = None,
    shape: ShapeOption = None,
    allow_code: AllowCodeOption = False,
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Write a model in another precision, with ranges and scales seen on pictures."""
    from seatrial.precision.recipe import read_recipe
    from seatrial.trial.conversion import OwnSettings, convert_pipeline

    if precision not in MADE:
        near = did_you_mean(precision, list(MADE))
        raise UsageError(f"expected one of {', '.join(MADE)}, got {precision!r}{near}", option="precision")
    if calibration is not None and calibration not in METHODS:
        near = did_you_mean(calibration, list(METHODS))
        raise UsageError(f"expected one of {', '.join(METHODS)}, got {calibration!r}{near}", option="calibration")
    if calibration is not None and not precision.startswith("int8"):
        raise UsageError(f"{precision} takes the greatest magnitudes: leave it out", option="calibration")
    own = OwnSettings(None if keep_fp32 is None else read_recipe(keep_fp32), calibration, limit)
    out = console(quiet, json)
    with out.status("reading the file") as status:
        file, pipeline = conversion_subject(out, subject, plan, images, shape)
        model = file.resolve(file.plan.pipelines[pipeline].model) if pipeline in file.plan.pipelines else Path(subject)
        target = output or Path(f"{model.stem}-{precision}.onnx")
        if target.resolve() == model.resolve():
            raise UsageError(f"{target}: this is the model itself; name another file", option="output")
        written = convert_pipeline(
            file, pipeline, precision, own, target, allow_code, lambda step, _share: status.update(step)
        )
    if written.anew:
        sentence(out, f"the cache's own was made anew: {written.anew}", "yellow")
    _print(out, written.conversion)
    size = format_value(written.size_bytes, "B")
    out.print(f"{shown(target)}: {size}, {written.size_bytes / model.stat().st_size:.0%} of {shown(model)}")
    write_json(json, {"schema": SCHEMA, "output": str(target), **_as_json(written.conversion)})
    return ExitCode.PASS


def conversion_subject(
    out: Console, subject: str, plan: str | None, images: Path | None, shape: list[str] | None
) -> tuple[PlanFile, str]:
    """The plan, which of a model alone is init's and stays in memory, and the pipeline in it."""
    if not subject.lower().endswith(".onnx"):
        if plan or images:
            raise UsageError("a plan names its images itself: leave --plan and --images out")
        file = plan_of(subject)
        return file, pipeline_name(subject, file, 0)
    model = Path(subject)
    if plan is not None:
        if images is not None:
            raise UsageError("a plan names its images itself: leave --images out")
        file = plan_of(plan)
        pipeline = pipeline_name(plan, file, 0)
        spec = file.plan.pipelines.get(pipeline)
        if spec is None:
            return file, pipeline
        from dataclasses import replace

        own = spec.model_copy(update={"model": str(model.absolute())})
        pipelines = {**file.plan.pipelines, pipeline: own}
        return replace(file, plan=file.plan.model_copy(update={"pipelines": pipelines})), pipeline
    return _init_plan(out, model, images, shape), "baseline"


def _init_plan(out: Console, model: Path, images: Path | None, shape: list[str] | None) -> PlanFile:
    from seatrial.demo import PICTURE
    from seatrial.errors import ModelError
    from seatrial.jobs.look import look_at
    from seatrial.plan.init import plan_text
    from seatrial.plan.load import plan_in_memory

    look = look_at(model, shapes_of(shape), images, lambda _said: None)
    if look.guess is None:
        raise ModelError(f"{model}: how pictures go in cannot be guessed: {look.no_guess}; name a plan with --plan")
    for doubt in look.guess.unsure:
        hanging(out, ("CHECK ", "yellow"), doubt)
    if images is None:
        sentence(out, "ranges are seen on the demo's pictures: name yours with --images", "yellow")
    path = model.absolute().with_name(f"{model.name} (plan in memory)")
    folder = str((images or PICTURE.parent).absolute())
    backends = [o.backend for o in look.openings if o.opens] or ["onnxruntime-cpu"]
    return plan_in_memory(plan_text(look.info, look.guess, path.parent, folder, backends), path, {"budgets": []})


def _print(out: Console, conversion: Conversion) -> None:
    nodes = count_of(conversion.nodes, "node computes", "nodes compute")
    sentence(
        out, f"{nodes} in {conversion.precision}; {count_of(len(conversion.kept), 'node stays', 'nodes stay')} in fp32"
    )
    by_reason: dict[str, list[str]] = defaultdict(list)
    for kept in conversion.kept:
        by_reason[kept.reason].append(f"{kept.operator} {kept.node}")
    for reason, named in by_reason.items():
        more = f" and {len(named) - NODES_NAMED} more" if len(named) > NODES_NAMED else ""
        hanging(out, ("kept: ", "dim"), f"{', '.join(map(printable, named[:NODES_NAMED]))}{more}: {reason}")
    for warning in conversion.warnings:
        sentence(out, warning, "yellow")
    _print_near(out, conversion)


def _print_near(out: Console, conversion: Conversion) -> None:
    where = f", on {conversion.measured_on}, by {conversion.run_by}"
    for name, why in conversion.unknown.items():
        said = f"{printable(name)} comes" if name else "its answers come"
        sentence(out, f"how near {said} is not known: {why}", "yellow")
    for name, decibels in conversion.sqnr_db.items():
        said = f"{printable(name)}: {_near(decibels)}{where}"
        hanging(out, ("near: ", "dim" if decibels > 0 else "bold red"), said)
    for name, share in conversion.equal_share.items():
        said = f"{printable(name)}: {share:.2%} of its whole numbers are the same{where}"
        hanging(out, ("near: ", "dim" if share > 0.5 else "bold red"), said)
    if conversion.precision == "fp16" and conversion.run_by == "onnxruntime":
        sentence(
            out, "onnxruntime computes fp16 in fp32 on a CPU: that is what rounding the weights costs, no more", "dim"
        )


def _as_json(conversion: Conversion) -> dict[str, Any]:
    """JSON has no infinity: null stands for answers that are the same to the bit, "not finite" for such beside numbers."""
    found = asdict(conversion)
    found["sqnr_db"] = {
        name: value if math.isfinite(value) else None if value > 0 else "not finite"
        for name, value in found["sqnr_db"].items()
    }
    return found


def _near(decibels: float) -> str:
    if math.isinf(decibels):
        return "the same to the bit" if decibels > 0 else "NaN or infinity on one side alone"
    if decibels <= 0:
        return f"its error is greater than the answers themselves ({format_value(decibels, 'dB')})"
    return f"{format_value(decibels, 'dB')} over its error"
