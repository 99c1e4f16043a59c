"""How an image is to be turned before it is shown: what Pillow's exif_transpose goes by, and the turn itself.

For: orientation in EXIF, in XMP, in a PNG's text chunk and in a TIFF's own tag. Not for: decoding (decode.py).
Pillow reads the tag, and only where a look at the file's segments says that there may be one.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

U8 = npt.NDArray[np.uint8]
JPEG = b"\xff\xd8\xff"
PNG = b"\x89PNG\r\n\x1a\n"
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_TAG = 0x0112
_TURNS: dict[int, Callable[[U8], npt.NDArray[np.generic]]] = {
    2: lambda image: cv2.flip(image, 1),
    3: lambda image: cv2.rotate(image, cv2.ROTATE_180),
    4: lambda image: cv2.flip(image, 0),
    5: lambda image: cv2.transpose(image),
    6: lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE),
    7: lambda image: cv2.flip(cv2.transpose(image), -1),
    8: lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE),
}


def read_orientation(data: bytes) -> int:
    """1 to 8 as EXIF counts, 1 where no tag says otherwise; other values turn nothing."""
    return _by_pillow(data) if _may_be_tagged(data) else 1


def stored_turn(data: bytes) -> int:
    """What OpenCV and Pillow turn in any case: the orientation of a TIFF's own tag, else 1."""
    if not data.startswith(TIFF):
        return 1
    try:
        with Image.open(io.BytesIO(data)) as header:
            return int(header.tag_v2.get(_TAG, 1))  # type: ignore[attr-defined]
    except Exception:
        return 1


def turn(image_hwc: U8, orientation: int) -> U8:
    """The image as EXIF orientation 1 to 8 says it is to be shown; other values change nothing."""
    if orientation not in _TURNS:
        return np.ascontiguousarray(image_hwc)
    turned = _TURNS[orientation](image_hwc)
    # OpenCV drops the axis of a single channel.
    out: U8 = np.ascontiguousarray(turned if turned.ndim == 3 else turned[..., None], np.uint8)
    return out


def turn_back(image_hwc: U8, orientation: int) -> U8:
    """The image before it was turned: 6 and 8 undo each other, the rest undo themselves."""
    return turn(image_hwc, {6: 8, 8: 6}.get(orientation, orientation))


def _by_pillow(data: bytes) -> int:
    try:
        with Image.open(io.BytesIO(data)) as header:
            return int(header.getexif().get(_TAG, 1))
    except Exception:  # Pillow raises whatever a broken field leads it to; a tag that can't be read turns nothing
        return 1


def _may_be_tagged(data: bytes) -> bool:
    if data.startswith(JPEG):
        return any(s.startswith((b"Exif\0", b"http://ns.adobe.com/xap/1.0/")) for s in _jpeg_app1(data))
    if data.startswith(PNG):
        return any(
            kind == b"eXIf"
            or (kind in (b"tEXt", b"zTXt", b"iTXt") and text.startswith((b"Raw profile type", b"XML:com.adobe.xmp")))
            for kind, text in _png_chunks(data)
        )
    if data.startswith(TIFF):
        return True
    if data[8:12] == b"WEBP":
        return b"EXIF" in data or b"XMP " in data
    return data[4:8] == b"ftyp"


def _jpeg_app1(data: bytes) -> Iterator[bytes]:
    """The begin of each APP1 segment before the picture."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            if marker == 0xE1:
                yield data[at + 4 : at + 36]
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and begin of each chunk."""
    at = len(PNG)
    while at + 8 <= len(data):
        yield data[at + 4 : at + 8], data[at + 8 : at + 28]
        at += 12 + int.from_bytes(data[at : at + 4], "big")
