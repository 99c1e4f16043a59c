"""seatrial parity A.onnx B.onnx: where two models part inside. For: the command `parity`. Not for: plans' pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.cli.output import shown, write_json
from seatrial.cli.words import shapes_of
from seatrial.errors import ExitCode, ResultsError, UsageError
from seatrial.report.localise_text import print_inside, print_recipe

if TYPE_CHECKING:
    from rich.console import Console

    from seatrial.jobs.workload import PipelineWorkload
    from seatrial.localise import FoundRecipe, InsideModel
    from seatrial.runtimes.choice import BackendChoice

CODES = {"equal": ExitCode.PASS, "differ": ExitCode.FAIL, "not enough": ExitCode.INCONCLUSIVE}
IMAGES = 4
BUDGET_BYTES = 512 << 20


def parity_of_models(
    out: Console,
    a: Path,
    b: Path,
    *,
    backends: tuple[str | BackendChoice, str | BackendChoice] = ("onnxruntime-cpu", "onnxruntime-cpu"),
    images: Path | None = None,
    plan: str | None = None,
    shape: list[str] | None = None,
    count: int = IMAGES,
    threads: int = 1,
    budget_bytes: int = BUDGET_BYTES,
    timeout_s: float = 600.0,
    recipe: Path | None = None,
    json: Path | None = None,
) -> ExitCode:
    """Prints which nodes answer otherwise on equal inputs, and writes it as JSON.

    backends: of A and of B, which may be one file. images, plan: pictures, through `init`'s preprocessing or a plan's pipeline;
    without them inputs are made up, of `shape` where the file leaves that open. recipe: where to write which nodes must stay in
    fp32 for A to be right in B's precision.
    """
    from seatrial.cells.checks import check_backend
    from seatrial.localise import models

    backends = check_backend(backends[0]), check_backend(backends[1])
    precision = "" if recipe is None else _precision_for_recipe(b)
    pipeline = _pipeline(out, a, plan, images, shape, count) if plan or images else None
    with out.status("reading both models") as status:
        found = models(
            a,
            b,
            backends=backends,
            pipeline=pipeline,
            shapes=shapes_of(shape),
            count=count,
            threads=threads,
            budget_bytes=budget_bytes,
            timeout_s=timeout_s,
            tell=lambda step, share: status.update(f"{step} {share:.0%}" if share else step),
        )
    words = (f"{shown(a)} on {backends[0].words()}", f"{shown(b)} on {backends[1].words()}")
    hunted = None
    if recipe is not None:
        hunted = _recipe(out, a, precision, pipeline, shape, count, threads, timeout_s)
        _write(recipe, hunted)
        print_recipe(out, hunted, str(recipe))
    print_inside(out, words, pipeline is None, found)
    write_json(json, _json(a, b, backends, pipeline is None, found, hunted))
    return CODES[found.verdict]


def _pipeline(
    out: Console, model: Path, plan: str | None, images: Path | None, shape: list[str] | None, count: int
) -> PipelineWorkload:
    """Whose pictures and preprocessing give A's inputs."""
    from seatrial.cells.matrix import Cell
    from seatrial.cells.preflight import preflight
    from seatrial.cells.prepare import workload_of
    from seatrial.cli.convert import conversion_subject

    file, pipeline = conversion_subject(out, str(model), plan, images, shape)
    ready = preflight(file, False, lambda _what: None)
    info = ready.models[pipeline]
    first = info.inputs[0].shape[0] if info.inputs and info.inputs[0].shape else None
    batch = first if isinstance(first, int) else 1
    return workload_of(ready, Cell(pipeline, "onnxruntime-cpu", "fp32", batch, 1), info.path)


def _precision_for_recipe(b: Path) -> str:
    """Asked before anything runs, whose answer would be lost."""
    from seatrial.localise.job import precision_of
    from seatrial.model.file import inspect_model

    precision = precision_of(inspect_model(b))
    if precision == "fp32":
        raise UsageError(
            f"{b}: expected a model in 16 or 8 bits, which a recipe is for, got one in fp32; leave it out",
            option="recipe",
        )
    return precision


def _recipe(
    out: Console,
    a: Path,
    precision: str,
    pipeline: PipelineWorkload | None,
    shape: list[str] | None,
    count: int,
    threads: int,
    timeout_s: float,
) -> FoundRecipe:
    from seatrial.localise.recipe_job import recipe_of

    with out.status("looking for a recipe") as status:
        return recipe_of(
            a,
            precision,
            pipeline=pipeline,
            shapes=shapes_of(shape),
            count=count,
            threads=threads,
            timeout_s=timeout_s,
            tell=lambda step, _share: status.update(step),
        )


def _write(path: Path, found: FoundRecipe) -> None:
    if not (found.restores and found.nodes):
        return
    try:
        path.write_text(found.text(), "utf-8")
    except OSError as e:
        raise ResultsError(
            f"{path}: cannot be written: {e.strerror or e}; name another file", option="recipe"
        ) from None


def _json(
    a: Path,
    b: Path,
    backends: tuple[BackendChoice, BackendChoice],
    made_up: bool,
    found: InsideModel,
    hunted: FoundRecipe | None,
) -> dict[str, object]:
    from seatrial.localise.as_json import inside_json, recipe_json

    sides = [
        {"model": str(path), "backend": choice.backend, "backend_options": dict(choice.options)}
        for path, choice in zip((a, b), backends, strict=True)
    ]
    return {
        "schema": "seatrial.parity/1",
        "kind": "models",
        "a": sides[0],
        "b": sides[1],
        "made_up_inputs": made_up,
        **inside_json(found),
        "recipe": None if hunted is None else recipe_json(hunted),
    }
