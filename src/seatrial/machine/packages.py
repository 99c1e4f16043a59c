"""Installed distributions that decode, prepare or run a model here, by version.

For: the machine's fingerprint, and the names of cached models. Not for: whether a backend runs (backends/catalogue.py).
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

# One module comes in several distributions: whichever is installed is what runs.
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
PILLOW = ("pillow", "pillow-simd")
ONNX_RUNTIME = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
    "onnxruntime-migraphx",
    "onnxruntime-rocm",
    "onnxruntime-training",
    "ort-nightly",
    "ort-nightly-gpu",
)
# What decodes, prepares or runs a model here: another version of one is another thing measured.
PACKAGES = (
    "seatrial",
    "numpy",
    *OPENCV,
    *PILLOW,
    "onnx",
    *ONNX_RUNTIME,
    "openvino",
    "openvino-nightly",
    "tensorrt",
    "tensorrt-rtx-cu13",
    "nvidia-cuda-runtime",
    "nvidia-cuda-runtime-cu12",
    "nvidia-cudnn-cu12",
    "nvidia-cudnn-cu13",
)
# Recorded, but nothing here runs on it.
BYSTANDERS = ("torch",)


def packages(names: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
