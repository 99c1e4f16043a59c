"""The right pipeline in another way: other batches, threads, runtimes, libraries. For: pairs in which no fault may be named."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from PIL import Image, ImageOps

from faulty.injections.injection import Injection, Setting, after, step
from faulty.pipelines import decode, infer_of
from faulty.way import Array, Steps

MODEL_LEVELS = ("taps", "answers")
CLI = "import sys; from seatrial.cli import main; sys.exit(main())"


def batches(size: int):
    def change(steps: Steps, _setting: Setting) -> Steps:
        return replace(steps, batch=size)

    return change


def by_pillow(data: bytes) -> Array:
    with Image.open(io.BytesIO(data)) as image:
        if image.mode not in ("RGB", "L", "RGBA"):
            return decode(data)
        rgb = (
            np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
            if image.mode != "RGBA"
            else np.asarray(image)[..., :3]
        )
    # Pillow reads 16-bit PNG as 8 bits in its own way.
    return decode(data) if data[:4] == b"\x89PNG" and data[24] == 16 else np.ascontiguousarray(rgb[:, :, ::-1])


def divided(setting: Setting):
    """x / 255 where the plan multiplies by 1 / 255: a unit in the last place."""
    mean, std = np.float32(setting.task.mean), np.float32(setting.task.std)

    def tensor(image: Array) -> Array:
        values = (image[:, :, ::-1].astype(np.float32) / 255 - mean) / std
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None])

    return tensor


def in_float64(setting: Setting):
    def tensor(image: Array) -> Array:
        values = (image[:, :, ::-1] / 255 - np.array(setting.task.mean)) / np.array(setting.task.std)
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32)

    return tensor


def folded(setting: Setting):
    """One multiplication and one addition, as GStreamer's, TFLite's and DeepStream's elements have it."""
    gain = 1 / (255 * np.array(setting.task.std))
    shift = -np.array(setting.task.mean) / np.array(setting.task.std)

    def tensor(image: Array) -> Array:
        values = image[:, :, ::-1].astype(np.float32) * np.float32(gain) + np.float32(shift)
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None])

    return tensor


def blob(setting: Setting):
    """cv2.dnn.blobFromImage, then std."""
    mean = tuple(255 * v for v in setting.task.mean)
    std = np.float32(setting.task.std).reshape(1, 3, 1, 1)

    def tensor(image: Array) -> Array:
        return np.ascontiguousarray(cv2.dnn.blobFromImage(image, 1 / 255, mean=mean, swapRB=True) / std)

    return tensor


@cache
def plain_session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def unoptimised(setting: Setting):
    path = setting.folder / setting.task.model

    def infer(batch: Array) -> dict[str, Array]:
        session = plain_session(path)
        values = session.run(None, {session.get_inputs()[0].name: batch})
        return dict(zip((o.name for o in session.get_outputs()), values))

    return infer


@cache
def openvino_model(path: Path):
    import openvino as ov

    config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return ov.Core().compile_model(str(path), "CPU", config)


def openvino(setting: Setting):
    path = setting.folder / setting.task.model

    def infer(batch: Array) -> dict[str, Array]:
        model = openvino_model(path)
        found = model(batch)
        return {port.get_any_name(): np.array(found[port]) for port in model.outputs}

    return infer


def half(setting: Setting):
    """The model in fp16, as `seatrial convert` makes it."""
    path = setting.folder / f"fp16-{setting.task.model}"
    if not path.is_file():
        source = str(setting.folder / setting.task.model)
        command = [sys.executable, "-c", CLI, "convert", source, "--precision", "fp16", "--output", str(path)]
        subprocess.run(command, check=True, capture_output=True, text=True)
    return infer_of(replace(setting.task, model=path.name), setting.folder)


def rounded(found: dict[str, Array]) -> dict[str, Array]:
    """As a log writes them: hundredths of a pixel, five digits of a score."""
    digits = {"boxes_xyxy": 2, "polygons": 2, "scores": 5}
    return {k: np.round(v, digits[k]) if k in digits else v for k, v in found.items()}


def _equal(variant: str, change, **more) -> Injection:
    return Injection("none", variant, change, **more)


EQUAL = (
    _equal("as-it-is", lambda steps, _setting: steps),
    _equal("batch-4", batches(4), levels=MODEL_LEVELS),
    _equal("batch-3", batches(3), levels=MODEL_LEVELS),
    _equal("threads-2", step("infer", lambda s: infer_of(s.task, s.folder, threads=2))),
    _equal("unoptimised", step("infer", unoptimised)),
    _equal("openvino", step("infer", openvino), needs="openvino"),
    _equal("fp16", step("infer", half)),
    _equal("pillow", step("decode", lambda _s: by_pillow)),
    _equal("divided", step("tensor", divided)),
    _equal("float64", step("tensor", in_float64)),
    _equal("folded", step("tensor", folded)),
    _equal("blob", step("tensor", blob)),
    _equal("rounded-results", after("results", rounded)),
)
