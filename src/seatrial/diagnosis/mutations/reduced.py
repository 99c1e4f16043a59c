"""Mistakes of decoding a picture at a part of its size, to save time: what is resized then is another picture.

For: OpenCV's IMREAD_REDUCED flags and Pillow's draft(), which thumbnail() calls too. Not for: the decoder's arithmetic
(color.py).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from seatrial.diagnosis.at import At
from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.stages import DECODED, RESIZED
from seatrial.diagnosis.way import Step, Way
from seatrial.images.orientation import JPEG, read_orientation, turn
from seatrial.kernels.geometry import Geometry
from seatrial.plan import pipelines

Array = npt.NDArray[Any]
# An encoded file to the smaller picture; None where it is not made smaller.
Small = Callable[[bytes, pipelines.Decode], Array | None]


def reduced_mutations(way: Way) -> Iterator[Mutation]:
    if RESIZED not in way.steps or not isinstance(way.spec.preprocess, pipelines.Preprocess):
        return
    for by in (2, 4, 8):
        yield from _decoded(f"decodes pictures at 1/{by} of their size (OpenCV's IMREAD_REDUCED)", _reduced(by))
    height, width = way.spec.preprocess.size
    for times, said in ((1, "the input's size"), (2, "twice the input's size")):
        what = f"decodes JPEGs at 1/2, 1/4 or 1/8 of their size, down to {said} (Pillow's draft)"
        yield from _decoded(what, _drafted((width * times, height * times)))


def _decoded(what: str, small: Small) -> Iterator[Mutation]:
    for own_pixels in (False, True):
        said = f"{what}, and gives places in the smaller picture" if own_pixels else what
        yield Mutation("jpeg-decoder", said, DECODED, _changed(small, own_pixels), "decode")


def _changed(small: Small, own_pixels: bool) -> Callable[[Way], Way]:
    def change(way: Way) -> Way:
        settings = way.spec.decode

        def decode(step: Step, at: At) -> At:
            whole = step(at)
            made = small(at.value, settings)
            if made is None:
                return whole
            shape = whole.value.shape
            hw = shape[0], shape[1]
            # Where the whole picture's pixels lie, for the step that forgets it.
            return At(made, None if own_pixels else Geometry(hw, hw, hw, 0, 0))

        def resize(step: Step, at: At) -> At:
            made = step(at)
            if at.geometry is None or made.geometry is None:
                return made
            return At(made.value, replace(made.geometry, source_hw=at.geometry.source_hw))

        decoded = way.wrapped(DECODED, lambda step: lambda at: decode(step, at))
        return decoded.wrapped(RESIZED, lambda step: lambda at: resize(step, at))

    return change


def _reduced(by: int) -> Small:
    flags = {
        "gray": {
            2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
            4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
            8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
        },
        "bgr": {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8},
    }

    def small(data: bytes, settings: pipelines.Decode) -> Array | None:
        flag = flags["gray" if settings.color == "gray" else "bgr"][by]
        flag |= 0 if settings.exif == "apply" else cv2.IMREAD_IGNORE_ORIENTATION
        made = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
        return None if made is None else _in_order(np.asarray(made), "bgr", settings)

    return small


def _drafted(size_wh: tuple[int, int]) -> Small:
    def small(data: bytes, settings: pipelines.Decode) -> Array | None:
        if not data.startswith(JPEG):
            return None
        with Image.open(io.BytesIO(data)) as image:
            mode = "L" if settings.color == "gray" else "RGB"
            if image.draft(mode, size_wh) is None:
                return None
            made = np.asarray(image.convert(mode))
        made = turn(made, read_orientation(data)) if settings.exif == "apply" else made
        return _in_order(made, "rgb", settings)

    return small


def _in_order(image: Array, own: str, settings: pipelines.Decode) -> Array:
    if image.ndim == 2:
        return np.ascontiguousarray(image[..., None])
    return np.ascontiguousarray(image if settings.color == own else image[..., ::-1])
