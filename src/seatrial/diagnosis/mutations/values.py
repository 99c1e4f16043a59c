"""Mistakes of the tensor's values: channel order, scale, mean and std, their order. Not for: how these lie (memory.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.at import At
from seatrial.diagnosis.mutation import Mutation, setting
from seatrial.diagnosis.stages import INPUT
from seatrial.diagnosis.tensors import as_hwc, channel_axis, like_hwc
from seatrial.diagnosis.way import Way
from seatrial.plan import pipelines

Array = npt.NDArray[Any]
# In levels of 0 to 1, for channels R, G, B: torchvision's, OpenAI CLIP's, Inception's, and Caffe's, which are levels of 255.
STATISTICS = {
    "ImageNet's": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "CLIP's": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "0.5 and 0.5": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "Caffe's means alone": ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1.0, 1.0, 1.0)),
    "ImageNet's means alone": ((0.485, 0.456, 0.406), (1.0, 1.0, 1.0)),
    "ImageNet's in levels of 255": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "ImageNet's means alone in levels of 255": ((123.675, 116.28, 103.53), (1.0, 1.0, 1.0)),
    "ImageNet's deviations alone": ((0.0, 0.0, 0.0), (0.229, 0.224, 0.225)),
}
DIVISORS = (256.0, 200.0, 127.5, 128.0, 127.0, 254.0, 100.0)


def value_mutations(way: Way) -> Iterator[Mutation]:
    pre = way.spec.preprocess
    yield Mutation("channel-order", _order_said(way), INPUT, channels_reversed, "preprocess.color")
    yield from _scales(pre)
    if isinstance(pre, pipelines.Preprocess) and pre.dtype.startswith("float"):
        if pre.color != "gray":
            yield from _statistics(pre)
            yield from _caffe(pre)
        if any(pre.mean) or any(s != 1 for s in pre.std):
            yield from _orders(pre)
    what = "normalises each image by its own mean and standard deviation"
    yield _remade("mean-std", what, lambda x: (x - x.mean()) / (x.std() or 1.0), "preprocess.mean")
    what = "stretches each image to its own range of 0 to 1"
    yield _remade("scale-wrong", what, lambda x: (x - x.min()) / ((x.max() - x.min()) or 1.0), "preprocess.scale")


def _order_said(way: Way) -> str:
    pre = way.spec.preprocess
    if not isinstance(pre, pipelines.Preprocess):
        return "feeds the channels in the other order"
    if pre.color == "gray":
        return "makes grey of red and blue swapped"
    return f"feeds {'BGR' if pre.color == 'rgb' else 'RGB'}"


def channels_reversed(way: Way) -> Way:
    """Before mean and std, which belong to places in the tensor, not to colours: as code that forgets the conversion does."""
    pre = way.spec.preprocess
    if isinstance(pre, pipelines.Preprocess):
        return way.before(INPUT, lambda at: At(np.ascontiguousarray(at.value[..., ::-1]), at.geometry))
    return way.behind(INPUT, lambda at: At(np.flip(at.value, channel_axis(at.value)).copy(), at.geometry))


def _times(factor: float) -> Callable[[Way], Way]:
    def change(way: Way) -> Way:
        pre = way.spec.preprocess
        if isinstance(pre, pipelines.Preprocess) and pre.dtype.startswith("float"):
            return way.with_settings("preprocess", scale=pre.scale * factor)
        return way.behind(INPUT, lambda at: At(_as_type(at.value * factor, at.value.dtype), at.geometry))

    return change


def _as_type(values: Array, dtype: Any) -> Array:
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)


def scaled(fault: str, what: str, factor: float, parameters: int = 0) -> Mutation:
    """factor: the candidate's scale against the plan's."""
    return Mutation(fault, what, INPUT, _times(factor), "preprocess.scale", parameters)


def _scales(pre: Any) -> Iterator[Mutation]:
    yield scaled("scale-missing", "does not divide by 255: values are 255 times as large", 255.0)
    yield scaled("scale-doubled", "divides by 255 twice: values are 1/255 as large", 1 / 255.0)
    if isinstance(pre, pipelines.Preprocess):
        for divisor in DIVISORS:
            factor = 1 / divisor / pre.scale
            if abs(factor - 1) > 1e-9:
                yield scaled("scale-wrong", f"divides by {divisor:g}", factor)


def _statistics(pre: pipelines.Preprocess) -> Iterator[Mutation]:
    # A scale of 1 counts in levels of 255.
    unit = 255.0 * pre.scale
    for name, (mean, std) in STATISTICS.items():
        means = tuple(m * unit for m in mean)
        deviations = tuple(s * unit if s != 1.0 else 1.0 for s in std)
        for said, order in ((name, 1), (f"{name}, in the other order", -1)):
            values = {"mean": means[::order], "std": deviations[::order]}
            flat = len(set(mean)) == len(set(std)) == 1
            if (order == -1 and flat) or (
                np.allclose(values["mean"], pre.mean) and np.allclose(values["std"], pre.std)
            ):
                continue
            what = "applies no mean and std" if name == "none" else f"applies mean and std: {said}"
            yield setting("mean-std", what, INPUT, "preprocess", **values)


def _caffe(pre: pipelines.Preprocess) -> Iterator[Mutation]:
    """Levels of 255 in B, G, R less Caffe's mean: one recipe, and its half without the order."""
    if pre.scale == 1:
        return
    bgr = (103.939, 116.779, 123.68)
    for what, mean, turned in (
        ("subtracts Caffe's mean from levels of 255, in B, G, R", bgr, pre.color == "rgb"),
        ("subtracts Caffe's mean from levels of 255, in R, G, B", bgr[::-1], pre.color == "bgr"),
    ):

        def change(way: Way, mean: tuple[float, ...] = mean, turned: bool = turned) -> Way:
            made = way.with_settings("preprocess", mean=mean, std=(1.0, 1.0, 1.0), scale=1.0)
            return channels_reversed(made) if turned else made

        yield Mutation("mean-std", what, INPUT, change, "preprocess.mean")


def _orders(pre: pipelines.Preprocess) -> Iterator[Mutation]:
    """Where mean and std do something: what comes of doing it at another time, or in another unit."""
    s, mean, std = pre.scale, np.array(pre.mean), np.array(pre.std)

    def other(fault: str, what: str, mean: Any, std: Any) -> Mutation:
        values = {"mean": tuple(map(float, mean)), "std": tuple(map(float, std))}
        return setting(fault, what, INPUT, "preprocess", **values)

    if s != 1:
        # (x - mean) / std * scale, of x in levels.
        yield other("normalise-order", "subtracts mean and divides by std before the scale", mean * s, std)
        if any(std != 1):
            what = "subtracts mean before the scale, and divides by std after it"
            yield other("normalise-order", f"{what}, which counts levels of 255", mean * s, std / s)
        yield other("mean-std", "takes the mean for one of levels of 255 and scales it", mean / s, std)
        yield other("mean-std", "subtracts a mean and divides by a std that count levels of 255", mean / s, std / s)
    if any(std != 1) and any(mean):
        yield other("normalise-order", "divides by std before it subtracts the mean", mean * std, std)
    if any(std != 1):
        yield other("mean-std", "multiplies by std where it should divide", mean, 1 / std)
        yield other("mean-std", "divides by the square root of std", mean, np.sqrt(std))
        yield other("mean-std", "divides by the square of std", mean, std**2)
    yield other("mean-std", "applies mean and std twice", mean + std * mean, std**2)
    yield other("mean-std", "adds the mean where it should subtract it", -mean, std)


def _remade(fault: str, what: str, change: Callable[[Array], Array], key: str) -> Mutation:
    """change: of an image's levels in float32 to the values of its tensor."""

    def changed(way: Way) -> Way:
        if isinstance(way.spec.preprocess, pipelines.Preprocess):
            way = levels_of(way)

        def step(at: At) -> At:
            hwc = as_hwc(at.value).astype(np.float32)
            return At(like_hwc(change(hwc).astype(at.value.dtype), at.value), at.geometry)

        return way.behind(INPUT, step)

    return Mutation(fault, what, INPUT, changed, key)


def levels_of(way: Way) -> Way:
    """With a tensor of levels, not scaled. ValueError where the plan's tensor holds no floats."""
    pre = way.spec.preprocess
    if not isinstance(pre, pipelines.Preprocess) or not pre.dtype.startswith("float"):
        raise ValueError("expected a tensor of floats")
    channels = 1 if pre.color == "gray" else 3
    return way.with_settings("preprocess", scale=1.0, mean=(0.0,) * channels, std=(1.0,) * channels)
