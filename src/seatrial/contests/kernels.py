"""Our kernels against the code that people write without them: one contest a piece of work.

For: `seatrial bench-kernels` and bench/kernels.py. Every contender does the whole work on the same input, with one thread
unless named otherwise. Not for: correctness (tests).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from seatrial.contests.contest import Contest
from seatrial.contests.postprocessing import detection, mask_drawn_out, mask_of_classes, top_k
from seatrial.contests.preprocessing import imagenet, letterbox, threads

U8 = npt.NDArray[np.uint8]


def contests(photograph_bgr: U8, sizes_wh: Sequence[tuple[int, int]]) -> Iterator[Contest]:
    """All contests, one after another, so that only one's buffers are in memory; the photograph is resized to each size."""
    for width, height in sizes_wh:
        yield letterbox(_resized(photograph_bgr, width, height))
    for width, height in sizes_wh:
        yield imagenet(_resized(photograph_bgr, width, height))
    for width, height in sizes_wh:
        yield threads(_resized(photograph_bgr, width, height))
    yield detection()
    yield top_k()
    yield mask_of_classes()
    yield mask_drawn_out()


def _resized(image: U8, width: int, height: int) -> U8:
    return np.ascontiguousarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC))
