"""Differences that are in no catalogue: other weights, another model, noise, blur. For: pairs in which no fault may be named."""

from __future__ import annotations

import shutil
from dataclasses import replace

import cv2
import numpy as np
import onnx
from onnx import numpy_helper
from PIL import Image, ImageOps

from faulty.injections.injection import Injection, Setting, after, step
from faulty.injections.model import edited
from faulty.pipelines import infer_of, resize_of
from faulty.tasks import REPOSITORY
from faulty.way import Array


def perturbed(share: float):
    """As if trained on: every weight moves by a share of its tensor's spread."""

    def edit(model: onnx.ModelProto, _setting: Setting) -> None:
        rng = np.random.default_rng(3)
        constants = [
            n.attribute[0].t for n in model.graph.node if n.op_type == "Constant" and n.attribute[0].name == "value"
        ]
        for held in [*model.graph.initializer, *constants]:
            values = numpy_helper.to_array(held)
            if values.dtype == np.float32 and values.ndim > 1:
                moved = values + rng.normal(0, share * values.std(), values.shape).astype(np.float32)
                held.CopyFrom(numpy_helper.from_array(moved, held.name))

    return edit


def second_version(setting: Setting):
    shutil.copy(REPOSITORY / "src/seatrial/demo/models/seamarks-v2.onnx", setting.folder / "v2.onnx")
    return infer_of(replace(setting.task, model="v2.onnx"), setting.folder)


def seeded(function):
    """function(image, rng): the same noise every time, another for each picture."""

    def changed(image: Array) -> Array:
        return function(image, np.random.default_rng(int(image[::7, ::7].sum()) % 2**32))

    return changed


def noise(sigma: float):
    def noisy(image: Array, rng: np.random.Generator) -> Array:
        return np.clip(image + rng.normal(0, sigma, image.shape), 0, 255).astype(np.uint8)

    return after("decode", seeded(noisy))


def salt(image: Array, rng: np.random.Generator) -> Array:
    out = image.copy()
    chosen = rng.random(image.shape[:2])
    out[chosen < 0.01], out[chosen > 0.99] = 0, 255
    return out


def erased(image: Array, rng: np.random.Generator) -> Array:
    out, (height, width) = image.copy(), image.shape[:2]
    y, x = int(rng.integers(0, height * 2 // 3)), int(rng.integers(0, width * 2 // 3))
    out[y : y + height // 4, x : x + width // 4] = rng.integers(0, 256, 3)
    return out


def turned(degrees: float):
    def changed(image: Array) -> Array:
        height, width = image.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
        return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)

    return after("decode", changed)


def gamma(power: float):
    table = np.round(255 * (np.arange(256) / 255) ** power).astype(np.uint8)
    return after("decode", lambda image: cv2.LUT(image, table))


def hue(image: Array) -> Array:
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + 12) % 180
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


def again(image: Array) -> Array:
    """Compressed once more, chroma at its full size."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, 55, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imdecode(cv2.imencode(".jpg", image, flags)[1], cv2.IMREAD_COLOR)


def sharp(image: Array) -> Array:
    return cv2.addWeighted(image, 1.8, cv2.GaussianBlur(image, (0, 0), 2), -0.8, 0)


def equalised(image: Array) -> Array:
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)
    lab[..., 0] = cv2.createCLAHE(2.0, (8, 8)).apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2BGR)


def whole_histogram(image: Array) -> Array:
    ycc = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)
    ycc[..., 0] = cv2.equalizeHist(ycc[..., 0])
    return cv2.cvtColor(ycc, cv2.COLOR_YCrCb2BGR)


def contrast(cutoff: float):
    def stretched(image: Array) -> Array:
        return np.asarray(ImageOps.autocontrast(Image.fromarray(image), cutoff=cutoff))

    return after("decode", stretched)


def to_linear(levels: Array) -> Array:
    s = levels.astype(np.float32) / 255
    return np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4).astype(np.float32)


def linear_light(by: int):
    """The resize works on light, not on sRGB's levels."""

    def resized(image: Array, size_hw: tuple[int, int]) -> Array:
        light = np.clip(cv2.resize(to_linear(image), size_hw[::-1], interpolation=by), 0, 1)
        srgb = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
        return np.round(255 * srgb).astype(np.uint8)

    return step("resize", lambda s: resize_of(s.task, by=resized))


def white_balanced(image: Array) -> Array:
    """Grey world."""
    means = image.reshape(-1, 3).mean(axis=0)
    return np.clip(image * (means.mean() / np.maximum(means, 1)), 0, 255).astype(np.uint8)


def noisy_tensor(tensor: Array) -> Array:
    rng = np.random.default_rng(int(np.abs(tensor).sum()) % 2**32)
    return (tensor + rng.normal(0, 0.05 * tensor.std(), tensor.shape)).astype(np.float32)


def _outside(variant: str, change, **more) -> Injection:
    return Injection("none", variant, change, **more)


OUTSIDE = (
    _outside("weights-1", edited("perturbed-1", perturbed(0.01))),
    _outside("weights-5", edited("perturbed-5", perturbed(0.05))),
    _outside("second-version", step("infer", second_version), tasks=("detect",)),
    _outside("noise-5", noise(5)),
    _outside("noise-20", noise(20)),
    _outside("salt", after("decode", seeded(salt))),
    _outside("erased", after("decode", seeded(erased))),
    _outside("blur", after("decode", lambda image: cv2.GaussianBlur(image, (0, 0), 2))),
    _outside("sharp", after("decode", sharp)),
    _outside("turned-2", turned(2)),
    _outside("gamma-0.7", gamma(0.7)),
    _outside("gamma-1.5", gamma(1.5)),
    _outside("hue", after("decode", hue)),
    _outside("recompressed", after("decode", again)),
    _outside("equalised", after("decode", equalised)),
    _outside("equalised-whole", after("decode", whole_histogram)),
    _outside("auto-contrast", contrast(0)),
    _outside("auto-contrast-2", contrast(2)),
    _outside("linear-light", linear_light(cv2.INTER_LINEAR)),
    _outside("linear-light-area", linear_light(cv2.INTER_AREA)),
    _outside("white-balanced", after("decode", white_balanced)),
    _outside("noisy-tensor", after("tensor", noisy_tensor)),
)
