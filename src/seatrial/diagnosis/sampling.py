"""How libraries resize: filters, sampling grids, antialiasing and rounding, as functions of an image and a size.

For: mistakes of another library, or another option of the same. Not for: the plan's own interpolations, which the kernel has.
Any filter is a matrix along each axis, so that a resize is two products, without OpenCV's and Pillow's fixed-point arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage, sparse

Array = npt.NDArray[Any]
F64 = npt.NDArray[np.float64]
HW = tuple[int, int]


@dataclass(frozen=True)
class Sampler:
    """what: as a clause. family: of its filter; grid: where output pixels lie in the source; wide: whether the filter grows
    with the factor (antialiasing). levels: a function of (H, W, C) uint8 and the size."""

    what: str
    family: str
    grid: str
    wide: bool
    levels: Callable[[Array, HW], Array]


def _linear(x: F64) -> F64:
    return np.asarray(np.clip(1 - np.abs(x), 0, None))


def _cubic(x: F64, a: float) -> F64:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _lanczos3(x: F64) -> F64:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


# A filter's half width in source pixels, and its weights.
_FILTERS: dict[str, tuple[float, Callable[[F64], F64]]] = {
    "linear": (1.0, _linear),
    "cubic-0.75": (2.0, lambda x: _cubic(x, -0.75)),
    "cubic-0.5": (2.0, lambda x: _cubic(x, -0.5)),
    "lanczos3": (3.0, _lanczos3),
}


def _centres(source: int, size: int, grid: str) -> F64:
    k = np.arange(size, dtype=np.float64)
    if grid == "align-corners":
        return k * ((source - 1) / (size - 1) if size > 1 else 0.0)
    scale = source / size
    return k * scale if grid == "asymmetric" else (k + 0.5) * scale - 0.5


@lru_cache(maxsize=512)
def _matrix(source: int, size: int, kind: str, grid: str, wide: bool) -> Any:
    """(size, source). Beyond the border lies the border's pixel; of a wide filter nothing, and the rest weighs one."""
    support, weigh = _FILTERS[kind]
    factor = max(1.0, source / size) if wide else 1.0
    centres = _centres(source, size, grid)
    reach = int(np.ceil(support * factor))
    at = np.floor(centres)[:, None].astype(np.int64) + np.arange(-reach, reach + 2)[None]
    weights = weigh((at - centres[:, None]) / factor)
    if wide:
        weights = np.where((at < 0) | (at >= source), 0.0, weights)
        weights /= weights.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(size), at.shape[1])
    entries = (weights.ravel(), (rows, np.clip(at, 0, source - 1).ravel()))
    return sparse.csr_array(sparse.coo_array(entries, shape=(size, source)).astype(np.float32))


def _by_matrices(image: Array, size_hw: HW, kind: str, grid: str = "half-pixel", wide: bool = False) -> Array:
    """float32 (h, w, C)."""
    (height, width), channels = image.shape[:2], image.shape[2]
    down = _matrix(height, size_hw[0], kind, grid, wide) @ image.reshape(height, -1).astype(np.float32)
    across = np.ascontiguousarray(down.reshape(size_hw[0], width, channels).swapaxes(0, 1)).reshape(width, -1)
    out = _matrix(width, size_hw[1], kind, grid, wide) @ across
    return np.ascontiguousarray(out.reshape(size_hw[1], size_hw[0], channels).swapaxes(0, 1))


def _rounded(levels: Array) -> Array:
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def _cut(levels: Array) -> Array:
    """As a plain conversion to bytes does."""
    return np.clip(levels + 1e-4, 0, 255).astype(np.uint8)


def _floats(kind: str, grid: str = "half-pixel", wide: bool = False, end: Callable[[Array], Array] = _rounded) -> Any:
    return lambda image, size_hw: end(_by_matrices(image, size_hw, kind, grid, wide))


def _opencv(flag: int) -> Any:
    def levels(image: Array, size_hw: HW) -> Array:
        out = cv2.resize(image, size_hw[::-1], interpolation=flag)
        return np.asarray(out if out.ndim == 3 else out[..., None])

    return levels


def _pillow(how: Image.Resampling, gap: float | None = None) -> Any:
    def levels(image: Array, size_hw: HW) -> Array:
        given = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        out = np.asarray(given.resize(size_hw[::-1], how, reducing_gap=gap))
        return out if out.ndim == 3 else out[..., None]

    return levels


def _nearest(index: Callable[[int, int], F64]) -> Any:
    def levels(image: Array, size_hw: HW) -> Array:
        (height, width), (h, w) = image.shape[:2], size_hw
        rows = np.clip(index(height, h).astype(np.int64), 0, height - 1)
        columns = np.clip(index(width, w).astype(np.int64), 0, width - 1)
        return np.asarray(image[rows][:, columns])

    return levels


def _halves(image: Array, size_hw: HW) -> Array:
    """As mipmaps do: halved until the rest is less than a half."""
    while image.shape[0] >= 2 * size_hw[0] and image.shape[1] >= 2 * size_hw[1]:
        image = _opencv(cv2.INTER_AREA)(image, (image.shape[0] // 2, image.shape[1] // 2))
    return np.asarray(_opencv(cv2.INTER_LINEAR)(image, size_hw))


def _gaussian(image: Array, size_hw: HW) -> Array:
    """scikit-image's resize with anti_aliasing: a Gaussian of (factor - 1) / 2, then linear between pixels."""
    sigmas = [max(0.0, (s / d - 1) / 2) for s, d in zip(image.shape[:2], size_hw, strict=True)]
    soft = ndimage.gaussian_filter(image.astype(np.float32), (*sigmas, 0), mode="mirror")
    return _rounded(_by_matrices(soft, size_hw, "linear"))


_R = Image.Resampling
_CORNERS = "with the corner pixels laid on one another (align_corners)"
_ASYMMETRIC = "by x * scale, without the half pixel (asymmetric)"
# What one family shares is a filter; which of a family it is, its grid and its width say.
SAMPLERS = (
    Sampler(f"resizes linearly {_CORNERS}", "linear", "align-corners", False, _floats("linear", "align-corners")),
    Sampler(f"resizes linearly {_ASYMMETRIC}", "linear", "asymmetric", False, _floats("linear", "asymmetric")),
    Sampler(f"resizes linearly {_CORNERS}, cut to whole levels", "linear", "align-corners", False,
            _floats("linear", "align-corners", end=_cut)),
    Sampler(f"resizes linearly {_ASYMMETRIC}, cut to whole levels", "linear", "asymmetric", False,
            _floats("linear", "asymmetric", end=_cut)),
    Sampler(f"resizes linearly {_CORNERS}, levels not rounded", "linear", "align-corners", False,
            _floats("linear", "align-corners", end=lambda v: v)),
    Sampler(f"resizes linearly {_ASYMMETRIC}, levels not rounded", "linear", "asymmetric", False,
            _floats("linear", "asymmetric", end=lambda v: v)),
    Sampler(f"resizes cubically {_CORNERS}", "cubic", "align-corners", False, _floats("cubic-0.75", "align-corners")),
    Sampler(f"resizes cubically {_ASYMMETRIC}", "cubic", "asymmetric", False, _floats("cubic-0.75", "asymmetric")),
    Sampler("resizes linearly in floats, rounded (PyTorch's interpolate, scikit-image without anti_aliasing)", "linear",
            "half-pixel", False, _floats("linear")),
    Sampler("resizes linearly in floats, cut to whole levels", "linear", "half-pixel", False, _floats("linear", end=_cut)),
    Sampler("resizes linearly in floats, levels not rounded (PyTorch's interpolate on a float tensor)", "linear",
            "half-pixel", False, _floats("linear", end=lambda v: v)),
    Sampler("resizes linearly by OpenCV's INTER_LINEAR_EXACT", "linear", "half-pixel", False, _opencv(cv2.INTER_LINEAR_EXACT)),
    Sampler("resizes linearly with antialiasing in floats, rounded (torchvision on a tensor)", "linear", "half-pixel", True,
            _floats("linear", wide=True)),
    Sampler("resizes linearly with antialiasing in floats, levels not rounded (torchvision on a float tensor)", "linear",
            "half-pixel", True, _floats("linear", wide=True, end=lambda v: v)),
    Sampler("resizes linearly behind a Gaussian (scikit-image's anti_aliasing)", "linear", "half-pixel", True, _gaussian),
    Sampler("resizes linearly in two steps (Pillow's reducing_gap 2)", "linear", "half-pixel", True, _pillow(_R.BILINEAR, 2.0)),
    Sampler("resizes linearly in two steps (Pillow's reducing_gap 3)", "linear", "half-pixel", True, _pillow(_R.BILINEAR, 3.0)),
    Sampler("halves the image by averages, then resizes linearly", "halves", "half-pixel", True, _halves),
    Sampler("resizes cubically in floats (PyTorch's interpolate)", "cubic", "half-pixel", False, _floats("cubic-0.75")),
    Sampler("resizes cubically in floats (a = -0.5: TensorFlow's, Keras')", "cubic", "half-pixel", False, _floats("cubic-0.5")),
    Sampler("resizes cubically in floats, levels not rounded", "cubic", "half-pixel", False,
            _floats("cubic-0.75", end=lambda v: v)),
    Sampler("resizes cubically with antialiasing in floats, rounded (torchvision on a tensor)", "cubic", "half-pixel", True,
            _floats("cubic-0.5", wide=True)),
    Sampler("resizes cubically with antialiasing in floats, levels not rounded", "cubic", "half-pixel", True,
            _floats("cubic-0.5", wide=True, end=lambda v: v)),
    Sampler("resizes by Lanczos' filter (Pillow's LANCZOS)", "lanczos", "half-pixel", True, _pillow(_R.LANCZOS)),
    Sampler("resizes by Lanczos' filter in floats (TensorFlow's lanczos3)", "lanczos", "half-pixel", True,
            _floats("lanczos3", wide=True)),
    Sampler("resizes by Lanczos' filter without antialiasing (OpenCV's INTER_LANCZOS4)", "lanczos", "half-pixel", False,
            _opencv(cv2.INTER_LANCZOS4)),
    Sampler("averages areas (Pillow's BOX)", "area", "half-pixel", True, _pillow(_R.BOX)),
    Sampler("resizes by Hamming's filter (Pillow's HAMMING)", "hamming", "half-pixel", True, _pillow(_R.HAMMING)),
    Sampler("takes the pixel under the centre (Pillow's NEAREST, PyTorch's nearest-exact)", "nearest", "half-pixel", False,
            _pillow(_R.NEAREST)),
    Sampler("takes the nearest pixel by OpenCV's INTER_NEAREST_EXACT", "nearest", "half-pixel", False,
            _opencv(cv2.INTER_NEAREST_EXACT)),
    Sampler(f"takes the nearest pixel {_CORNERS}", "nearest", "align-corners", False,
            _nearest(lambda s, d: np.floor(_centres(s, d, "align-corners") + 0.5))),
    Sampler("takes the nearest pixel by x * scale, rounded", "nearest", "rounded", False,
            _nearest(lambda s, d: np.floor(_centres(s, d, "asymmetric") + 0.5))),
)  # fmt: skip
# The plan's own, as kernels/preprocess.py has them: what each is, then family, grid and width.
OWN = {
    "linear": ("resizes linearly without antialiasing (OpenCV's INTER_LINEAR)", "linear", "half-pixel", False),
    "nearest": ("takes the nearest pixel (OpenCV's INTER_NEAREST)", "nearest", "asymmetric", False),
    "area": ("averages areas (OpenCV's INTER_AREA)", "area", "half-pixel", True),
    "cubic": ("resizes cubically without antialiasing (OpenCV's INTER_CUBIC)", "cubic", "half-pixel", False),
    "antialias_linear": ("resizes linearly with antialiasing (Pillow's, torchvision's)", "linear", "half-pixel", True),
    "antialias_cubic": ("resizes cubically with antialiasing (Pillow's, torchvision's)", "cubic", "half-pixel", True),
}


def fault_of(ours: str, family: str, grid: str, wide: bool) -> str:
    """What it is called that another sampler stands where the plan says `ours`."""
    _, own_family, own_grid, own_wide = OWN[ours]
    if family == own_family and wide == own_wide and grid != own_grid:
        return "half-pixel"
    return "antialias" if family == own_family and grid == own_grid and wide != own_wide else "interpolation"
