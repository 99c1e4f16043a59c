"""Mistakes of decoding: orientation, transparency, depth. Not for: JPEG's own arithmetic and YUV (color.py)."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from seatrial.diagnosis.mutation import Mutation, setting
from seatrial.diagnosis.stages import DECODED
from seatrial.diagnosis.way import At, Way

_BEHIND = {
    "drop": "keeps the colours of transparent pixels",
    "black": "lays images on black",
    "white": "lays images on white",
}


def decode_mutations(way: Way) -> Iterator[Mutation]:
    settings = way.spec.decode
    other = "ignore" if settings.exif == "apply" else "apply"
    turned = "does not turn images as their EXIF orientation says" if other == "ignore" else "turns images by EXIF"
    yield setting("exif", turned, DECODED, "decode", exif=other)
    for behind in ("drop", "black", "white"):
        if behind != settings.alpha:
            yield setting("alpha-or-depth", _BEHIND[behind], DECODED, "decode", alpha=behind)
    yield Mutation("alpha-or-depth", "cuts 16 bits to the upper 8", DECODED, _cut_to_eight_bits, "decode.sixteen_bit")
    yield Mutation("alpha-or-depth", "makes images grey", DECODED, _made_gray, "decode.color")


def _cut_to_eight_bits(way: Way) -> Way:
    """value >> 8, as OpenCV's own conversion does, in place of value / 257 rounded."""
    step = way.steps[DECODED]

    def cut(at: At) -> At:
        raw = cv2.imdecode(np.frombuffer(at.value, np.uint8), cv2.IMREAD_UNCHANGED)
        if raw is None or raw.dtype != np.uint16:
            return step(at)
        _, again = cv2.imencode(".png", (raw >> 8).astype(np.uint8))
        return step(At(again.tobytes()))

    return way.with_step(DECODED, cut)


def _made_gray(way: Way) -> Way:
    def gray(at: At) -> At:
        if at.value.shape[2] != 3:
            return at
        to = cv2.COLOR_BGR2GRAY if way.spec.decode.color == "bgr" else cv2.COLOR_RGB2GRAY
        return At(np.repeat(cv2.cvtColor(at.value, to)[..., None], 3, axis=2), at.geometry)

    return way.behind(DECODED, gray)
