"""seatrial MODEL.onnx [IMAGES]: the shortest way from a model's file to its first trial."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seatrial.cli.output import console, shown, write_json
from seatrial.cli.progress import ProgressWatcher
from seatrial.cli.shell import DebugOption, JsonOption, QuietOption, ResultsOption, ShapeOption, command
from seatrial.cli.trials import DEFAULT_RESULTS
from seatrial.cli.words import shapes_of, time_s
from seatrial.errors import NOT_UTF8, DataError, ExitCode, UsageError, count_of, is_utf8, printable
from seatrial.report.hanging import hanging, sentence
from seatrial.report.inspection_text import print_brief
from seatrial.report.quick_text import print_quick
from seatrial.stages import END_TO_END

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.cells.matrix import Cell
    from seatrial.history.records import CellRecord, Record
    from seatrial.jobs.look import Look
    from seatrial.trial.quick import QuickTrial


class _BarWatcher(ProgressWatcher):
    """The bar alone: the one screen at the end has the rest."""

    def begins(self, cells: Sequence[Cell], done: int, images: int, expected_s: float) -> None:
        self.bar.update(self._task, total=len(cells), completed=done, description="starting")
        self.expects(expected_s)

    def cell_ends(self, record: CellRecord) -> None:
        self._ended += 1
        self.bar.update(self._task, completed=self._ended)


@command(
    name="try",
    examples=["seatrial model.onnx", "seatrial model.onnx photos/", "seatrial try model.onnx photos/ --max-time 60s"],
)
def try_model(
    model: Annotated[Path, typer.Argument(help="An ONNX file.", show_default=False)],
    images: Annotated[
        Path | None,
        typer.Argument(help="A picture, or a folder of them; without it, the demo's.", show_default=False),
    ] = None,
    shape: ShapeOption = None,
    max_time: Annotated[
        str, typer.Option("--max-time", metavar="TIME", help="About how long all of it may take.")
    ] = "30 s",
    results: ResultsOption = DEFAULT_RESULTS,
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Try a model on every backend that runs it here, without a plan; 'seatrial MODEL.onnx' for short."""
    from seatrial.jobs.look import look_at, look_json
    from seatrial.report.html import write_report
    from seatrial.trial.quick import next_commands, quick_trial, shape_options
    from seatrial.trial.run import run_trial

    began = time.monotonic()
    seconds, shapes = time_s("--max-time", max_time), shapes_of(shape)
    _check_images(images)
    out = console(quiet, json)
    looking = f"looking into {printable(model.name)}, then trying it: about {seconds:.0f} s in all, or less"
    sentence(out, looking, "dim")
    with out.status("reading the file") as status:
        look = look_at(model, shapes, images, status.update)
    print_brief(out, look.info, look.contents, look.cost, _tried_as(look))
    trial = quick_trial(look, images, shapes, seconds - (time.monotonic() - began), seconds)
    said = f"{count_of(len(trial.backends), 'backend')}, {trial.pictures}; at most about {trial.expected_s:.0f} s"
    hanging(out, ("running: ", "dim"), said, "dim")
    with _BarWatcher(out) as watcher:
        outcome = run_trial(trial.plan, results, watcher=watcher)
    record = outcome.record
    if record.status == "interrupted":
        said = "interrupted; try again, or write a plan with 'seatrial init', whose runs can be resumed"
        sentence(out, said, "yellow")
        return outcome.exit_code
    unchecked = _unchecked(look, trial, shape_options(shapes))
    refused = [(o.backend, o.problem or o.run_problem) for o in look.openings if o.backend not in trial.backends]
    commands = next_commands(look, trial, images, shapes, _p50(record))
    out.print()
    print_quick(out, record, refused, unchecked, trial.pictures)
    for number, line in enumerate(commands):
        out.print(f"{'next: ' if number == 0 else '      '}{line}", markup=False, soft_wrap=True)
    facts = {"inspection": look_json(look), "bundled_pictures": trial.bundled, "not_checked": unchecked}
    write_json(json, facts | {"next": commands, "record": record.to_json()})
    out.print(f"report: {shown(write_report(outcome.run))}", markup=False, soft_wrap=True)
    return outcome.exit_code


def _check_images(images: Path | None) -> None:
    if images is None:
        return
    if not is_utf8(images):
        raise UsageError(f"IMAGES {printable(str(images))}: {NOT_UTF8}")
    if images.is_symlink() and not images.exists():
        raise DataError(f"{images}: it is a link that leads nowhere; link the pictures again, or name their folder")
    if not images.exists():
        raise DataError(
            f"{images}: no such picture or folder of pictures; leave it away to try the model on the demo's"
        )


def _tried_as(look: Look) -> str:
    if look.guess is None:
        return ""
    guess, (height, width) = look.guess, look.guess.size
    what = f"task {guess.task}" + (f", format {guess.format}" if guess.format else "")
    return f"{what}, {height} × {width}, {guess.preprocess['mode']}, {guess.preprocess['color']}"


def _unchecked(look: Look, trial: QuickTrial, given: Sequence[str]) -> list[str]:
    """What this trial cannot say, so that nobody reads it into a verdict."""
    said = ["accuracy (no truth was given: nothing says that the answers are right)"]
    if trial.bundled:
        again = shlex.join(["seatrial", str(look.info.path), "photos/", *given])
        said.append(f"your pictures (these are the demo's: {again})")
    elif trial.images < trial.there:
        said.append(f"{trial.there - trial.images:,} of your {trial.there:,} pictures")
    assert look.guess
    if look.guess.recognition.refused:
        said.append("decoded results (no built-in postprocess reads this head: raw outputs were compared)")
    if doubts := len(look.guess.unsure):
        said.append(f"{count_of(doubts, 'guess', 'guesses')} about the pipeline ('seatrial inspect' lists them)")
    return said


def _p50(record: Record) -> float | None:
    values = [c.stages[END_TO_END].p50.value for c in record.cells if c.status == "ok"]
    return max(values) if values else None
