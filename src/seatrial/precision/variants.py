"""fp32 (the file itself) and int8 (static Q/DQ by onnxruntime.quantization). Not for: other precisions, yet."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy.typing as npt

from seatrial.errors import BackendUnavailableError, ModelError, ResultsError
from seatrial.machine.packages import packages
from seatrial.model.file import ModelInfo

Feeds = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Calibration:
    """Inputs as the pipeline's own preprocessing makes them, and a digest of whatever they depend on."""

    feeds: Callable[[], Iterator[Feeds]]
    digest: str


def cache_folder() -> Path:
    """SEATRIAL_CACHE, else the user's cache folder."""
    given = os.environ.get("SEATRIAL_CACHE")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seatrial"
    # A cell's process may be led into another working folder by the user's code.
    return (base / "precision").absolute()


def unsupported(precision: str) -> str | None:
    """Why cells of this precision are skipped, or None where they run."""
    if precision in MAKERS or precision == "fp32":
        return None
    return f"{precision} variants are not made by this version of seatrial; use fp32 or int8"


def variant_path(model: ModelInfo, precision: str, calibration_digest: str) -> Path:
    """Where the variant lies, or will lie: named by everything that it depends on."""
    if precision == "fp32":
        return model.path
    key = json.dumps([model.digest, precision, calibration_digest, _tool_versions(), _INT8_SETTINGS], sort_keys=True)
    return cache_folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.onnx"


def variant(model: ModelInfo, precision: str, calibration: Calibration) -> Path:
    """The model file in that precision; made where the cache has none. ModelError where it can't be made."""
    path = variant_path(model, precision, calibration.digest)
    if precision == "fp32" or path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as e:
        raise ResultsError(
            f"{path.parent}: the cache of {precision} models cannot be written: {e.strerror}; set SEATRIAL_CACHE to a "
            "folder that you may write to"
        ) from None
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        fresh = Path(folder) / "variant.onnx"
        MAKERS[precision](model, fresh, calibration)
        # Two makers of the same variant write the same content: whoever is last wins, and nobody sees half a file.
        fresh.replace(path)
    return path


# Only the heavy operators: a detector's head joins box pixels (0 to 640) and scores (0 to 1) in one tensor, and one
# scale for both would round every score to zero.
_INT8_SETTINGS: dict[str, Any] = {
    "op_types_to_quantize": ["Conv", "ConvTranspose", "MatMul", "Gemm"],
    "per_channel": True,
    "weights": "QInt8",
    "activations": "QUInt8",
    "calibration": "MinMax",
    # Full-range weights: CPUs without VNNI may saturate in 16-bit sums, which parity then shows.
    "reduce_range": False,
}


def _make_int8(model: ModelInfo, out: Path, calibration: Calibration) -> None:
    if find_spec("onnxruntime") is None:
        raise BackendUnavailableError(
            "int8: onnxruntime makes the quantized model and is not installed; python -m pip install 'seatrial[cpu]'"
        )
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._feeds = calibration.feeds()

        def get_next(self) -> Feeds | None:
            return next(self._feeds, None)

    # It logs advice that does not apply here ("consider pre-processing"), on the root logger.
    logging.getLogger().setLevel(logging.ERROR)
    prepared, settings = out.with_suffix(".prepared.onnx"), dict(_INT8_SETTINGS)
    try:
        source = model.path
        if model.external_files:
            # The quantizer looks for external data beside its own temporary copies: give it one whole file.
            source = out.with_suffix(".whole.onnx")
            onnx.save(onnx.load(str(model.path)), str(source))
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(out),
            Reader(),
            quant_format=QuantFormat.QDQ,
            weight_type=QuantType[settings.pop("weights")],
            activation_type=QuantType[settings.pop("activations")],
            calibrate_method=CalibrationMethod[settings.pop("calibration")],
            **settings,
        )
        _check_quantized(model, out)
    except ModelError:
        raise
    except Exception as e:  # the quantizer raises bare exceptions of many kinds
        raise ModelError(f"{model.path}: cannot be quantized to int8: {type(e).__name__}: {str(e)[:300]}") from e


def _check_quantized(model: ModelInfo, out: Path) -> None:
    import onnx

    if not any(n.op_type == "QuantizeLinear" for n in onnx.load(str(out), load_external_data=False).graph.node):
        operators = ", ".join(_INT8_SETTINGS["op_types_to_quantize"])
        raise ModelError(
            f"{model.path}: nothing to quantize: int8 applies to {operators}, and the model has none; use fp32"
        )


def _tool_versions() -> list[str]:
    """Of whatever makes the calibration inputs or the variant."""
    return [f"{name} {number}" for name, number in packages().items()]


MAKERS: dict[str, Callable[[ModelInfo, Path, Calibration], None]] = {"int8": _make_int8}
