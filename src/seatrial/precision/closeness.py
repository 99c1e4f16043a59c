"""How near a converted model's answers are to the model's own, on a few images: what a conversion says of itself.

For: a first figure. Not for: a verdict, which parity and the task's metric give on all images and on every backend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import ModelError

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
# What ONNX Runtime's CPU provider refuses, or gets wrong (cells/matrix.py says why).
_NOT_ON_ONNX_RUNTIME = ("bf16", "fp8")


@dataclass(frozen=True)
class Closeness:
    """Of each output the worst of all images: dB of floats, the share that is equal of whole numbers and truths.

    unknown: by an output's name why there is no figure; under '' why there is none at all.
    """

    run_by: str = ""
    sqnr_db: Mapping[str, float] = field(default_factory=dict)
    equal_share: Mapping[str, float] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)


def sqnr_db(own: Array, made: Array) -> float:
    """10 log₁₀(Σ own² / Σ (own - made)²); infinite where they are the same, NaN and infinities included."""
    with np.errstate(over="ignore", invalid="ignore"):
        a, b = own.astype(np.float64).ravel(), made.astype(np.float64).ravel()
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        noise = float(((a - b)[~same] ** 2).sum())
        signal = float((a[np.isfinite(a)] ** 2).sum())
    if noise == 0:
        return np.inf
    return 10 * float(np.log10(max(signal, 1e-300) / noise)) if np.isfinite(noise) else -np.inf


def closeness(model: Path, made: Path, precision: str, feeds: Sequence[Feeds], decided: Mapping[str, str]) -> Closeness:
    """By the runtime that runs that precision here.

    decided: outputs whose number of rows a score's last bit decides, and the operator that does.

    Raises:
        ModelError: the converted model does not run, lacks an output, gives one of another shape, or what is no number where
            the model's own is.
    """
    run, run_by = by_onnx_runtime, "onnxruntime"
    if precision in _NOT_ON_ONNX_RUNTIME:
        if find_spec("openvino") is None:
            return Closeness(unknown={"": f"no runtime here runs {precision}"})
        run, run_by = _by_openvino, "openvino"
    try:
        own = [by_onnx_runtime(str(model), given) for given in feeds]
    except Exception as e:  # runtimes raise their own types
        raise ModelError(
            f"the model does not run on every picture: {(str(e).strip() or type(e).__name__)[:300]}"
        ) from e
    try:
        other = [run(str(made), given) for given in feeds]
    except Exception as e:  # as above
        said = (str(e).strip() or type(e).__name__).splitlines()[-1][:200]
        if run_by == "openvino":
            return Closeness(unknown={"": f"openvino does not run it: {said}"})
        raise ModelError(f"the {precision} model was made, and onnxruntime does not run it: {said}") from e
    decibels: dict[str, float] = {}
    equal: dict[str, float] = {}
    unknown: dict[str, str] = {}
    for ours, theirs in zip(own, other, strict=True):
        for name, a in ours.items():
            try:
                b = _like(name, a, theirs, precision, decided)
            except ModelError as e:
                # Its own mistake may it be: the file is for other runtimes too.
                if run_by != "openvino":
                    raise
                unknown[name] = f"by openvino, {e.text}"
                continue
            if b is None:
                unknown[name] = f"{decided[name]} leaves another number of rows"
            elif a.size and a.dtype.kind == "f":
                decibels[name] = min(decibels.get(name, np.inf), sqnr_db(a, b))
            elif a.size and a.dtype.kind in "biu":
                equal[name] = min(equal.get(name, 1.0), float((a == b).mean()))
    # One picture's figure is none where another's cannot be told.
    known = {n: v for n, v in decibels.items() if n not in unknown}
    return Closeness(run_by, known, {n: v for n, v in equal.items() if n not in unknown}, unknown)


def _like(
    name: str, own: Array, theirs: Mapping[str, Array], precision: str, decided: Mapping[str, str]
) -> Array | None:
    """The converted model's output; None of one whose rows are others by right."""
    if name not in theirs:
        raise ModelError(f"the {precision} model has no output {name}; please report this with the model")
    made = theirs[name]
    if made.shape != own.shape:
        if name in decided and made.ndim == own.ndim:
            return None
        raise ModelError(
            f"the {precision} model gives {name} of shape {made.shape}, and the model itself {own.shape}: a size is worked out "
            "in it; keep the nodes that do in fp32 (keep_fp32)"
        )
    if own.dtype.kind == "f" and name not in decided and (np.isfinite(own) & ~np.isfinite(made)).any():
        raise ModelError(
            f"the {precision} model gives NaN or infinity in {name} where the model's own answers are numbers; keep the nodes "
            "that overflow in fp32 (keep_fp32), or take another precision"
        )
    return made


def by_onnx_runtime(source: str | bytes, feeds: Feeds) -> dict[str, Array]:
    """Outputs by name. source: a path, or a serialised model."""
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.log_severity_level = 4
    session = ort.InferenceSession(source, settings, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, dict(feeds)), strict=True))


def _by_openvino(source: str | bytes, feeds: Feeds) -> dict[str, Array]:
    import openvino as ov

    core = ov.Core()
    network = core.read_model(source)
    if network.is_dynamic():
        network.reshape({name: list(array.shape) for name, array in feeds.items()})
    compiled = core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(dict(feeds))
    return {name: np.array(found[port]) for port in compiled.outputs for name in port.get_names()}
