"""Encoded bytes to HWC uint8, with every choice that decoders differ in made on purpose.

For: colour order, orientation, grey, transparency, 16 bits. Not for: resizing. Public as seatrial.decode_image.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from seatrial.errors import DataError, did_you_mean
from seatrial.images.orientation import JPEG, TIFF, U8, read_orientation, stored_turn, turn, turn_back
from seatrial.model.external_data import LFS_POINTER

READ = "JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, JPEG 2000 or PNM"
_GIF = (b"GIF87a", b"GIF89a")
# Header of a PNM file of grey or colour levels: kind, width, height and the highest level, with comments between.
_PNM = re.compile(rb"P[2356](?:\s|#[^\n]*\n)+\d+(?:\s|#[^\n]*\n)+\d+(?:\s|#[^\n]*\n)+(\d+)\s")
# Start-of-frame markers of every JPEG process; DHT, JPG and DAC share the range but start no frame.
_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_CHOICES = {
    "color": ["bgr", "rgb", "gray"],
    "exif": ["apply", "ignore"],
    "alpha": ["drop", "black", "white"],
    "sixteen_bit": ["scale", "refuse"],
}


@dataclass(frozen=True)
class DecodeSettings:
    """color: bgr, rgb or gray. exif: apply or ignore. alpha: drop, black or white. sixteen_bit: scale or refuse."""

    color: str = "bgr"
    exif: str = "apply"
    alpha: str = "drop"
    sixteen_bit: str = "scale"

    def __post_init__(self) -> None:
        for name, words in _CHOICES.items():
            given = getattr(self, name)
            if given not in words:
                raise ValueError(
                    f"{name}: expected one of {', '.join(words)}, got {given!r}{did_you_mean(str(given), words)}"
                )


def decode_image(
    source: bytes | str | Path,
    *,
    color: str = "bgr",
    exif: str = "apply",
    alpha: str = "drop",
    sixteen_bit: str = "scale",
) -> U8:
    """One encoded image (bytes, or a path) to (height, width, channels) uint8; gray has one channel.

    exif 'apply' turns the image as its orientation tag says (EXIF, or XMP where there is none); of several frames the
    first is read. alpha 'drop' keeps the stored colours, 'black' and 'white' composite over that colour. 16-bit images are
    divided by 257 and rounded, or refused.

    Raises:
        DataError: the bytes are no image, are cut short, or are CMYK; the message has the path where there is one.
        ValueError: an argument is not one of the above; the message names the nearest word.
    """
    settings = DecodeSettings(color, exif, alpha, sixteen_bit)
    if isinstance(source, bytes):
        name, data = "image", source
    else:
        name, data = str(source), read_bytes(Path(source))
    problem = find_problem(data)
    if problem:
        raise DataError(problem, subject=name)
    return decode(data, settings, name)


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such image") from None
    except OSError as e:
        raise DataError(f"{path}: the image cannot be read: {e.strerror}") from None


def decode(data: bytes, settings: DecodeSettings, name: str = "image") -> U8:
    """decode_image without its checks: what the timed stage runs, on images that were checked before."""
    try:
        image = _decode_jpeg(data, settings) if data.startswith(JPEG) else _decode_other(data, settings, name)
    except cv2.error:  # a side longer than OpenCV takes (2^20 pixels) is an exception, not None
        image = None
    if image is None:
        raise DataError(
            f"cannot be decoded; expected a sound {READ} image; copy it again or leave it out", subject=name
        )
    return image


def _decode_jpeg(data: bytes, settings: DecodeSettings) -> U8 | None:
    # OpenCV goes by EXIF alone, and reads only some of its spellings: what turns an image is one function for all formats.
    flags = cv2.IMREAD_COLOR if settings.color != "gray" else cv2.IMREAD_GRAYSCALE
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        return None
    if settings.exif == "apply":
        image = turn(image, read_orientation(data))
    if settings.color == "rgb":
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    out: U8 = image if image.ndim == 3 else image[..., None]
    return out


def _decode_other(data: bytes, settings: DecodeSettings, name: str) -> U8 | None:
    raw = (
        _by_pillow(data) if data.startswith(_GIF) else cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    )
    if raw is None:
        return None
    if raw.dtype == np.uint8 and (data.startswith(TIFF) or (raw.ndim == 2 and b"tRNS" in data)):
        raw = _with_alpha(raw, data)
    if raw.dtype == np.uint16 and data[4:8] == b"ftyp" and settings.sixteen_bit == "scale":
        raw = _by_pillow(data)  # OpenCV gives an AVIF's 10 and 12 bits without saying how many they are
    _check_levels(data, name)
    image = _to_eight_bits(raw if raw.ndim == 3 else raw[..., None], settings, name)
    if image.shape[2] == 4:
        image = _without_alpha(image, settings.alpha)
    turned = stored_turn(data)
    if settings.exif == "ignore":
        image = turn_back(image, turned)
    elif turned == 1:
        image = turn(image, read_orientation(data))
    return _in_color(image, settings.color)


def _by_pillow(data: bytes) -> npt.NDArray[np.generic]:
    """First frame as BGR or BGRA."""
    with Image.open(io.BytesIO(data)) as image:
        alpha = image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info
        return np.asarray(image.convert("RGBA" if alpha else "RGB"))[..., [2, 1, 0, 3] if alpha else [2, 1, 0]]


def _check_levels(data: bytes, name: str) -> None:
    """DataError for a PNM file whose highest level is neither 255 nor 65535: decoders take such levels as they are."""
    header = _PNM.match(data)
    if header and int(header[1]) not in (255, 65535):
        raise DataError(
            f"the highest level of this PNM file is {int(header[1])}; expected 255 or 65535, since decoders differ in what "
            "they make of others; convert it to PNG",
            subject=name,
        )


def _with_alpha(raw: npt.NDArray[np.generic], data: bytes) -> npt.NDArray[np.generic]:
    """BGRA by Pillow where there is alpha: OpenCV multiplies a TIFF's colours by it, and drops that of a grey PNG."""
    with Image.open(io.BytesIO(data)) as image:
        if image.mode in ("LA", "RGBA") or "transparency" in image.info:
            return np.asarray(image.convert("RGBA"))[..., [2, 1, 0, 3]]
    return raw


def _to_eight_bits(raw: npt.NDArray[np.generic], settings: DecodeSettings, name: str) -> U8:
    if raw.dtype == np.uint8:
        return raw  # type: ignore[return-value]
    if raw.dtype != np.uint16:
        raise DataError(
            f"expected 8 or 16 bits a channel, got {raw.dtype}; convert the image to PNG or JPEG", subject=name
        )
    if settings.sixteen_bit == "refuse":
        raise DataError(
            "16 bits a channel are refused by the plan (decode.sixteen_bit); convert it to 8 bits", subject=name
        )
    # Full scale to full scale: 65535 / 257 = 255. OpenCV's own conversion drops the low byte.
    return ((raw.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _without_alpha(image: U8, behind: str) -> U8:
    if behind == "drop":
        return np.ascontiguousarray(image[..., :3])
    alpha = image[..., 3:].astype(np.uint32)
    ground = 255 if behind == "white" else 0
    return ((image[..., :3] * alpha + ground * (255 - alpha) + 127) // 255).astype(np.uint8)


def _in_color(image: U8, color: str) -> U8:
    gray = image.shape[2] == 1
    if color == "gray":
        return image if gray else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None]
    if gray:
        out: U8 = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        return out
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if color == "rgb" else image


def find_problem(data: bytes) -> str | None:
    """What is wrong with an encoded image and the cure, or None. Decodes all of it, so that a cut end is found."""
    if not data:
        return "the file is empty (0 bytes); copy it again or leave it out"
    if data.startswith(JPEG) and jpeg_components(data) == 4:
        return (
            "CMYK JPEG: its colours depend on a profile that decoders ignore; expected RGB or grey; convert it to RGB"
        )
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > 1 << 30:
                return f"{image.width} × {image.height} pixels are more than OpenCV decodes (2^30); expected a smaller image"
            if image.mode == "CMYK":
                return "the image is CMYK; expected RGB or grey; convert it to RGB"
            image.load()
    except UnidentifiedImageError:
        if data.startswith(LFS_POINTER):
            return "a Git LFS pointer, which stands in for an image that was not fetched; run 'git lfs pull' in its repository"
        start = data[:16].decode("ascii", "replace").strip()
        text = "; it looks like a text file" if _is_text(data[:512]) else f"; it begins with {start!r}"
        return f"not an image{text}; expected {READ}; leave it out or export it again"
    # Pillow raises whatever a broken field leads it to: OSError, SyntaxError, OverflowError, RuntimeError, and more.
    except Exception as e:
        cut = "the image is cut short" if "truncated" in str(e) or isinstance(e, EOFError) else "the image is corrupt"
        return f"{cut} ({str(e) or type(e).__name__}); copy it again or leave it out"
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    return None


def _is_text(start: bytes) -> bool:
    return all(b in (9, 10, 13) or 32 <= b < 127 for b in start)


def jpeg_components(data: bytes) -> int:
    """Number of colour components in a JPEG's frame header; 0 where there is none."""
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            return 0
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _SOF:
            return data[at + 9]
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0
