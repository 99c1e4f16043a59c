"""An input tensor as (H, W, C), whichever way its plan lays it out. Not for: what is in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def channel_axis(tensor: Array) -> int:
    """Of (1, C, H, W), or (1, H, W, C)."""
    return 3 if tensor.ndim == 4 and tensor.shape[3] in (1, 3) and tensor.shape[1] not in (1, 3) else 1


def as_hwc(tensor: Array) -> Array:
    """A view (H, W, C) of one image's tensor. ValueError where it is no image."""
    if tensor.ndim != 4 or tensor.shape[0] != 1:
        raise ValueError(f"expected the tensor of one image, (1, C, H, W) or (1, H, W, C), got {tensor.shape}")
    return np.moveaxis(tensor[0], channel_axis(tensor) - 1, 2)


def like_hwc(image_hwc: Array, tensor: Array) -> Array:
    """An image (H, W, C) laid out as the tensor is, with the sides of its own."""
    return np.ascontiguousarray(np.moveaxis(image_hwc, 2, channel_axis(tensor) - 1))[None]
