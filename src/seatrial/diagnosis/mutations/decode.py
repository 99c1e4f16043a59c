"""Mistakes of decoding: orientation, transparency, depth, palettes. Not for: JPEG's own arithmetic and YUV (color.py)."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from seatrial.diagnosis.at import At
from seatrial.diagnosis.mutation import Mutation, setting
from seatrial.diagnosis.stages import DECODED
from seatrial.diagnosis.way import Step, Way
from seatrial.images.orientation import read_orientation, turn

Array = npt.NDArray[Any]
_BEHIND = {
    "drop": "keeps the colours of transparent pixels",
    "black": "lays images on black, or multiplies their colours by alpha",
    "white": "lays images on white",
}
# What the candidate does to which images, by the EXIF orientation that asks for it.
_TURNS = {
    2: "mirrors {} (left and right change places)",
    3: "turns {} by 180 degrees",
    4: "mirrors {} upside down",
    5: "transposes {}",
    6: "turns {} by 90 degrees clockwise",
    7: "transposes {} across the other diagonal",
    8: "turns {} by 90 degrees counterclockwise",
}
_BACK = {6: 8, 8: 6}


def decode_mutations(way: Way) -> Iterator[Mutation]:
    yield from _orientations(way)
    settings = way.spec.decode
    for behind in ("drop", "black", "white"):
        if behind != settings.alpha:
            yield setting("alpha-or-depth", _BEHIND[behind], DECODED, "decode", alpha=behind)
    key = "decode.alpha"
    yield Mutation("alpha-or-depth", "lays images on grey (128)", DECODED, _raw_changed(_on_gray), key)
    yield Mutation(
        "alpha-or-depth", "takes a palette's indices for grey levels", DECODED, _indices_for_levels, "decode.color"
    )
    for what, change in _DEPTHS.items():
        yield Mutation("alpha-or-depth", what, DECODED, _raw_changed(_of_sixteen_bits(change)), "decode.sixteen_bit")
    if settings.color != "gray":
        for what, gray in _GRAYS.items():
            yield Mutation("alpha-or-depth", f"makes images grey, {what}", DECODED, _made_gray(gray), "decode.color")


def _orientations(way: Way) -> Iterator[Mutation]:
    applied = way.spec.decode.exif == "apply"
    turned = "does not turn images as their EXIF orientation says" if applied else "turns images by EXIF"
    yield setting("exif", turned, DECODED, "decode", exif="ignore" if applied else "apply")
    if applied:
        yield _oriented("turns images by EXIF twice", lambda tag: (tag, tag))
        yield _oriented("turns images by EXIF the wrong way round", lambda tag: (_BACK.get(tag, tag),))
        yield _oriented("knows the orientations 3, 6 and 8 alone", lambda tag: (tag if tag in (3, 6, 8) else 1,))
        for k, what in _TURNS.items():
            yield _oriented(what.format("every image with an orientation in EXIF"), partial(_tagged, k))
    for k, what in _TURNS.items():
        said = f"{what.format('every image')}, as EXIF orientation {k} would ask, whatever its own is"
        # No key of a plan turns every picture.
        yield replace(_oriented(said, partial(_each, k, applied)), key="", twin=True)


def _tagged(k: int, tag: int) -> tuple[int, ...]:
    return (k if tag != 1 else 1,)


def _each(k: int, applied: bool, tag: int) -> tuple[int, ...]:
    return (tag if applied else 1, k)


def _oriented(what: str, turns: Callable[[int], tuple[int, ...]]) -> Mutation:
    """turns: of an image's tag, what is done to the image as it is stored, one after the other."""

    def wrap(step: Step) -> Step:
        def decode(at: At) -> At:
            image = step(at).value
            for k in turns(read_orientation(at.value)):
                image = turn(image, k)
            return At(image)

        return decode

    def change(way: Way) -> Way:
        return way.with_settings("decode", exif="ignore").wrapped(DECODED, wrap)

    return Mutation("exif", what, DECODED, change, "decode.exif")


def _raw_changed(change: Callable[[Array], Array | None]) -> Callable[[Way], Way]:
    """change: of what the file holds, BGR(A) or grey of any depth, to 8 bits; None where it is no such image."""

    def changed(way: Way) -> Way:
        turned = way.spec.decode.exif == "apply"

        def decode(step: Step, at: At) -> At:
            flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
            raw = cv2.imdecode(np.frombuffer(at.value, np.uint8), flags)
            made = None if raw is None else change(raw)
            if made is None:
                return step(at)
            # Through a file again: what follows of decoding is the plan's own; the tag would be lost on the way.
            image = step(At(cv2.imencode(".png", made)[1].tobytes())).value
            return At(turn(image, read_orientation(at.value)) if turned else image)

        return way.wrapped(DECODED, lambda step: lambda at: decode(step, at))

    return changed


def _of_sixteen_bits(change: Callable[[Array], Array]) -> Callable[[Array], Array | None]:
    return lambda raw: change(raw).astype(np.uint8) if raw.dtype == np.uint16 else None


_DEPTHS: dict[str, Callable[[Array], Array]] = {
    "keeps the upper 8 of 16 bits, where others divide by 257 (OpenCV's own conversion)": lambda raw: raw >> 8,
    "keeps the lower 8 of 16 bits (a plain conversion to bytes)": lambda raw: raw & 255,
    "clips 16 bits to 255 (Pillow's conversion)": lambda raw: np.minimum(raw, 255),
    "stretches each 16-bit image to its own range": lambda raw: cv2.normalize(raw, None, 0, 255, cv2.NORM_MINMAX),
}
_GRAYS: dict[str, Callable[[Array], Array]] = {
    "by BT.601's luma": lambda bgr: cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY),
    "by BT.601's luma with red and blue swapped": lambda bgr: cv2.cvtColor(bgr, cv2.COLOR_RGB2GRAY),
    "by the mean of the channels": lambda bgr: np.rint(bgr.mean(axis=2)).astype(np.uint8),
}


def _on_gray(raw: Array) -> Array | None:
    if raw.ndim != 3 or raw.shape[2] != 4 or raw.dtype != np.uint8:
        return None
    alpha = raw[..., 3:].astype(np.uint32)
    return ((raw[..., :3] * alpha + 128 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _indices_for_levels(way: Way) -> Way:
    def decode(step: Step, at: At) -> At:
        with Image.open(io.BytesIO(at.value)) as image:
            if image.mode != "P":
                return step(at)
            indices = np.asarray(image)
        return step(At(cv2.imencode(".png", indices)[1].tobytes()))

    return way.wrapped(DECODED, lambda step: lambda at: decode(step, at))


def _made_gray(gray: Callable[[Array], Array]) -> Callable[[Way], Way]:
    def change(way: Way) -> Way:
        order = -1 if way.spec.decode.color == "rgb" else 1

        def made(at: At) -> At:
            if at.value.shape[2] != 3:
                return at
            bgr = np.ascontiguousarray(at.value[..., ::order])
            return At(np.repeat(gray(bgr)[..., None], 3, axis=2), at.geometry)

        return way.behind(DECODED, made)

    return change
