"""Orientation, transparency, depth and palettes decoded otherwise, by OpenCV, Pillow and NumPy, on images of each kind."""

from __future__ import annotations

import io
from functools import cache

import cv2
import numpy as np
import pytest
from image_candidates import IMAGES, RIGHT, assert_named, compared, decode, demo_files, reference, said
from PIL import Image, ImageOps


def scene(k, size=(300, 200)):
    (path,) = IMAGES.glob(f"scene-{k:02}.*")
    with Image.open(path) as image:
        return image.convert("RGB").resize(size)


def saved(image, kind="PNG", **more):
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


@cache
def kinds():
    """Each kind of image, several of it, and plain ones."""
    made = demo_files(["scene-00", "scene-02"])
    for tag in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = tag
        made[f"exif-{tag}.jpg"] = saved(scene(tag + 15), "JPEG", exif=exif, quality=95)
    for k in (8, 9, 10):
        rgba = np.dstack([np.asarray(scene(k)), np.tile(np.linspace(0, 255, 300).astype(np.uint8), (200, 1))])
        made[f"alpha-{k}.png"] = saved(Image.fromarray(rgba))
    for k in (11, 12, 14):
        deep = np.asarray(scene(k)).astype(np.uint16)[..., ::-1] * 257 + np.uint16(100 * (k - 10))
        made[f"deep-{k}.png"] = cv2.imencode(".png", np.minimum(deep, 65000).astype(np.uint16))[1].tobytes()
    for k in (15, 16):
        made[f"palette-{k}.png"] = saved(scene(k).quantize(64))
    made["gray.jpg"] = saved(scene(17).convert("L"), "JPEG")
    return made


def levels(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def right(data):
    """As the plan says: 16 bits by full scale, the colours of transparent pixels kept."""
    raw = levels(data)
    return np.ascontiguousarray(np.round(raw / 257).astype(np.uint8)) if raw.dtype == np.uint16 else decode(data)


def unturned(data):
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return right(data) if levels(data).dtype == np.uint16 else cv2.imdecode(np.frombuffer(data, np.uint8), flags)


def tag_of(data):
    with Image.open(io.BytesIO(data)) as image:
        return image.getexif().get(0x0112, 1)


def transposed(image, tag):
    """By Pillow, as a tag says."""
    exif = Image.Exif()
    exif[0x0112] = tag
    with Image.open(io.BytesIO(saved(Image.fromarray(image), exif=exif))) as tagged:
        return np.ascontiguousarray(np.asarray(ImageOps.exif_transpose(tagged)))


def deep(change):
    def decoded(data):
        raw = levels(data)
        return np.ascontiguousarray(change(raw).astype(np.uint8)) if raw.dtype == np.uint16 else right(data)

    return decoded


def over(ground):
    def decoded(data):
        with Image.open(io.BytesIO(data)) as image:
            if image.mode != "RGBA":
                return right(data)
            behind = Image.new("RGBA", image.size, (ground,) * 3 + (255,))
            return np.ascontiguousarray(np.asarray(Image.alpha_composite(behind, image).convert("RGB"))[..., ::-1])

    return decoded


def indices(data):
    with Image.open(io.BytesIO(data)) as image:
        return cv2.cvtColor(np.asarray(image), cv2.COLOR_GRAY2BGR) if image.mode == "P" else right(data)


def gray(data):
    return cv2.cvtColor(cv2.cvtColor(right(data), cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def turned_back(data):
    return transposed(unturned(data), {6: 8, 8: 6}.get(tag_of(data), tag_of(data)))


CASES = {
    "ignored": ("exif", unturned),
    "twice": ("exif", lambda data: transposed(right(data), tag_of(data))),
    "wrong-way-round": ("exif", turned_back),
    "all-turned-by-90": ("exif", lambda data: np.ascontiguousarray(np.rot90(right(data), -1))),
    "all-mirrored": ("exif", lambda data: np.ascontiguousarray(right(data)[:, ::-1])),
    "on-white": ("alpha-or-depth", over(255)),
    "on-black": ("alpha-or-depth", over(0)),
    "on-gray": ("alpha-or-depth", over(128)),
    "upper-byte": ("alpha-or-depth", deep(lambda raw: raw >> 8)),
    "lower-byte": ("alpha-or-depth", deep(lambda raw: raw.astype(np.uint8))),
    "clipped": ("alpha-or-depth", deep(lambda raw: np.minimum(raw, 255))),
    "indices": ("alpha-or-depth", indices),
    "gray": ("alpha-or-depth", gray),
}


def test_the_plan_is_what_the_right_one_does():
    assert not said(compared(RIGHT.but(decode=right), "taps", files=kinds()))


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_decode(case):
    assert_named(CASES[case][0], RIGHT.but(decode=CASES[case][1]), "taps", files=kinds())


@pytest.mark.parametrize("case", ["ignored", "twice", "on-white", "indices"])
def test_a_wrong_decode_by_the_input(case):
    assert_named(CASES[case][0], RIGHT.but(decode=CASES[case][1]), "input", files=kinds())


@pytest.mark.parametrize("case", ["ignored", "all-mirrored", "lower-byte"])
def test_a_wrong_decode_by_answers(case):
    assert_named(CASES[case][0], RIGHT.but(decode=CASES[case][1]), "answers", files=kinds())


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [c for c in CASES if c in ("twice", "wrong-way-round", "on-white", "on-black", "clipped", "indices")]
)
def test_a_wrong_decode_by_answers_all(case):
    assert_named(CASES[case][0], RIGHT.but(decode=CASES[case][1]), "answers", files=kinds())


def test_two_kinds_of_images_wrong_each_in_its_own_way():
    """EXIF and alpha: neither shows where the other does."""

    def decoded(data):
        return over(255)(data) if levels(data).ndim == 3 and levels(data).shape[2] == 4 else unturned(data)

    found = compared(RIGHT.but(decode=decoded), "taps", files=kinds())
    best = next(p.found.best for p in found.parts if p.found)
    assert best, said(found)
    assert set(best.faults) == {"exif", "alpha-or-depth"}, said(found)


def test_images_that_cannot_show_it_accuse_nobody():
    """No orientation, no alpha, eight bits."""
    files = demo_files(["scene-00", "scene-01", "scene-07"])
    for fault in ("ignored", "on-white", "upper-byte", "indices"):
        assert not said(compared(RIGHT.but(decode=CASES[fault][1]), "taps", files=files))


def test_pillows_jpegs_are_opencvs():
    """Both are libjpeg-turbo: another library is no fault by itself."""

    def by_pillow(data):
        with Image.open(io.BytesIO(data)) as image:
            return np.ascontiguousarray(np.asarray(ImageOps.exif_transpose(image).convert("RGB"))[..., ::-1])

    assert not said(compared(RIGHT.but(decode=by_pillow), "taps"))


def test_a_plan_of_rgb_is_the_same_to_a_candidate_of_bgr():
    assert not said(compared(RIGHT, "taps", reference(decode={"color": "rgb"})))
