"""Our kernels against the code that people write without them: one contest a piece of work.

For: `seatrial bench-kernels` and bench/kernels.py. Every contender does the whole work on the same input, with one thread
unless named otherwise; `best` variants reuse every buffer that their library lets them reuse. Not for: correctness (tests).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from seatrial._native.kernels import read_rows
from seatrial.kernels import native_postprocess
from seatrial.kernels.geometry import Geometry, fit
from seatrial.kernels.postprocess import DetectionDecoder, SegmentationDecoder
from seatrial.kernels.preprocess import Preprocess

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
Work = Callable[[], object]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
INPUT = 640
PAD = 114


@dataclass(frozen=True)
class Contest:
    """`ours` against groups of contenders; of a group the fastest counts. A floor is what no code can do without."""

    name: str
    ours: Work
    groups: dict[str, dict[str, Work]] = field(default_factory=dict)
    floor: Work | None = None


def contests(photograph_bgr: U8, sizes_wh: Sequence[tuple[int, int]]) -> Iterator[Contest]:
    """All contests, one after another, so that only one's buffers are in memory; the photograph is resized to each size."""
    for width, height in sizes_wh:
        image = _resized(photograph_bgr, width, height)
        yield _letterbox(image)
    for width, height in sizes_wh:
        yield _imagenet(_resized(photograph_bgr, width, height))
    for width, height in sizes_wh:
        yield _threads(_resized(photograph_bgr, width, height))
    yield _yolo_head()
    yield _softmax_top_k()
    yield _argmax_mask()


def _resized(image: U8, width: int, height: int) -> U8:
    return np.ascontiguousarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC))


def _letterbox(image: U8) -> Contest:
    kernel = Preprocess(size=(INPUT, INPUT), pad_value=PAD)
    out = np.zeros((1, *kernel.shape), np.float32)
    height, width = image.shape[:2]
    geometry = kernel.geometry((height, width))
    # One output for all who write into a given one: the same memory, as near to the caches for each.
    tuned, reused = _letterbox_reused(image, geometry, out)
    return Contest(
        f"letterbox {width} × {height}", lambda: kernel(image, out=out),
        {"as written": _letterbox_as_written(image, geometry), "buffers reused": reused, "tuned by hand": tuned},
        _letterbox_floor(image, geometry, out),
    )  # fmt: skip


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
    rows = _rows_of_linear(g)

    def floor() -> None:
        read_rows(lines, rows)
        out.fill(0.5)

    return floor


def _rows_of_linear(g: Geometry) -> npt.NDArray[np.int64]:
    """Source rows that have weight in a linear resize, or in the 2 × 2 mean of an exact half."""
    source, resized = g.source_hw[0], g.resized_hw[0]
    if source == resized or g.source_hw == (2 * resized, 2 * g.resized_hw[1]):
        return np.arange(source)
    position = (np.arange(resized) + 0.5) * source / resized - 0.5
    first = np.floor(position).astype(np.int64)
    second = first[position > first] + 1
    return np.unique(np.clip(np.concatenate([first, second]), 0, source - 1))


def _imagenet(image: U8) -> Contest:
    rgb = np.ascontiguousarray(image[..., ::-1])
    height, width = rgb.shape[:2]
    kernel = Preprocess(
        size=(224, 224), mode="resize_center_crop", resize_short=256, interpolation="antialias_linear", input_color="rgb",
        mean=IMAGENET_MEAN, std=IMAGENET_STD,
    )  # fmt: skip
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


def _threads(image: U8) -> Contest:
    kernel = Preprocess(size=(INPUT, INPUT))
    images = [image] * 32
    out = np.zeros((32, *kernel.shape), np.float32)
    return Contest(
        f"32 letterboxes {image.shape[1]} × {image.shape[0]}, 2 threads", lambda: kernel.batch(images, out=out, threads=2),
        {"itself": {"1 thread": lambda: kernel.batch(images, out=out)}},
    )  # fmt: skip


def yolo_head(candidates: int = 600, objects: int = 100, seed: int = 0) -> F32:
    """A made-up YOLOv8 head (1, 84, 8400): clusters of boxes around objects, all other scores low."""
    rng = np.random.default_rng(seed)
    head = np.zeros((1, 84, 8400), np.float32)
    head[0, 4:] = rng.random((80, 8400)) * 0.02
    centres = rng.random((objects, 2)) * (560, 260) + (40, 190)  # inside a letterboxed 16:9 image
    for k, anchor in enumerate(rng.choice(8400, candidates, replace=False)):
        head[0, :4, anchor] = [*(centres[k % objects] + rng.normal(size=2) * 4), *(60 + rng.normal(size=2) * 4)]
        head[0, 4 + k % objects % 80, anchor] = 0.3 + 0.6 * rng.random()
    return head


def _yolo_head() -> Contest:
    head = yolo_head()
    geometry = fit((720, 1280), (INPUT, INPUT), "letterbox")
    decoder = DetectionDecoder("yolov8")
    lines = head.view(np.uint8).reshape(84, -1)
    rows = np.arange(84)
    return Contest(
        "YOLOv8 head 84 × 8400, 600 candidates", lambda: decoder([head], [geometry]),
        {
            "vectorised": {"NumPy decode, NMSBoxesBatched": lambda: decode_with_numpy(head, geometry)},
            "a loop over anchors": {"NumPy loop, NMSBoxesBatched": lambda: decode_in_a_loop(head, geometry)},
        },
        lambda: read_rows(lines, rows),
    )  # fmt: skip


def decode_with_numpy(head: F32, g: Geometry) -> tuple[F32, F32, npt.NDArray[np.int64]]:
    """A YOLOv8 head to boxes, scores and classes as people write it, vectorised."""
    predictions = head[0].T
    scores = predictions[:, 4:].max(axis=1)
    keep = scores > 0.25
    predictions, scores = predictions[keep], scores[keep]
    return _suppressed(predictions[:, :4], scores, predictions[:, 4:].argmax(axis=1), g)


def decode_in_a_loop(head: F32, g: Geometry) -> tuple[F32, F32, npt.NDArray[np.int64]]:
    """The same anchor by anchor, as the examples of several projects do."""
    boxes, scores, classes = [], [], []
    for row in head[0].T:
        best = np.amax(row[4:])
        if best >= 0.25:
            boxes.append(row[:4])
            scores.append(best)
            classes.append(np.argmax(row[4:]))
    return _suppressed(np.array(boxes), np.array(scores), np.array(classes), g)


def _suppressed(
    cxcywh: F32, scores: F32, classes: npt.NDArray[np.int64], g: Geometry
) -> tuple[F32, F32, npt.NDArray[np.int64]]:
    xywh = cxcywh.copy()
    xywh[:, :2] -= xywh[:, 2:] / 2
    kept = cv2.dnn.NMSBoxesBatched(xywh.tolist(), scores.tolist(), classes.tolist(), 0.25, 0.45)
    boxes = xywh[kept]
    boxes[:, 2:] += boxes[:, :2]
    boxes[:, 0::2] = ((boxes[:, 0::2] - g.offset_x) / g.scale_x).clip(0, g.source_hw[1])
    boxes[:, 1::2] = ((boxes[:, 1::2] - g.offset_y) / g.scale_y).clip(0, g.source_hw[0])
    return boxes, scores[kept], classes[kept]


def _softmax_top_k() -> Contest:
    logits = (np.random.default_rng(0).normal(size=(64, 1000)) * 4).astype(np.float32)

    def probabilities() -> F32:
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        out: F32 = e / e.sum(axis=1, keepdims=True)
        return out

    def sorted_fully() -> object:
        p = probabilities()
        best = np.argsort(p, axis=1)[:, ::-1][:, :5]
        return best, np.take_along_axis(p, best, axis=1)

    def partitioned() -> object:
        p = probabilities()
        five = np.argpartition(p, -5, axis=1)[:, -5:]
        order = np.argsort(-np.take_along_axis(p, five, axis=1), axis=1)
        best = np.take_along_axis(five, order, axis=1)
        return best, np.take_along_axis(p, best, axis=1)

    return Contest(
        "softmax and top 5 of 64 × 1000", lambda: native_postprocess.classify(logits, "softmax", 5),
        {"as written": {"NumPy argsort": sorted_fully}, "tuned by hand": {"NumPy argpartition": partitioned}},
    )  # fmt: skip


def _argmax_mask() -> Contest:
    scores = np.random.default_rng(0).normal(size=(1, 21, 512, 512)).astype(np.float32)
    geometry = fit((1080, 1920), (512, 512), "stretch")
    decoder = SegmentationDecoder()
    lines = scores.view(np.uint8).reshape(21, -1)
    rows = np.arange(21)
    mask = np.zeros((1080, 1920), np.uint8)

    def floor() -> None:
        read_rows(lines, rows)
        mask.fill(0)

    def with_numpy() -> object:
        classes = scores[0].argmax(axis=0).astype(np.uint8)
        return cv2.resize(classes, (1920, 1080), interpolation=cv2.INTER_NEAREST_EXACT)

    best, higher = np.zeros((512, 512), np.float32), np.zeros((512, 512), np.uint8)
    classes = np.zeros((512, 512), np.uint8)

    def class_by_class() -> object:
        best[...] = scores[0, 0]
        classes.fill(0)
        for c in range(1, 21):
            cv2.compare(scores[0, c], best, cv2.CMP_GT, dst=higher)
            np.putmask(classes, higher.view(np.bool_), c)
            cv2.max(best, scores[0, c], dst=best)
        return cv2.resize(classes, (1920, 1080), interpolation=cv2.INTER_NEAREST_EXACT)

    return Contest(
        "argmax of 21 × 512 × 512 to 1920 × 1080", lambda: decoder([scores], [geometry]),
        {
            "as written": {"NumPy argmax, OpenCV nearest": with_numpy},
            "tuned by hand": {"OpenCV class by class": class_by_class},
        },
        floor,
    )  # fmt: skip
