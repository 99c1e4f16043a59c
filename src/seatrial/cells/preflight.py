"""Everything that can be known before the first cell: models, images, ground truth, backends, code. Errors come here.

For: failing in seconds, with every mistake named, instead of after an hour. Not for: running cells.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.backends import availability
from seatrial.backends.catalogue import takes
from seatrial.cells.checks import misfits
from seatrial.cells.class_checks import map_truth, relabellings_of, sigma_notes, truth_of
from seatrial.cells.fitted_images import check_geometry
from seatrial.cells.inputs import COMMON, Inputs
from seatrial.cells.model_checks import check_models
from seatrial.digests import HashedFile, hash_file
from seatrial.errors import (
    BackendUnavailableError,
    CodeRefusedError,
    DataError,
    PlanError,
    count_of,
    option,
    short_list,
)
from seatrial.history.records import CONVERSIONS
from seatrial.images.check import check_images
from seatrial.images.files import ImageFile, find_images, hash_images
from seatrial.kernels.simd import check_simd
from seatrial.machine.environment import fingerprint
from seatrial.model.file import ModelInfo
from seatrial.parity.classes import ClassMap
from seatrial.parity.relabel import Relabelling
from seatrial.parity.tags import read_tags
from seatrial.parity.truth import Truth, truth_files
from seatrial.pipeline.build import check_kernels
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
    option_digests: dict[str, str]
    """Of files that options of backends name, such as an engine."""

    def identity(self) -> dict[str, Any]:
        """What must be the same for --resume to carry on."""
        # The same plan may mean other models since they are made in another way.
        made = any(p != "fp32" for p in self.plan.plan.matrix.precisions)
        return {
            **({"conversions": CONVERSIONS} if made else {}),
            **({"option_digests": self.option_digests} if self.option_digests else {}),
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
    option_digests = _option_digests(plan, inputs)
    infos, labels, warnings = check_models(plan)
    for name, info in infos.items():
        inputs.add(name, info.hashed)
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
    warnings += check_geometry(plan, images, checked)
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
        option_digests=option_digests,
    )


def _option_digests(plan: PlanFile, inputs: Inputs) -> dict[str, str]:
    """By what a plan calls the backend, and the option. PlanError for one that is not there."""
    digests = {}
    for choice in plan.plan.matrix.choices:
        settings = takes(choice.backend)
        own = choice.within(plan.folder, settings).options
        for name in (s.name for s in settings if s.is_path and s.name in own):
            try:
                hashed = hash_file(Path(str(own[name])))
            except OSError as e:
                where = f"{plan.path}: matrix.backends, {choice.label}, option {name}"
                raise PlanError(f"{where}: {own[name]} cannot be read: {e.strerror or e}") from None
            inputs.add(COMMON, [hashed])
            digests[f"{choice.label} {name}"] = "sha256:" + hashed.sha256
    return digests


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
    choices = plan.plan.matrix.choices
    missing = [a for a in map(availability, dict.fromkeys(c.backend for c in choices)) if not a.ok]
    if missing:
        raise BackendUnavailableError("\n".join(f"backend {a.name}: {a.reason}; {a.cure}" for a in missing))
    # Of seatrial's own the plan itself was checked; what a third party takes, and this machine has, is known now.
    problems = [
        f"{plan.path}: matrix.backends, {c.label}, option {name}: {why}"
        for c in choices
        for name, why in misfits(c).items()
    ]
    if problems:
        raise PlanError("\n".join(problems))


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
