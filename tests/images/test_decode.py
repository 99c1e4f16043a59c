"""Decoding against Pillow and OpenCV: orientation, alpha, bit depth and palettes; every broken file is refused."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from seatrial.errors import DataError
from seatrial.images.check import check_images
from seatrial.images.decode import decode_image, find_problem, jpeg_components
from seatrial.images.orientation import read_orientation, turn, turn_back

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (9, 14, 4), dtype=np.uint8)
SMOOTH = cv2.resize(RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8), (48, 32))
RGB, RGBA = Image.fromarray(NOISE[..., :3]), Image.fromarray(NOISE)
LEVELS = Image.fromarray(NOISE[..., 0] // 64 * 85)
LOSSLESS = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True, "exact": True}, "BMP": {}}
LESS_COMMON = {"GIF": {}, "PPM": {}, "JPEG2000": {}, "AVIF": {"quality": 100}}


def encode(image, form, **options):
    stream = io.BytesIO()
    image.save(stream, form, **(LOSSLESS | LESS_COMMON).get(form, {}) | options)
    return stream.getvalue()


def pillow(data):
    return Image.open(io.BytesIO(data))


def exif(orientation, order=">", count=1):
    """An EXIF block with one tag."""
    short = struct.pack(order + "HHIHHI", 0x0112, 3, count, orientation, 0, 0)
    return b"Exif\0\0" + {">": b"MM", "<": b"II"}[order] + struct.pack(order + "HIH", 42, 8, 1) + short


def tagged(form, orientation, order):
    extra = {"tiffinfo": {274: orientation}} if form == "TIFF" else {"exif": exif(orientation, order)}
    return encode(Image.fromarray(SMOOTH), form, **extra)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_pillows(form, order, orientation):
    data = tagged(form, orientation, order)
    stored = encode(Image.fromarray(SMOOTH), form)
    shown = np.asarray(ImageOps.exif_transpose(pillow(data)).convert("RGB"))
    for color, channels in {"rgb": np.s_[:], "bgr": np.s_[::-1]}.items():
        np.testing.assert_allclose(decode_image(data, color=color), shown[..., channels].astype(int), atol=2)
        np.testing.assert_array_equal(decode_image(data, color=color, exif="ignore"), decode_image(stored, color=color))
    grey = cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY).astype(int)[..., None]
    np.testing.assert_allclose(decode_image(data, color="gray"), grey, atol=2)
    assert decode_image(data, color="gray", exif="ignore").shape == (32, 48, 1)


def xmp(orientation, form="attribute"):
    tag = {
        "attribute": f'tiff:Orientation="{orientation}"/>',
        "element": f"><tiff:Orientation>{orientation}</tiff:Orientation></rdf:Description>",
    }[form]
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description {tag}</rdf:RDF></x:xmpmeta>'


def raw_profile(orientation):
    """As ImageMagick writes EXIF into a PNG's text chunk."""
    block = exif(orientation)
    return f"\nexif\n{len(block):8}\n{block.hex()}\n"


def with_text(key, text, **options):
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt(key, text, **options) if key.startswith("XML") else chunks.add_text(key, text, **options)
    return encode(Image.fromarray(SMOOTH), "PNG", pnginfo=chunks)


def behind(png, key, text):
    """The PNG with a text chunk behind the picture."""
    body = b"tEXt" + key.encode() + b"\0" + text.encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:-12] + chunk + png[-12:]


def long_tag(orientation, order):
    """Orientation as a LONG, which some writers choose."""
    entry = struct.pack(order + "HHIII", 0x0112, 4, 1, orientation, 0)
    return b"Exif\0\0" + {">": b"MM", "<": b"II"}[order] + struct.pack(order + "HIH", 42, 8, 1) + entry


PICTURE = Image.fromarray(SMOOTH)
ELSEWHERE = {
    "xmp in jpeg": lambda o: encode(PICTURE, "JPEG", xmp=xmp(o).encode()),
    "xmp in jpeg, as element": lambda o: encode(PICTURE, "JPEG", xmp=xmp(o, "element").encode()),
    "xmp beside exif without the tag": lambda o: encode(
        PICTURE, "JPEG", xmp=xmp(o).encode(), exif=exif(o).replace(b"\x01\x12", b"\x01\x0f")
    ),
    "xmp beside exif that says otherwise": lambda o: encode(PICTURE, "JPEG", xmp=xmp(o).encode(), exif=exif(9 - o)),
    "long tag, big end first": lambda o: encode(PICTURE, "JPEG", exif=long_tag(o, ">")),
    "long tag, little end first": lambda o: encode(PICTURE, "JPEG", exif=long_tag(o, "<")),
    "raw profile": lambda o: with_text("Raw profile type exif", raw_profile(o)),
    "raw profile, packed": lambda o: with_text("Raw profile type exif", raw_profile(o), zip=True),
    "raw profile behind the picture": lambda o: behind(encode(PICTURE, "PNG"), "Raw profile type exif", raw_profile(o)),
    "xmp in png": lambda o: with_text("XML:com.adobe.xmp", xmp(o)),
    "xmp in png, packed": lambda o: with_text("XML:com.adobe.xmp", xmp(o), zip=True),
    "xmp in webp": lambda o: encode(PICTURE, "WEBP", xmp=xmp(o).encode()),
    "xmp in tiff": lambda o: encode(PICTURE, "TIFF", tiffinfo={700: xmp(o).encode()}),
    "exif in avif": lambda o: encode(PICTURE, "AVIF", quality=100, exif=exif(o)),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("where", ELSEWHERE)
def test_orientation_is_pillows_wherever_it_stands(where, orientation):
    data = ELSEWHERE[where](orientation)
    shown = np.asarray(ImageOps.exif_transpose(pillow(data)).convert("RGB"))
    np.testing.assert_allclose(decode_image(data, color="rgb"), shown.astype(int), atol=2)
    stored = decode_image(data, color="rgb", exif="ignore")
    assert stored.shape == (32, 48, 3)
    np.testing.assert_array_equal(turn(stored, read_orientation(data)), decode_image(data, color="rgb"))


@pytest.mark.slow
def test_the_check_measures_what_decode_gives(tmp_path):
    paths = [tmp_path / f"{where} {o}" for where in ELSEWHERE for o in range(1, 9)]
    for path in paths:
        where, _, o = path.name.rpartition(" ")
        path.write_bytes(ELSEWHERE[where](int(o)))
    for checked in check_images(paths):
        assert (checked.source_hw, checked.stored_hw) == (decode_image(checked.path).shape[:2], (32, 48)), checked.path
        shown, stored = (decode_image(checked.path, exif=exif) for exif in ("apply", "ignore"))
        assert checked.turned is not np.array_equal(shown, stored), checked.path


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_turn_is_pillows(orientation, channels):
    image = NOISE[..., :channels]
    operation = {i: Image.Transpose(t) for i, t in zip(range(2, 9), (0, 3, 1, 5, 4, 6, 2), strict=True)}.get(
        orientation
    )
    planes = [Image.fromarray(np.ascontiguousarray(image[..., c])) for c in range(channels)]
    expected = np.stack([np.asarray(p.transpose(operation) if operation is not None else p) for p in planes], 2)
    np.testing.assert_array_equal(turn(image, orientation), expected)
    np.testing.assert_array_equal(turn_back(turn(image, orientation), orientation), image)


@pytest.mark.parametrize("orientation", [0, 9, 300])
def test_an_unknown_orientation_changes_nothing(orientation):
    data = encode(RGB, "PNG", exif=exif(orientation))
    np.testing.assert_array_equal(decode_image(data, color="rgb"), NOISE[..., :3])
    np.testing.assert_array_equal(turn(NOISE, orientation), NOISE)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("tail", [exif(6)[:-9], b"Exif\0\0nonsense", b"Exif\0\0"])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_broken_exif_turns_nothing(form, tail):
    assert decode_image(encode(Image.fromarray(SMOOTH), form, exif=tail)).shape == (32, 48, 3)


TRANSPARENT = {
    "rgba png": encode(RGBA, "PNG"),
    "rgba tiff": encode(RGBA, "TIFF"),
    "rgba lzw tiff": encode(RGBA, "TIFF", compression="tiff_lzw"),
    "rgba webp": encode(RGBA, "WEBP"),
    "grey and alpha png": encode(RGBA.convert("LA"), "PNG"),
    "grey and alpha tiff": encode(RGBA.convert("LA"), "TIFF"),
    "palette png": encode(RGB.quantize(16), "PNG", transparency=3),
    "palette png, many": encode(RGB.quantize(16), "PNG", transparency=bytes(range(0, 240, 15))),
    "grey level png": encode(LEVELS, "PNG", transparency=85),
    "colour png": encode(RGB, "PNG", transparency=tuple(map(int, NOISE[2, 3, :3]))),
    "turned rgba tiff": encode(RGBA, "TIFF", tiffinfo={274: 6}),
    "gif": encode(RGB.quantize(16), "GIF", transparency=3),
    "rgba avif": encode(RGBA, "AVIF"),
    "rgba jpeg 2000": encode(RGBA, "JPEG2000"),
}


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_transparency_is_pillows(kind):
    data = TRANSPARENT[kind]
    whole = pillow(data).convert("RGBA")
    assert np.asarray(whole)[..., 3].min() < 255
    np.testing.assert_array_equal(decode_image(data, color="rgb"), np.asarray(whole)[..., :3])
    for behind, level in {"black": 0, "white": 255}.items():
        ground = Image.new("RGBA", whole.size, (level, level, level, 255))
        expected = np.asarray(Image.alpha_composite(ground, whole))[..., :3]
        np.testing.assert_array_equal(decode_image(data, color="rgb", alpha=behind), expected)
        grey = cv2.cvtColor(expected, cv2.COLOR_RGB2GRAY)[..., None]
        np.testing.assert_array_equal(decode_image(data, color="gray", alpha=behind), grey)


@pytest.mark.parametrize("form", LOSSLESS)
@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P"])
@pytest.mark.parametrize("alpha", ["drop", "black", "white"])
def test_opaque_images_are_pillows(form, mode, alpha):
    data = encode(RGB.convert(mode), form)
    expected = np.asarray(pillow(data).convert("RGB"))
    np.testing.assert_array_equal(decode_image(data, color="rgb", alpha=alpha), expected)
    np.testing.assert_array_equal(decode_image(data, color="bgr", alpha=alpha), expected[..., ::-1])
    assert decode_image(data, color="gray").shape == (9, 14, 1)


@pytest.mark.parametrize("form", LESS_COMMON)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_less_common_formats_are_pillows(form, mode):
    data = encode(RGB.convert(mode), form)
    expected = np.asarray(pillow(data).convert("RGB"))
    np.testing.assert_array_equal(decode_image(data, color="rgb"), expected)
    assert decode_image(data, color="gray").shape == (9, 14, 1)
    assert find_problem(data) is None


ANIMATED = {"GIF": {}, "WEBP": {"lossless": True}, "PNG": {}, "TIFF": {}, "AVIF": {"quality": 100}}


def test_of_several_frames_the_first_is_read_and_they_are_counted(tmp_path):
    frames = [Image.new("RGB", (8, 6), (v, v, v)) for v in (10, 100, 200)]
    for form, options in ANIMATED.items():
        (tmp_path / form).write_bytes(encode(frames[0], form, save_all=True, append_images=frames[1:], **options))
    for checked in check_images([tmp_path / form for form in ANIMATED]):
        np.testing.assert_array_equal(decode_image(checked.path), np.full((6, 8, 3), 10))
        assert checked.frames == 3


@pytest.mark.parametrize("depth", [10, 12])
def test_an_avif_of_more_bits_is_scaled(depth):
    levels = np.linspace(0, 2**depth - 1, 64 * 64).reshape(64, 64).astype(np.uint16)
    options = [cv2.IMWRITE_AVIF_DEPTH, depth, cv2.IMWRITE_AVIF_QUALITY, 100]
    data = cv2.imencode(".avif", np.dstack([levels] * 3), options)[1].tobytes()
    np.testing.assert_allclose(decode_image(data)[..., 0], levels / (2**depth - 1) * 255, atol=2)
    with pytest.raises(DataError, match="16 bits a channel are refused"):
        decode_image(data, sixteen_bit="refuse")


def pnm(kind, levels, top, *, comment=b""):
    pixels = (
        levels.astype(">u2" if top > 255 else "u1").tobytes()
        if kind > 3
        else b" ".join(b"%d" % v for v in levels.ravel()) + b"\n"
    )
    return b"P%d\n%s%d %d\n%d\n" % (kind, comment, levels.shape[1], levels.shape[0], top) + pixels


@pytest.mark.parametrize("kind", [2, 5])
@pytest.mark.parametrize("comment", [b"", b"# by hand\n"])
def test_levels_of_a_pnm_file_are_what_they_say_or_refused(kind, comment):
    levels = np.arange(12).reshape(3, 4) * 20
    np.testing.assert_array_equal(decode_image(pnm(kind, levels, 255, comment=comment), color="gray")[..., 0], levels)
    np.testing.assert_array_equal(decode_image(pnm(kind, levels * 257, 65535), color="gray")[..., 0], levels)
    for top in (15, 240, 1023):
        with pytest.raises(DataError, match=f"the highest level of this PNM file is {top}; expected 255 or 65535"):
            decode_image(pnm(kind, np.minimum(levels, top), top, comment=comment))


def test_grey_stays_as_it_is():
    for form in LOSSLESS:
        np.testing.assert_array_equal(decode_image(encode(LEVELS, form), color="gray")[..., 0], np.asarray(LEVELS))


EVERY_LEVEL = np.arange(65536, dtype=np.uint16).reshape(256, 256)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_scaled_to_the_nearest_level(channels):
    png = cv2.imencode(".png", np.stack([EVERY_LEVEL] * channels, axis=2))[1].tobytes()
    expected = np.rint(EVERY_LEVEL / 257)
    np.testing.assert_array_equal(decode_image(png), np.stack([expected] * 3, axis=2))
    with pytest.raises(DataError, match="16 bits a channel are refused by the plan"):
        decode_image(png, sixteen_bit="refuse")


@pytest.mark.parametrize("level", [np.float32(0.5), np.int32(70000)])
def test_other_depths_are_refused(level):
    with pytest.raises(DataError, match="expected 8 or 16 bits a channel"):
        decode_image(encode(Image.fromarray(np.full((4, 4), level)), "TIFF"))


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 10}, {"optimize": True}]
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_is_opencvs(options, mode):
    data = encode(Image.fromarray(SMOOTH).convert(mode), "JPEG", **options)
    colour, grey = (
        cv2.imdecode(np.frombuffer(data, np.uint8), flag) for flag in (cv2.IMREAD_COLOR, cv2.IMREAD_GRAYSCALE)
    )
    np.testing.assert_array_equal(decode_image(data), colour)
    np.testing.assert_array_equal(decode_image(data, color="rgb"), colour[..., ::-1])
    np.testing.assert_array_equal(decode_image(data, color="gray"), grey[..., None])


@pytest.mark.parametrize(("mode", "count"), [("L", 1), ("RGB", 3), ("CMYK", 4)])
@pytest.mark.parametrize("fill", [b"", b"\xff\xff\xff"])
def test_jpeg_components_are_counted(mode, count, fill):
    data = encode(Image.fromarray(SMOOTH).convert(mode), "JPEG")
    assert jpeg_components(data[:2] + fill + data[2:]) == count


@pytest.mark.parametrize(
    "data", [b"\xff\xd8\xff", b"\xff\xd8\xff\xd9" * 9, b"\xff\xd8\xff" + bytes(40), b"\xff\xd8" + b"\xff" * 40]
)
def test_a_jpeg_without_a_frame_has_no_components(data):
    assert jpeg_components(data) == 0


JPEG, PNG = encode(Image.fromarray(SMOOTH), "JPEG"), encode(Image.fromarray(SMOOTH), "PNG")
IDAT, SCAN = PNG.index(b"IDAT"), JPEG.index(b"\xff\xda")
BROKEN = [
    (b"", "the file is empty (0 bytes)"),
    (b"not an image\n" * 9, "not an image; it looks like a text file"),
    (b"<html>", "not an image; it looks like a text file"),
    (b"\0\x01\x02\x03" * 9, "not an image; it begins with"),
    (encode(RGB.convert("CMYK"), "JPEG"), "CMYK JPEG"),
    (encode(RGB.convert("CMYK"), "TIFF"), "the image is CMYK; expected RGB or grey"),
    (JPEG[: len(JPEG) // 2], "copy it again or leave it out"),
    (JPEG[:-40], "the image is cut short"),
    (encode(Image.fromarray(SMOOTH), "JPEG", progressive=True)[:-200], "the image is cut short"),
    (JPEG[:3], "not an image"),
    (PNG[:-60], "the image is cut short"),
    (PNG[:IDAT], "leave it out"),
    (PNG[: IDAT + 60] + b"\x55\xaa" + PNG[IDAT + 62 :], "copy it again or leave it out"),
    (PNG[:20] + b"\x01" + PNG[21:], "leave it out"),
    (encode(RGB, "WEBP")[:-20], "the image is corrupt"),
    (encode(RGB, "TIFF")[:-20], "the image is cut short"),
    (encode(RGB, "BMP")[:-20], "the image is cut short"),
    (encode(RGB, "ICO"), "expected a sound JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF"),
    (encode(Image.new("L", (1 << 21, 1)), "BMP"), "cannot be decoded"),
    (encode(Image.new("L", (1, 1 << 21)), "PNG"), "cannot be decoded"),
    (
        encode(RGB, "BMP").replace(struct.pack("<ii", 14, 9), struct.pack("<ii", 40000, 40000)),
        "more than OpenCV decodes",
    ),
]


@pytest.mark.parametrize(("data", "message"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_image_is_refused_with_its_path(data, message, tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    for source, name in {data: "image", path: str(path), str(path): str(path)}.items():
        with pytest.raises(DataError) as e:
            decode_image(source)
        assert str(e.value).startswith(f"{name}: ")
        assert message in str(e.value)


def test_a_path_without_an_image_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no\.jpg: no such image"):
        decode_image(tmp_path / "no.jpg")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        decode_image(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"color": "grey"}, "color: expected one of bgr, rgb, gray, got 'grey' (did you mean 'gray'?)"),
        ({"color": "RGB"}, "color: expected one of bgr, rgb, gray, got 'RGB'"),
        ({"exif": "aply"}, "(did you mean 'apply'?)"),
        ({"alpha": "wite"}, "(did you mean 'white'?)"),
        ({"sixteen_bit": None}, "sixteen_bit: expected one of scale, refuse, got None"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError) as e:
        decode_image(PNG, **arguments)
    assert message in str(e.value)


SEEDS = [
    encode(Image.fromarray(SMOOTH), f, **o)
    for f, o in [("JPEG", {"exif": exif(6)}), ("PNG", {}), ("WEBP", {}), ("TIFF", {})]
]


@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(64, 2000), st.integers(0, 255)), max_size=4),
    st.integers(0, 400),
)
def test_damage_gives_an_image_or_a_data_error(seed, changes, cut):
    data = bytearray(seed)
    for at, value in changes:
        data[at % (len(data) - 64) + 64] = value
    try:
        image = decode_image(bytes(data[: len(data) - cut]))
    except DataError:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3


def test_pillows_limit_is_not_ours_and_put_back(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert find_problem(PNG) is None
    for data in (PNG[:-60], b"text"):
        find_problem(data)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_sound_images_are_measured(tmp_path):
    good = {
        "plain.jpg": (JPEG, (32, 48), (32, 48)),
        "turned.jpg": (tagged("JPEG", 6, ">"), (48, 32), (32, 48)),
        "turned.png": (tagged("PNG", 8, "<"), (48, 32), (32, 48)),
        "turned.tif": (tagged("TIFF", 5, "<"), (48, 32), (32, 48)),
        "half a tag.jpg": (encode(Image.fromarray(SMOOTH), "JPEG", exif=exif(6)[:-9]), (32, 48), (32, 48)),
        "stray bytes.jpg": (JPEG[:SCAN] + b"\1\2\3" + JPEG[SCAN:], (32, 48), (32, 48)),
        "zwei\nZeilen é.png": (encode(RGBA, "PNG"), (9, 14), (9, 14)),
    }
    for name, (data, _, _) in good.items():
        (tmp_path / name).write_bytes(data)
    checked = check_images([tmp_path / name for name in good])
    assert [c.path.name for c in checked] == list(good)
    assert [(c.source_hw, c.stored_hw) for c in checked] == [(shown, stored) for _, shown, stored in good.values()]


def test_every_bad_image_is_named(tmp_path):
    bad = {
        "body.jpg": (JPEG[: SCAN + 40] + b"\xff\xd3" * 10 + JPEG[SCAN + 60 :], "its decoder says: Corrupt JPEG data"),
        "stray.jpg": (JPEG[:SCAN] + b"\1" * 99 + JPEG[SCAN:], "99 extraneous bytes"),
        "cut.jpg": (JPEG[:-40], "the image is cut short"),
        "text.jpg": (b"hello", "it looks like a text file"),
        "cmyk.jpg": (encode(RGB.convert("CMYK"), "JPEG"), "convert it to RGB"),
        "empty.png": (b"", "the file is empty"),
    } | {f"{i}.png": (b"", "the file is empty") for i in range(16)}
    paths = [tmp_path / name for name in bad]
    for path in paths:
        path.write_bytes(bad[path.name][0])
    paths.insert(3, tmp_path / "missing.jpg")
    (tmp_path / "good.jpg").write_bytes(JPEG)
    with pytest.raises(DataError) as e:
        check_images([*paths, tmp_path / "good.jpg"])
    *lines, last = str(e.value).splitlines()
    assert last == "and 3 more"
    assert [line.split(": ")[0] for line in lines] == [str(p) for p in paths[:20]]
    assert f"{tmp_path / 'missing.jpg'}: the image cannot be read: No such file or directory" in lines
    for line, path in zip(lines, paths, strict=False):
        assert bad.get(path.name, (b"", "cannot be read"))[1] in line
