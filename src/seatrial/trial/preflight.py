"""Everything that can be known before the first cell: models, images, ground truth, backends, code. Errors come here.

For: failing in seconds, with every mistake named, instead of after an hour. Not for: running cells.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seatrial.backends import availability
from seatrial.errors import BackendUnavailableError, CodeRefusedError, DataError, SeatrialError
from seatrial.kernels.simd import check_simd
from seatrial.parity.truth import Truth, check_truth, load_truth, read_tags
from seatrial.pipeline.build import (
    build_pipeline,
    check_fit,
    check_kernels,
    labels_of,
    pick_input,
    preprocess_kernel,
)
from seatrial.pipeline.check_images import CheckedImage, check_images
from seatrial.pipeline.check_outputs import check_postprocess, check_tensors
from seatrial.pipeline.images import ImageFile, digest_images, find_images
from seatrial.plan import models
from seatrial.plan.load import PlanFile
from seatrial.plan.model_file import ModelInfo, inspect_model
from seatrial.timing.environment import fingerprint


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
    tags: dict[str, list[str]]
    truth_digest: str
    code_digests: dict[str, str]
    warnings: list[str]

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
    infos = {name: inspect_model(plan.resolve(spec.model)) for name, spec in plan.plan.pipelines.items()}
    for name, spec in plan.plan.pipelines.items():
        _check_pipeline(name, spec, infos[name], plan)
    checking("images")
    images = find_images(plan)
    checked = check_images([i.path for i in images])
    warnings = [*_unconfirmed(plan), *_weights(infos), *_check_geometry(plan, images, checked)]
    spec_images = plan.plan.images
    truth = load_truth(plan.resolve(spec_images.annotations), images) if spec_images.annotations else None
    labels = {name: labels_of(spec, infos[name], plan.folder) for name, spec in plan.plan.pipelines.items()}
    if truth is not None:
        for name, spec in plan.plan.pipelines.items():
            if isinstance(spec.postprocess, models.Postprocess):
                sizes = [c.source_hw if spec.decode.exif == "apply" else c.stored_hw for c in checked]
                warnings += check_truth(truth, images, sizes, spec.postprocess.task, labels[name])
    return Ready(
        plan=plan,
        allow_code=allow_code,
        models=infos,
        labels=labels,
        images=images,
        images_digest=digest_images(images),
        sizes_hw=[c.source_hw for c in checked],
        truth=truth,
        tags=read_tags(plan.resolve(spec_images.tags), images) if spec_images.tags else {},
        code_digests=_code_digests(plan),
        truth_digest=_digest_of(plan, [spec_images.annotations, spec_images.tags], labels),
        warnings=warnings,
    )


def _unconfirmed(plan: PlanFile) -> list[str]:
    """A guess of `init` that nobody confirmed can cost all accuracy, and no number of the run would say why."""
    marked = plan.unconfirmed
    if not marked:
        return []
    lines = "1 line" if len(marked) == 1 else f"{len(marked)} lines"
    shown = "; ".join(m if len(m) <= 100 else m[:97] + "..." for m in marked)
    verb, them = ("is", "it") if len(marked) == 1 else ("are", "each")
    return [f"{lines} of {plan.path.name} {verb} still marked CHECK: {shown}. Confirm {them} and delete its line"]


def _weights(infos: dict[str, ModelInfo]) -> list[str]:
    """fp32 is the file as it is: where the file holds something else, its rows say so, and so does the run."""
    return [
        f"pipeline {name}: {info.path.name} {_HELD[info.weights]}, and its fp32 cells run the file as it is"
        for name, info in infos.items()
        if info.weights
    ]


_HELD = {"int8": "is quantised already", "float16": "holds float16 weights"}


def _digest_of(plan: PlanFile, files: list[str | None], labels: dict[str, list[str] | None]) -> str:
    """Of what results are judged by: annotations, tags and labels."""
    total = hashlib.sha256(json.dumps(labels, sort_keys=True).encode())
    for name in files:
        if name is not None:
            total.update(hashlib.sha256(plan.resolve(name).read_bytes()).digest())
    return "sha256:" + total.hexdigest()


def _code_digests(plan: PlanFile) -> dict[str, str]:
    """Of the module files that hold the user's stages, by pipeline; modules that they import in turn are not followed."""
    digests = {}
    for name, spec in plan.plan.pipelines.items():
        total = hashlib.sha256()
        for stage in (spec.preprocess, spec.postprocess):
            if isinstance(stage, models.UserCode):
                file = plan.folder / (stage.python.partition(":")[0].replace(".", "/") + ".py")
                total.update(stage.python.encode() + (file.read_bytes() if file.is_file() else b""))
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
            if isinstance(code, models.UserCode):
                raise CodeRefusedError(
                    f"{plan.path}: pipelines.{name}.{stage} names Python code ({code.python}), which a trial would run; "
                    "read it, then give --allow-code"
                )


def _check_pipeline(name: str, spec: models.Pipeline, info: ModelInfo, plan: PlanFile) -> None:
    """Builds a pipeline for its errors alone; the user's code is imported only in a cell's process."""
    if isinstance(spec.preprocess, models.UserCode) or isinstance(spec.postprocess, models.UserCode):
        check_tensors(info)
        fed = pick_input(f"pipelines.{name}", spec, info)
        if isinstance(spec.postprocess, models.Postprocess):
            check_postprocess(f"pipelines.{name}", spec.postprocess, info, labels_of(spec, info, plan.folder))
        if isinstance(spec.preprocess, models.Preprocess):
            check_fit(f"pipelines.{name}", preprocess_kernel(spec), fed, info)
    else:
        build_pipeline(name, spec, info, plan.folder)


def _check_geometry(plan: PlanFile, images: list[ImageFile], checked: list[CheckedImage]) -> list[str]:
    """DataError where an image can't be fitted; a warning where fitting leaves next to nothing of it."""
    problems, warnings = [], []
    for name, spec in plan.plan.pipelines.items():
        if isinstance(spec.preprocess, models.UserCode):
            continue
        kernel = preprocess_kernel(spec)
        for image, size in zip(images, checked, strict=True):
            source_hw = size.source_hw if spec.decode.exif == "apply" else size.stored_hw
            try:
                geometry = kernel.geometry(source_hw)
            except SeatrialError as e:
                problems.append(f"{image.path}: {e}")
                continue
            enlarged = max(geometry.resized_hw[0] / source_hw[0], geometry.resized_hw[1] / source_hw[1])
            if min(geometry.resized_hw) <= 2 and max(source_hw) > 4 * max(kernel.size):
                warnings.append(
                    f"{image.name} ({source_hw[0]} × {source_hw[1]}) is reduced to {geometry.resized_hw[0]} × "
                    f"{geometry.resized_hw[1]} pixels by pipeline {name}: little of it is left"
                )
            elif enlarged > 64:
                warnings.append(f"{image.name} is enlarged {enlarged:.0f} times by pipeline {name}")
    if problems:
        raise DataError("\n".join(dict.fromkeys(problems)))
    return warnings
