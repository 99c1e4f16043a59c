"""JPEG decoders, YUV's matrix and range, chroma at half size: by Pillow's planes, OpenCV's frames and libjpeg-turbo's options."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from image_candidates import RIGHT, assert_named, compared, decode, demo_files, said
from PIL import Image

from seatrial.diagnosis.mutations.color import DECODER_CURE

FILES = ("scene-00", "scene-01", "scene-02", "scene-03", "scene-04", "scene-07", "scene-09", "scene-11")
SHARES = {"601": (0.299, 0.114), "709": (0.2126, 0.0722)}


def planes(data):
    """Y, Cb, Cr as the file has them."""
    with Image.open(io.BytesIO(data)) as image:
        image.draft("YCbCr", None)
        return np.asarray(image).astype(np.float64)


def yuv(matrix="601", expand=False, squeeze=False):
    red, blue = SHARES[matrix]

    def decoded(data):
        if data[:2] != b"\xff\xd8":
            return decode(data)
        y, u, v = np.moveaxis(planes(data), 2, 0)
        u, v = u - 128, v - 128
        if expand:
            y, u, v = (y - 16) * 255 / 219, u * 255 / 224, v * 255 / 224
        if squeeze:
            y, u, v = 16 + y * 219 / 255, u * 224 / 255, v * 224 / 255
        r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
        g = (y - red * r - blue * b) / (1 - red - blue)
        return np.ascontiguousarray(np.clip(np.round(np.dstack([b, g, r])), 0, 255).astype(np.uint8))

    return decoded


def through_a_frame(data):
    image = decode(data)
    h, w = image.shape[:2]
    even = cv2.copyMakeBorder(image, 0, h % 2, 0, w % 2, cv2.BORDER_REPLICATE)
    back = cv2.cvtColor(cv2.cvtColor(even, cv2.COLOR_BGR2YUV_I420), cv2.COLOR_YUV2BGR_I420)
    return np.ascontiguousarray(back[:h, :w])


def half_chroma(how):
    def decoded(data):
        ycc = np.asarray(Image.fromarray(decode(data)[..., ::-1]).convert("YCbCr"))
        h, w = ycc.shape[:2]
        small = [cv2.resize(ycc[..., k], ((w + 1) // 2, (h + 1) // 2), interpolation=cv2.INTER_AREA) for k in (1, 2)]
        u, v = (cv2.resize(p, (w, h), interpolation=how) for p in small)
        back = Image.merge("YCbCr", [Image.fromarray(np.ascontiguousarray(p)) for p in (ycc[..., 0], u, v)])
        return np.ascontiguousarray(np.asarray(back.convert("RGB"))[..., ::-1])

    return decoded


CASES = {
    "full-as-limited": ("yuv-range", yuv(expand=True)),
    "limited-as-full": ("yuv-range", yuv(squeeze=True)),
    "709-for-601": ("yuv-matrix", yuv("709")),
    "frame": ("chroma-subsampling", through_a_frame),
    "repeated": ("chroma-subsampling", half_chroma(cv2.INTER_NEAREST)),
    "interpolated": ("chroma-subsampling", half_chroma(cv2.INTER_LINEAR)),
}


@pytest.mark.parametrize("level", ["taps", "input"])
@pytest.mark.parametrize("case", CASES)
def test_other_colors(case, level):
    assert_named(CASES[case][0], RIGHT.but(decode=CASES[case][1]), level, files=demo_files(FILES))


@pytest.mark.parametrize("case", ["full-as-limited", "709-for-601", "frame"])
def test_other_colors_by_answers(case):
    assert_named(CASES[case][0], RIGHT.but(decode=CASES[case][1]), "answers", files=demo_files(FILES))


def test_matrix_and_range_together():
    found = compared(RIGHT.but(decode=yuv("709", expand=True)), "taps", files=demo_files(FILES))
    best = next(p.found.best for p in found.parts if p.found)
    assert best, said(found)
    assert set(best.faults) == {"yuv-matrix", "yuv-range"}, said(found)


def test_what_cannot_be_tried_is_said():
    """Only where the decoder is missing; then a difference of decoders has no name, and the reason stands beside it."""
    found = compared(RIGHT.but(decode=through_a_frame), "taps", files=demo_files(FILES[:3]))
    (part,) = [p for p in found.parts if p.found]
    try:
        import simplejpeg  # noqa: F401
    except ImportError:
        assert [u.why for u in part.found.untried] == [DECODER_CURE]
    else:
        assert part.found.untried == ()


@pytest.mark.parametrize("level", ["taps", "input", "answers"])
@pytest.mark.parametrize("options", [(True, False), (False, True), (True, True)])
def test_jpeg_decoders(options, level):
    simplejpeg = pytest.importorskip("simplejpeg")

    def decoded(data):
        return simplejpeg.decode_jpeg(data, "BGR", *options) if data[:2] == b"\xff\xd8" else decode(data)

    files = demo_files(("scene-01", "scene-03", "scene-09", "scene-11", "scene-15", "scene-17", "scene-25", "scene-27"))
    assert_named("jpeg-decoder", RIGHT.but(decode=decoded), level, files=files)
