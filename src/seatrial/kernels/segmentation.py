"""Maps of a semantic segmentation to a class a source pixel. Public as seatrial.SegmentationDecoder.

For: which layout an output has. Not for: how a map comes to the source's size (maps.py, reference.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.kernels import maps, native_postprocess, reference
from seatrial.kernels.arguments import ENGINES, is_number, one_of
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.postprocess import Outputs, first_output
from seatrial.kernels.results import SemanticMask

_READS = {
    "scores": "(B, classes, height, width)",
    "channels_last": "(B, height, width, classes)",
    "class_map": "(B, height, width) or (B, 1, height, width) of class numbers",
    "one_channel": "(B, 1, height, width) or (B, height, width)",
}


@dataclass(frozen=True)
class SegmentationDecoder:
    """One output to a class a source pixel. Formats:

    - scores: (B, classes, h, w), channels_last: (B, h, w, classes): the class with the greatest score. resize: nearest takes
      the argmax at the map's cells; linear draws the scores out first (half-pixel centres), as transformers'
      post_process_semantic_segmentation and mmseg's postprocess_result do: edges between classes differ.
    - class_map: (B, h, w) or (B, 1, h, w) of whole class numbers, whose argmax is in the graph; always nearest.
    - one_channel: (B, 1, h, w) or (B, h, w): 1 where the value is above `threshold`, else 0. activation: sigmoid for logits,
      none for probabilities. resize as above; linear draws out what the model gives, before the sigmoid, as mmseg does.

    Of a source pixel that a crop cut away there is no class: it is the largest value of the mask's dtype. Engines: native
    (C++) and reference (NumPy) agree exactly; only the greatest of several scores has kernels in C++.

    Raises:
        ValueError: an argument or an output's shape is not as expected, or class numbers are none.
    """

    engine: str = "native"
    format: str = "scores"
    resize: str = "nearest"
    threshold: float = 0.5
    activation: str = "none"

    def __post_init__(self) -> None:
        one_of("engine", self.engine, ENGINES)
        one_of("format", self.format, list(_READS))
        one_of("resize", self.resize, ["nearest", "linear"])
        one_of("activation", self.activation, ["sigmoid", "none"])
        if not is_number(self.threshold) or not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold: expected a number from 0 to 1, got {self.threshold!r}")
        if self.format == "class_map" and self.resize == "linear":
            raise ValueError(
                "resize: format class_map holds class numbers, between which there is nothing; leave it out"
            )

    def __call__(self, outputs: Outputs, geometries: Sequence[Geometry]) -> list[SemanticMask]:
        tensor = first_output(outputs, geometries, f"segmentation: expected one output {_READS[self.format]}")
        if 0 in tensor.shape[1:] or tensor.ndim not in ((4,) if self.format in ("scores", "channels_last") else (3, 4)):
            raise ValueError(f"segmentation: expected one output {_READS[self.format]}, got shape {tensor.shape}")
        if self.format == "channels_last":
            tensor = np.moveaxis(tensor, 3, 1)
        if self.format in ("scores", "channels_last"):
            return [SemanticMask(self._argmax(row, g)) for row, g in zip(tensor, geometries, strict=True)]
        if tensor.ndim == 4 and tensor.shape[1] != 1:
            raise ValueError(f"segmentation: expected one output {_READS[self.format]}, got shape {tensor.shape}")
        rows = tensor.reshape(len(tensor), *tensor.shape[-2:])
        return [SemanticMask(self._one_map(row, g)) for row, g in zip(rows, geometries, strict=True)]

    def _argmax(self, scores_chw: npt.NDArray[Any], geometry: Geometry) -> npt.NDArray[Any]:
        if len(scores_chw) < 2:
            raise ValueError(
                f"segmentation: expected at least two classes to choose from, got one channel {scores_chw.shape}; use format "
                "one_channel with a threshold, or class_map where it holds class numbers"
            )
        if self.resize == "linear":
            argmax_linear = native_postprocess.argmax_linear if self.engine == "native" else maps.argmax_linear
            return argmax_linear(scores_chw, geometry)
        argmax_mask = native_postprocess.argmax_mask if self.engine == "native" else reference.argmax_mask
        return argmax_mask(scores_chw, geometry)

    def _one_map(self, values_hw: npt.NDArray[Any], geometry: Geometry) -> npt.NDArray[Any]:
        if self.format == "class_map":
            return maps.class_numbers(values_hw, geometry)
        return maps.above_threshold(values_hw, geometry, self.resize, self.activation, self.threshold)
