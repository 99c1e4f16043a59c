"""The model of every pipeline against its stages and labels, by its file alone: the first half of a preflight.

For: preflight.py, and plan_check.py, which has no more than that where images are missing. Not for: images and truth, or
running anything.
"""

from __future__ import annotations

from seatrial.cells.class_checks import Labels, label_notes
from seatrial.model.file import ModelInfo, inspect_model
from seatrial.pipeline.build import build_pipeline, check_fit, labels_of, pick_input, preprocess_kernel
from seatrial.pipeline.check_outputs import check_postprocess, check_tensors
from seatrial.pipeline.class_count import check_labels
from seatrial.pipeline.extra_inputs import unusual_inputs
from seatrial.pipeline.odd_preprocess import odd_normalisation
from seatrial.plan import pipelines
from seatrial.plan.load import PlanFile
from seatrial.warning import Warning


def check_models(plan: PlanFile) -> tuple[dict[str, ModelInfo], Labels, list[Warning]]:
    """What each pipeline's model is, its labels, and what is odd about them. ModelError or PlanError where one does not fit."""
    specs, hint = plan.plan.pipelines, "; paths in a plan are relative to its folder"
    infos = {name: inspect_model(plan.resolve(spec.model), hint) for name, spec in specs.items()}
    for name, spec in specs.items():
        _check_pipeline(name, spec, infos[name], plan)
    labels = {name: labels_of(spec, infos[name], plan.folder) for name, spec in specs.items()}
    warnings = [*_unconfirmed(plan), *_weights(infos), *_twins(plan, infos), *_int8_alone(plan)]
    for name, spec in specs.items():
        check_labels(f"pipelines.{name}", spec, infos[name], labels[name])
        warnings += [*label_notes(name, spec, infos[name], labels[name]), *unusual_inputs(f"pipelines.{name}", spec)]
        warnings += odd_normalisation(f"pipelines.{name}", spec)
    return infos, labels, warnings


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


def _int8_alone(plan: PlanFile) -> list[Warning]:
    """The name once stood for the other form; a plan that has both knows."""
    matrix = plan.plan.matrix
    # These take no other form.
    names = [b if isinstance(b, str) else b.backend for b in matrix.backends]
    on_tensorrt = all(name.removeprefix("onnxruntime-").startswith("tensorrt") for name in names)
    if "int8" not in matrix.precisions or "int8-u8" in matrix.precisions or on_tensorrt:
        return []
    said = "int8 is the signed, symmetric form, which TensorRT takes; what int8 once was, and CPUs run fast, is int8-u8"
    return [Warning("integer-form", said, "name int8-u8 too, or instead")]


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
