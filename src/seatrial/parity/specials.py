"""NaN and infinity in raw outputs, image by image: a signature of a few bytes, so that all images can be compared.

Not for: how far finite values differ (tensors.py).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# Counts of NaN, +inf and -inf, and a checksum of where they are.
SIGNATURE = 4
Signatures = npt.NDArray[np.int64]


def signature(output: npt.NDArray[Any]) -> tuple[int, int, int, int]:
    """(NaNs, +infs, -infs, CRC-32 of their places) of one image's output; zeros where every value is finite."""
    if output.dtype.kind not in "fc" or np.isfinite(output).all():
        return (0, 0, 0, 0)
    nan, above, below = np.isnan(output), np.isposinf(output), np.isneginf(output)
    where = b"".join(np.packbits(mask).tobytes() for mask in (nan, above, below))
    return (int(nan.sum()), int(above.sum()), int(below.sum()), zlib.crc32(where))


def unlike(reference: Signatures, candidate: Signatures) -> tuple[list[int], list[int]]:
    """(images, outputs) whose signatures differ, ascending. ValueError where the two are of other images or outputs.

    Both are (images, outputs, SIGNATURE).
    """
    if reference.shape != candidate.shape:
        raise ValueError(
            f"expected {reference.shape[:2]} images and outputs as the reference gives, got {candidate.shape[:2]}"
        )
    differ = (reference != candidate).any(axis=2)
    return np.nonzero(differ.any(axis=1))[0].tolist(), np.nonzero(differ.any(axis=0))[0].tolist()


def as_array(rows: Sequence[Sequence[tuple[int, int, int, int]]]) -> Signatures:
    """(images, outputs, SIGNATURE), also where there are none."""
    outputs = len(rows[0]) if rows else 0
    return np.array(rows, np.int64).reshape(len(rows), outputs, SIGNATURE)
