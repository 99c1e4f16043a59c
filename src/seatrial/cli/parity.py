"""seatrial parity: where two pipelines part, and which known mistake explains it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from seatrial.cli.output import console, shown, write_json
from seatrial.cli.parity_models import parity_of_models
from seatrial.cli.shell import (
    AllowCodeOption,
    DebugOption,
    JsonOption,
    QuietOption,
    ResultsOption,
    ShapeOption,
    command,
)
from seatrial.cli.words import backend_names, time_s
from seatrial.errors import DataError, ExitCode, UsageError, flag

OneBackend = Annotated[
    str | None,
    typer.Option(help="Of models: what one side runs on.", autocompletion=backend_names, show_default=False),
]
_EXIT = {"EQUAL": ExitCode.PASS, "DIFFER": ExitCode.FAIL, "INCONCLUSIVE": ExitCode.INCONCLUSIVE}


@command(
    examples=[
        "seatrial parity trial.yaml",
        "seatrial parity trial.yaml --candidate candidate.openvino-cpu.int8-u8.b4",
        "seatrial parity trial.yaml --taps /data/production-taps",
        "seatrial parity trial.yaml --answers detections.json",
        "seatrial parity trial.yaml --candidate service:predict --allow-code",
        "seatrial parity demo",
        "seatrial parity detector.onnx detector-fp16.onnx --images photos/ --recipe keep.yaml",
        "seatrial parity detector.onnx --backend-b openvino-cpu",
    ]
)
def parity(
    plan: Annotated[str, typer.Argument(help="A trial plan, 'demo', or a model.", show_default=False)],
    other: Annotated[
        str | None, typer.Argument(help="With a model: the other one, or the same again.", show_default=False)
    ] = None,
    reference: Annotated[
        str | None, typer.Option(metavar="NAME", help="A pipeline or cell of the plan.", show_default="the plan's")
    ] = None,
    candidate: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Another one, or 'module:function' of your own.", show_default="the other pipeline"
        ),
    ] = None,
    taps: Annotated[
        Path | None, typer.Option(metavar="DIR", help="What production had at its stages.", show_default=False)
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its final results alone: COCO JSON, or a CSV.", show_default=False),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Other images than the plan's.", show_default=False)
    ] = None,
    shape: ShapeOption = None,
    backend_a: OneBackend = None,
    backend_b: OneBackend = None,
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of models: where to write what must stay fp32.", show_default=False),
    ] = None,
    max_time: Annotated[str, typer.Option("--max-time", metavar="TIME", help="For the diagnosis.")] = "5 min",
    allow_code: AllowCodeOption = False,
    results: ResultsOption = Path("results"),
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Find the first stage where two pipelines part, and the known mistake that explains it."""
    from seatrial.cli.subjects import is_plan
    from seatrial.demo import PLAN
    from seatrial.diagnosis.pictures import read_pictures
    from seatrial.diagnosis.run import candidate_of, run_parity
    from seatrial.history.files import write_named
    from seatrial.history.run_folder import new_run
    from seatrial.localise.sides import look_inside
    from seatrial.machine.environment import machine_name
    from seatrial.plan import load_plan
    from seatrial.report.parity_page import parity_page
    from seatrial.report.parity_text import print_parity

    seconds = time_s("--max-time", max_time)
    out = console(quiet, json)
    if plan.lower().endswith(".onnx"):
        _refuse_for_models(reference=reference, candidate=candidate, taps=taps, answers=answers)
        backends = backend_a or "onnxruntime-cpu", backend_b or backend_a or "onnxruntime-cpu"
        second = Path(other) if other else Path(plan)
        return parity_of_models(
            out,
            Path(plan),
            second,
            backends=backends,
            images=images,
            shape=shape,
            timeout_s=seconds,
            recipe=recipe,
            json=json,
        )
    _refuse_for_plans(other=other, backend_a=backend_a, backend_b=backend_b, shape=shape, recipe=recipe)
    if not is_plan(plan):
        raise UsageError(f"expected a trial plan (.yaml), 'demo' or two models (.onnx), got {plan!r}")
    if images is not None and not images.exists():
        raise DataError(f"{images}: no such picture or folder of pictures")
    laid_over = {} if images is None else {"images": {"path": str(images.absolute())}}
    file = load_plan(PLAN if plan == "demo" else Path(plan), laid_over)
    with new_run(results, machine_name()) as run, out.status("checking") as status:
        record = run_parity(
            file,
            run,
            reference,
            lambda side: candidate_of(file, side, candidate, taps, answers),
            time_s=seconds,
            allow_code=allow_code,
            says=lambda said: status.update(Text(said)),
            look=look_inside,
        )
        kept = run.path / "parity.json"
        write_named(kept, record.json_bytes(), named_by="results")
        page = run.path / "report.html"
        write_named(page, parity_page(record, read_pictures(run.work / "diagnosis")).encode(), named_by="results")
        shutil.rmtree(run.work, ignore_errors=True)
    print_parity(out, record)
    write_json(json, record.to_json())
    out.print(f"report: {shown(page)}", markup=False, soft_wrap=True)
    return _EXIT[record.verdict]


def _refuse_for_models(**given: object) -> None:
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"{flag(name)}: two models are compared by themselves; give a plan to compare pipelines")


def _refuse_for_plans(**given: object) -> None:
    for name, value in given.items():
        if value is not None:
            what = repr(value) if name == "other" else flag(name)
            raise UsageError(
                f"{what}: only models (.onnx) have a second one, backends, shapes and a recipe of their own"
            )
