"""Contests of preprocessing: letterbox, ImageNet's evaluation, and two threads against one.

Every contender does the whole work on the same image; those at their best reuse every buffer that their library lets them
reuse.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from seatrial._native.kernels import read_rows
from seatrial.contests.contest import Contest, Work
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.preprocess import Preprocess

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
INPUT = 640
PAD = 114
CENTRE_CROP: dict[str, Any] = {"mode": "resize_center_crop", "resize_short": 256, "interpolation": "antialias_linear"}


def letterbox(image: U8) -> Contest:
    kernel = Preprocess(size=(INPUT, INPUT), pad_value=PAD)
    out = np.zeros((1, *kernel.shape), np.float32)
    height, width = image.shape[:2]
    geometry = kernel.geometry((height, width))
    # One output for all who write into a given one: the same memory, as near to the caches for each.
    tuned, reused = _letterbox_reused(image, geometry, out)
    groups = {"as written": _letterbox_as_written(image, geometry), "buffers reused": reused, "tuned by hand": tuned}
    floor = _letterbox_floor(image, geometry, out)
    return Contest(f"letterbox {width} × {height}", lambda: kernel(image, out=out), groups, floor)


def _letterbox_as_written(image: U8, g: Geometry) -> dict[str, Work]:
    (rows, columns), (top, left) = g.resized_hw, (g.offset_y, g.offset_x)
    border = (top, INPUT - rows - top, left, INPUT - columns - left)
    params = _blob_params()

    def boxed() -> U8:
        # As Ultralytics does: no resize where the size is right already.
        small = image if image.shape[:2] == (rows, columns) else cv2.resize(image, (columns, rows))
        return np.asarray(cv2.copyMakeBorder(small, *border, cv2.BORDER_CONSTANT, value=(PAD, PAD, PAD)), np.uint8)

    return {
        "OpenCV resize, border, blobFromImage": lambda: cv2.dnn.blobFromImage(boxed(), 1 / 255, swapRB=True),
        "OpenCV blobFromImageWithParams": lambda: cv2.dnn.blobFromImageWithParams(image, params),
        "OpenCV resize, border, NumPy": lambda: (
            np.ascontiguousarray(boxed()[..., ::-1].transpose(2, 0, 1)[None]).astype(np.float32) / 255
        ),
    }


def _letterbox_reused(image: U8, g: Geometry, out: F32) -> tuple[dict[str, Work], dict[str, Work]]:
    """What an expert writes, plane by plane; and the usual three at their best."""
    (rows, columns), (top, left) = g.resized_hw, (g.offset_y, g.offset_x)
    canvas = np.full((INPUT, INPUT, 3), PAD, np.uint8)
    inside = canvas[top : top + rows, left : left + columns]
    reversed_planes = canvas[..., ::-1].transpose(2, 0, 1)[None]
    bgr = [np.zeros((INPUT, INPUT), np.uint8) for _ in range(3)]
    params = _blob_params()

    def place() -> None:
        if image.shape[:2] == (rows, columns):
            inside[...] = image
        else:
            cv2.resize(image, (columns, rows), dst=inside)

    def blob_from_canvas() -> None:
        place()
        cv2.dnn.blobFromImage(canvas, 1 / 255, swapRB=True)

    def numpy_planes() -> None:
        place()
        np.multiply(reversed_planes, np.float32(1 / 255), out=out, casting="unsafe")

    def split_planes() -> None:
        place()
        cv2.split(canvas, bgr)
        for c, plane in enumerate(bgr):
            np.multiply(plane, np.float32(1 / 255), out=out[0, 2 - c], casting="unsafe")

    tuned: dict[str, Work] = {"OpenCV resize, split, NumPy by plane": split_planes}
    return tuned, {
        "OpenCV resize into a canvas, blobFromImage": blob_from_canvas,
        "OpenCV blobFromImageWithParams": lambda: cv2.dnn.blobFromImageWithParams(image, out, params),
        "OpenCV resize into a canvas, NumPy": numpy_planes,
    }


def _blob_params() -> Any:
    params = cv2.dnn.Image2BlobParams()
    params.scalefactor = (1 / 255,) * 4
    params.size = (INPUT, INPUT)
    params.swapRB = True
    params.ddepth = cv2.CV_32F
    params.paddingmode = cv2.dnn.DNN_PMODE_LETTERBOX
    params.borderValue = (PAD, PAD, PAD, 0)
    return params


def _letterbox_floor(image: U8, g: Geometry, out: F32) -> Work:
    lines = image.reshape(image.shape[0], -1)
    rows = rows_of_linear(g)

    def floor() -> None:
        read_rows(lines, rows)
        out.fill(0.5)

    return floor


def rows_of_linear(g: Geometry) -> npt.NDArray[np.int64]:
    """Source rows that have weight in a linear resize, or in the 2 × 2 mean of an exact half."""
    source, resized = g.source_hw[0], g.resized_hw[0]
    if source == resized or g.source_hw == (2 * resized, 2 * g.resized_hw[1]):
        return np.arange(source)
    position = (np.arange(resized) + 0.5) * source / resized - 0.5
    first = np.floor(position).astype(np.int64)
    second = first[position > first] + 1
    return np.unique(np.clip(np.concatenate([first, second]), 0, source - 1))


def imagenet(image: U8) -> Contest:
    rgb = np.ascontiguousarray(image[..., ::-1])
    height, width = rgb.shape[:2]
    kernel = Preprocess(size=(224, 224), input_color="rgb", mean=IMAGENET_MEAN, std=IMAGENET_STD, **CENTRE_CROP)
    out = np.zeros((1, *kernel.shape), np.float32)
    g = kernel.geometry((height, width))
    box = (-g.offset_x, -g.offset_y, 224 - g.offset_x, 224 - g.offset_y)
    pillow = Image.fromarray(rgb)
    mean, std = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_STD, np.float32)

    def with_pillow() -> Any:
        crop = pillow.resize((g.resized_hw[1], g.resized_hw[0]), Image.Resampling.BILINEAR).crop(box)
        scaled = (np.asarray(crop, np.float32) / 255 - mean) / std
        return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])

    peers: dict[str, Work] = {"Pillow resize, crop, NumPy": with_pillow}
    if importlib.util.find_spec("torchvision") is not None:
        peers["torchvision v2"] = _torchvision(rgb)
    return Contest(f"ImageNet eval {width} × {height}", lambda: kernel(rgb, out=out), {"as written": peers})


def _torchvision(rgb: U8) -> Work:
    import torch
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    steps = v2.Compose(
        [
            v2.Resize(256, antialias=True),
            v2.CenterCrop(224),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(list(IMAGENET_MEAN), list(IMAGENET_STD)),
        ]
    )
    tensor = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None]
    return lambda: steps(tensor)


def threads(image: U8) -> Contest:
    kernel = Preprocess(size=(INPUT, INPUT))
    images = [image] * 32
    out = np.zeros((32, *kernel.shape), np.float32)
    name = f"32 letterboxes {image.shape[1]} × {image.shape[0]}, 2 threads"
    alone: dict[str, Work] = {"1 thread": lambda: kernel.batch(images, out=out)}
    return Contest(name, lambda: kernel.batch(images, out=out, threads=2), {"itself": alone})
