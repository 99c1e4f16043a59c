"""Labels, classes and truth of every pipeline, before the first cell: what fits, what is said about it.

For: preflight.py. Not for: which class is which (parity/classes.py), or images and models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from seatrial.cells.truth_form import check_file, check_label_sizes, check_objects, judged_tasks, order_told
from seatrial.errors import DataError, count_of, short_list
from seatrial.images.check import CheckedImage
from seatrial.images.files import ImageFile
from seatrial.model.file import ModelInfo
from seatrial.parity.classes import ClassMap, map_classes
from seatrial.parity.empty_truth import nothing_to_find
from seatrial.parity.keypoint_names import check_keypoint_names
from seatrial.parity.names import fold
from seatrial.parity.pose_sigmas import default_sigmas
from seatrial.parity.regions import check_regions
from seatrial.parity.relabel import Relabelling, relabelling, through_truth
from seatrial.parity.texts import check_texts, unreadable
from seatrial.parity.truth import Truth, check_truth, load_truth
from seatrial.parity.turned import turned_notes
from seatrial.pipeline.class_count import head_classes
from seatrial.pipeline.other_task import task_of_classes
from seatrial.plan import pipelines, tasks
from seatrial.plan.load import PlanFile
from seatrial.plan.reference import baseline_name
from seatrial.warning import Warning

Labels = dict[str, list[str] | None]


def label_notes(name: str, spec: pipelines.Pipeline, info: ModelInfo, labels: list[str] | None) -> list[Warning]:
    """What the model's own names leave open, or where the plan's labels contradict them."""
    if spec.postprocess.labels is None:
        return [note.of(f"pipelines.{name}") for note in info.label_notes()]
    pairs = zip(labels or [], info.labels() or [], strict=False)
    unlike = [f"{k}: {ours!r}, not {own!r}" for k, (ours, own) in enumerate(pairs) if fold(ours) != fold(own) and own]
    if not unlike:
        return []
    said = (
        f"{count_of(len(unlike), 'label')} of the plan differ from the names in the model's metadata "
        f"({short_list(unlike, 3)}): the plan's count"
    )
    return [Warning("label-conflict", said).of(f"pipelines.{name}")]


def truth_of(plan: PlanFile, images: list[ImageFile], checked: list[CheckedImage]) -> Truth | None:
    """The plan's, cut to the trial's images; None where it names none. An image may have several classes where any pipeline
    gives several."""
    spec = plan.plan.images
    if spec.annotations is None:
        return None
    posts = [p.postprocess for p in plan.plan.pipelines.values() if isinstance(p.postprocess, pipelines.Postprocess)]
    multi_label = any(p.multi_label for p in posts)
    check_file(plan.resolve(spec.annotations), posts, images)
    sizes_hw = [c.source_hw for c in checked]
    return load_truth(plan.resolve(spec.annotations), images, sizes_hw, multi_label, spec.map_scale, spec.not_judged)


def map_truth(
    plan: PlanFile,
    truth: Truth | None,
    images: list[ImageFile],
    checked: list[CheckedImage],
    infos: dict[str, ModelInfo],
    labels: Labels,
) -> tuple[list[Warning], dict[str, ClassMap | None]]:
    """What the truth says that is odd, and each pipeline's class map; None of what has no truth. DataError names the pipeline
    that cannot be judged."""
    if truth is None:
        return [], dict.fromkeys(plan.plan.pipelines)
    pipelines_by_warning: dict[Warning, list[str]] = {}
    maps: dict[str, ClassMap | None] = {}
    for name, spec in plan.plan.pipelines.items():
        post, maps[name] = spec.postprocess, None
        builtin = isinstance(post, pipelines.Postprocess)
        if isinstance(post, pipelines.Postprocess):
            if post.task in tasks.WITHOUT_TRUTH:
                continue
            sizes = [c.source_hw if spec.decode.exif == "apply" else c.stored_hw for c in checked]
            named = check_keypoint_names(truth, infos[name].metadata, labels[name]) if post.task == "pose" else []
            own = unreadable(truth, labels[name] or (), post.space) if post.format == "ctc" else []
            for warning in [*_of_task(post, truth, images, sizes), *named, *own]:
                pipelines_by_warning.setdefault(warning, []).append(name)
        if truth.texts is not None or truth.regions is not None or _is_text(post):
            # Text has no classes to map.
            maps[name] = ClassMap(how="text")
            continue
        class_ids = dict(post.class_ids) if isinstance(post.class_ids, dict) else post.class_ids
        try:
            found = map_classes(truth, labels[name], class_ids, head_classes(spec.postprocess, infos[name]))
        except DataError as e:
            if builtin or class_ids is not None:
                other = _other_task(name, post, infos[name], truth)
                raise DataError(f"{other}{e.raw} (pipelines.{name})") from None
            # What the user's own stage gives is not known before it ran: perhaps nothing that has classes.
            pipelines_by_warning.setdefault(
                Warning("no-accuracy", f"accuracy is not computed: {e.for_command_line()}"), []
            ).append(name)
            continue
        if isinstance(post, pipelines.Postprocess) and post.task == "segment":
            found = _with_background(truth, post, found)
        maps[name] = found
        for warning in (order_told(truth, w) for w in found.warnings):
            pipelines_by_warning.setdefault(warning, []).append(name)
    several = len(plan.plan.pipelines) > 1
    lines = [warning.of(", ".join(names)) if several else warning for warning, names in pipelines_by_warning.items()]
    posts = [p.postprocess for p in plan.plan.pipelines.values()]
    task = next((p.task for p in posts if isinstance(p, pipelines.Postprocess)), "")
    applied = any(spec.decode.exif == "apply" for spec in plan.plan.pipelines.values())
    turned = turned_notes(truth, images, checked) if applied else []
    return [*truth.warnings, *nothing_to_find(truth, task), *turned, *lines, *_unlike_coverage(truth, maps)], maps


def sigma_notes(plan: PlanFile, truth: Truth | None) -> list[Warning]:
    """How lenient poses are judged, and compared, where the plan leaves their sigmas out."""
    if truth is None and plan.plan.parity is None:
        return []
    posts = [p.postprocess for p in plan.plan.pipelines.values()]
    posed = [p for p in posts if isinstance(p, pipelines.Postprocess) and p.keypoints is not None and p.sigmas is None]
    found = [default_sigmas(p.keypoints[0], truth) for p in posed if p.keypoints is not None]
    return list(dict.fromkeys(filter(None, found)))


def _of_task(
    post: pipelines.Postprocess, truth: Truth, images: list[ImageFile], sizes: list[tuple[int, int]]
) -> list[Warning]:
    if not _is_text(post):
        check_objects(truth, post.task)
        check_label_sizes(truth, images, sizes)
        return check_truth(
            truth, images, sizes, post.task, post.multi_label, post.keypoints[0] if post.keypoints else None
        )
    if post.format == "db":
        return check_regions(truth, images, sizes)
    check_texts(truth)
    return []


def _other_task(
    name: str, post: pipelines.Postprocess | pipelines.UserPostprocess, model: ModelInfo, truth: Truth
) -> str:
    """What explains a head of other classes than the truth's, in front of what is wrong with these."""
    if not isinstance(post, pipelines.Postprocess) or post.task not in tasks.OBJECTS or truth.coco is None:
        return ""
    names = [str(c["name"]) for c in truth.coco["categories"] if c["id"] not in truth.placeholders]
    other = task_of_classes(post, model, names, judged_tasks(truth))
    if not other:
        return ""
    gives = ", ".join(map(str, model.outputs))
    said = f"pipelines.{name}.postprocess.task is {post.task}, but {model.path} gives {gives}: {other}"
    return f"{said}; where the task is right: "


def _is_text(post: pipelines.Postprocess | pipelines.UserPostprocess) -> bool:
    return isinstance(post, pipelines.Postprocess) and post.task == "text"


def _with_background(truth: Truth, post: pipelines.Postprocess, found: ClassMap) -> ClassMap:
    """Of one channel 0 is the background, whatever it is called. Where a map has none, what nobody annotated is not judged."""
    if post.format == "one_channel":
        return replace(found, background=0)
    if truth.coco is None or found.background is not None:
        return found
    said = (
        "no class of the model is called background: pixels without an annotation are not judged, and calling them anything "
        "costs nothing"
    )
    note = Warning(
        "unjudged-pixels", said, "call the class that stands for the rest 'background' in postprocess.labels"
    )
    return replace(found, warnings=(*found.warnings, note))


def relabellings_of(
    plan: PlanFile, infos: dict[str, ModelInfo], labels: Labels, maps: Mapping[str, ClassMap | None]
) -> tuple[dict[str, Relabelling], list[Warning]]:
    """How each pipeline's class ids read as the baseline's, where results are compared at all."""
    specs, base = plan.plan.pipelines, baseline_name(plan.plan)
    found: dict[str, Relabelling] = {}
    warnings = []
    for name in specs:
        posts = [specs[n].postprocess for n in (name, base)]
        plain = any(isinstance(p, pipelines.Postprocess) and p.task in tasks.WITHOUT_CLASSES for p in posts)
        if plan.plan.parity is None or name == base or plain:
            continue
        counts = [head_classes(specs[n].postprocess, infos[n]) for n in (name, base)]
        own, other = maps.get(name), maps.get(base)
        by_truth = through_truth(own, other) if own is not None and other is not None else None
        found[name] = by_truth or relabelling(labels[name], labels[base], *counts)
        warnings += [w.of(f"{name} against {base}") for w in (found[name].problem, *found[name].warnings) if w]
    return found, warnings


def _unlike_coverage(truth: Truth, maps: dict[str, ClassMap | None]) -> list[Warning]:
    """A drop between pipelines that know unlike parts of the truth is no drop of what they do."""
    if truth.coco is not None:
        marked = {int(a["category_id"]) for a in truth.coco["annotations"]}
    elif truth.masks is not None:
        marked = set(truth.masks.judged)
    else:
        return []
    known = {name: marked & {i for i in m.ids if i is not None} for name, m in maps.items() if m is not None}
    if len({frozenset(k) for k in known.values()}) < 2:
        return []
    counts = ", ".join(f"{name} {len(k)}" for name, k in known.items())
    said = f"the pipelines know unlike classes of the truth's {len(marked)} ({counts}): their accuracies do not compare"
    return [Warning("unlike-coverage", said)]
