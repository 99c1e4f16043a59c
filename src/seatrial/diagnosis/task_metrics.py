"""What a difference is worth in the task's own terms: how far both sides' results agree, and against the truth.

For: figures with intervals beside a diagnosis. Not for: verdicts on them (gate), or where the sides part (diagnose.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from seatrial.cells.preflight import Ready
from seatrial.diagnosis.loss import Loss, loss_of
from seatrial.gate.accuracy import drop_interval
from seatrial.history.files import write_atomic
from seatrial.history.records import ParityResult
from seatrial.history.records.diagnosis import TaskFigure
from seatrial.parity.accuracy import evaluate
from seatrial.parity.evaluation import BoxEvaluation, judged_images, value_of
from seatrial.parity.results import agreement
from seatrial.pipeline.results import Result, ResultsWriter
from seatrial.pipeline.stored import load_results_file
from seatrial.stats.sample import CONFIDENCE

SIDES, NAMES = ("reference.npz", "candidate.npz"), "names.json"


def write_results(folder: Path, names: Sequence[str], reference: Iterable[Result], candidate: Iterable[Result]) -> None:
    """Both sides' of the images so called, one by one, for the process that has the truth."""
    write_atomic(folder / NAMES, json.dumps(list(names)).encode())
    for name, results in zip(SIDES, (reference, candidate), strict=True):
        with ResultsWriter(folder / name) as writer:
            for result in results:
                writer.add(result)


def results_agreement(folder: Path) -> ParityResult | None:
    """Of what was written into the folder, as a trial has it; None where nothing was, or the task has no decoded results.

    ValueError where the sides' results are of two kinds.
    """
    if not (folder / NAMES).is_file():
        return None
    names = json.loads((folder / NAMES).read_text("utf-8"))
    reference, candidate = (load_results_file(folder / side)[0] for side in SIDES)
    found = agreement(reference, candidate)
    if found is None:
        return None
    order = np.argsort(found.by_image, kind="stable")
    return ParityResult(
        reference="",
        rtol=None,
        atol=None,
        # Empty on both sides throughout: they agree, and nobody has seen anything.
        agreement=1.0 if found.value is None else found.value,
        agreement_unit=found.unit,
        agreement_interval=found.interval(0),
        agreement_n=found.count,
        agreement_of=found.counted,
        matched=found.said(names),
        reference_empty=found.reference_empty,
        worst_images=tuple(names[int(i)] for i in order[:6] if found.by_image[int(i)] < 1),
    )


def agreement_figure(found: ParityResult, of_outputs: bool) -> TaskFigure:
    """of_outputs: the candidate's results are what the reference's postprocess makes of its raw outputs."""
    assert found.agreement is not None
    by = "; the candidate's by the reference's postprocess, from its raw outputs" if of_outputs else ""
    said = f"{found.matched}{by}"
    return TaskFigure(
        metric=found.agreement_unit, candidate=found.agreement, interval=found.agreement_interval, said=said
    )


def forget_results(folder: Path) -> None:
    """What was written of them before something broke, which nobody is to read."""
    for name in (NAMES, *SIDES):
        (folder / name).unlink(missing_ok=True)


def truth_figures(ready: Ready, folder: Path, pipelines: tuple[str, str]) -> tuple[list[TaskFigure], Loss | None]:
    """Both sides against the truth, of what was written into the folder, and what the candidate loses; none where nothing was,
    or there is no truth of it. pipelines: whose classes each side counts.

    ValueError where results are of no kind that the truth is of, or no image that was compared has a truth.
    """
    if ready.truth is None or not (folder / NAMES).is_file():
        return [], None
    names = json.loads((folder / NAMES).read_text("utf-8"))
    by_name = {image.name: image for image in ready.images}
    images = [by_name[name] for name in names]
    sides = [
        evaluate(ready.truth, images, load_results_file(folder / side)[0], ready.class_maps[pipeline])
        for side, pipeline in zip(SIDES, pipelines, strict=True)
    ]
    if sides[0] is None or sides[1] is None:
        return [], None
    if isinstance(sides[1], BoxEvaluation) and any(np.isnan(c.score).any() for c in sides[1].classes):
        raise ValueError("the candidate's boxes have no scores, by which mAP ranks them; log scores")
    values = [value_of(e) for e in sides if e is not None]
    if values[0] is None or values[1] is None:
        raise ValueError(f"the truth has nothing that {sides[1].metric} could be told of on these images")
    interval = drop_interval(sides[0], sides[1], 0)
    said = f"drop at {CONFIDENCE:.0%} a side, paired over {judged_images(sides[1])} images"
    figure = TaskFigure(
        metric=sides[1].metric,
        reference=values[0],
        candidate=values[1],
        drop=values[0] - values[1],
        interval=interval,
        said=said,
    )
    return [figure], loss_of(sides[0], sides[1])
