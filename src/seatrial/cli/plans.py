"""seatrial init and seatrial plan: writing, checking and describing plans."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli.output import console, write_json, write_out
from seatrial.cli.schema import print_schema
from seatrial.cli.shell import DebugOption, JsonOption, QuietOption, ShapeOption, app, command
from seatrial.cli.words import shapes_of
from seatrial.errors import NOT_UTF8, ExitCode, UsageError, count_of, is_utf8, printable
from seatrial.report.hanging import hanging, sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.model.file import ModelInfo
    from seatrial.plan.guess import Guess
    from seatrial.plan.init import Guessed

plan_app = typer.Typer(help="Check plans, and export their JSON Schema.", no_args_is_help=True)
app.add_typer(plan_app, name="plan")


@command(
    examples=[
        "seatrial init model.onnx",
        "seatrial init model.onnx --images photos/ --output trial.yaml",
        "seatrial init detector-v1.onnx detector-v2.onnx",
        "seatrial init model.onnx --output -",
    ]
)
def init(
    model: Annotated[Path, typer.Argument(help="An ONNX file.", show_default=False)],
    candidate: Annotated[
        Path | None, typer.Argument(help="A second ONNX file, to be held against the first.", show_default=False)
    ] = None,
    images: Annotated[
        str, typer.Option("--images", metavar="FOLDER", help="The images that the plan will name.")
    ] = "images/",
    shape: ShapeOption = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The plan to write; '-' prints it.")
    ] = Path("trial.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing plan.")] = False,
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Inspect a model, or two, run each on a picture, and write a commented plan: of two, baseline and candidate."""
    from seatrial.backends import availability
    from seatrial.history.files import write_named
    from seatrial.jobs.guessed import guess_seen
    from seatrial.model.file import inspect_model
    from seatrial.model.shapes import batch_of, picture_size
    from seatrial.plan.init import Guessed, plan_text
    from seatrial.report.guess_text import print_guess

    models = [model] if candidate is None else [model, candidate]
    infos = [inspect_model(m) for m in models]
    shapes = _own_shapes(infos, shapes_of(shape))
    sizes = [picture_size(i, s) for i, s in zip(infos, shapes, strict=True)]
    here = [n for n in ("onnxruntime-cpu", "openvino-cpu") if availability(n).ok]
    if not output.name:
        raise UsageError(f"--output: expected a file to write, got {str(output)!r}; such as trial.yaml")
    for option, path in (("--output", output), ("--images", images)):
        if not is_utf8(path):
            raise UsageError(f"{option} {printable(str(path))}: {NOT_UTF8}")
    to_file = str(output) != "-"
    folder = output.absolute().parent if to_file else Path.cwd()
    # A device or a pipe holds no plan that could be lost.
    if to_file and (output.is_file() or output.is_dir()) and not force:
        raise UsageError(f"{output}: there is a plan already; give --output with another name, or --force")
    pictures = folder / _relative(images, folder)
    found = [Guessed(i, guess_seen(i, pictures, here, size)[0]) for i, size in zip(infos, sizes, strict=True)]
    first, second = found[0], found[1] if candidate else None
    backends = here or ["onnxruntime-cpu"]
    batch = batch_of(first.info, shapes[0], 1)
    text = plan_text(first.info, first.guess, folder, _relative(images, folder), backends, second, batch)
    if second and (doubt := _unlike_classes(text, folder, first, second)):
        second = replace(second, guess=replace(second.guess, unsure=(*second.guess.unsure, doubt)))
        found = [first, second]
        text = plan_text(first.info, first.guess, folder, _relative(images, folder), backends, second, batch)
    out = console(quiet, json)
    if not to_file:
        write_out(text)
    else:
        write_named(output, text.encode(), named_by="output")
        for m in found:
            print_guess(out, m.info.path.name, m.info, m.guess.why, m.guess.unsure)
        missing = "" if pictures.is_dir() else f"put images into {images}, then: "
        again = shlex.quote(f"./{output}" if str(output).startswith("-") else str(output))
        out.print(f"wrote {output}; {missing}seatrial run {again}", markup=False, soft_wrap=True)
    facts = [_facts(m, g.info, g.guess) for m, g in zip(models, found, strict=True)]
    write_json(json, {**facts[0], **({"candidate": facts[1]} if candidate else {}), "plan": text})
    return ExitCode.PASS


def _own_shapes(infos: Sequence[ModelInfo], shapes: dict[str, tuple[int, ...]]) -> list[dict[str, tuple[int, ...]]]:
    """Of each model, those of its inputs; a name that none has stays, to be told."""
    known = {i.name for info in infos for i in info.inputs}
    own = [{i.name for i in info.inputs} for info in infos]
    return [{n: s for n, s in shapes.items() if n in names or n not in known} for names in own]


def _unlike_classes(text: str, folder: Path, first: Guessed, second: Guessed) -> str:
    """What is to be checked where the plan's two heads have unlike numbers of classes."""
    from seatrial.pipeline.class_count import head_classes
    from seatrial.plan.load import plan_in_memory

    pipelines = plan_in_memory(text, folder / "trial.yaml").plan.pipelines
    models = zip(pipelines.values(), (first.info, second.info), strict=True)
    one, other = (head_classes(spec.postprocess, info) for spec, info in models)
    if one is None or other is None or one == other:
        return ""
    return f"its head has {other} classes and the baseline's {one}: answers agree at most on classes that both know"


def _facts(model: Path, info: ModelInfo, found: Guess) -> dict[str, Any]:
    from seatrial.jobs.guessed import boxes_counted

    return {
        "model": str(model),
        "digest": info.digest,
        "inputs": list(map(str, info.inputs)),
        "outputs": list(map(str, info.outputs)),
        "task": found.task,
        "format": found.format,
        "boxes": boxes_counted(found),
        "certain": list(found.why),
        "to_check": list(found.unsure),
        "refused": found.recognition.refused,
    }


def _relative(images: str, folder: Path) -> str:
    """The images' path as the plan must say it: as given, or relative to the plan where they lie below or beside it."""
    from seatrial.plan.init import from_folder

    if not Path(images).is_absolute() and Path.cwd() == folder:
        return images
    return from_folder(Path(images), folder)


@command(
    group=plan_app,
    examples=["seatrial plan check trial.yaml", "seatrial plan check trial.yaml --json plan.json"],
    prints=True,
)
def check(
    plan: Annotated[Path, typer.Argument(help="The trial plan.", show_default=False)],
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Check a plan's words, and the models, images and truth that it names. Runs no model, and none of your code."""
    from seatrial.cells.plan_check import check_files
    from seatrial.pipeline.build import check_kernels
    from seatrial.plan import load_plan

    loaded = load_plan(plan)
    check_kernels(loaded)
    m = loaded.plan.matrix
    cells = len(loaded.plan.pipelines) * len(m.backends) * len(m.precisions) * len(m.batch_sizes) * len(m.threads)
    counts = ((len(loaded.plan.pipelines), "pipeline"), (cells, "cell"), (len(loaded.plan.budgets), "budget"))
    found, out = check_files(loaded), console(quiet, json)
    sentence(out, f"{plan}: valid; {', '.join(count_of(number, what) for number, what in counts)}")
    for warning in found.warnings:
        hanging(out, ("warning: ", "bold yellow"), str(warning), "yellow")
    for line in found.unchecked:
        hanging(out, ("not checked: ", "yellow"), line)
    checked = {"warnings": [vars(w) for w in found.warnings], "not_checked": list(found.unchecked)}
    write_json(json, {"digest": loaded.digest, "resolved": loaded.plan.model_dump(mode="json"), **checked})
    return ExitCode.PASS


@command(
    group=plan_app,
    examples=["seatrial plan schema > trial.schema.json", "seatrial plan schema --json trial.schema.json"],
)
def schema(json: JsonOption = None, quiet: QuietOption = False, debug: DebugOption = False) -> ExitCode:
    """Print the plan's JSON Schema, as 'seatrial schema plan' does."""
    return print_schema("plan", json, quiet)
