"""The right pipeline of each task, as a user writes it. For: what faults are put into (injections), and equal candidates.

Not for: speed, or choices: each does what its plan in tasks.py says, and no more.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

from faulty.postprocess import RESULTS
from faulty.tasks import Task
from faulty.way import Array, Placement, Steps

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def decode(data: bytes) -> Array:
    """BGR, turned as EXIF says; alpha dropped; 16 bits to 8 from full scale to full scale."""
    raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if raw.dtype == np.uint16:
        raw = np.round(raw / 257).astype(np.uint8)
        return cv2.cvtColor(raw, cv2.COLOR_GRAY2BGR) if raw.ndim == 2 else raw[:, :, :3].copy()
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def letterbox(image: Array, size_hw: tuple[int, int], pad: int = 114, top_left: bool = False, by=cv2.INTER_LINEAR):
    height, width = image.shape[:2]
    ratio = min(size_hw[0] / height, size_hw[1] / width)
    new_w, new_h = round(width * ratio), round(height * ratio)
    small = image if (new_h, new_w) == (height, width) else resized(image, (new_h, new_w), by)
    spare_h, spare_w = size_hw[0] - new_h, size_hw[1] - new_w
    top, left = (0, 0) if top_left else (spare_h // 2, spare_w // 2)
    sides = top, spare_h - top, left, spare_w - left
    out = cv2.copyMakeBorder(small, *sides, cv2.BORDER_CONSTANT, value=(pad, pad, pad))
    return out, Placement((height, width), size_hw, (new_w / width, new_h / height), (left, top))


def stretch(image: Array, size_hw: tuple[int, int], by=cv2.INTER_LINEAR):
    height, width = image.shape[:2]
    scale = size_hw[1] / width, size_hw[0] / height
    return resized(image, size_hw, by), Placement((height, width), size_hw, scale, (0, 0))


def centre_crop(image: Array, size_hw: tuple[int, int], short: int = 256, by=cv2.INTER_LINEAR):
    """torchvision's Resize(short) and CenterCrop."""
    height, width = image.shape[:2]
    new_h, new_w = (short, int(short * width / height)) if height <= width else (int(short * height / width), short)
    large = resized(image, (new_h, new_w), by)
    top, left = round((new_h - size_hw[0]) / 2), round((new_w - size_hw[1]) / 2)
    out = np.ascontiguousarray(large[top : top + size_hw[0], left : left + size_hw[1]])
    return out, Placement((height, width), size_hw, (new_w / width, new_h / height), (-left, -top))


def resized(image: Array, size_hw: tuple[int, int], by) -> Array:
    """by: an interpolation of OpenCV's, or a function of (image, size_hw)."""
    if image.shape[:2] == tuple(size_hw):
        return image
    return by(image, size_hw) if callable(by) else cv2.resize(image, size_hw[::-1], interpolation=by)


RESIZE = {"letterbox": letterbox, "stretch": stretch, "resize_center_crop": centre_crop}


def resize_of(task: Task, **changed):
    """The task's resize with other keywords."""
    return partial(RESIZE[task.mode], size_hw=task.size_hw, **changed)


def to_tensor(image_bgr: Array, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), scale: float = 1 / 255) -> Array:
    rgb = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB).astype(np.float32)
    values = (rgb * np.float32(scale) - np.float32(mean)) / np.float32(std)
    return np.ascontiguousarray(np.transpose(values, (2, 0, 1))[None])


def tensor_of(task: Task, **changed):
    return partial(to_tensor, **{"mean": task.mean, "std": task.std, **changed})


@cache
def session(path: Path, threads: int = 1) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def infer(batch: Array, path: Path, threads: int = 1) -> dict[str, Array]:
    model = session(path, threads)
    values = model.run(None, {model.get_inputs()[0].name: batch})
    return dict(zip((o.name for o in model.get_outputs()), values))


def infer_of(task: Task, folder: Path, **changed):
    return partial(infer, path=folder / task.model, **changed)


def right_steps(task: Task, folder: Path) -> Steps:
    """folder: where tasks.py has put the task's model."""
    return Steps(decode, resize_of(task), tensor_of(task), infer_of(task, folder), RESULTS[task.name])
