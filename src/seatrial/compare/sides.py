"""What is compared, as processes to run: models, pipelines of plans, other interpreters. Not for: running them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from seatrial.backends.catalogue import has_native_loop
from seatrial.cells.checks import check_backend, check_name, check_runs, check_threads
from seatrial.cells.inputs import model_alone
from seatrial.cells.preflight import Ready
from seatrial.cells.prepare import cell_inputs, pipeline_cell
from seatrial.compare.interpreters import (
    inspect_interpreter,
    lent_environment,
)
from seatrial.compare.turn_task import ModelTurns
from seatrial.compare.turner import Side
from seatrial.history.records import ModelSection
from seatrial.history.run_folder import RunFolder
from seatrial.history.sections import model_section
from seatrial.model.file import FAKE_SUFFIX, inspect_model
from seatrial.model.shapes import check_inputs, fixed_shapes, taken_shapes
from seatrial.runtimes.choice import BackendChoice
from seatrial.warning import Warning


def model_side(
    model: Path,
    *,
    backend: str | BackendChoice = "onnxruntime-cpu",
    batch: int = 1,
    threads: int = 1,
    shapes: dict[str, tuple[int, ...]] | None = None,
    native: bool = True,
    python: str | None = None,
    seed: int = 0,
) -> Side:
    """A model alone on made-up inputs.

    Raises:
        ModelError: it can't be read, has a dynamic dimension that neither batch nor shapes fixes, or an input that takes
            something else than numbers.
        BackendUnavailableError: the backend, or the other interpreter's packages, are not there.
        UsageError: more threads than cores.
    """
    check_threads(threads)
    choice = check_runs(check_name(backend))
    info = inspect_model(model)
    if model.name.endswith(FAKE_SUFFIX):
        choice = BackendChoice("fake")
    check_inputs(info)
    given = fixed_shapes(info, batch, shapes or {})
    other = None if python is None else inspect_interpreter(python)
    if other is None:
        check_backend(choice)
    native = native and has_native_loop(choice.backend, other.library if other else None)
    work = ModelTurns(
        str(model.absolute()),
        choice.backend,
        batch,
        threads,
        native,
        seed,
        given,
        info.named_sizes(given),
        choice.options,
    )
    if other is None:
        return Side(model.stem, work)
    return Side(model.stem, work, other.path, lent_environment(other, choice.backend))


@dataclass(frozen=True)
class Subject:
    """One side of a comparison with what its record says about it.

    images: digest of those that a pipeline sees; changed: which of its files are not what they were, for people; empty where
    none is. taken: which shape was taken from the model's metadata, likewise.
    """

    label: str
    side: Side
    model: ModelSection
    warnings: tuple[Warning, ...] = ()
    images: str = ""
    changed: Callable[[], str] = lambda: ""
    taken: str = ""


def model_subject(model: Path, **options: Any) -> Subject:
    """As model_side."""
    side = model_side(model, **options)
    info = inspect_model(model)
    assert isinstance(side.work, ModelTurns)
    taken = taken_shapes(info, options.get("shapes") or {}, side.work.input_shapes)
    return Subject(_label(model.name, side), side, model_section(info), changed=model_alone(info), taken=taken)


def _label(name: str, side: Side) -> str:
    where = f" by {side.python}" if side.python != sys.executable else ""
    return f"{name} on {side.choice.words()}{where}"


def pipeline_subject(
    ready: Ready, run: RunFolder, pipeline: str, *, python: str | None = None, **options: Any
) -> Subject:
    """As pipeline_cell; `python` is the interpreter that runs it."""
    cell, workload = pipeline_cell(ready, run, pipeline, **options)
    other = None if python is None else inspect_interpreter(python)
    loop = has_native_loop(cell.choice.backend, other.library if other else None)
    environment = lent_environment(other, cell.choice.backend, whole=True) if other else {}
    python = other.path if other else sys.executable
    side = Side(pipeline, replace(workload, native=workload.native and loop), python, environment)
    where = f" by {side.python}" if other else ""
    label = (
        f"{pipeline} ({cell.choice.name or cell.choice.words()} {cell.precision} b{cell.batch} t{cell.threads}){where}"
    )
    changed = partial(ready.inputs.changed, pipeline, cell_inputs(cell))
    return Subject(
        label, side, model_section(ready.models[pipeline]), tuple(ready.warnings), ready.images_digest, changed
    )


def called_alike(a: Side, b: Side) -> tuple[Side, Side, Warning | None]:
    """Both without the interpreter, or both with it, and a word on that: its microseconds must not be B's alone."""
    if a.work.native == b.work.native:
        return a, b, None
    without = "A" if not a.work.native else "B"
    said = (
        f"both sides are called from Python: {without} has no native loop, and the interpreter would count for it alone"
    )
    return _from_python(a), _from_python(b), Warning("python-calls", said)


def _from_python(side: Side) -> Side:
    return replace(side, work=replace(side.work, native=False))


def distinct_labels(a: Subject, b: Subject) -> tuple[Subject, Subject]:
    """Two files of one name get as much of their paths into their labels as tells them apart."""
    mine, theirs = Path(a.model.path).parts, Path(b.model.path).parts
    if a.label != b.label or mine == theirs:
        return a, b
    for count in range(2, max(len(mine), len(theirs)) + 1):
        if mine[-count:] != theirs[-count:]:
            break
    return (
        replace(a, label=f"{Path(*mine[-count:])}: {a.label}"),
        replace(b, label=f"{Path(*theirs[-count:])}: {b.label}"),
    )
