"""The step `resized` by its parts, so that each can be another's: where pixels go, how they are sampled, what the border holds.

For: mistakes that no setting of the plan makes. Not for: the plan's own, which the kernel does in one pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.at import At
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.preprocess import Preprocess

Array = npt.NDArray[Any]
HW = tuple[int, int]
Place = Callable[[HW], Geometry]
# An image (H, W, C) uint8 and the size (h, w) that it gets, to levels: uint8, or float32 where they are not rounded.
Sample = Callable[[Array, HW], Array]
# A level, one a channel in the image's order, or one of OpenCV's border types.
Border = tuple[int, ...] | str
_BORDERS = {"replicate": cv2.BORDER_REPLICATE, "reflect": cv2.BORDER_REFLECT_101}


@dataclass(frozen=True, eq=False)
class Resize:
    """kernel: the plan's, that leaves colours and levels as they are. The others: None where it is as the plan says. back:
    where results are brought back from, if not from where pixels went."""

    kernel: Preprocess
    place: Place | None = None
    sample: Sample | None = None
    border: Border | None = None
    back: Place | None = None

    @property
    def parts(self) -> dict[str, Any]:
        """Those that are not the plan's own."""
        return {"place": self.place, "sample": self.sample, "border": self.border, "back": self.back}

    def __call__(self, at: At) -> At:
        if self.place is None and self.sample is None and self.border is None:
            out, (geometry,) = self.kernel.batch_with_geometries([at.value])
            return At(out[0], self._back(geometry))
        geometry = (self.place or self.kernel.geometry)(at.value.shape[:2])
        return At(self._laid(self.sampled(at.value, geometry.resized_hw), geometry), self._back(geometry))

    def sampled(self, image: Array, size_hw: HW) -> Array:
        """The image in another size, without padding or crop."""
        return image if size_hw == image.shape[:2] else (self.sample or self.by_plan)(image, size_hw)

    def _back(self, geometry: Geometry) -> Geometry:
        return self.back(geometry.source_hw) if self.back else geometry

    def by_plan(self, image: Array, size_hw: HW) -> Array:
        """The image in another size, by the plan's own filter."""
        k = self.kernel
        plain: dict[str, Any] = {"scale": 1, "dtype": "uint8", "layout": "nhwc", "color": k.color}
        own = Preprocess(
            size=size_hw, mode="stretch", interpolation=k.interpolation, input_color=k.input_color, **plain
        )
        return np.asarray(own(image)[0])

    def _laid(self, image: Array, geometry: Geometry) -> Array:
        """Padded or cut to the input's size."""
        (height, width), (top, left) = geometry.input_hw, (geometry.offset_y, geometry.offset_x)
        cut = image[max(0, -top) : height - top, max(0, -left) : width - left]
        top, left = max(0, top), max(0, left)
        sides = top, height - top - cut.shape[0], left, width - left - cut.shape[1]
        if not any(sides):
            return np.ascontiguousarray(cut)
        border = self.border if self.border is not None else (self.kernel.pad_value,)
        if isinstance(border, str):
            out = cv2.copyMakeBorder(np.ascontiguousarray(cut), *sides, _BORDERS[border])
            return np.asarray(out if out.ndim == 3 else out[..., None])
        canvas = np.empty((height, width, image.shape[2]), image.dtype)
        canvas[...] = border
        canvas[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
        return canvas


def content(geometry: Geometry) -> tuple[slice, slice]:
    """Rows and columns of the input that show the image, and not padding."""
    (h, w), (height, width) = geometry.resized_hw, geometry.input_hw
    top, left = geometry.offset_y, geometry.offset_x
    return slice(max(0, top), min(height, top + h)), slice(max(0, left), min(width, left + w))
