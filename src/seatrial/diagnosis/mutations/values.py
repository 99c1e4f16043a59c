"""Mistakes of the normalised tensor: channel order, scale, mean and std, their order, and how the memory is laid out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.mutation import Mutation, setting
from seatrial.diagnosis.stages import INPUT
from seatrial.diagnosis.way import At, Way
from seatrial.plan import pipelines

Array = npt.NDArray[Any]
F32 = npt.NDArray[np.float32]
# In levels of 0 to 1, for channels R, G, B: torchvision's, OpenAI CLIP's, Inception's, and Caffe's, which are levels of 255.
STATISTICS = {
    "ImageNet's": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "CLIP's": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "0.5 and 0.5": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "Caffe's means alone": ((0.485, 0.4579, 0.4076), (1.0, 1.0, 1.0)),
    "ImageNet's means alone": ((0.485, 0.456, 0.406), (1.0, 1.0, 1.0)),
    "ImageNet's deviations alone": ((0.0, 0.0, 0.0), (0.229, 0.224, 0.225)),
}
DIVISORS = (256.0, 200.0, 127.5, 128.0, 127.0, 254.0, 100.0)


def value_mutations(way: Way) -> Iterator[Mutation]:
    pre = way.spec.preprocess
    yield Mutation("channel-order", _order_said(pre), INPUT, _channels_reversed, "preprocess.color")
    yield from _scales(pre)
    if isinstance(pre, pipelines.Preprocess):
        yield from _statistics(pre)
        yield Mutation(
            "normalise-order",
            "subtracts mean and divides by std before the scale",
            INPUT,
            _statistics_first,
            "preprocess.mean",
        )
        if pre.layout == "nchw":
            yield Mutation(
                "layout-reshape",
                "reshapes HWC to CHW, which shuffles the pixels",
                INPUT,
                _reshaped,
                "preprocess.layout",
            )
        else:
            yield Mutation(
                "layout-reshape",
                "reshapes CHW to HWC, which shuffles the pixels",
                INPUT,
                _reshaped,
                "preprocess.layout",
            )
        yield Mutation("layout-reshape", "swaps height and width", INPUT, _sides_swapped, "preprocess.layout")
    yield Mutation(
        "non-contiguous",
        "hands over the memory of an image that was only viewed transposed",
        INPUT,
        _as_it_lies,
        "preprocess.layout",
    )
    yield Mutation(
        "non-contiguous",
        "hands over the memory of an image that was only viewed reversed",
        INPUT,
        _reversed_view,
        "preprocess.color",
    )


def _order_said(pre: Any) -> str:
    if not isinstance(pre, pipelines.Preprocess) or pre.color == "gray":
        return "feeds the channels in the other order"
    return f"feeds {'BGR' if pre.color == 'rgb' else 'RGB'}"


def _axis(tensor: Array) -> int:
    """Of the channels: (1, C, H, W), or (1, H, W, C)."""
    return 3 if tensor.ndim == 4 and tensor.shape[3] in (1, 3) and tensor.shape[1] not in (1, 3) else 1


def _channels_reversed(way: Way) -> Way:
    """Before mean and std, which belong to places in the tensor, not to colours: as code that forgets the conversion does."""
    pre = way.spec.preprocess
    if isinstance(pre, pipelines.Preprocess) and pre.color in ("rgb", "bgr"):
        return way.with_settings("preprocess", color="bgr" if pre.color == "rgb" else "rgb")
    return way.behind(INPUT, lambda at: At(np.flip(at.value, _axis(at.value)).copy(), at.geometry))


def _times(factor: float) -> Any:
    def change(way: Way) -> Way:
        pre = way.spec.preprocess
        if isinstance(pre, pipelines.Preprocess) and pre.dtype.startswith("float"):
            return way.with_settings("preprocess", scale=pre.scale * factor)
        return way.behind(INPUT, lambda at: At((at.value * factor).astype(at.value.dtype), at.geometry))

    return change


def _scales(pre: Any) -> Iterator[Mutation]:
    key = "preprocess.scale"
    yield Mutation("scale-missing", "does not divide by 255: values are 255 times as large", INPUT, _times(255.0), key)
    yield Mutation("scale-doubled", "divides by 255 twice: values are 1/255 as large", INPUT, _times(1 / 255.0), key)
    if isinstance(pre, pipelines.Preprocess):
        for divisor in DIVISORS:
            factor = 1 / divisor / pre.scale
            if abs(factor - 1) > 1e-9:
                yield Mutation("scale-wrong", f"divides by {divisor:g}", INPUT, _times(factor), key)


def _statistics(pre: pipelines.Preprocess) -> Iterator[Mutation]:
    if pre.color == "gray" or not pre.dtype.startswith("float"):
        return
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


def _statistics_first(way: Way) -> Way:
    """(x - mean) / std * scale, of x in levels."""
    pre = way.spec.preprocess
    assert isinstance(pre, pipelines.Preprocess)
    if not any(pre.mean) and all(s == 1 for s in pre.std):
        raise ValueError("there is nothing to be in another order")
    mean = tuple(m * pre.scale for m in pre.mean)
    return way.with_settings("preprocess", mean=mean)


def _reshaped(way: Way) -> Way:
    """The right shape with the pixels in the order of the other layout."""

    def change(at: At) -> At:
        axes = (0, 2, 3, 1) if _axis(at.value) == 1 else (0, 3, 1, 2)
        return At(np.ascontiguousarray(at.value.transpose(axes)).reshape(at.value.shape), at.geometry)

    return way.behind(INPUT, change)


def _sides_swapped(way: Way) -> Way:
    def change(at: At) -> At:
        a = _axis(at.value)
        h, w = (2, 3) if a == 1 else (1, 2)
        swapped = np.ascontiguousarray(at.value.swapaxes(h, w))
        return At(swapped.reshape(at.value.shape), at.geometry)

    return way.behind(INPUT, change)


def _as_it_lies(way: Way) -> Way:
    """A (W, H, C) view read as if it were (H, W, C): what `.data` of a transposed view gives."""

    def change(at: At) -> At:
        a = _axis(at.value)
        c, h, w = (1, 2, 3) if a == 1 else (3, 1, 2)
        hwc = np.ascontiguousarray(at.value.transpose(0, h, w, c))
        shape = tuple(at.value.shape[i] for i in (0, c, w, h))
        return At(np.ascontiguousarray(hwc.reshape(shape).swapaxes(2, 3)).reshape(at.value.shape), at.geometry)

    return way.behind(INPUT, change)


def _reversed_view(way: Way) -> Way:
    """A view with a negative stride read from its first address on: one pixel further on, each channel two steps late."""

    def change(at: At) -> At:
        a = _axis(at.value)
        hwc = np.ascontiguousarray(np.moveaxis(at.value, a, 3))
        flat = hwc.reshape(-1)
        late = np.concatenate([flat[2:], flat[-2:]]).reshape(hwc.shape)
        return At(np.ascontiguousarray(np.moveaxis(late[..., ::-1], 3, a)), at.geometry)

    return way.behind(INPUT, change)
