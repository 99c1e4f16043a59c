"""A model looked at from all sides: what its file says, costs, may be used as, and which backends take it.

For: `inspect`, and what stands in front of a first trial. Not for: printing it (report/inspection_text.py) or timing it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seatrial.backends import Availability, availability
from seatrial.backends.catalogue import missing_extra
from seatrial.errors import ModelError
from seatrial.jobs.guessed import boxes_counted, guess_seen
from seatrial.jobs.opening import Opening, try_to_open
from seatrial.model.contents import Contents, contents_of
from seatrial.model.cost import Cost, cost_of
from seatrial.model.counted_shapes import counted_shapes
from seatrial.model.file import ModelInfo, inspect_model
from seatrial.model.image_size import image_input, main_input, size_in, sized
from seatrial.plan.guess import Guess, guess
from seatrial.runtimes.names import known_names

# What runs a picture for the guess, in this order.
GUESSERS = ("onnxruntime-cpu", "openvino-cpu")


@dataclass(frozen=True)
class Look:
    """cost is None where shapes are open, as no_cost says; guess is None where no plan fits, as no_guess says.

    openings: of the backends that are installed here, at opened_at; absent: the others. opened_at: input shapes, some of them
    guessed where the file leaves them open and nobody gave them; empty where there is nothing to guess from.
    """

    info: ModelInfo
    contents: Contents
    cost: Cost | None
    no_cost: str
    guess: Guess | None
    no_guess: str
    openings: tuple[Opening, ...]
    opened_at: dict[str, tuple[int, ...]]
    absent: tuple[Availability, ...]


def look_at(
    path: Path, shapes: dict[str, tuple[int, ...]], images: Path | None, says: Callable[[str], None], threads: int = 1
) -> Look:
    """shapes: of inputs, for the cost and for opening. images: what the guess runs it on, or None. says: hears each step.

    Raises:
        ModelError: the file is missing, cut short, not ONNX, or reaches outside its folder.
        UsageError: `shapes` names no input, or a shape that it cannot take.
    """
    says("reading the file")
    info = inspect_model(path)
    contents = contents_of(path)
    cost, no_cost, found_shapes = None, "", dict(shapes)
    try:
        found_shapes = counted_shapes(info, shapes)
        cost = cost_of(path, found_shapes)
    except ModelError as e:
        no_cost = e.for_command_line().removeprefix(f"{path}: ")
    opened_at = found_shapes if cost else _guessed_shapes(info)
    here = {n: availability(n) for n in known_names() if n != "fake"}
    openings = []
    for name in (n for n in here if here[n].ok):
        says(f"opening it with {name}")
        openings.append(_opening(info, name, opened_at, guessed=cost is None, threads=threads))
    says("running it on a picture")
    found, no_guess = None, ""
    taking = [o.backend for o in openings if o.opens and not o.run_problem]
    try:
        runners = [n for n in GUESSERS if n in taking] or [n for n in GUESSERS if here[n].ok]
        image = image_input(info)
        size = size_in(image, shapes[image.name]) if image and image.name in shapes else None
        found, _ = guess_seen(info, images, runners, size)
    except ModelError as e:
        no_guess = e.for_command_line().removeprefix(f"{path}: ")
    absent = tuple(a for a in here.values() if not a.ok)
    return Look(info, contents, cost, no_cost, found, no_guess, tuple(openings), opened_at, absent)


def _guessed_shapes(info: ModelInfo) -> dict[str, tuple[int, ...]]:
    """Of the one image that goes in, at the size that a first plan would have; empty where there is no such plan."""
    try:
        found = guess(info)
    except ModelError:
        return {}
    image, batch = main_input(info), found.batch_fixed or 1
    return {image.name: sized(image, batch, found.size)} | dict.fromkeys(found.extra_inputs, (batch, 2))


def _opening(info: ModelInfo, name: str, shapes: dict[str, tuple[int, ...]], guessed: bool, threads: int) -> Opening:
    """guessed: a shape that nobody gave is no reason to say that the backend refuses the model."""
    opening = try_to_open(info, name, shapes, threads)
    if opening.opens or not guessed or not shapes:
        return opening
    as_it_is = try_to_open(info, name, {}, threads)
    return replace(as_it_is, run_problem=opening.problem) if as_it_is.opens else opening


def why_absent(status: Availability) -> str:
    extra = missing_extra(status.name)
    return f"not installed (pip install 'seatrial[{extra}]')" if extra else status.reason


def look_json(look: Look) -> dict[str, Any]:
    """As `--json` writes it: base units, names as in the file."""
    info, contents, cost, found = look.info, look.contents, look.cost, look.guess
    return {
        "model": str(info.path),
        "digest": info.digest,
        "size_bytes": info.size_bytes,
        "external_files": [str(f) for f in info.external_files],
        "ir_version": contents.ir_version,
        "producer": contents.producer,
        "opsets": contents.opsets,
        "inputs": _tensors(info.inputs),
        "outputs": _tensors(info.outputs),
        "metadata": info.metadata,
        "labels": info.labels(),
        "weights": info.weights or "float32",
        "arithmetic": info.arithmetic or "float",
        "parameters": _held(contents.parameters),
        "constants": _held(contents.constants),
        "operators": [vars(o) | {"custom": o.custom} for o in contents.operators],
        "nodes": contents.nodes,
        "nodes_in_subgraphs": contents.inside,
        "node_names": contents.node_names,
        "cost": None
        if cost is None
        else vars(cost) | {n: [vars(u) for u in getattr(cost, n)] for n in ("uncounted", "left_out")},
        "no_cost": look.no_cost,
        "task": found.task if found else None,
        "format": found.format if found else None,
        "boxes": boxes_counted(found) if found else None,
        "certain": list(found.why) if found else [],
        "to_check": list(found.unsure) if found else [],
        "refused": found.recognition.refused if found else look.no_guess,
        "opened_at": look.opened_at,
        "backends": [
            *({"name": o.backend, "installed": True, "opens": o.opens, **_how(o)} for o in look.openings),
            *({"name": a.name, "installed": False, "opens": None, "why": why_absent(a)} for a in look.absent),
        ],
    }


def _tensors(tensors: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"name": t.name, "dtype": t.dtype, "shape": list(t.shape) if t.ranked else None} for t in tensors]


def _held(held: Any) -> dict[str, Any]:
    by_dtype = {dtype: {"values": values, "bytes": size} for dtype, (values, size) in held.by_dtype.items()}
    return {"values": held.values, "bytes": held.size_bytes, "by_dtype": by_dtype}


def _how(o: Opening) -> dict[str, Any]:
    return {"why": o.problem, "load_s": o.load_s, "run_s": o.run_s, "run_problem": o.run_problem}
