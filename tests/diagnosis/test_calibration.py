"""Int8 that was calibrated on other values than it is fed: told by its file, and by calibrating the reference's model again."""

import numpy as np
import onnxruntime as ort
import pytest
from pooled_models import SPEC, outputs_of, pooled
from result_candidates import Shown, Taps, demo_images, way

from seatrial.diagnosis.calibration import (
    InputRange,
    calibrated_otherwise,
    calibrated_range,
    quantised_plainly,
    range_wrong,
)
from seatrial.diagnosis.diagnose import compare

RNG = np.random.default_rng(2)


def feeds(scale=1.0, count=8):
    return [{"images": (RNG.random((1, 3, 32, 32)) * scale).astype(np.float32)} for _ in range(count)]


@pytest.mark.parametrize(("scale", "wrong"), [(1.0, False), (0.6, False), (255.0, True), (1 / 8, True)])
def test_the_files_own_range(tmp_path, scale, wrong):
    quantised_plainly(pooled(tmp_path / "a.onnx"), feeds(scale), ("Conv",), False, tmp_path / "int8.onnx")
    low, high, symmetric = calibrated_range(tmp_path / "int8.onnx", "images")

    assert (low, high) == pytest.approx((0, scale), abs=scale / 100)
    assert not symmetric
    found = range_wrong(InputRange(calibrated=(low, high), symmetric=symmetric, fed=(0.0, 1.0), outside=0.4))
    assert bool(found) == wrong
    if wrong:
        assert f"quantises the input for 0 to {high:.4g}, and it is fed 0 to 1" in found.evidence


def test_a_file_that_quantises_nothing(tmp_path):
    assert calibrated_range(pooled(tmp_path / "a.onnx"), "images") is None


@pytest.mark.parametrize(
    ("calibrated", "symmetric", "fed", "wrong"),
    [
        ((-1.0, 1.0), False, (0.0, 1.0), True),
        ((-1.0, 1.0), True, (0.0, 1.0), False),
        ((0.0, 1.0), False, (-2.1, 2.6), True),
        ((-2.1, 2.6), False, (-2.0, 2.2), False),
        ((-2.1, 2.6), False, (0.0, 0.9), True),
        ((0.0, 1.0), False, (0.02, 0.4), False),
        ((0.0, 1.0), False, (0.0, 0.0), False),
    ],
)
def test_ranges_that_fit_and_that_do_not(calibrated, symmetric, fed, wrong):
    assert bool(range_wrong(InputRange(calibrated=calibrated, symmetric=symmetric, fed=fed, outside=0.0))) == wrong


def said_of(tmp_path, change):
    """Of recorded taps of an int8 model that was calibrated on changed values."""
    path = pooled(tmp_path / "a.onnx")
    reference = way(path, SPEC)
    _, inputs = outputs_of(path, reference)
    calibrating = [{"images": change(x).astype(np.float32)} for x in list(inputs.values())[:8]]
    quantised_plainly(path, calibrating, None, False, tmp_path / "int8.onnx")
    session = ort.InferenceSession(str(tmp_path / "int8.onnx"), providers=["CPUExecutionProvider"])
    taps = {n: Taps(input=x, outputs={"logits": session.run(None, {"images": x})[0]}) for n, x in inputs.items()}
    shown = Shown(taps, frozenset(("input", "outputs")))
    compared = compare(reference, demo_images().__getitem__, list(taps), shown, time_s=600)
    return calibrated_otherwise(compared.parts[-1], reference, 600)


def test_calibrating_again_reproduces_it(tmp_path):
    found = said_of(tmp_path, lambda x: x * 255)

    assert found.fault == "calibration"
    assert "not divided by 255" in found.what
    assert found.explained > 0.9


def test_int8_that_was_calibrated_as_it_is_fed_is_not_accused(tmp_path):
    assert said_of(tmp_path, lambda x: x) is None


def test_outputs_that_take_all_values_are_not_tried(tmp_path):
    """Other weights, in floats."""
    path = pooled(tmp_path / "a.onnx")
    reference = way(path, SPEC)
    _, inputs = outputs_of(path, reference)
    taps = {
        n: Taps(input=x, outputs={"logits": RNG.normal(0, 1, (1, 6)).astype(np.float32)}) for n, x in inputs.items()
    }
    shown = Shown(taps, frozenset(("input", "outputs")))
    compared = compare(reference, demo_images().__getitem__, list(taps), shown, time_s=600)

    assert calibrated_otherwise(compared.parts[-1], reference, 0.0) is None
