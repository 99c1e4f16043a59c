"""Writes a commented plan from a guess at a model: what its file says, what was guessed, and what is to be checked.

For: a first plan that runs. Not for: the guess (guess.py). A line that begins with `# CHECK` is a guess, and stands for as
long as nobody took it out (PlanFile.unconfirmed).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seatrial.errors import printable
from seatrial.model.file import ModelInfo
from seatrial.plan.guess import Guess


def plan_text(info: ModelInfo, g: Guess, plan_folder: Path, images: str, backends: list[str]) -> str:
    """A commented plan for the model, with its own labels; valid as it stands where `images` is a folder of images."""
    try:
        model = info.path.resolve().relative_to(plan_folder.resolve()).as_posix()
    except ValueError:
        model = str(info.path.resolve())
    p, labels = g.preprocess, info.labels()
    facts = [f"  {i}" for i in (*info.inputs, *info.outputs)]
    notes = [f"From the file: {w}" for w in g.why] + [f"CHECK {u}" for u in g.unsure]
    post = [f"task: {g.task}"]
    if g.format:
        post += [f"format: {g.format}", "confidence: 0.25", "iou: 0.45"]
    if g.task == "classify":
        post += ["top_k: 5", f"activation: {g.activation}"]
    if g.recognition.outputs:
        post.append(f"outputs: {quoted(list(g.recognition.outputs))}")
    confirm = ["# Confirm each line that begins with CHECK, and delete it: every run says which still stand."]
    heading = f"A trial of {info.path.name}; written by seatrial init. Inputs and outputs of the model:"
    lines = [
        *(f"# {printable(line)}" for line in (heading, *facts, *notes)),
        *(confirm if g.unsure else []),
        "version: 1",
        "images:",
        f"  path: {quoted(images)}                # a folder of images, or a list of files",
        "  # annotations: annotations.json   # COCO JSON (boxes, polygons) or a CSV with columns image,class",
        "pipelines:",
        "  baseline:",
        f"    model: {quoted(model)}",
        "    decode: {color: bgr, exif: apply}",
        "    preprocess:",
        f"      size: [{g.size[0]}, {g.size[1]}]               # height, width",
        f"      mode: {p['mode']}   # letterbox, stretch, resize_center_crop or pad",
        f"      interpolation: {p.get('interpolation', 'linear')}       "
        "# linear, nearest, area, cubic, antialias_linear, antialias_cubic",
        *([f"      resize_short: {p['resize_short']}"] if "resize_short" in p else []),
        *(["      pad_value: 114"] if p["mode"] == "letterbox" else []),
        *([f"      pad_anchor: {p['pad_anchor']}"] if "pad_anchor" in p else []),
        f"      color: {p['color']}                  # the order that the model expects",
        f"      scale: {'1' if p['scale'] == 1 else '1/255'}               # (pixel * scale - mean) / std",
        f"      mean: {_numbers(p['mean'])}",
        f"      std: {_numbers(p['std'])}",
        f"      layout: {p['layout']}",
        f"      dtype: {p['dtype']}",
        *(
            [f"      quant_scale: {p['quant_scale']:.9g}", f"      zero_point: {p['zero_point']}"]
            if "quant_scale" in p
            else []
        ),
        "    postprocess:",
        *(f"      {line}" for line in post),
        *([f"      labels: {quoted(labels)}"] if labels and len(labels) <= 100 else []),
        "  # candidate:",
        "  #   extends: baseline",
        "  #   model: the-next-version.onnx",
        "matrix:",
        f"  backends: [{', '.join(backends)}]",
        "  precisions: [fp32]              # fp32, int8 (calibrated on the images above)",
        f"  batch_sizes: [{g.batch_fixed or 1}]" + ("               # fixed in the model" if g.batch_fixed else ""),
        "  threads: [1]",
        "budgets:",
        "  - {metric: latency, at: p50, stage: end_to_end, max: 200 ms}   # your limit; p90 takes 631 requests, p99 7,268",
        f"parity: {{reference: {{pipeline: baseline, backend: {backends[0]}}}, tolerance: auto}}",
        "measure: {max_time: 5 s}",
    ]
    return "\n".join(lines) + "\n"


def quoted(value: Any) -> str:
    """A value as JSON that is YAML too: what YAML takes for the end of a line, or refuses, is escaped as YAML reads it."""
    return "".join(c if printable(c) == c else f"\\U{ord(c):08x}" for c in json.dumps(value, ensure_ascii=False))


def _numbers(values: tuple[float, ...]) -> str:
    return f"[{', '.join(f'{v:g}' for v in values)}]"
