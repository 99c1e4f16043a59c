"""Small pictures that show what others hide: a grey one shows no channel swap, a square one no padding.

For: `seatrial faults --pictures`, and naming the picture that would tell two explanations apart. They are made of the demo's
scenes and of patterns, the same each time. Not for: the patterns themselves (patterns.py).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from seatrial.faults.patterns import (
    U8,
    at_the_borders,
    coloured_edges,
    fine_detail,
    levels,
    overlapping,
    saturated_colours,
    stored_turned,
)

Scene = Callable[[str], U8]
"""A scene of the demo's by its file's name, (H, W, 3) BGR."""

ENLARGED, ODD = (96, 64), (333, 217)
_BARS = ("resize-mode", "pad-value", "pad-anchor", "unletterbox", "crop-fraction")
_SAMPLING = ("interpolation", "half-pixel")
_BOXES = ("box-format", "box-normalised", "label-offset", "decode-mode", "activation", "backend-wrong")
_ANYTHING = ("scale-missing", "scale-doubled", "normalise-order", "layout-reshape", "non-contiguous", "calibration")


@dataclass(frozen=True)
class TellingPicture:
    """file: its name. has: what it has that others lack. tells: faults that it shows. encoded: the file's bytes, of a scene."""

    file: str
    has: str
    tells: tuple[str, ...]
    encoded: Callable[[Scene], bytes]


def _png(pixels: U8) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1].tobytes())


def _jpeg(pixels: U8, full_colour: bool = False) -> bytes:
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444 if full_colour else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
    how = [cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    return bytes(cv2.imencode(".jpg", pixels, how)[1].tobytes())


def _two_levels(pixels: U8) -> bytes:
    """A bit a pixel, by a palette, which decoders give as three channels."""
    image, out = Image.fromarray(pixels[..., 0] // 255, "P"), io.BytesIO()
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(out, "PNG", bits=1)
    return out.getvalue()


def _with_orientation(pixels: U8, orientation: int) -> bytes:
    """Stored so that a decoder which reads the tag gives `pixels`."""
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(stored_turned(pixels, orientation)[..., ::-1])
    Image.fromarray(stored).save(out, "JPEG", quality=92, exif=exif)
    return out.getvalue()


def _turned(orientation: int) -> TellingPicture:
    tells = ("exif",) if orientation > 1 else ()
    has = f"EXIF orientation {orientation}"
    return TellingPicture(
        f"exif-{orientation}.jpg",
        has,
        tells,
        lambda scene: _with_orientation(scene("scene-06.jpg")[::2, ::2], orientation),
    )


def _wide(scene: Scene) -> U8:
    return scene("scene-06.jpg")[77:317]


def _tall(scene: Scene) -> U8:
    return scene("scene-28.jpg")[:, 60:280]


def _small(scene: Scene) -> U8:
    return np.asarray(cv2.resize(scene("scene-22.jpg"), ENLARGED, interpolation=cv2.INTER_AREA), np.uint8)


def _odd(scene: Scene) -> U8:
    return np.asarray(cv2.resize(scene("scene-06.jpg"), ODD, interpolation=cv2.INTER_AREA), np.uint8)


def _transparent(scene: Scene) -> U8:
    pixels = scene("scene-23.png")
    ramp = np.linspace(0, 255, pixels.shape[1]).astype(np.uint8)
    return np.dstack([pixels, np.broadcast_to(ramp, pixels.shape[:2])])


def _sixteen_bits(scene: Scene) -> bytes:
    """Full scale to full scale, with lower bytes of their own."""
    small = cv2.resize(scene("scene-23.png"), (160, 160), interpolation=cv2.INTER_AREA).astype(np.uint32)
    own = np.add.outer(np.arange(160), np.arange(160))[..., None] * 97 % 257
    return bytes(cv2.imencode(".png", np.minimum(small * 257 + own, 65535).astype(np.uint16))[1].tobytes())


def _grey(scene: Scene) -> U8:
    return np.asarray(cv2.cvtColor(scene("scene-06.jpg"), cv2.COLOR_BGR2GRAY)[::2, ::2], np.uint8)


PICTURES: tuple[TellingPicture, ...] = (
    TellingPicture(
        "saturated-colours.png",
        "patches of saturated colours",
        ("channel-order", "mean-std", "yuv-matrix", "yuv-range", "chroma-subsampling", *_ANYTHING),
        lambda _: _png(saturated_colours()),
    ),
    TellingPicture(
        "coloured-edges-420.jpg",
        "sharp edges between colours, in a JPEG of 4:2:0",
        ("jpeg-decoder", "channel-order"),
        lambda _: _jpeg(coloured_edges()),
    ),
    TellingPicture(
        "coloured-edges-444.jpg",
        "sharp edges between colours, in a JPEG of 4:4:4",
        ("chroma-subsampling", "jpeg-decoder", "channel-order"),
        lambda _: _jpeg(coloured_edges(), full_colour=True),
    ),
    TellingPicture(
        "levels.png",
        "all levels from black to white",
        ("yuv-range", "scale-wrong", "scale-missing", "scale-doubled", "fp16-overflow"),
        lambda _: _png(levels()),
    ),
    TellingPicture(
        "fine-detail-1280.png",
        "fine detail, larger than most inputs by 2 and more",
        ("antialias", *_SAMPLING, "crop-fraction"),
        lambda _: _two_levels(fine_detail(1280)),
    ),
    TellingPicture("small.png", "fewer pixels than an input", _SAMPLING, lambda s: _png(_small(s))),
    TellingPicture("wide.jpg", "twice as wide as high", _BARS, lambda s: _jpeg(_wide(s))),
    TellingPicture("tall.jpg", "twice as high as wide", _BARS, lambda s: _jpeg(_tall(s))),
    TellingPicture("odd-size.png", "odd sides", ("unletterbox", "pooling-mode", *_SAMPLING), lambda s: _png(_odd(s))),
    *(_turned(k) for k in range(1, 9)),
    TellingPicture("grey.png", "one channel", (), lambda s: _png(_grey(s))),
    TellingPicture("alpha.png", "transparency", ("alpha-or-depth",), lambda s: _png(_transparent(s))),
    TellingPicture("sixteen-bits.png", "16 bits a channel", ("alpha-or-depth",), _sixteen_bits),
    TellingPicture(
        "overlapping.jpg",
        "objects of one class and of two, one before the other",
        ("nms-settings", "stale-output", *_BOXES),
        lambda s: _jpeg(overlapping(s("scene-06.jpg"))),
    ),
    TellingPicture(
        "at-the-borders.jpg",
        "objects at each border",
        ("crop-fraction", "unletterbox", "pad-anchor", "stale-output", "batch-dependent", *_BOXES),
        lambda s: _jpeg(at_the_borders(s("scene-06.jpg"))),
    ),
    TellingPicture(
        "all-classes.jpg", "objects of all classes", ("label-map", *_BOXES), lambda s: _jpeg(s("scene-09.jpg"))
    ),
)


def write_pictures(folder: Path, scenes: Path, pictures: Sequence[TellingPicture] = PICTURES) -> None:
    """Into a folder that is there. scenes: where the demo's are."""

    def scene(name: str) -> U8:
        pixels = cv2.imread(str(scenes / name), cv2.IMREAD_COLOR)
        assert pixels is not None, f"{name} ships with the package"
        return np.asarray(pixels, np.uint8)

    for picture in pictures:
        (folder / picture.file).write_bytes(picture.encoded(scene))


def picture_for(fault: str, alike: tuple[str, ...] = ()) -> str:
    """The file that shows a fault; of several one that shows none of `alike`, where there is one. '' where no picture can."""
    shown = [p for p in PICTURES if fault in p.tells]
    own = [p for p in shown if not set(alike) & set(p.tells)]
    return (own or shown)[0].file if shown else ""
