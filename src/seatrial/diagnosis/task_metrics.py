"""What a difference is worth in the task's own terms: how far both sides' results agree, and against the truth.

For: figures with intervals beside a diagnosis. Not for: verdicts on them (gate), or where the sides part (diagnose.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from seatrial.cells.preflight import Ready
from seatrial.gate.accuracy import drop_interval
from seatrial.history.records.diagnosis import TaskFigure
from seatrial.parity.accuracy import evaluate
from seatrial.parity.evaluation import judged_images, value_of
from seatrial.parity.results import agreement
from seatrial.pipeline.results import Result, ResultsWriter
from seatrial.pipeline.stored import load_results_file
from seatrial.stats.sample import CONFIDENCE

SIDES, NAMES = ("reference.npz", "candidate.npz"), "names.json"


def write_results(folder: Path, names: Sequence[str], reference: Iterable[Result], candidate: Iterable[Result]) -> None:
    """Both sides' of the images so called, one by one, for the process that has the truth."""
    (folder / NAMES).write_text(json.dumps(list(names)), "utf-8")
    for name, results in zip(SIDES, (reference, candidate), strict=True):
        with ResultsWriter(folder / name) as writer:
            for result in results:
                writer.add(result)


def task_figures(ready: Ready, folder: Path, pipelines: tuple[str, str]) -> list[TaskFigure]:
    """Of what was written into the folder; none where nothing was. pipelines: whose classes each side counts.

    ValueError where the sides' results are of two kinds.
    """
    if not (folder / NAMES).is_file():
        return []
    names = json.loads((folder / NAMES).read_text("utf-8"))
    reference, candidate = (load_results_file(folder / side)[0] for side in SIDES)
    found = []
    agrees = agreement(reference, candidate)
    if agrees is not None and agrees.value is not None:
        said = agrees.said(names)
        figure = TaskFigure(metric=agrees.unit, candidate=agrees.value, interval=agrees.interval(0), said=said)
        found.append(figure)
    if ready.truth is None:
        return found
    by_name = {image.name: image for image in ready.images}
    images = [by_name[name] for name in names]
    sides = [
        evaluate(ready.truth, images, results, ready.class_maps[pipeline])
        for results, pipeline in zip((reference, candidate), pipelines, strict=True)
    ]
    if sides[0] is None or sides[1] is None:
        return found
    values = [value_of(e) for e in sides if e is not None]
    if values[0] is None or values[1] is None:
        return found
    interval = drop_interval(sides[0], sides[1], 0)
    said = f"drop at {CONFIDENCE:.0%} a side, paired over {judged_images(sides[1])} images"
    against_truth = TaskFigure(
        metric=sides[1].metric,
        reference=values[0],
        candidate=values[1],
        drop=values[0] - values[1],
        interval=interval,
        said=said,
    )
    return [*found, against_truth]
