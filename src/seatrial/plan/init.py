"""Writes a commented plan from guesses at models: what their files say, what was guessed, and what is to be checked.

For: a first plan that runs. Not for: the guess (guess.py). A line that begins with `# CHECK` is a guess, and stands for as
long as nobody took it out (PlanFile.unconfirmed).
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.errors import ModelError, flag, printable
from seatrial.model.file import ModelInfo
from seatrial.plan.guess import Guess
from seatrial.plan.tasks import OBJECTS, WITHOUT_CLASSES
from seatrial.plan.unread_keys import WITHOUT_NMS

Stage = dict[str, str]
# Runs that a median takes whose neighbours are somewhat alike, and those of a comparison's eight rounds.
A_MEDIAN, A_COMPARISON = 60, 400
_NOTES = {
    "size": "               # height, width",
    "mode": "   # letterbox, stretch, resize_center_crop or pad",
    "interpolation": "       # linear, nearest, area, cubic, antialias_linear, antialias_cubic",
    "color": "                  # the order that the model expects",
    "scale": "               # (pixel * scale - mean) / std",
}


@dataclass(frozen=True)
class Guessed:
    """A model with what was made of it."""

    info: ModelInfo
    guess: Guess


def plan_text(
    info: ModelInfo,
    g: Guess,
    plan_folder: Path,
    images: str,
    backends: list[str],
    candidate: Guessed | None = None,
    batch: int = 1,
) -> str:
    """A commented plan for the model, with its own labels; valid as it stands where `images` is a folder of images.

    candidate: a second model, which the plan then holds against the first. batch: of models that leave it open.

    Raises:
        ModelError: two models that no plan can hold against each other; the message has the cure.
    """
    base = Guessed(info, g)
    fixed = _batch(base, candidate)
    run_s = max((m.guess.run_s or 0.0) for m in (base, candidate or base))
    models = {"baseline": base} | ({"candidate": candidate} if candidate else {})
    lines = [
        *(f"# {printable(line)}" for line in _comments(models)),
        *(
            ["# Confirm each line that begins with CHECK, and delete it: every run says which still stand."]
            if any(m.guess.unsure for m in models.values())
            else []
        ),
        "version: 1",
        "images:",
        f"  path: {quoted(images)}                # a folder of images, or a list of files",
        *_annotations(g),
        "pipelines:",
        "  baseline:",
        *_whole(base, plan_folder, _NOTES),
        *(_candidate(base, candidate, plan_folder) if candidate else _NO_CANDIDATE),
        "matrix:",
        f"  backends: [{', '.join(backends)}]",
        "  precisions: [fp32]              # and fp16, bf16, int8, int8-u8, fp8: made of the file, on the images above",
        f"  batch_sizes: [{fixed or batch}]" + ("               # fixed in the model" if fixed else ""),
        "  threads: [1]",
        "budgets:",
        f"  - {{metric: latency, at: p50, stage: end_to_end, max: {_limit(run_s)}}}   # your limit; p90 takes 631 requests, "
        "p99 7,268",
        f"parity: {{reference: {{pipeline: baseline, backend: {backends[0]}}}, tolerance: auto}}",
        *(
            [
                f"regression: {{against: baseline, margin: 2%, max_time: {_at_least(60, A_COMPARISON * run_s)} s}}   # is the "
                "candidate slower?"
            ]
            if candidate
            else []
        ),
        f"measure: {{max_time: {_at_least(20, A_MEDIAN * run_s)} s, precision: 2%}}   # of each cell, which ends earlier where "
        "its median is known to that",
    ]
    return "\n".join(lines) + "\n"


# What judges a task: a name to be given in the plan, and what it is.
_ANNOTATIONS = {
    "detect": ("annotations.json", "COCO JSON with boxes"),
    "instances": ("annotations.json", "COCO JSON with polygons or RLE"),
    "pose": ("annotations.json", "COCO JSON with keypoints"),
    "oriented": ("labels/", "a folder of DOTA's or Ultralytics' text files, or COCO JSON with four corners"),
    "segment": ("masks/", "a folder of label images (PNG), or COCO JSON with polygons or RLE"),
    "classify": ("annotations.csv", "a CSV with columns image,class"),
    "multi_label": ("annotations.csv", "a CSV with columns image,class, a row for each class of an image, or a;b"),
    "dense": ("annotations.csv", "a CSV with columns image,map, of .npy or 16-bit PNG files"),
    "ctc": ("annotations.csv", "a CSV with columns image,text"),
    "db": ("Label.txt", "PaddleOCR's label file: the image, a tab, and the list of its regions"),
    "raw": ("annotations.json", "what your Python stage's task is judged by: docs/plan.md"),
}


def _annotations(g: Guess) -> list[str]:
    key = g.format if g.task == "text" else "multi_label" if _multi_label(g) else g.task
    if key not in _ANNOTATIONS:
        return []
    name, what = _ANNOTATIONS[key]
    return [f"  # annotations: {name}   # {what}"]


def _multi_label(g: Guess) -> bool:
    return g.task == "classify" and dict(g.recognition.keys).get("multi_label") == "true"


def _limit(run_s: float) -> str:
    """Beyond what a run was seen to take: a limit that is surely broken, or not to be decided, says nothing."""
    return "200 ms" if run_s < 0.1 else f"{_at_least(1, 2 * run_s)} s"


def _at_least(seconds: int, asked_s: float) -> int:
    """Of whole seconds; from ten on, of tens."""
    step = 10 if asked_s > 10 else 1
    return max(seconds, math.ceil(asked_s / step) * step)


_NO_CANDIDATE = ["  # candidate:", "  #   extends: baseline", "  #   model: the-next-version.onnx"]


def _batch(base: Guessed, candidate: Guessed | None) -> int | None:
    """The batch that the models fix, where any does. ModelError where no plan can hold the two against each other."""
    if candidate is None:
        return base.guess.batch_fixed
    a, b = base.info.path, candidate.info.path
    second = shlex.join(["seatrial", "init", str(b), flag("output"), f"{b.stem}.yaml"])
    apart = f"write a plan for each: {shlex.join(['seatrial', 'init', str(a)])}; {second}"
    if base.guess.task != candidate.guess.task:
        said = [f"{m.info.path.name} is {_kind(m.guess)}" for m in (base, candidate)]
        raise ModelError(
            f"expected two models of one task, got unlike ones: {' and '.join(said)}: their results cannot be compared; {apart}"
        )
    fixed = {m.guess.batch_fixed for m in (base, candidate)} - {None}
    if len(fixed) > 1:
        raise ModelError(
            f"expected two models that take the same batch, got a fixed batch of {base.guess.batch_fixed} in {a.name} and of "
            f"{candidate.guess.batch_fixed} in {b.name}; export both with one, or {apart}"
        )
    return next(iter(fixed), None)


def _kind(g: Guess) -> str:
    return f"raw ({g.recognition.head.words})" if g.task == "raw" else " ".join(filter(None, (g.task, g.format)))


def _comments(models: Mapping[str, Guessed]) -> list[str]:
    """What is said of several models alike is said once."""
    names = " against ".join(m.info.path.name for m in reversed(list(models.values())))
    lines = [f"A trial of {names}; written by seatrial init. Inputs and outputs of the model{'s' * (len(models) > 1)}:"]
    for m in models.values():
        tensors = [f"  {t}" for t in (*m.info.inputs, *m.info.outputs)]
        lines += [f" {m.info.path.name}:", *tensors] if len(models) > 1 else tensors
    lines += _said("Known: ", {n: m.guess.why for n, m in models.items()})
    return lines + _said("CHECK ", {n: m.guess.unsure for n, m in models.items()})


def _said(before: str, by_name: Mapping[str, Iterable[str]]) -> list[str]:
    every = dict.fromkeys(line for said in by_name.values() for line in said)
    whose = {line: [name for name, said in by_name.items() if line in said] for line in every}
    return [f"{before}{line if len(n) == len(by_name) else f'{n[0]}: {line}'}" for line, n in whose.items()]


def _whole(m: Guessed, plan_folder: Path, notes: Mapping[str, str]) -> list[str]:
    """A pipeline's keys."""
    return [
        f"    model: {quoted(from_folder(m.info.path, plan_folder))}",
        "    decode: {color: bgr, exif: apply}",
        "    preprocess:",
        *(f"      {key}: {value}{notes.get(key, '')}" for key, value in _preprocess(m.guess).items()),
        "    postprocess:",
        *(f"      {key}: {value}" for key, value in _postprocess(m).items()),
    ]


def _candidate(base: Guessed, m: Guessed, plan_folder: Path) -> list[str]:
    """What differs from the baseline; whole where the baseline has keys that the candidate must not inherit."""
    mine = {"preprocess": _preprocess(m.guess), "postprocess": _postprocess(m)}
    theirs = {"preprocess": _preprocess(base.guess), "postprocess": _postprocess(base)}
    if any(not theirs[stage].keys() <= mine[stage].keys() for stage in mine):
        return ["  candidate:", *_whole(m, plan_folder, {})]
    lines = ["  candidate:", "    extends: baseline", f"    model: {quoted(from_folder(m.info.path, plan_folder))}"]
    for stage, keys in mine.items():
        own = [f"      {key}: {value}" for key, value in keys.items() if theirs[stage].get(key) != value]
        lines += [f"    {stage}:", *own] if own else []
    return lines


def from_folder(path: Path, plan_folder: Path) -> str:
    """As a plan names a path below its folder or beside it, so that all can be moved together; elsewhere the whole path."""
    for whole, folder in ((path.absolute(), plan_folder.absolute()), (path.resolve(), plan_folder.resolve())):
        for base, up in ((folder, ""), (folder.parent, "../")):
            if not whole.is_relative_to(base) or (up and base == base.parent):
                continue
            said = up + whole.relative_to(base).as_posix()
            # Of a link to a folder '..' is what that one lies in.
            if (plan_folder / said).resolve() == path.resolve():
                return said
    return str(path.resolve())


def _preprocess(g: Guess) -> Stage:
    p = g.preprocess
    stage = {"size": f"[{g.size[0]}, {g.size[1]}]", "mode": p["mode"]}
    stage["interpolation"] = p.get("interpolation", "linear")
    if "resize_short" in p:
        stage["resize_short"] = str(p["resize_short"])
    if p["mode"] == "letterbox":
        stage["pad_value"] = str(p.get("pad_value", 114))
    if "pad_anchor" in p:
        stage["pad_anchor"] = p["pad_anchor"]
    stage |= {"color": p["color"], "scale": "1" if p["scale"] == 1 else "1/255"}
    stage |= {"mean": _numbers(p["mean"]), "std": _numbers(p["std"]), "layout": p["layout"], "dtype": p["dtype"]}
    if g.extra_inputs:
        pairs = (f"{quoted(name)}: {kind}" for name, kind in g.extra_inputs.items())
        stage["extra_inputs"] = f"{{{', '.join(pairs)}}}"
    if "quant_scale" in p:
        stage |= {"quant_scale": f"{p['quant_scale']:.9g}", "zero_point": str(p["zero_point"])}
    return stage


def _postprocess(m: Guessed) -> Stage:
    g, labels = m.guess, m.info.labels()
    stage = {"task": g.task}
    if g.task == "text":
        stage |= {"format": g.format or "", **dict(g.recognition.keys)}
        stage |= {"activation": g.activation} if g.format == "ctc" else {}
    elif g.format:
        stage["format"] = g.format
    if g.task in OBJECTS:
        stage |= {"confidence": "0.25"} | ({} if g.format in WITHOUT_NMS else {"iou": "0.45"})
    if g.recognition.head.boxes:
        stage["boxes"] = g.recognition.head.boxes
    if g.format == "one_channel":
        stage |= {"activation": g.activation, "threshold": "0.5"}
    if g.task == "segment" and g.format != "class_map":
        stage["resize"] = "nearest   # linear: as transformers and mmseg draw the scores out first"
    if g.task == "dense":
        stage["# scale"] = "1   # values become value * scale + shift; invert: true makes depth of disparity"
    if g.recognition.keypoints:
        stage["keypoints"] = quoted(list(g.recognition.keypoints))
    if g.task == "classify":
        stage |= {"multi_label": "true"} if _multi_label(g) else {"top_k": "5"}
        stage["activation"] = g.activation
        if g.background and not _multi_label(g):
            stage["background"] = g.background
    if g.recognition.outputs:
        stage["outputs"] = quoted(list(g.recognition.outputs))
    if not g.labels_fit:
        stage["labels"] = "[]"
    elif labels and len(labels) <= 100 and g.task not in WITHOUT_CLASSES:
        stage["labels"] = quoted(labels)
    return stage


def quoted(value: Any) -> str:
    """A value as JSON that is YAML too: what YAML takes for the end of a line, or refuses, is escaped as YAML reads it."""
    return "".join(c if printable(c) == c else f"\\U{ord(c):08x}" for c in json.dumps(value, ensure_ascii=False))


def _numbers(values: Sequence[float]) -> str:
    return f"[{', '.join(f'{v:g}' for v in values)}]"
