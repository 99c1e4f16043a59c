"""seatrial compare: is B slower than A?"""

from __future__ import annotations

import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

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
from seatrial.cli.words import BACKEND_HELP, backend_names, shapes_of, with_option
from seatrial.errors import ExitCode, ResultsError, UsageError
from seatrial.history.records import Record
from seatrial.report.comparison_text import print_comparison, print_verdict
from seatrial.stages import END_TO_END
from seatrial.units import duration_s, fraction

# What a page takes behind the last round: of --max-time, which is the command's.
REPORT_S = 2.0
Backend = Annotated[str | None, typer.Option(help=BACKEND_HELP, autocompletion=backend_names, show_default=False)]
OneBackend = Annotated[
    str | None, typer.Option(help="As --backend, of one side.", autocompletion=backend_names, show_default=False)
]


@command(
    examples=[
        "seatrial compare detector-v1.onnx detector-v2.onnx",
        "seatrial compare model.onnx --backend-a onnxruntime-cpu --backend-b openvino-cpu --margin 5%",
        "seatrial compare model.onnx --python-a old-venv/ --python-b new-venv/",
        "seatrial compare trial.yaml:baseline trial.yaml:candidate --metric p50 --metric p90",
        "seatrial compare demo",
        "seatrial compare results/host/2026-11-22-010000-ab12 latest",
    ]
)
def compare(
    a: Annotated[
        str, typer.Argument(help="A model, PLAN or PLAN:PIPELINE, 'demo', or a stored run.", show_default=False)
    ],
    b: Annotated[
        str | None,
        typer.Argument(help="The same for B; without it, A again, or a plan's second pipeline.", show_default=False),
    ] = None,
    margin: Annotated[str, typer.Option("--margin", help="The least change that matters.")] = "2%",
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", help="p50, p90, p95, p99 or mean; may be repeated; p50 by default."),
    ] = None,
    stage: Annotated[str, typer.Option("--stage", help="Stage of a pipeline to judge.", show_default=END_TO_END)] = "",
    max_time: Annotated[
        str,
        typer.Option(
            "--max-time",
            metavar="TIME",
            help="No round starts that would end after it, report included.",
        ),
    ] = "60 s",
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Images a run.", show_default="1")] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="The runtime's threads.", show_default="1")
    ] = None,
    shape: ShapeOption = None,
    backend: Backend = None,
    backend_a: OneBackend = None,
    backend_b: OneBackend = None,
    python_a: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Interpreter or virtual environment that runs A.", show_default=False),
    ] = None,
    python_b: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Interpreter or virtual environment that runs B.", show_default=False),
    ] = None,
    loop: LoopOption = "native",
    images: Annotated[str | None, typer.Option("--images", hidden=True)] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Orders and made-up inputs follow from it.")] = 0,
    allow_code: AllowCodeOption = False,
    results: ResultsOption = Path("results"),
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Compare A and B in lock-step: fresh processes that take turns, A against itself among them, with a verdict."""
    from seatrial.compare.live import run_comparison
    from seatrial.compare.question import TooLittleTimeError
    from seatrial.compare.stored import compare_stored
    from seatrial.gate.verdict import exit_code
    from seatrial.history.run_folder import new_run
    from seatrial.machine.environment import machine_name
    from seatrial.report.html import write_report
    from seatrial.report.tables import print_disturbances, print_warnings

    began = time.monotonic()
    if images is not None:
        raise _no_images(a, b, images)
    question = _question(margin, metric, stage, max_time, seed)
    if loop not in ("native", "python"):
        raise UsageError(f"--loop: expected native or python, got {loop!r}")
    options = {
        "batch": batch,
        "threads": threads,
        "native": loop == "native",
        "shapes": shapes_of(shape),
        "seed": seed,
        "allow_code": allow_code,
    }
    out = console(quiet, json)
    if _is_stored(a):
        _refuse_for_stored(
            {
                "--backend": backend,
                "--backend-a": backend_a,
                "--backend-b": backend_b,
                "--python-a": python_a,
                "--python-b": python_b,
                "--batch": batch,
                "--threads": threads,
                "--shape": shape,
                "--loop": None if loop == "native" else loop,
                "--allow-code": allow_code or None,
            }
        )
        first_run, second_run = _stored(a, "latest" if b is None else b, results)
    else:
        _check_kinds(a, a if b is None else b)
    cut = None
    taken_from: tuple[str, ...] = ()
    with new_run(results, machine_name()) as run, out.status("checking") as status:
        if _is_stored(a):
            record = compare_stored(run, first_run, second_run, question)
        else:
            first, second = _subjects(
                (a, backend_a or backend, python_a), (b, backend_b or backend, python_b), options, run
            )
            taken_from = _taken(first.taken, second.taken)
            question = replace(question, spent_s=time.monotonic() - began + REPORT_S)
            try:
                record, cut = run_comparison(run, first, second, question, _progress(status, question))
            except TooLittleTimeError as e:
                longer = shlex.join(with_option("--max-time", f"{e.enough_s}s"))
                raise UsageError(f"{e.text}; give it more:\n{longer}", option=e.option) from None
    for taken in taken_from:
        print_taken(out, taken)
    for c in record.comparisons:
        print_comparison(out, c)
    print_warnings(out, dict.fromkeys(record.warnings, ()), 0)
    print_disturbances(out, record)
    write_json(json, record.to_json())
    print_verdict(out, record)
    out.print(f"report: {shown(write_report(run))}", markup=False, soft_wrap=True)
    if cut:
        print_error(f"{cut.for_command_line()}; the rounds before it are kept")
        return cut.ended_with
    return exit_code(record.verdict, ())


def _no_images(a: str, b: str | None, images: str) -> UsageError:
    """For who takes it for an option of this command, as it is one of others."""
    init = shlex.join(["seatrial", "init", *filter(None, [a, b]), "--images", images, "--output", "trial.yaml"])
    return UsageError(
        "--images: models are compared on made-up inputs; pipelines of a plan on its images (PLAN:PIPELINE), and init writes a "
        f"plan:\n{init} && seatrial compare trial.yaml"
    )


def _taken(a: str, b: str) -> tuple[str, ...]:
    """Of both sides in one line where that is the same."""
    return (a,) if a == b else tuple(f"{name}: {said}" for name, said in (("A", a), ("B", b)) if said)


def _progress(status: Any, question: Any) -> Any:
    looks = question.looks

    def tell(step: str, share: float) -> None:
        if not step.startswith("round"):
            status.update(Text(step))
            return
        # Behind the first look nobody knows how many there will be.
        of = f"{share:.0%} of the {looks[0]} before the first verdict" if share < 1 else f"at most {looks[-1]}"
        status.update(Text(f"{step}, {of}"))

    return tell


def _question(margin: str, metric: list[str] | None, stage: str, max_time: str, seed: int) -> Any:
    from seatrial.compare.question import Question

    try:
        share = fraction(margin)
    except ValueError as e:
        raise UsageError(f"--margin: {e}") from None
    try:
        seconds = duration_s(max_time)
    except ValueError as e:
        raise UsageError(f"--max-time: {e}") from None
    if seconds <= 0:
        raise UsageError(f"--max-time: expected a time above zero, got {max_time!r}")
    question = Question(share, tuple(dict.fromkeys(metric or ["p50"])), stage, seconds, seed=seed)
    question.check()
    return question


def _is_stored(text: str) -> bool:
    from seatrial.cli.subjects import is_plan
    from seatrial.model.file import FAKE_SUFFIX

    return not is_plan(text) and not text.lower().endswith((".onnx", FAKE_SUFFIX))


def _stored(a: str, b: str, results: Path) -> tuple[Record, Record]:
    from seatrial.history.find import find_run, load_record

    _check_kinds(a, b)
    found = []
    for text in (a, b):
        try:
            found.append(find_run(text, results, but="compare"))
        except ResultsError as e:
            raise ResultsError(f"{text!r} is no model (.onnx) and no plan (.yaml); as a stored run: {e.raw}") from None
    return load_record(found[0]), load_record(found[1])


def _refuse_for_stored(given: dict[str, Any]) -> None:
    for option, value in given.items():
        if value is not None:
            raise UsageError(f"{option}: a stored run is measured already; compare models or plans to choose it")


def _check_kinds(a: str, b: str) -> None:
    """UsageError where B is not of A's kind: their stages differ, so that nothing could be compared."""
    from seatrial.cli.subjects import is_plan

    kinds = ["plan" if is_plan(text) else "stored run" if _is_stored(text) else "model" for text in (a, b)]
    if kinds[0] != kinds[1]:
        raise UsageError(
            f"expected A and B of one kind, got a {kinds[0]}, {a!r}, and a {kinds[1]}, {b!r}; "
            "compare two models (.onnx), two plans (.yaml) or two stored runs"
        )


def _subjects(
    a: tuple[str, Any, Any], b: tuple[str | None, Any, Any], options: dict[str, Any], run: Any
) -> tuple[Any, Any]:
    other = b[0] if b[0] is not None else a[0]
    return _subject(*a, options, run, 0), _subject(other, *b[1:], options, run, 1)


def _subject(
    text: str, backend: str | None, python: str | None, options: dict[str, Any], run: Any, position: int
) -> Any:
    from seatrial.cli.subjects import is_plan
    from seatrial.compare.sides import model_subject

    if not is_plan(text):
        given = {k: v for k, v in options.items() if k != "allow_code" and v is not None}
        return model_subject(Path(text), backend=backend or "onnxruntime-cpu", python=python, **given)
    return _pipeline(text, backend, python, options, run, position)


def _pipeline(
    text: str, backend: str | None, python: str | None, options: dict[str, Any], run: Any, position: int
) -> Any:
    """PLAN alone stands for its first pipeline as A, and for its second as B."""
    from seatrial.cells.preflight import preflight
    from seatrial.cli.subjects import pipeline_name, plan_of
    from seatrial.compare.sides import pipeline_subject

    plan = plan_of(text)
    if options["shapes"]:
        raise UsageError("--shape: a plan's preprocess stage gives the shapes; compare models to set them")
    name = pipeline_name(text, plan, position)
    ready = preflight(plan, options["allow_code"], lambda _: None)
    return pipeline_subject(
        ready,
        run,
        name,
        backend=backend,
        batch=options["batch"],
        threads=options["threads"],
        native=options["native"],
        python=python,
    )
