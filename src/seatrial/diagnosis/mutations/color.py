"""Mistakes of JPEG's and video's colours: the decoder's arithmetic, YUV's matrix and range, chroma at half its size.

For: what a frame that comes from a camera, a codec or a faster decoder has been through. Not for: the order of channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from seatrial.diagnosis.at import At
from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.stages import DECODED, RESIZED
from seatrial.diagnosis.way import Step, Way
from seatrial.errors import BackendUnavailableError
from seatrial.images.orientation import JPEG, read_orientation, turn

Array = npt.NDArray[Any]
F32 = npt.NDArray[np.float32]
# Share of red and of blue in luma.
_MATRICES = {"BT.601": (0.299, 0.114), "BT.709": (0.2126, 0.0722)}
_JPEG_DECODERS = {
    "decodes JPEG with the fast inverse transform (JDCT_IFAST, TensorFlow's default)": (True, False),
    "decodes JPEG without smooth chroma upsampling": (False, True),
    "decodes JPEG with the fast inverse transform and without smooth chroma upsampling": (True, True),
}
DECODER_CURE = (
    "the mistakes of JPEG decoders are not tried: simplejpeg is not installed; python -m pip install 'seatrial[cpu]'"
)


def color_mutations(way: Way) -> Iterator[Mutation]:
    gray = way.spec.decode.color == "gray"
    for what, (fast, coarse) in _JPEG_DECODERS.items():
        if not (gray and coarse):
            yield Mutation("jpeg-decoder", what, DECODED, _decoded_by(fast, coarse), "decode")
    if gray:
        return
    for fault, what, change in _conversions():
        if fault != "chroma-subsampling":
            yield Mutation(fault, f"{what}, of JPEGs alone", DECODED, _of_jpegs(change), "decode.color")
    for stage in (DECODED, RESIZED) if RESIZED in way.steps else (DECODED,):
        behind = "" if stage == DECODED else " behind the resize"
        for fault, what, change in _conversions():
            yield Mutation(fault, what + behind, stage, _in_bgr(stage, change), "decode.color")


def _decoded_by(fast: bool, coarse: bool) -> Callable[[Way], Way]:
    def change(way: Way) -> Way:
        try:
            decoder = import_module("simplejpeg")
        except ImportError:
            raise BackendUnavailableError(DECODER_CURE) from None
        settings = way.spec.decode

        def decode(step: Step, at: At) -> At:
            if not at.value.startswith(JPEG):
                return step(at)
            image = decoder.decode_jpeg(at.value, settings.color.upper(), fast, coarse, strict=False)
            return At(turn(image, read_orientation(at.value)) if settings.exif == "apply" else image)

        return way.wrapped(DECODED, lambda step: lambda at: decode(step, at))

    return change


def _in_bgr(stage: str, change: Callable[[Array], Array]) -> Callable[[Way], Way]:
    def changed(way: Way) -> Way:
        order = -1 if way.spec.decode.color == "rgb" else 1

        def step(at: At) -> At:
            if at.value.dtype != np.uint8:
                raise ValueError("levels between whole ones go through no format of images")
            bgr = np.ascontiguousarray(at.value[..., ::order])
            return At(np.ascontiguousarray(change(bgr)[..., ::order]), at.geometry)

        return way.behind(stage, step)

    return changed


def _of_jpegs(change: Callable[[Array], Array]) -> Callable[[Way], Way]:
    """Of files that hold YUV: others go another way."""

    def changed(way: Way) -> Way:
        order = -1 if way.spec.decode.color == "rgb" else 1

        def decode(step: Step, at: At) -> At:
            made = step(at)
            if not at.value.startswith(JPEG):
                return made
            bgr = np.ascontiguousarray(made.value[..., ::order])
            return At(np.ascontiguousarray(change(bgr)[..., ::order]))

        return way.wrapped(DECODED, lambda step: lambda at: decode(step, at))

    return changed


def _conversions() -> Iterator[tuple[str, str, Callable[[Array], Array]]]:
    for matrix in _MATRICES:
        yield "yuv-range", f"takes full-range YUV for limited ({matrix})", _converted((matrix, False), (matrix, True))
        yield "yuv-range", f"takes limited-range YUV for full ({matrix})", _converted((matrix, True), (matrix, False))
    for limited in (False, True):
        said = "limited" if limited else "full"
        for a, b in (("BT.601", "BT.709"), ("BT.709", "BT.601")):
            yield (
                "yuv-matrix",
                f"converts {a} YUV by {b}'s matrix ({said} range)",
                _converted((a, limited), (b, limited)),
            )
    for what, change in _HALVES.items():
        yield "chroma-subsampling", what, change


def _converted(stored: tuple[str, bool], read: tuple[str, bool]) -> Callable[[Array], Array]:
    """To planes of whole numbers by one rule, and back by another. A rule is a matrix, and whether the range is limited."""

    def change(bgr: Array) -> Array:
        return _to_bgr(np.clip(np.rint(_to_yuv(bgr, *stored)), 0, 255), *read)

    return change


def _scales(limited: bool) -> tuple[float, F32]:
    """What luma begins at, and what luma and chroma are times."""
    gains = (219 / 255, 224 / 255, 224 / 255) if limited else (1.0, 1.0, 1.0)
    return (16.0 if limited else 0.0), np.array(gains, np.float32)


def _to_yuv(bgr: Array, matrix: str, limited: bool) -> F32:
    red, blue = _MATRICES[matrix]
    luma = [blue, 1 - red - blue, red]
    rows = [luma, [(k - v) / (2 - 2 * blue) for k, v in zip((1, 0, 0), luma, strict=True)]]
    rows.append([(k - v) / (2 - 2 * red) for k, v in zip((0, 0, 1), luma, strict=True)])
    start, gains = _scales(limited)
    turned = (np.array(rows, np.float32) * gains[:, None]).astype(np.float32)
    offset = np.array([[start], [128.0], [128.0]], np.float32)
    return np.asarray(cv2.transform(bgr.astype(np.float32), np.concatenate([turned, offset], axis=1)), np.float32)


def _to_bgr(yuv: F32, matrix: str, limited: bool) -> Array:
    red, blue = _MATRICES[matrix]
    green = 1 - red - blue
    of_u, of_v = 2 - 2 * blue, 2 - 2 * red
    rows = np.array([[1, of_u, 0], [1, -blue * of_u / green, -red * of_v / green], [1, 0, of_v]], np.float32)
    start, gains = _scales(limited)
    turned = (rows / gains[None]).astype(np.float32)
    offset = -(turned @ np.array([[start], [128.0], [128.0]], np.float32))
    bgr = cv2.transform(np.asarray(yuv, np.float32), np.concatenate([turned, offset], axis=1))
    return np.asarray(np.clip(np.rint(bgr), 0, 255), np.uint8)


def _through_i420(bgr: Array) -> Array:
    height, width = bgr.shape[:2]
    even = cv2.copyMakeBorder(bgr, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    back = cv2.cvtColor(cv2.cvtColor(even, cv2.COLOR_BGR2YUV_I420), cv2.COLOR_YUV2BGR_I420)
    return np.asarray(back[:height, :width])


def _halved(down: int, up: int, *, both: bool = True) -> Callable[[Array], Array]:
    """BT.601, full range as JPEG. both: 4:2:0, else 4:2:2."""

    def change(bgr: Array) -> Array:
        height, width = bgr.shape[:2]
        planes = list(cv2.split(cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb)))
        size = (width + 1) // 2, (height + 1) // 2 if both else height
        for k in (1, 2):
            small = cv2.resize(planes[k], size, interpolation=down)
            planes[k] = cv2.resize(small, (width, height), interpolation=up)
        return np.asarray(cv2.cvtColor(cv2.merge(planes), cv2.COLOR_YCrCb2BGR))

    return change


def _halved_by_pillow(up: int) -> Callable[[Array], Array]:
    """Pillow's conversion cuts where OpenCV's rounds: up to a level in each plane."""

    def change(bgr: Array) -> Array:
        height, width = bgr.shape[:2]
        planes = [np.asarray(p) for p in Image.fromarray(np.ascontiguousarray(bgr[..., ::-1])).convert("YCbCr").split()]
        for k in (1, 2):
            small = cv2.resize(planes[k], ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
            planes[k] = cv2.resize(small, (width, height), interpolation=up)
        merged = Image.merge("YCbCr", [Image.fromarray(np.ascontiguousarray(p)) for p in planes])
        return np.asarray(merged.convert("RGB"))[..., ::-1]

    return change


_HALVES: dict[str, Callable[[Array], Array]] = {
    "sends images through 4:2:0 video (limited range, OpenCV's I420)": _through_i420,
    "keeps chroma at half size, averaged and repeated (4:2:0)": _halved(cv2.INTER_AREA, cv2.INTER_NEAREST),
    "keeps chroma at half size, averaged and interpolated (4:2:0)": _halved(cv2.INTER_AREA, cv2.INTER_LINEAR),
    "keeps chroma at half size, averaged and repeated (4:2:0, by Pillow)": _halved_by_pillow(cv2.INTER_NEAREST),
    "keeps chroma at half size, averaged and interpolated (4:2:0, by Pillow)": _halved_by_pillow(cv2.INTER_LINEAR),
    "keeps chroma at half size, every other pixel's, repeated (4:2:0)": _halved(cv2.INTER_NEAREST, cv2.INTER_NEAREST),
    "keeps chroma at half width, averaged and repeated (4:2:2)": _halved(cv2.INTER_AREA, cv2.INTER_NEAREST, both=False),
}
