"""seatrial build: TensorRT engines of a model, ahead of deployment."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from seatrial.cli.convert import conversion_subject
from seatrial.cli.output import console, shown, write_json
from seatrial.cli.shell import AllowCodeOption, DebugOption, JsonOption, QuietOption, ShapeOption, command
from seatrial.cli.subjects import is_plan, pipeline_name, plan_of
from seatrial.cli.words import count, several, shapes_of
from seatrial.errors import ExitCode, UsageError, count_of, did_you_mean, printable
from seatrial.plan.fields import Precision
from seatrial.report.hanging import hanging, sentence
from seatrial.units import format_seconds, format_value

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from seatrial.backends.tensorrt.options import EngineOptions
    from seatrial.jobs.job import Tell
    from seatrial.model.file import ModelInfo
    from seatrial.plan.load import PlanFile
    from seatrial.trial.engines import EngineMade, Shapes

BACKENDS = ("tensorrt", "tensorrt-rtx")
PRECISIONS = get_args(Precision)


@command(
    name="build",
    examples=[
        "seatrial build model.onnx --backend tensorrt-rtx --for sm89,sm120",
        "seatrial build model.onnx --backend tensorrt-rtx --for sm89 --precision fp32,fp16 --images photos/ --output engines/",
        "seatrial build trial.yaml:candidate --backend tensorrt-rtx --for sm86 --precision int8 --batch 1,8",
    ],
)
def build_command(
    subject: Annotated[str, typer.Argument(metavar="MODEL", help="MODEL.onnx or PLAN:PIPELINE.", show_default=False)],
    backend: Annotated[str, typer.Option("--backend", metavar="NAME", help="tensorrt or tensorrt-rtx.")],
    capabilities: Annotated[
        str | None,
        typer.Option("--for", metavar="LIST", help="tensorrt-rtx: compute capabilities, such as sm86,sm89,sm120."),
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", metavar="LIST", help="fp32 is the file as it is; an engine each.")
    ] = "fp32",
    batch: Annotated[
        str | None,
        typer.Option("--batch", metavar="LIST", help="Sizes such as 1,8, a profile each; 1-8 is one for all between."),
    ] = None,
    shape: ShapeOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="An option of the engine, such as weight_streaming=true."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="Pictures that a variant's ranges are seen on.")
    ] = None,
    plan: Annotated[
        str | None,
        typer.Option("--plan", metavar="PLAN:PIPELINE", help="Whose preprocessing and images count for those."),
    ] = None,
    keep_fp32: Annotated[
        str | None, typer.Option("--keep-fp32", metavar="RECIPE", help="What stays, as convert takes it.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Where engines go; else the engine cache.")
    ] = None,
    allow_code: AllowCodeOption = False,
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Build TensorRT engines of a model; TensorRT-RTX's on a machine without a GPU too."""
    from dataclasses import replace

    from seatrial.precision.recipe import read_recipe
    from seatrial.trial.engines import EngineRequest, build_engine, check_precision, check_target

    if backend not in BACKENDS:
        near = did_you_mean(backend, list(BACKENDS))
        raise UsageError(f"expected one of {', '.join(BACKENDS)}, got {backend!r}{near}", option="backend")
    precisions = several("--precision", precision, _precision, str)
    if precisions == ["fp32"] and (images or plan or keep_fp32):
        raise UsageError(
            "fp32 is the file as it is: leave --images, --plan and --keep-fp32 out, or name another --precision"
        )
    targets = tuple(several("--for", capabilities, _capability, str)) if capabilities is not None else ()
    options = replace(_options(settings), capabilities=targets)
    check_target(backend, targets)
    for name in precisions:
        check_precision(name, targets)
    out = console(quiet, json)
    file, pipeline, model = _pipeline_and_model(subject)
    batches = tuple(several("--batch", batch, _batches, str)) if batch is not None else _batches_of(file)
    request = EngineRequest(
        backend, "fp32", batches, shapes_of(shape), options, output, read_recipe(keep_fp32) if keep_fp32 else None
    )
    shapes_at = _shapes_at(file, pipeline, allow_code) if file is not None and not shape else None
    made: list[EngineMade] = []
    for name in precisions:
        with out.status(f"{name}: reading the file") as status:
            found = build_engine(
                replace(request, precision=name),
                model,
                lambda: conversion_subject(out, subject, plan, images, shape),
                shapes_at,
                allow_code,
                _teller(status, name),
            )
        _print(out, found)
        made.append(found)
    write_json(json, {"model": str(model), "backend": backend, "engines": [m.as_json() for m in made]})
    return ExitCode.PASS


def _teller(status: Status, precision: str) -> Tell:
    return lambda step, share: status.update(f"{precision}: {step}{f', {share:.0%}' if share else ''}")


def _precision(text: str) -> str:
    if text not in PRECISIONS:
        near = did_you_mean(text, list(PRECISIONS))
        raise UsageError(f"expected one of {', '.join(PRECISIONS)}, got {text!r}{near}", option="precision")
    return text


def _capability(text: str) -> str:
    """'sm89' of that, of '89' and of '8.9'."""
    match = re.fullmatch(r"(?:sm_?)?(\d+)\.?(\d)", text.strip().lower())
    if match is None:
        raise UsageError(f"--for: expected compute capabilities such as sm89 (RTX 40) or sm120 (RTX 50), got {text!r}")
    return f"sm{match[1]}{match[2]}"


def _batches(text: str) -> tuple[int, int]:
    least, _, greatest = text.partition("-")
    low = count("--batch", least)
    high = count("--batch", greatest) if greatest else low
    if low > high:
        raise UsageError(f"--batch: expected a range from less to more, such as 1-8, got {text!r}")
    return low, high


def _options(settings: list[str] | None) -> EngineOptions:
    from seatrial.backends.tensorrt.options import SETTINGS, RunOptions, options_of

    known = {s.name: s for s in SETTINGS}
    given: dict[str, str | int | float | bool] = {}
    for text in settings or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set: expected NAME=VALUE such as weight_streaming=true, got {text!r}")
        if name in given:
            raise UsageError(f"--set: expected each option once, got {name} twice; leave one away")
        read = known[name].read(value) if name in known else None
        given[name] = value if read is None else read
    engine, _ = options_of(given)
    if any(f.name in given for f in fields(RunOptions)):
        raise UsageError(
            f"--set: {', '.join(given)}: not all of it is of the engine; what is of running it is a plan's options"
        )
    return engine


def _pipeline_and_model(subject: str) -> tuple[PlanFile | None, str, Path]:
    """A plan with its pipeline's name and its model, or a model alone."""
    if not is_plan(subject) and subject.lower().endswith(".onnx"):
        return None, "", Path(subject)
    from seatrial.errors import PlanError

    file = plan_of(subject)
    name = pipeline_name(subject, file, 0)
    if name not in file.plan.pipelines:
        near = did_you_mean(name, list(file.plan.pipelines))
        raise PlanError(f"{file.path}: no pipeline is called {name!r}{near}")
    return file, name, file.resolve(file.plan.pipelines[name].model)


def _batches_of(file: PlanFile | None) -> tuple[tuple[int, int], ...]:
    """Of a plan its own batch sizes; of a model alone its own, which () stands for."""
    return tuple((size, size) for size in file.plan.matrix.batch_sizes) if file else ()


def _shapes_at(file: PlanFile, name: str, allow_code: bool) -> Callable[[ModelInfo, int], Shapes]:
    """As the pipeline's own preprocessing fills them."""
    from seatrial.errors import ModelError
    from seatrial.pipeline.build import build_pipeline

    def at(info: ModelInfo, size: int) -> Shapes:
        pipeline = build_pipeline(name, file.plan.pipelines[name], info, file.path.parent, allow_code)
        if not pipeline.fixed_shapes:
            raise ModelError(
                "its preprocessing gives other shapes for other images; name one with --shape", subject=info.path
            )
        return {n: tuple(a.shape) for n, a in pipeline.allocate(size).items()}

    return at


def _print(out: Console, made: EngineMade) -> None:
    m = made.manifest
    out.print(f"{shown(made.path)}", style="bold")
    facts = f"{format_value(m.size_bytes, 'B')}, built in {format_seconds(m.build_s)} by {m.library} {m.version}"
    hanging(out, ("  engine: ", "dim"), f"{facts}, for {', '.join(m.capabilities)}")
    hanging(out, ("  shapes: ", "dim"), "; ".join(map(str, m.profiles)))
    asked = f"the file as it is, which holds {made.held}" if made.held else made.precision
    total = sum(m.computed_in.values())
    types = ", ".join(f"{n} in {printable(t)}" for t, n in Counter(m.computed_in).most_common()) or "none"
    hanging(
        out,
        ("  precision: ", "dim"),
        f"asked for {asked}; {count_of(total, 'product')}: {types} (as the network states them)",
    )
    if made.share is not None and made.share < 0.5:
        sentence(out, f"most products compute in another type than {made.precision}", "yellow")
    others = Counter(layer.takes for layer in made.layers if layer.takes and layer.kind != "CONSTANT")
    hanging(out, ("  layers: ", "dim"), ", ".join(f"{n} take {t}" for t, n in others.most_common()))
    for note in m.notes:
        sentence(out, f"{m.library} warns: {printable(note)}", "yellow")
