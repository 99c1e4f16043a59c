"""Out of device memory: how ONNX Runtime's providers for NVIDIA's cards say it, and the batch that may fit.

For: failures of loading and of runs, by Python and by the C API. Not for: host memory, nor TensorRT's own backends, which know
what an engine needs (tensorrt/loaded.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from seatrial.backends.onnxruntime.providers import Provider
from seatrial.backends.onnxruntime.settings import SessionSetup
from seatrial.cuda import Context, CudaError
from seatrial.errors import CellError
from seatrial.model.file import inspect_model
from seatrial.model.shapes import batch_input
from seatrial.units import format_value

# Of the arena, of TensorRT's allocator; and of calls of CUDA, cuBLAS and cuDNN, which name no size.
_SIZED = re.compile(
    r"Failed to allocate memory for requested buffer of size (\d+)|is smaller than requested bytes of (\d+)"
    r"|Requested amount of GPU memory \((\d+) bytes\) could not be allocated|error allocating (\d+)-byte buffer"
)
_SAID = re.compile(
    r"\bout of memory\b|CUDA_ERROR_OUT_OF_MEMORY|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_\w*ALLOC\w*|OutOfMemory", re.I
)
_LIMIT = "is smaller than requested bytes of"
# Above it a size is no size: an overflow in the runtime.
_MOST_BYTES = 1 << 50


def out_of_device_memory(provider: Provider, model: Path, setup: SessionSetup, error: Exception) -> CellError | None:
    """With the batch that may fit; None where the error is about something else, or about the host's memory."""
    text = str(error)
    sized = _SIZED.search(text)
    if not provider.nvidia or not (sized or _SAID.search(text)):
        return None
    wanted = int(next(filter(None, sized.groups()))) if sized else 0
    wanted = wanted if wanted < _MOST_BYTES else 0
    free, total = _memory(int(setup.given.get("device_id", 0)))
    batch = _batch(model, setup.input_shapes)
    said = [f"out of device memory: {provider.execution_provider} found no room"]
    said += [f" for {format_value(wanted, 'B')} more"] if wanted else []
    said += [f" at a batch of {batch}"] if batch else []
    said += [f", with {format_value(free, 'B')} of {format_value(total, 'B')} free"] if total else []
    limit = setup.given.get("gpu_mem_limit")
    raised = ", raise gpu_mem_limit" if limit and _LIMIT in text else ""
    fits = batch_that_may_fit(batch, wanted, free, total, inspect_model(model).size_bytes)
    cure = (
        f"a batch of {fits} may fit, which is an estimate"
        if fits
        else "no batch is smaller: make the inputs or the model so"
        if batch
        else "make the inputs smaller"
    )
    return CellError(f"{''.join(said)}; {cure}{raised}, or free what other programs hold (nvidia-smi)")


def batch_that_may_fit(batch: int, wanted: int, free: int, total: int, weights: int) -> int:
    """At most half: how many buffers were still to come nobody knows. Fewer where even what is known to be needed, of which the
    weights do not shrink with the batch, leaves less. 0 where there is none; free and total: 0 where they are not known."""
    half = batch // 2
    needed = total - free + wanted - weights
    if not (batch and total and wanted) or needed <= 0:
        return half
    return max(min(half, 1), min(half, int(batch * max(0, total - weights) / needed)))


def _memory(device: int) -> tuple[int, int]:
    """Free and in all, by the driver, while the runtime still holds what it had got."""
    try:
        return Context(device).memory_info()
    except CudaError:
        return 0, 0


def _batch(model: Path, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """0 where shapes are open."""
    return (shapes.get(batch_input(inspect_model(model))) or (0,))[0]
