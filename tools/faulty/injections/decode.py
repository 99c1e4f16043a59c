"""Faults from the file's bytes to levels: orientation, alpha and depth, JPEG decoders, YUV."""

from __future__ import annotations

import io
from dataclasses import replace

import cv2
import numpy as np
from PIL import Image, ImageOps

from faulty.injections.injection import Injection, Setting, after, step
from faulty.pipelines import decode
from faulty.way import Array, Steps


def _levels(data: bytes) -> Array:
    return np.frombuffer(data, np.uint8)


def exif_ignored(data: bytes) -> Array:
    if _depth(data) == 16:
        return decode(data)
    return cv2.imdecode(_levels(data), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)


def exif_twice(data: bytes) -> Array:
    """OpenCV has turned it, and then the service turns it by the tag."""
    image = decode(data)
    with Image.open(io.BytesIO(data)) as header:
        tag = header.getexif().get(0x0112, 1)
    if tag == 1:
        return image
    turned = Image.fromarray(image)
    exif = Image.Exif()
    exif[0x0112] = tag
    buffer = io.BytesIO()
    turned.save(buffer, "PNG", exif=exif)
    return np.ascontiguousarray(np.asarray(ImageOps.exif_transpose(Image.open(buffer))))


def _depth(data: bytes) -> int:
    return cv2.imdecode(_levels(data), cv2.IMREAD_UNCHANGED).dtype.itemsize * 8


def alpha_over(ground: int):
    def decoded(data: bytes) -> Array:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode != "RGBA":
                return decode(data)
            behind = Image.new("RGBA", image.size, (ground, ground, ground, 255))
            return np.asarray(Image.alpha_composite(behind, image).convert("RGB"))[:, :, ::-1].copy()

    return decoded


def sixteen(make):
    """make: 16-bit BGR to 8."""

    def decoded(data: bytes) -> Array:
        raw = cv2.imdecode(_levels(data), cv2.IMREAD_UNCHANGED)
        return make(raw[:, :, :3]) if raw.dtype == np.uint16 and raw.ndim == 3 else decode(data)

    return decoded


def grey(data: bytes) -> Array:
    return cv2.cvtColor(cv2.cvtColor(decode(data), cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def turbo(**flags: bool):
    """libjpeg-turbo with its fast transforms, as many services set them; turned by the tag as OpenCV does."""

    def decoded(data: bytes) -> Array:
        if data[:2] != b"\xff\xd8":
            return decode(data)
        import simplejpeg

        raw = simplejpeg.decode_jpeg(data, "BGR", **flags)
        with Image.open(io.BytesIO(data)) as header:
            tag = header.getexif().get(0x0112, 1)
        return _turned(raw, tag)

    return decoded


def _turned(image: Array, tag: int) -> Array:
    flips = {
        2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1], 5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1), 7: lambda a: a[::-1, ::-1].swapaxes(0, 1), 8: lambda a: np.rot90(a),
    }  # fmt: skip
    return np.ascontiguousarray(flips.get(tag, lambda a: a)(image))


def _ycc(data: bytes) -> tuple[Array, int]:
    """Y, Cb, Cr (H, W, 3) as float64 as the JPEG holds them, chroma drawn out; of other files by Pillow's conversion."""
    with Image.open(io.BytesIO(data)) as image:
        tag = image.getexif().get(0x0112, 1)
        if image.format == "JPEG" and image.mode == "RGB":
            image.draft("YCbCr", None)
        if image.mode != "YCbCr":
            return np.asarray(Image.fromarray(decode(data)[:, :, ::-1]).convert("YCbCr")).astype(np.float64), 1
        return np.asarray(image).astype(np.float64), tag


MATRICES = {"601": (0.299, 0.114), "709": (0.2126, 0.0722)}


def yuv(matrix: str = "601", squeeze: bool = False, expand: bool = False):
    """The file's planes by another matrix, or full-range planes taken for limited ones (expand), or the other way (squeeze)."""
    kr, kb = MATRICES[matrix]

    def decoded(data: bytes) -> Array:
        planes, tag = _ycc(data)
        y, u, v = planes[..., 0], planes[..., 1] - 128, planes[..., 2] - 128
        if expand:
            y, u, v = (y - 16) * 255 / 219, u * 255 / 224, v * 255 / 224
        if squeeze:
            y, u, v = np.round(y * 219 / 255 + 16), np.round(u * 224 / 255), np.round(v * 224 / 255)
        red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
        green = (y - kr * red - kb * blue) / (1 - kr - kb)
        bgr = np.clip(np.round(np.stack([blue, green, red], axis=-1)), 0, 255).astype(np.uint8)
        return _turned(bgr, tag)

    return decoded


def through_i420(image: Array) -> Array:
    """As a camera's or an encoder's frame: BT.601, limited, 4:2:0."""
    height, width = image.shape[:2]
    even = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    back = cv2.cvtColor(cv2.cvtColor(even, cv2.COLOR_BGR2YUV_I420), cv2.COLOR_YUV2BGR_I420)
    return np.ascontiguousarray(back[:height, :width])


def half_chroma(image: Array) -> Array:
    """Full-range Y, Cb, Cr with the chroma planes at half their size and back."""
    y, u, v = cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb))
    half = (image.shape[1] + 1) // 2, (image.shape[0] + 1) // 2
    u, v = (
        cv2.resize(
            cv2.resize(p, half, interpolation=cv2.INTER_AREA), image.shape[1::-1], interpolation=cv2.INTER_NEAREST
        )
        for p in (u, v)
    )
    return cv2.cvtColor(cv2.merge([y, u, v]), cv2.COLOR_YCrCb2BGR)


def reduced(by: int, own_pixels: bool = False):
    """cv2.IMREAD_REDUCED_COLOR_2, 4 or 8, to save time; boxes are brought back to the picture as it is stored, or own_pixels:
    to the one that was decoded."""
    flag = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}[by]
    return _smaller(lambda data: cv2.imdecode(_levels(data), flag), own_pixels)


def drafted(own_pixels: bool = False):
    """Pillow's draft: the decoder gives the smallest of its sizes that holds the input."""

    def change(steps: Steps, setting: Setting) -> Steps:
        def small(data: bytes) -> Array:
            with Image.open(io.BytesIO(data)) as image:
                if image.format != "JPEG":
                    return decode(data)
                image.draft("RGB", setting.task.size_hw[::-1])
                turned = ImageOps.exif_transpose(image).convert("RGB")
            return np.ascontiguousarray(np.asarray(turned)[:, :, ::-1])

        return _smaller(small, own_pixels)(steps, setting)

    return change


def _smaller(small, own_pixels: bool):
    def change(steps: Steps, _setting: Setting) -> Steps:
        whole_hw: list[tuple[int, int]] = []

        def decoded(data: bytes) -> Array:
            whole_hw[:] = [decode(data).shape[:2]]
            return small(data)

        def resize(image: Array):
            out, placed = steps.resize(image)
            if own_pixels:
                return out, placed
            ratio = np.array(image.shape[1::-1]) / whole_hw[0][::-1]
            return out, replace(placed, source_hw=whole_hw[0], scale_xy=tuple(np.array(placed.scale_xy) * ratio))

        return replace(steps, decode=decoded, resize=resize)

    return change


def _decode(fault: str, variant: str, function, **more) -> Injection:
    def made(_setting: Setting):
        return function

    return Injection(fault, variant, step("decode", made), **more)


INJECTIONS = (
    _decode("exif", "ignored", exif_ignored),
    _decode("exif", "applied-twice", exif_twice),
    _decode("alpha-or-depth", "over-white", alpha_over(255)),
    _decode("alpha-or-depth", "over-black", alpha_over(0)),
    _decode("alpha-or-depth", "low-byte-dropped", sixteen(lambda raw: (raw >> 8).astype(np.uint8))),
    _decode("alpha-or-depth", "high-byte-dropped", sixteen(lambda raw: raw.astype(np.uint8))),
    _decode("alpha-or-depth", "clipped", sixteen(lambda raw: np.minimum(raw, 255).astype(np.uint8))),
    _decode("alpha-or-depth", "grey", grey),
    _decode("jpeg-decoder", "fast-transform", turbo(fastdct=True), needs="simplejpeg"),
    _decode("jpeg-decoder", "fast-upsampling", turbo(fastupsample=True), needs="simplejpeg"),
    _decode("jpeg-decoder", "fast-both", turbo(fastdct=True, fastupsample=True), needs="simplejpeg"),
    Injection("jpeg-decoder", "reduced-2", reduced(2)),
    Injection("jpeg-decoder", "reduced-4", reduced(4)),
    Injection("jpeg-decoder", "reduced-2-and-its-pixels", reduced(2, own_pixels=True), ("detect", "text", "segment")),
    Injection("jpeg-decoder", "drafted", drafted()),
    _decode("yuv-range", "full-as-limited", yuv(expand=True)),
    _decode("yuv-range", "limited-as-full", yuv(squeeze=True)),
    _decode("yuv-matrix", "709-for-601", yuv("709")),
    Injection("chroma-subsampling", "i420", after("decode", through_i420)),
    Injection("chroma-subsampling", "half-planes", after("decode", half_chroma)),
)
