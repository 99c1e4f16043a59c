"""A guess at a model with a look at what it gives on a picture: what `init` writes, and what a bench of images measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from seatrial.demo import PICTURE
from seatrial.errors import count_of, is_utf8, printable
from seatrial.kernels.detection_formats import FORMATS
from seatrial.model.file import ModelInfo
from seatrial.model.image_size import Size
from seatrial.pipeline.class_count import head_classes
from seatrial.pipeline.nothing_shown import nothing_shown
from seatrial.pipeline.plausibility import Plausibility
from seatrial.plan.guess import Guess, guess
from seatrial.plan.pipelines import Pipeline, Postprocess, Preprocess
from seatrial.plan.seen import Seen
from seatrial.plan.tasks import OBJECTS
from seatrial.runtimes.choice import BackendChoice

MOST_LOOKED_AT = 64


def guess_seen(
    info: ModelInfo, images: Path | None, backends: Sequence[str | BackendChoice], size: Size | None = None
) -> tuple[Guess, str]:
    """A first guess says how to run the model on a picture, and that says more; and why it was not run, or ''.

    images: a folder or a file, which need not be there; None: one that is bundled. size: as `guess` takes it.

    Raises:
        ModelError: no plan with a built-in preprocess can run the model.
    """
    from seatrial.jobs.glimpse import glimpse

    first = guess(info, size=size)
    if not backends:
        problem = "no runtime is installed; python -m pip install 'seatrial[cpu]'"
        return guess(info, not_run=problem, size=size), problem
    batch = first.batch_fixed or 1
    own = _pictures(images) if images else []
    seen = glimpse(info, first.preprocess, batch, own or [PICTURE], backends[0], extra_inputs=first.extra_inputs)
    unread = own and not seen.seen and not seen.problem
    if unread:
        seen = glimpse(info, first.preprocess, batch, [PICTURE], backends[0], extra_inputs=first.extra_inputs)
    found = replace(guess(info, seen.seen, seen.problem, size), run_s=seen.run_s)
    found = confirmed(info, _with_labels_that_fit(info, found), seen.seen)
    if unread:
        said = f"images: no picture can be read in {printable(str(images))}; the model was run on a picture of the demo"
        found = replace(found, unsure=(*found.unsure, said))
    return found, seen.problem


def boxes_counted(found: Guess) -> str | None:
    """What boxes are guessed to count, as a plan's `boxes` says it; None of what has none."""
    form = FORMATS.get(found.format or "") if found.task in OBJECTS else None
    return found.recognition.head.boxes or (form.units[0] if form else None)


def _postprocess(found: Guess) -> Postprocess:
    """What the plan's postprocess would be."""
    known = found.recognition
    head = {
        "task": found.task,
        "format": found.format,
        "boxes": known.head.boxes,
        "keypoints": known.keypoints,
        "outputs": list(known.outputs) or None,
    }
    if found.format == "one_channel":
        head["activation"] = found.activation
    if found.format == "ctc":
        head["blank"] = dict(known.keys).get("blank", "first")
    return Postprocess.model_validate(head)


def confirmed(info: ModelInfo, found: Guess, seen: Mapping[str, Seen]) -> Guess:
    """What files say is certain no more where the numbers of a picture contradict it, as a run would find, or show nothing."""
    known = found.recognition
    if not known.certain or not seen or found.task == "raw":
        return found
    spec = Pipeline(model=str(info.path), preprocess=Preprocess(size=found.size), postprocess=_postprocess(found))
    labels = info.labels() if found.labels_fit else None
    problem = Plausibility("guessed", spec, info, labels, seen).problem()
    if problem:
        why = f"yet that format {problem.partition(', which ')[2].partition('; ')[0]}"
    elif missing := nothing_shown(_postprocess(found), info, seen):
        why = f"{missing}, so that the reading is not confirmed"
    else:
        return found
    doubts = tuple(f"{reason}; {why}" for reason in known.certain)
    return replace(
        found,
        recognition=replace(known, certain=(), doubts=(*known.doubts, *doubts)),
        why=tuple(w for w in found.why if w not in known.certain),
        unsure=(*doubts, *found.unsure),
    )


def _with_labels_that_fit(info: ModelInfo, found: Guess) -> Guess:
    """Labels that are not as many as the head's classes name the wrong ones, from the first gap on."""
    if found.task == "raw":
        return found
    classes, labels = head_classes(_postprocess(found), info), info.labels()
    if not labels or classes is None or classes == len(labels):
        return found
    if found.task == "classify" and classes == len(labels) + 1:
        said = (
            f"background: the file names {len(labels)} classes for {classes} columns: is the first one the background, or the "
            "last?"
        )
        return replace(found, background="first", unsure=(*found.unsure, said))
    said = f"labels: the file names {count_of(len(labels), 'class', 'classes')}, and the head has {classes}: give one a class"
    return replace(found, labels_fit=False, unsure=(*found.unsure, said))


def _pictures(images: Path) -> list[Path]:
    found = [images] if images.is_file() else sorted(images.rglob("*")) if images.is_dir() else []
    return [p for p in found if p.is_file() and is_utf8(p.absolute())][:MOST_LOOKED_AT]
