"""The diagnosis in a process of its own: the reference is opened there, and the candidate read from what it left.

For: both ends of the process boundary. Not for: the diagnosis itself (diagnose.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from pydantic.dataclasses import dataclass

from seatrial.diagnosis.calibration import InputRange
from seatrial.errors import DataError, SeatrialError, count_of, did_you_mean, short_list
from seatrial.history.records.diagnosis import Invariant, ParityRecord
from seatrial.jobs.job import Job, Tell
from seatrial.jobs.workload import STRICT, PipelineWorkload
from seatrial.plan import pipelines
from seatrial.runtimes.choice import BackendChoice
from seatrial.warning import Warning

if TYPE_CHECKING:
    from seatrial.diagnosis.diagnose import Comparison
    from seatrial.diagnosis.opened import OpenedWay
    from seatrial.diagnosis.runner import Runner
    from seatrial.diagnosis.way import Way
    from seatrial.history.records import ParityResult
    from seatrial.history.records.diagnosis import TaskFigure
    from seatrial.taps.folder import TapsFolder


Value = TypeVar("Value")
Given = ParamSpec("Given")
# Of a second or two for each of some thirty calibrations that are tried.
CALIBRATION_S = 45.0


@dataclass(frozen=True, config=STRICT, kw_only=True)
class DiagnoseTask:
    """Beside its answer it leaves pictures (pictures.py) and results (task_metrics.py). workload: the reference. candidate: how
    it is called; taps: the folder of what it shows. time_s: for all of it, less opening. other_model: whether the candidate is
    known to run another model; other_backend, other_precision: what it runs on, '' where the taps have to say it, or nobody
    does. same_by_plan: whether both sides are one and the same, whatever they are called. least_agreement: the plan's limit.
    other_invariants, other_computed_in, other_range: what is known of it by itself. required: what share of its products has
    to compute in its precision. together, choices: the plan's largest batch, and its backends."""

    workload: PipelineWorkload
    reference: str
    candidate: str
    taps: str
    time_s: float
    other_model: bool = False
    other_backend: str = ""
    other_precision: str = ""
    other_invariants: tuple[Invariant, ...] = ()
    other_computed_in: dict[str, int] = field(default_factory=dict)
    other_range: InputRange | None = None
    required: float | None = None
    together: int = 0
    choices: tuple[BackendChoice, ...] = ()
    same_by_plan: bool = False
    least_agreement: float | None = None


# Of so many images one has a result on either side, or the kind is not asked for.
KIND_IMAGES = 8


def diagnose(task: DiagnoseTask, folder: Path, tell: Tell) -> ParityRecord:
    from seatrial.diagnosis.alone import SHARE_OF_TIME, held_alone
    from seatrial.diagnosis.conclude import conclude
    from seatrial.diagnosis.diagnose import compare
    from seatrial.diagnosis.floor import measured
    from seatrial.diagnosis.limits import limits_of
    from seatrial.diagnosis.opened import open_way
    from seatrial.diagnosis.pictures import worst_pictures, write_pictures
    from seatrial.diagnosis.runner import Runner
    from seatrial.pipeline.build import labels_of
    from seatrial.taps.folder import TapsFolder

    shown = TapsFolder.open(Path(task.taps))
    w = task.workload
    backend = task.other_backend or shown.manifest.backend
    precisions = w.precision, task.other_precision or shown.manifest.precision
    with open_way(w, tell, backend, task.choices) as opened:
        _check_images(shown, opened)
        left_out = _check_stages(shown, opened.way, task.other_model)
        runner = Runner(lambda i: opened.data[i])
        _check_kinds(task, shown, opened, runner)
        tell("measuring the reference's own floor", 0.0)
        floor = measured(opened.way, runner, range(len(opened.names)), opened.again, w.precision)
        same_runtime = backend == w.backend.backend
        compared = compare(
            opened.way,
            opened.encoded,
            opened.names,
            shown,
            time_s=task.time_s,
            other_model=task.other_model,
            limits=limits_of(floor, precisions, same_runtime, decoded=decodes(w), agreement=task.least_agreement),
            colors={str(stage): color for stage, color in shown.manifest.color.items()},
            tell=tell,
        )
        tell("drawing the worst images", 1.0)
        labels = labels_of(w.spec, w.model_info, Path(w.folder))
        write_pictures(folder, list(worst_pictures(compared, opened.way, opened.encoded, labels)))
        tell("collecting results", 1.0)
        agreement, figures, warnings = _results(folder, compared, opened.way, shown)
        record = conclude(compared, opened.way, task.reference, task.candidate, agreement, task.same_by_plan)
        record = record.model_copy(update={"task": figures, "warnings": (*record.warnings, *left_out, *warnings)})
        tell("trying the reference by itself", 1.0)
        held = held_alone(w, "reference", task.together, task.time_s * SHARE_OF_TIME, opened.way.subject.run)
        return _with_evidence(record, task, shown, opened, compared, held, tell)


def _results(
    folder: Path, compared: Comparison, way: Way, shown: TapsFolder
) -> tuple[ParityResult | None, tuple[TaskFigure, ...], tuple[Warning, ...]]:
    """Left in the folder for who has the truth, with how far they agree. Where the candidate shows none they are what the
    reference makes of its raw outputs."""
    from seatrial.diagnosis.stages import CANDIDATES, OUTPUTS, RESULTS
    from seatrial.diagnosis.task_metrics import agreement_figure, forget_results, results_agreement, write_results
    from seatrial.kernels.arguments import ArgumentError

    of_outputs = RESULTS not in shown.stages
    if not compared.parts or (of_outputs and compared.parts[-1].stretch.end not in (OUTPUTS, CANDIDATES)):
        return None, (), ()
    last = compared.parts[-1].stretch
    candidate = (last.onward(way, i).value if of_outputs else last.candidate(i) for i in range(len(compared.names)))
    try:
        write_results(folder, compared.names, compared.reference_results(way), candidate)
        found = results_agreement(folder)
    except (SeatrialError, ArgumentError, ValueError) as e:
        said = f"both sides' results cannot be held against each other: {e}"
        forget_results(folder)
        return None, (), (Warning("task-not-judged", said),)
    return found, (agreement_figure(found, of_outputs),) if found else (), ()


def decodes(w: PipelineWorkload) -> bool:
    """Whether the pipeline makes results of raw outputs, which can decide where these are of less precision."""
    return not (isinstance(w.spec.postprocess, pipelines.Postprocess) and w.spec.postprocess.task == "raw")


def _unless_broken(look: Callable[Given, Value], *args: Given.args, **kwargs: Given.kwargs) -> Value | None:
    """None where the way cannot be gone, which the comparison has said."""
    from seatrial.diagnosis.stretch import CANNOT

    try:
        return look(*args, **kwargs)
    except CANNOT:
        return None


def _with_evidence(
    record: ParityRecord,
    task: DiagnoseTask,
    shown: TapsFolder,
    opened: OpenedWay,
    compared: Comparison,
    held: tuple[Invariant, ...],
    tell: Tell,
) -> ParityRecord:
    """What is known otherwise than by making mistakes in the reference. held: of the reference by itself."""
    from seatrial.diagnosis.by_itself import with_findings, with_invariants, with_precision, with_reference_odd
    from seatrial.diagnosis.calibration import calibrated_otherwise, range_wrong
    from seatrial.diagnosis.mutations.model import AGAINST
    from seatrial.diagnosis.rows import batch_dependent
    from seatrial.diagnosis.stages import OUTPUTS
    from seatrial.diagnosis.votes import backend_wrong, in_fp32, precision_not_applied

    w, found = task.workload, []
    precision = task.other_precision or shown.manifest.precision
    unexplained = [p for p in compared.parts if p.diverges and p.found and not p.found.best and not p.too_little]
    for part in unexplained[:1]:
        found.append(_unless_broken(batch_dependent, part, shown.manifest.batch or 0, shown.names))
        if not task.other_model and task.other_precision == w.precision:
            backends = w.backend.backend, task.other_backend
            found.append(_unless_broken(backend_wrong, part, opened.way, backends, opened.judges))
    ends = {p.stretch.end for p in compared.parts if p.diverges and not (p.found and p.found.best)}
    if task.other_range and OUTPUTS in ends:
        found.append(range_wrong(task.other_range))
    if unexplained and not any(found) and (not precision or precision.startswith("int8")):
        tell("calibrating again", 1.0)
        left_s = min(CALIBRATION_S, task.time_s - compared.wall_s)
        untried: list[str] = []
        found.append(_unless_broken(calibrated_otherwise, unexplained[0], opened.way, left_s, untried.append))
        said = [Warning("mistakes-untried", f"not every known mistake was tried: {u}") for u in dict.fromkeys(untried)]
        record = record.model_copy(update={"warnings": (*record.warnings, *said)})
    record = with_findings(record, [d for d in found if d])
    record = with_reference_odd(record, AGAINST)
    record = with_invariants(record, (*held, *task.other_invariants))
    asked = precision not in ("", "fp32") and w.precision == "fp32" and not task.other_model
    pairs = (_unless_broken(in_fp32, compared.parts, opened.way) if asked else None) or []
    why = precision_not_applied(precision or "fp32", task.other_computed_in, pairs)
    return with_precision(record, precision, why, task.other_computed_in, task.required)


def _fit(shapes: Sequence[tuple[int, ...]], way: Way) -> bool:
    """With the model's outputs, one by one: with or without a batch of one."""
    infos = way.subject.model.outputs
    fit = [o.fits(s) or o.fits((1, *s)) for o, s in zip(infos, shapes, strict=False)]
    return len(shapes) == len(infos) and all(fit)


def _check_images(shown: TapsFolder, opened: OpenedWay) -> None:
    """DataError where a name means another file on either side."""
    known = set(opened.names)
    others = [
        image.name
        for image in shown.manifest.images
        if image.name in known
        and image.sha256
        and hashlib.sha256(opened.encoded(image.name)).hexdigest() != image.sha256
    ]
    if others:
        raise DataError(
            f"{count_of(len(others), 'image')} of the taps was made of another file than the plan's of that name "
            f"({short_list(others)}); compare what was made of the same images",
            subject=shown.path,
        )


def _check_kinds(task: DiagnoseTask, shown: TapsFolder, opened: OpenedWay, runner: Runner) -> None:
    """DataError where the sides' results are of two kinds: no mistake that is tried makes boxes of classes."""
    from seatrial.diagnosis.stages import RESULTS

    if RESULTS not in shown.stages or RESULTS not in opened.way.steps:
        return
    known = set(shown.names)
    for i in [i for i, name in enumerate(opened.names) if name in known][:KIND_IMAGES]:
        candidate, reference = shown.load(opened.names[i]).results, runner.at(opened.way, i, RESULTS).value
        if candidate is None or reference is None:
            continue
        ours, theirs = type(reference), type(candidate)
        if ours is not theirs:
            raise DataError(
                f"gives {theirs.__name__} as results, where {task.reference} gives {ours.__name__}; compare pipelines of one "
                "task, or write results.kind where taps were taken for another",
                subject=task.candidate,
            )
        return


def _check_stages(shown: TapsFolder, way: Way, other_model: bool) -> list[Warning]:
    """What of the taps nothing is compared with, and what they say of themselves. DataError where they have raw outputs, and
    one of the model's is not among them, by name or by its place and shape: but another model may have others."""
    from seatrial.diagnosis.diagnose import compares_candidates
    from seatrial.diagnosis.logged import outputs_in_order
    from seatrial.diagnosis.stages import CANDIDATES

    names = [o.name for o in way.subject.model.outputs]
    own = shown.manifest.output_names
    found = []
    missing = [n for n in names if n not in own] if own else []
    if missing:
        lists = f"the taps have the raw outputs {short_list(own)}, the plan's model {short_list(names)}"
        first = outputs_in_order(shown.load(shown.names[0]).outputs, names)
        if _fit([o.shape for o in first], way):
            found.append(
                Warning("outputs-by-order", f"{lists}: they were compared in this order, as their shapes agree")
            )
        elif other_model:
            found.append(Warning("not-compared", f"{lists}: outputs of two models, which are not of one kind"))
        else:
            raise DataError(
                f"{lists}, and {missing[0]!r} is not among them{did_you_mean(missing[0], list(own))}; record all that it has, "
                "by their names, or none",
                subject=shown.path,
            )
    over = [] if missing else [f"output {n!r}" for n in own if n not in names]
    over += [f"'{s}'" for s in shown.stages if s not in (*way.steps, CANDIDATES)]
    if over:
        said = f"the taps have {short_list(over)}, which the plan's pipeline has not: nothing is compared with it"
        found.append(Warning("not-compared", said))
    if CANDIDATES in shown.stages and not compares_candidates(way, shown):
        said = "they are where NMS chooses among a detector's boxes, and the raw outputs in front of them are shown too"
        found.append(Warning("not-compared", f"the taps' '{CANDIDATES}' are not compared: {said}"))
    if shown.manifest.note:
        found.append(Warning("taps-note", f"taps.json says: {shown.manifest.note}"))
    return found


JOB = Job("seatrial.diagnosis.job", DiagnoseTask, ParityRecord, diagnose, timed=False)
