"""Everything that can be known before the first cell: models, images, ground truth, backends, code. Errors come here.

For: failing in seconds, with every mistake named, instead of after an hour. Not for: running cells.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from seatrial.backends import availability
from seatrial.cells.class_checks import label_notes, map_truth, relabellings_of, sigma_notes, truth_of
from seatrial.cells.inputs import COMMON, Inputs
from seatrial.digests import HashedFile, hash_file
from seatrial.errors import (
    BackendUnavailableError,
    CodeRefusedError,
    DataError,
    SeatrialError,
    count_of,
    option,
    short_list,
)
from seatrial.images.check import CheckedImage, check_images
from seatrial.images.files import ImageFile, find_images, hash_images
from seatrial.kernels.simd import check_simd
from seatrial.machine.environment import fingerprint
from seatrial.model.file import ModelInfo, inspect_model
from seatrial.parity.classes import ClassMap
from seatrial.parity.relabel import Relabelling
from seatrial.parity.tags import read_tags
from seatrial.parity.truth import Truth, truth_files
from seatrial.pipeline.build import build_pipeline, check_fit, check_kernels, labels_of, pick_input, preprocess_kernel
from seatrial.pipeline.check_outputs import check_postprocess, check_tensors
from seatrial.pipeline.class_count import check_labels
from seatrial.pipeline.extra_inputs import unusual_inputs
from seatrial.pipeline.source_files import source_files
from seatrial.plan import pipelines
from seatrial.plan.load import PlanFile
from seatrial.warning import Warning


@dataclass(frozen=True)
class Ready:
    """A plan whose parts exist and fit each other."""

    plan: PlanFile
    allow_code: bool
    models: dict[str, ModelInfo]
    labels: dict[str, list[str] | None]
    images: list[ImageFile]
    images_digest: str
    sizes_hw: list[tuple[int, int]]
    truth: Truth | None
    class_maps: dict[str, ClassMap | None]
    relabellings: dict[str, Relabelling]
    tags: dict[str, list[str]]
    truth_digest: str
    code_digests: dict[str, str]
    warnings: list[Warning]
    inputs: Inputs

    def identity(self) -> dict[str, Any]:
        """What must be the same for --resume to carry on."""
        return {
            "plan_digest": self.plan.digest,
            "images_digest": self.images_digest,
            "model_digests": {name: m.digest for name, m in self.models.items()},
            "truth_digest": self.truth_digest,
            "code_digests": self.code_digests,
            "machine_fingerprint": fingerprint(),
        }


def preflight(plan: PlanFile, allow_code: bool, checking: Callable[[str], None]) -> Ready:
    """Checks the whole plan against this machine and folder. Raises the first kind of error found, all of its kind."""
    check_kernels(plan)
    checking("backends")
    _check_backends(plan)
    checking("models")
    _check_code(plan, allow_code)
    inputs = Inputs()
    code_digests = _code_digests(plan, inputs)
    hint = "; paths in a plan are relative to its folder"
    infos = {name: inspect_model(plan.resolve(spec.model), hint) for name, spec in plan.plan.pipelines.items()}
    for name, info in infos.items():
        inputs.add(name, info.hashed)
    for name, spec in plan.plan.pipelines.items():
        _check_pipeline(name, spec, infos[name], plan)
    labels = {name: labels_of(spec, infos[name], plan.folder) for name, spec in plan.plan.pipelines.items()}
    warnings = [*_unconfirmed(plan), *_weights(infos), *_twins(plan, infos)]
    for name, spec in plan.plan.pipelines.items():
        check_labels(f"pipelines.{name}", spec, infos[name], labels[name])
        warnings += [*label_notes(name, spec, infos[name], labels[name]), *unusual_inputs(f"pipelines.{name}", spec)]
    checking("images")
    images, found_warnings = find_images(plan)
    warnings += found_warnings
    checked = check_images([i.path for i in images])
    several = [f"{i.name} ({c.frames})" for i, c in zip(images, checked, strict=True) if c.frames > 1]
    if several:
        said = f"{count_of(len(several), 'image')} of several frames or pages, the first is read: {short_list(several)}"
        warnings.append(Warning("frames", said))
    images_digest, hashed_images = hash_images(images)
    warnings += _copies(images, hashed_images)
    inputs.add(COMMON, hashed_images)
    warnings += _check_geometry(plan, images, checked)
    spec_images = plan.plan.images
    judged_by = _hash_judges(plan, inputs)
    truth = truth_of(plan, images, checked)
    found_warnings, class_maps = map_truth(plan, truth, images, checked, infos, labels)
    warnings += [*found_warnings, *sigma_notes(plan, truth)]
    relabellings, found_warnings = relabellings_of(plan, infos, labels, class_maps)
    warnings += found_warnings
    tags, found_warnings = read_tags(plan.resolve(spec_images.tags), images) if spec_images.tags else ({}, [])
    warnings += found_warnings
    return Ready(
        plan=plan,
        allow_code=allow_code,
        models=infos,
        labels=labels,
        images=images,
        images_digest=images_digest,
        sizes_hw=[c.source_hw for c in checked],
        truth=truth,
        class_maps=class_maps,
        relabellings=relabellings,
        tags=tags,
        code_digests=code_digests,
        truth_digest=_digest_of(judged_by, labels),
        warnings=warnings,
        inputs=inputs,
    )


def _unconfirmed(plan: PlanFile) -> list[Warning]:
    """A guess of `init` that nobody confirmed can cost all accuracy, and no number of the run would say why."""
    marked = plan.unconfirmed
    if not marked:
        return []
    lines = "1 line" if len(marked) == 1 else f"{len(marked)} lines"
    verb, them = ("is", "it") if len(marked) == 1 else ("are", "each")
    said = f"{lines} of {plan.path.name} {verb} still marked CHECK: {'; '.join(marked)}. Confirm {them} and delete its line"
    return [Warning("check-marks", said)]


def _weights(infos: dict[str, ModelInfo]) -> list[Warning]:
    """fp32 is the file as it is: where the file holds something else, its rows say so, and so does the run."""
    found_warnings = []
    for name, info in infos.items():
        if info.held:
            said = f"{info.path.name} {info.held}, and its fp32 cells run the file as it is"
            found_warnings.append(Warning("reduced-weights", said).of(f"pipeline {name}"))
    return found_warnings


def _twins(plan: PlanFile, infos: dict[str, ModelInfo]) -> list[Warning]:
    """A candidate that is the baseline by another name passes every comparison: mostly a forgotten 'model:'."""
    seen: dict[str, str] = {}
    found_warnings = []
    for name, spec in plan.plan.pipelines.items():
        what = infos[name].digest + spec.model_dump_json(exclude={"extends", "model"})
        if what in seen:
            said = f"pipelines {seen[what]} and {name} are the same: one model, and the same stages around it"
            found_warnings.append(Warning("twins", said))
        seen.setdefault(what, name)
    return found_warnings


def _copies(images: Sequence[ImageFile], hashed: Sequence[HashedFile]) -> list[Warning]:
    """Pictures that stand there several times: what is said of n images is then of fewer."""
    first: dict[str, str] = {}
    again = []
    for image, file in zip(images, hashed, strict=True):
        if file.sha256 in first:
            again.append(f"{image.name} = {first[file.sha256]}")
        first.setdefault(file.sha256, image.name)
    if not again:
        return []
    said = (
        f"{count_of(len(again), 'image')} the same as another, byte for byte ({short_list(again)}): accuracy and agreement "
        "count them as independent, and are less sure than they say"
    )
    return [Warning("copies", said, "keep one of each")]


def _hash_judges(plan: PlanFile, inputs: Inputs) -> list[HashedFile]:
    """Annotations and tags, hashed before they are read; and the pipelines' lists of labels for `inputs`.

    A file that can't be read is left to whoever reads it next, and says so.
    """
    judges: list[HashedFile] = []
    for name in (plan.plan.images.annotations, plan.plan.images.tags):
        with contextlib.suppress(OSError, DataError):
            judges += [hash_file(file) for file in truth_files(plan.resolve(name))] if name is not None else []
    inputs.add(COMMON, judges)
    for name, spec in plan.plan.pipelines.items():
        if isinstance(spec.postprocess, pipelines.Postprocess) and isinstance(spec.postprocess.labels, str):
            with contextlib.suppress(OSError):
                inputs.add(name, [hash_file(plan.folder / spec.postprocess.labels)])
        if isinstance(spec.postprocess, pipelines.Postprocess) and spec.postprocess.anchors is not None:
            with contextlib.suppress(OSError):
                inputs.add(name, [hash_file(plan.folder / spec.postprocess.anchors)])
    return judges


def _digest_of(judged_by: list[HashedFile], labels: dict[str, list[str] | None]) -> str:
    """Of what results are judged by: annotations, tags and labels."""
    total = hashlib.sha256(json.dumps(labels, sort_keys=True).encode())
    for file in judged_by:
        total.update(bytes.fromhex(file.sha256))
    return "sha256:" + total.hexdigest()


def _code_digests(plan: PlanFile, inputs: Inputs) -> dict[str, str]:
    """Of all source files of the user's stages, by pipeline: see pipeline/source_files.py."""
    digests = {}
    for name, spec in plan.plan.pipelines.items():
        total = hashlib.sha256()
        for stage in ("preprocess", "postprocess"):
            code = getattr(spec, stage)
            if not isinstance(code, pipelines.UserCode):
                continue
            total.update(code.python.encode())
            for place, path in source_files(code.python, plan.folder, f"pipelines.{name}.{stage}").items():
                hashed = hash_file(path)
                inputs.add(name, [hashed])
                total.update(place.encode("utf-8", "surrogateescape") + b"\0" + bytes.fromhex(hashed.sha256))
            digests[name] = "sha256:" + total.hexdigest()
    return digests


def _check_backends(plan: PlanFile) -> None:
    check_simd()
    missing = [a for a in map(availability, plan.plan.matrix.backends) if not a.ok]
    if missing:
        raise BackendUnavailableError("\n".join(f"backend {a.name}: {a.reason}; {a.cure}" for a in missing))


def _check_code(plan: PlanFile, allow_code: bool) -> None:
    if allow_code:
        return
    for name, spec in plan.plan.pipelines.items():
        for stage in ("preprocess", "postprocess"):
            code = getattr(spec, stage)
            if isinstance(code, pipelines.UserCode):
                raise CodeRefusedError(
                    f"{plan.path}: pipelines.{name}.{stage} names Python code ({code.python}), which a trial would run; "
                    f"read it, then give {option('allow_code')}"
                )


def _check_pipeline(name: str, spec: pipelines.Pipeline, info: ModelInfo, plan: PlanFile) -> None:
    """Builds a pipeline for its errors alone; the user's code is imported only in a cell's process."""
    if isinstance(spec.preprocess, pipelines.UserCode) or isinstance(spec.postprocess, pipelines.UserCode):
        check_tensors(info)
        fed = pick_input(f"pipelines.{name}", spec, info)
        if isinstance(spec.postprocess, pipelines.Postprocess):
            check_postprocess(f"pipelines.{name}", spec.postprocess, info, labels_of(spec, info, plan.folder))
        if isinstance(spec.preprocess, pipelines.Preprocess):
            check_fit(f"pipelines.{name}", preprocess_kernel(spec), fed, info)
    else:
        build_pipeline(name, spec, info, plan.folder)


def _check_geometry(plan: PlanFile, images: list[ImageFile], checked: list[CheckedImage]) -> list[Warning]:
    """DataError where an image can't be fitted; a warning where fitting leaves next to nothing of it."""
    problems, warnings = [], []
    for name, spec in plan.plan.pipelines.items():
        if isinstance(spec.preprocess, pipelines.UserCode):
            continue
        kernel = preprocess_kernel(spec)
        reduced, enlarged = [], []
        for image, size in zip(images, checked, strict=True):
            source_hw = size.source_hw if spec.decode.exif == "apply" else size.stored_hw
            try:
                geometry = kernel.geometry(source_hw)
            except SeatrialError as e:
                problems.append(f"{image.path}: {e.raw}")
                continue
            scale = max(geometry.resized_hw[0] / source_hw[0], geometry.resized_hw[1] / source_hw[1])
            if min(geometry.resized_hw) <= 2 and max(source_hw) > 4 * max(kernel.size):
                sizes = (f"{hw[0]} × {hw[1]}" for hw in (source_hw, geometry.resized_hw))
                reduced.append(f"{image.name} ({' to '.join(sizes)} pixels)")
            elif scale > 64:
                enlarged.append(f"{image.name} ({scale:.0f} times)")
        if reduced:
            what = f"reduces {count_of(len(reduced), 'image')} so far that little of it is left"
            warnings.append(Warning("reduced-images", f"pipeline {name} {what}: {short_list(reduced)}"))
        if enlarged:
            what = f"enlarges {count_of(len(enlarged), 'image')} over 64 times"
            warnings.append(Warning("enlarged-images", f"pipeline {name} {what}: {short_list(enlarged)}"))
    if problems:
        raise DataError("\n".join(dict.fromkeys(problems)))
    return warnings
