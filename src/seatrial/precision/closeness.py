"""How near a converted model's answers are to the model's own, on one image: what a conversion says of itself.

For: a first figure. Not for: a verdict, which parity and the task's metric give on all images and on every backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
# What ONNX Runtime's CPU provider refuses, or gets wrong (cells/matrix.py says why).
_NOT_ON_ONNX_RUNTIME = ("bf16", "fp8")


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


def closeness(model: Path, made: Path, precision: str, feeds: Feeds) -> tuple[str, dict[str, float]]:
    """By which runtime, and the dB of each float output; ('', {}) where no runtime here runs that precision."""
    run = _by_openvino if precision in _NOT_ON_ONNX_RUNTIME else by_onnx_runtime
    if run is _by_openvino and find_spec("openvino") is None:
        return "", {}
    own, other = by_onnx_runtime(str(model), feeds), run(str(made), feeds)
    found = {
        name: sqnr_db(a, other[name])
        for name, a in own.items()
        if a.dtype.kind == "f" and a.size and name in other and other[name].shape == a.shape
    }
    return ("openvino" if run is _by_openvino else "onnxruntime"), found


def by_onnx_runtime(source: str | bytes, feeds: Feeds) -> dict[str, Array]:
    """Outputs by name. source: a path, or a serialised model."""
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.log_severity_level = 4
    session = ort.InferenceSession(source, settings, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, dict(feeds)), strict=True))


def _by_openvino(source: str, feeds: Feeds) -> dict[str, Array]:
    import openvino as ov

    core = ov.Core()
    network = core.read_model(source)
    if network.is_dynamic():
        network.reshape({name: list(array.shape) for name, array in feeds.items()})
    compiled = core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(dict(feeds))
    return {name: np.array(found[port]) for port in compiled.outputs for name in port.get_names()}
