"""The native kernels: addresses and sizes in, nothing checked. Use seatrial.kernels, which checks."""

from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.kernels.geometry import Geometry

def simd_levels() -> tuple[str, ...]:
    """The instruction sets that this machine has kernels for, the best one last."""

def simd_level() -> str | None:
    """The one in use: SEATRIAL_SIMD's, else the best; None where SEATRIAL_SIMD names none that this machine has."""

def select_simd(name: str) -> None:
    """Uses another one from now on, in every thread. ValueError where this machine does not have it."""

def read_rows(pixels: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]) -> int:
    """Loads once from every 64-byte line of the rows of (H, row bytes), contiguous; gives the sum of what it loaded."""

class Values:
    """How a pixel's levels become values. tables: (channels, 256) of the output's dtype; floats: the same before rounding
    to float16, or None for bytes; scale, mean, std: the arithmetic that made them; gray: three channels become one;
    reversed: output channel c is the source's 2 - c."""

    def __init__(
        self,
        tables: npt.NDArray[Any],
        floats: npt.NDArray[np.float32] | None,
        scale: float,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        *,
        planar: bool,
        gray: bool,
        reversed: bool,
    ) -> None: ...

    @property
    def form(self) -> int:
        """The cheapest arithmetic that equals the tables: preprocess.hpp's Form."""

class Jobs:
    """A list of images and of the places in memory that their tensors go to."""

    def add(
        self,
        pixels: int,
        row_stride: int,
        height: int,
        width: int,
        channels: int,
        reversed: bool,
        chroma: tuple[int, int, int, int, tuple[int, ...]] | None,
        geometry: Geometry,
        interpolation: int,
        pad: int,
        out: int,
        channel_stride: int,
        row_stride_out: int,
        kept: object,
    ) -> None:
        """pixels, out and the first two of chroma (u, v, row stride, pixel step, coefficients) are addresses; strides are
        bytes; interpolation counts through preprocess.hpp's enum; kept is whatever must stay alive."""

    def run(self, values: Values, threads: int) -> None:
        """All images, on at most `threads` threads, without the GIL. MemoryError where a few rows don't fit."""

def detect(
    format: str,
    first: npt.NDArray[np.float32],
    second: npt.NDArray[np.float32] | None,
    extra: int,
    input_hw: tuple[int, int],
    confidence: float,
    iou: float,
    class_agnostic: bool,
    geometry: Geometry,
    boxes_xyxy: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    class_ids: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
) -> int:
    """Detections of one image, written into the last four arrays, (N, 4) and (N,): how many of at most N. extra: columns
    behind the classes that detection does not read; rows: which of the tensor's anchors each is."""

def instance_runs(
    coefficients: npt.NDArray[np.float32],
    prototypes: npt.NDArray[np.float32],
    boxes_xyxy: npt.NDArray[np.float32],
    geometry: Geometry,
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Masks of (N, K) coefficients and (K, h, w) prototypes within (N, 4) boxes, as runs, and (N + 1,) where each begins."""

def classify(
    logits: npt.NDArray[np.float32],
    activation: str,
    class_ids: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
) -> None:
    """The k best of each row (B, classes) into the last two arrays, (B, k)."""

def argmax_mask(
    scores: npt.NDArray[Any],
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    ignore: int,
    mask: npt.NDArray[Any],
) -> None:
    """Scores (classes, cell rows, cell columns) of float32, float64, int32, int64 or uint8, contiguous, to a mask (H, W) of
    uint8 or uint16: the cell of each source row and column, -1 for `ignore`."""

def argmax_linear(
    scores: npt.NDArray[np.float32],
    geometry: Geometry,
    cut_rows: npt.NDArray[np.uint8],
    cut_columns: npt.NDArray[np.uint8],
    ignore: int,
    mask: npt.NDArray[Any],
) -> None:
    """Scores (classes, cell rows, cell columns), contiguous, drawn out linearly to a mask (H, W) of uint8 or uint16; `ignore`
    where a source row (H,) or column (W,) is cut, not 0."""
