"""A picture as the bytes that a page holds: exact where that is small, else as a photograph is kept.

For: pages of some megabytes at most. Not for: pictures that are measured, which are PNG (faults/pictures.py).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
# Bytes: a difference of few colours, a mask and a drawing stay below it, and are kept to the last bit.
EXACT = 12_000
# Of a photograph at this quality nobody sees the loss beside the original; values of single pixels are not read off a page.
QUALITY = 85


def encoded(pixels_bgr: U8) -> bytes:
    """PNG, or WebP (JPEG where OpenCV was built without it) where that is smaller and PNG is large."""
    exact = _as(".png", pixels_bgr, cv2.IMWRITE_PNG_COMPRESSION, 9)
    if len(exact) <= EXACT:
        return exact
    webp = cv2.haveImageWriter("picture.webp")
    form, key = (".webp", cv2.IMWRITE_WEBP_QUALITY) if webp else (".jpg", cv2.IMWRITE_JPEG_QUALITY)
    return min(exact, _as(form, pixels_bgr, key, QUALITY), key=len)


def _as(form: str, pixels: U8, key: int, value: int) -> bytes:
    return bytes(cv2.imencode(form, pixels, [key, value])[1].tobytes())
