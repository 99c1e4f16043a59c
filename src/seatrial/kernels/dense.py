"""A map of one value a pixel, such as a depth, at the source's size. For: regressions. Not for: classes (postprocess.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.kernels.arguments import is_number
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.maps import cut_away, linear
from seatrial.kernels.postprocess import Outputs, checked_outputs
from seatrial.kernels.results import DenseMap


@dataclass(frozen=True)
class DenseDecoder:
    """One output (B, 1, h, w) or (B, h, w) to DenseMaps in float32.

    Values are drawn out linearly between the cells' centres (half-pixel centres, a letterbox's padding left out), then
    become value · scale + shift, then 1 / that where `invert` is set: so Monodepth2's disp_to_depth makes depth of disparity
    (scale 1 / min_depth - 1 / max_depth, shift 1 / max_depth). transformers' post_process_depth_estimation draws out
    bicubically instead, which differs at edges. What has no inverse above zero is NaN, as what a crop cut away.

    Raises:
        ValueError: an argument or an output's shape is not as expected.
    """

    scale: float = 1.0
    shift: float = 0.0
    invert: bool = False

    def __post_init__(self) -> None:
        for name in ("scale", "shift"):
            value = getattr(self, name)
            if not is_number(value) or not np.isfinite(value):
                raise ValueError(f"{name}: expected a finite number, got {value!r}")
            object.__setattr__(self, name, float(value))
        if self.scale == 0:
            raise ValueError("scale: expected a number other than 0, which would make all values one")

    def __call__(self, outputs: Outputs, geometries: Sequence[Geometry]) -> list[DenseMap]:
        tensors = checked_outputs(outputs, geometries)
        if len(tensors) != 1 or not is_one_channel(tensors[0].shape):
            got = ", ".join(str(t.shape) for t in tensors) or "none"
            raise ValueError(f"dense: expected one output (B, 1, height, width) or (B, height, width), got {got}")
        rows = tensors[0].reshape(len(geometries), *tensors[0].shape[-2:])
        return [DenseMap(self._values(row, g)) for row, g in zip(rows, geometries, strict=True)]

    def _values(self, cells: npt.NDArray[Any], geometry: Geometry) -> npt.NDArray[np.float32]:
        values = linear(cells, geometry)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            if (self.scale, self.shift) != (1.0, 0.0):
                values = values * np.float32(self.scale) + np.float32(self.shift)
            if self.invert:
                values = np.where(values > 0, 1 / values, np.float32(np.nan))
        values[cut_away(geometry, cells.shape)] = np.nan
        return values


def is_one_channel(shape: Sequence[int]) -> bool:
    """Whether it is a batch of maps of one value a cell."""
    return 0 not in shape[1:] and (len(shape) == 3 or (len(shape) == 4 and shape[1] == 1))
