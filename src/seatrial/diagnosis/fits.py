"""Mistakes with numbers in them: found by fitting the numbers to the candidate's own values, where a list of usual ones ends.

For: scale, mean and std, the level of the padding, the side that is cropped from, the length of rows. Each fit sees the search
images alone; whether it holds, others say. Not for: judging (search.py), or faults behind the model (result_fits.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.at import At
from seatrial.diagnosis.distance import mean
from seatrial.diagnosis.fit import Fit
from seatrial.diagnosis.mutation import Mutation, setting
from seatrial.diagnosis.mutations.memory import pitched, wider_frame
from seatrial.diagnosis.mutations.padding import PADDED, filled, padded
from seatrial.diagnosis.mutations.places import cropped_from, short_of
from seatrial.diagnosis.mutations.values import levels_of, scaled
from seatrial.diagnosis.overflow import fit_overflow
from seatrial.diagnosis.resize import content
from seatrial.diagnosis.stages import INPUT, RESIZED
from seatrial.diagnosis.stale_fits import fit_stale
from seatrial.diagnosis.stretch import Stretch
from seatrial.diagnosis.tensors import as_hwc, like_hwc
from seatrial.diagnosis.two_steps import fit_two_steps
from seatrial.diagnosis.way import Way
from seatrial.plan import pipelines

Array = npt.NDArray[Any]
F64 = npt.NDArray[np.float64]
# Pixels of an image that a line is fitted through.
_PIXELS = 20_000
# Fitted numbers are said, and used, with so many digits where these fit as well.
_DIGITS = 4
# What a fitted line may differ by from the plan's own and still be it, in shares of its size.
_SAME = 1e-4


def fit_values(stretch: Stretch, way: Way, images: Sequence[int]) -> list[Mutation]:
    """An affine map of each channel's levels to the candidate's values. Padding is left out: whether it was laid before the map
    or behind it is another question, and its one level would pull at the line."""
    if stretch.end != INPUT or INPUT not in stretch.stages:
        return []
    pre = way.spec.preprocess
    floats = isinstance(pre, pipelines.Preprocess) and pre.dtype.startswith("float")
    looked = [_pixels(stretch, levels_of(way) if floats else way, i) for i in images]
    pairs = [p for p in looked if p is not None]
    if not pairs:
        return []
    ours, theirs = (np.concatenate(side) for side in zip(*pairs, strict=True))
    found = []
    # By place; and by rank, which does not mind where pixels lie.
    for x, y in ((ours, theirs), (np.sort(ours, axis=0), np.sort(theirs, axis=0))):
        lines = [_line(x[:, c], y[:, c]) for c in range(x.shape[1])]
        if all(lines):
            gains, offsets = (np.array(v) for v in zip(*[line for line in lines if line], strict=True))
            if isinstance(pre, pipelines.Preprocess) and floats:
                found += _named(pre, gains, offsets) if gains.all() else _without_channels(pre, gains, offsets)
            else:
                found += _affine(gains, offsets)
    return found


def _pixels(stretch: Stretch, way: Way, image: int) -> tuple[F64, F64] | None:
    """Levels of the way and values of the candidate, (N, C), of the pixels that show the image; None of two shapes."""
    made = stretch.made(way, image)
    ours, theirs = as_hwc(made.value), as_hwc(stretch.candidate(image))
    if ours.shape != theirs.shape:
        return None
    if made.geometry:
        rows, columns = content(made.geometry)
        ours, theirs = ours[rows, columns], theirs[rows, columns]
    every = max(1, ours.shape[0] * ours.shape[1] // _PIXELS)
    flat = [v.reshape(-1, v.shape[2])[::every].astype(np.float64) for v in (ours, theirs)]
    there = np.isfinite(flat[1]).all(axis=1)
    return flat[0][there], flat[1][there]


def _line(x: F64, y: F64) -> tuple[float, float] | None:
    """Least squares, again without what lies far off, as some pixels may differ for another reason. None of a constant, but
    where all of the candidate's are one."""
    if len(x) >= 16 and np.ptp(y) == 0 < np.ptp(x):
        return 0.0, float(y[0])
    keep = np.ones(len(x), bool)
    gain = offset = 0.0
    for _ in range(6):
        if keep.sum() < 16 or np.ptp(x[keep]) == 0 or np.ptp(y[keep]) == 0:
            return None
        centre, height = x[keep].mean(), y[keep].mean()
        gain = float(((x[keep] - centre) * (y[keep] - height)).mean() / ((x[keep] - centre) ** 2).mean())
        offset = float(height - gain * centre)
        apart = np.abs(y - gain * x - offset)
        near = apart <= max(3 * 1.4826 * float(np.median(apart)), 1e-6 * float(np.ptp(y)))
        if (near == keep).all():
            break
        keep = near
    return gain, offset


def _named(pre: pipelines.Preprocess, gains: F64, offsets: F64) -> list[Mutation]:
    """As a divisor where the plan's mean and std stay; else as the mean and std that make it with the plan's scale."""
    std = np.array(pre.std, np.float64)
    scales, shift = gains * std, -np.array(pre.mean, np.float64) / std
    size = max(1.0, float(np.abs(gains).max()) * 255)
    if np.ptp(scales) <= _SAME * abs(scales.mean()) and np.abs(offsets - shift).max() <= _SAME * size:
        divisor = _short(1 / float(scales.mean()))
        if abs(1 / divisor / pre.scale - 1) <= _SAME:
            return []
        said = f"divides by {divisor:g}" if divisor >= 1 else f"multiplies levels by {1 / divisor:g}"
        return [scaled("scale-wrong", said, 1 / divisor / pre.scale, parameters=1)]
    unit = 255 * pre.scale
    deviations = [_short(float(v)) for v in pre.scale / gains / unit]
    means = [_short(float(v)) for v in -offsets * pre.scale / gains / unit]
    said = f"applies mean ({_listed(means)}) and std ({_listed(deviations)}), in levels of 0 to 1"
    values = {"mean": tuple(m * unit for m in means), "std": tuple(s * unit for s in deviations)}
    made = setting("mean-std", said, INPUT, "preprocess", **values)
    return [Mutation(made.fault, made.what, made.stage, made.change, made.key, parameters=2 * len(gains))]


def _without_channels(pre: pipelines.Preprocess, gains: F64, offsets: F64) -> list[Mutation]:
    """One factor where each channel needs one: cv2.dnn takes those that are not given for 0."""
    std, mean = np.array(pre.std, np.float64), np.array(pre.mean, np.float64)
    if not gains.any():
        return []
    factors, more = gains * std / pre.scale, offsets + gains * mean / pre.scale
    more[np.abs(more) <= _SAME * np.abs(factors).max()] = 0
    return _affine(factors, more, "scale-wrong", "preprocess.scale")


def _affine(gains: F64, offsets: F64, fault: str = "mean-std", key: str = "preprocess.mean") -> list[Mutation]:
    """Of a preprocess of the user's own, or a tensor of whole numbers: what the candidate's values are of ours."""
    size = float(np.abs(offsets).max())
    if np.ptp(gains) <= 1e-3 * abs(gains.mean()) and size <= 1e-3 * abs(gains.mean()):
        factor = _short(float(gains.mean()))
        return [scaled("scale-wrong", f"gives values that are {factor:g} times as large", factor, parameters=1)]
    said = f"gives values that are ours times ({_listed(gains)}) plus ({_listed(offsets)})"

    def change(at: At) -> At:
        hwc = as_hwc(at.value) * gains + offsets
        return At(like_hwc(hwc.astype(at.value.dtype), at.value), at.geometry)

    return [Mutation(fault, said, INPUT, lambda way: way.behind(INPUT, change), key, parameters=2 * len(gains))]


def _short(value: float) -> float:
    """With few digits, where nothing but rounding is lost."""
    for digits in range(1, 7):
        short = float(f"{value:.{digits}g}")
        if abs(short - value) <= 2e-6 * max(abs(value), 0.05):
            return short
    return value


def _listed(values: Sequence[float] | F64) -> str:
    return ", ".join(f"{v:.{_DIGITS}g}" for v in values)


def fit_padding(stretch: Stretch, way: Way, images: Sequence[int]) -> list[Mutation]:
    """What the candidate's border holds, where it can be seen; else the level that comes nearest."""
    pre = way.spec.preprocess
    if not isinstance(pre, pipelines.Preprocess) or pre.mode not in PADDED or RESIZED not in stretch.stages:
        return []
    if stretch.end not in (RESIZED, INPUT):
        level = _least(lambda v: _distance(stretch, padded((v,), ""), way, images[:2]), 0, 255, 32)
        return [padded((level,), f"pads with {level}", parameters=1)]
    border = _border(stretch, way, images)
    if border is None:
        return []
    if stretch.end == RESIZED:
        return [_of_levels(border, way)]
    # In the tensor's order of channels, back to levels.
    levels = (border * np.array(pre.std) + np.array(pre.mean)) / pre.scale
    whole = np.rint(levels)
    if np.abs(levels - whole).max() < 0.02 and whole.min() >= 0 and whole.max() <= 255:
        return [_of_levels(whole if pre.color == way.spec.decode.color else whole[::-1], way)]
    said = f"fills the padding with {_listed(border)} behind mean and std"
    return [filled(tuple(map(float, border)), said, parameters=len(border))]


def _border(stretch: Stretch, way: Way, images: Sequence[int]) -> F64 | None:
    """The median of the candidate's values where the way has padding, a channel each."""
    seen = []
    for i in images:
        made = stretch.made(way, i)
        theirs = stretch.candidate(i)
        theirs = as_hwc(theirs) if stretch.end == INPUT else theirs
        if made.geometry is None or theirs.shape[:2] != made.geometry.input_hw:
            continue
        outside = np.ones(theirs.shape[:2], bool)
        outside[content(made.geometry)] = False
        if outside.any():
            seen.append(theirs[outside][:_PIXELS].astype(np.float64))
    return np.asarray(np.median(np.concatenate(seen), axis=0)) if seen else None


def _of_levels(levels: F64, way: Way) -> Mutation:
    """levels: in the image's order of channels."""
    whole = tuple(int(v) for v in levels)
    if len(set(whole)) == 1:
        return padded(whole[:1], f"pads with {whole[0]}", parameters=1)
    return padded(whole, f"pads with {whole} ({way.spec.decode.color})", parameters=len(whole))


def fit_crop(stretch: Stretch, way: Way, images: Sequence[int]) -> list[Mutation]:
    pre = way.spec.preprocess
    if not isinstance(pre, pipelines.Preprocess) or pre.mode != "resize_center_crop" or RESIZED not in stretch.stages:
        return []
    side, ours = min(pre.size), short_of(pre)
    # A crop that is some pixels off shows the model another image: the steps must be small.
    short = _least(
        lambda v: _distance(stretch, cropped_from(v, ""), way, images[:3]), side, 2 * side, max(1, side // 40)
    )
    if short == ours:
        return []
    return [cropped_from(short, f"resizes the short side to {short} (crop fraction {side / short:.3g})", parameters=1)]


def fit_rows(stretch: Stretch, way: Way, images: Sequence[int]) -> list[Mutation]:
    """How far apart the rows lie in memory that were read one behind the other."""
    if RESIZED not in stretch.stages or stretch.end not in (RESIZED, INPUT):
        return []
    found = [wider_frame(k, parameters=1) for k in range(1, 65)]
    if stretch.end != RESIZED:
        return found
    image = images[0]
    ours, theirs = stretch.made(way, image).value, stretch.candidate(image)
    if ours.shape != theirs.shape:
        return found
    row = ours.shape[1] * ours.shape[2]
    # The second row of the middle half shows where it begins, unless all rows are alike.
    wanted = ours.reshape(len(ours), -1)[1].astype(np.int16)
    windows = np.lib.stride_tricks.sliding_window_view(theirs.reshape(-1)[: 4 * row].astype(np.int16), row)
    apart = np.abs(windows[row : 3 * row] - wanted).mean(axis=1)
    pitch = row + int(apart.argmin())
    return [*found, pitched(pitch)] if pitch > row else found


def fit_layout(stretch: Stretch, way: Way, images: Sequence[int]) -> list[Mutation]:
    """Channels last where the model has them first, or the other way round."""
    if stretch.end != INPUT or INPUT not in stretch.stages:
        return []
    ours, theirs = stretch.made(way, images[0]).value, stretch.candidate(images[0])
    for axes, said in (((0, 2, 3, 1), "NHWC for NCHW"), ((0, 3, 1, 2), "NCHW for NHWC")):
        if ours.ndim == 4 and ours.shape != theirs.shape == ours.transpose(axes).shape:
            return [
                Mutation("layout-reshape", f"hands over {said}", INPUT, partial(_transposed, axes), "preprocess.layout")
            ]
    return []


def _transposed(axes: tuple[int, ...], way: Way) -> Way:
    return way.behind(INPUT, lambda at: At(np.ascontiguousarray(at.value.transpose(axes)), at.geometry))


def _distance(stretch: Stretch, mutation: Mutation, way: Way, images: Sequence[int]) -> float:
    changed = mutation.change(way)
    return mean([stretch.distance(changed, i) for i in images])


def _least(distance: Callable[[int], float], low: int, high: int, step: int) -> int:
    """Of whole numbers, where the distance is least: on a grid, which is then made finer around the best."""
    known: dict[int, float] = {}

    def at(v: int) -> float:
        if v not in known:
            known[v] = distance(v)
        return known[v]

    best = min(range(low, high + 1, step), key=at)
    while step > 1:
        step = max(1, step // 2)
        best = min((v for v in (best, best - step, best + step) if low <= v <= high), key=at)
    return min(_around(best, low, high), key=at)


def _around(best: int, low: int, high: int) -> Iterator[int]:
    yield from (v for v in (best, best - 1, best + 1) if low <= v <= high)


_PIXELS_AND_VALUES = (
    Fit("scale-wrong and mean-std", fit_values),
    Fit("pad-value", fit_padding),
    Fit("crop-fraction", fit_crop),
    Fit("non-contiguous", fit_rows),
    Fit("layout-reshape", fit_layout),
    Fit("interpolation", fit_two_steps),
)
FITS = (*_PIXELS_AND_VALUES, Fit("stale-output", fit_stale), Fit("fp16-overflow", fit_overflow))
