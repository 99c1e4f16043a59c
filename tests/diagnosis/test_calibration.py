"""Int8 that was calibrated on other values than it is fed: told by its file, and by calibrating the reference's model again."""

from types import SimpleNamespace

import numpy as np
import onnxruntime as ort
import pytest
from pooled_models import SPEC, outputs_of, pooled
from result_candidates import Shown, Taps, demo_images, way

import seatrial.diagnosis.calibration as calibration
from seatrial.diagnosis.at import At
from seatrial.diagnosis.calibration import (
    InputRange,
    calibrated_otherwise,
    calibrated_range,
    range_wrong,
)
from seatrial.diagnosis.diagnose import compare
from seatrial.diagnosis.recalibration import quantised_plainly, sets_of

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


def said_of(tmp_path, change, chosen=range(8)):
    """Of recorded taps of an int8 model that was calibrated on changed values of the chosen images."""
    path = pooled(tmp_path / "a.onnx")
    reference = way(path, SPEC)
    _, inputs = outputs_of(path, reference)
    calibrating = [{"images": change(x).astype(np.float32)} for x in [list(inputs.values())[k] for k in chosen]]
    quantised_plainly(path, calibrating, None, False, tmp_path / "int8.onnx")
    session = ort.InferenceSession(str(tmp_path / "int8.onnx"), providers=["CPUExecutionProvider"])
    taps = {n: Taps(input=x, outputs={"logits": session.run(None, {"images": x})[0]}) for n, x in inputs.items()}
    shown = Shown(taps, frozenset(("input", "outputs")))
    compared = compare(reference, demo_images().__getitem__, list(taps), shown, time_s=600)
    return calibrated_otherwise(compared.parts[-1], reference, 600, print)


def test_calibrating_again_reproduces_it(tmp_path):
    found = said_of(tmp_path, lambda x: x * 255)

    assert found.fault == "calibration"
    assert "not divided by 255" in found.what
    assert found.explained > 0.9


def test_int8_that_was_calibrated_as_it_is_fed_is_not_accused(tmp_path):
    assert said_of(tmp_path, lambda x: x) is None


def of_random_outputs(tmp_path, time_s):
    """Six numbers an image, in floats, that are no model's. The last part, and the reference."""
    path = pooled(tmp_path / "a.onnx")
    reference = way(path, SPEC)
    _, inputs = outputs_of(path, reference)
    taps = {
        n: Taps(input=x, outputs={"logits": RNG.normal(0, 1, (1, 6)).astype(np.float32)}) for n, x in inputs.items()
    }
    shown = Shown(taps, frozenset(("input", "outputs")))
    return compare(reference, demo_images().__getitem__, list(taps), shown, time_s=time_s).parts[-1], reference


@pytest.mark.slow
def test_other_weights_are_not_accused(tmp_path):
    """So few numbers may be of eight bits, and no calibration comes near."""
    assert calibrated_otherwise(*of_random_outputs(tmp_path, 600), 600, print) is None


@pytest.mark.parametrize(
    ("rows", "steps", "tried"),
    [(400, 20, True), (400, 100_000, False), (6, 100_000, True)],
    ids=["few", "all", "too few"],
)
def test_outputs_that_may_be_of_eight_bits(rows, steps, tried):
    """rows: numbers of an image; steps: values that they take."""
    made = [np.random.default_rng(k).normal(0, 1, rows) for k in range(8)]

    class Stretch:
        def made(self, _way, image):
            return At([made[image]], None)

        def candidate(self, image):
            return [np.round(made[image] * steps) / steps]

    subject = SimpleNamespace(model=SimpleNamespace(outputs=["logits"]))
    part = SimpleNamespace(stretch=Stretch(), differing=range(8))
    assert calibration._in_fewer_values(part, SimpleNamespace(subject=subject)) is tried


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 16, 40, 200])
def test_sets_that_calibrate(count):
    """As many as there are, each once, and no image that is not there."""
    sets = [tuple(s) for s in sets_of(count)]
    assert len(set(sets)) == len(sets)
    assert all(s and max(s) < count for s in sets)
    assert sets[0] == tuple(range(min(8, count)))
    assert tuple(range(count)) in sets


@pytest.mark.slow
@pytest.mark.parametrize("change", [lambda x: x * 255, lambda x: x / 8], ids=["not divided", "dark"])
@pytest.mark.parametrize("chosen", [(1, 3, 4, 6, 10), (0, 11)])
def test_images_that_nobody_can_guess(tmp_path, change, chosen):
    """What was done to the values is said only where that reproduces the candidate. Of two dark images no set that is tried
    comes near enough, and then nothing is named."""
    found = said_of(tmp_path, change, chosen)
    if len(chosen) == 2 and change(1) < 1:
        assert found is None
        return
    assert found.fault == "calibration"
    told = (
        "was calibrated on values that were not divided by 255"
        if change(1) > 1
        else "was calibrated on images an eighth as bright"
    )
    assert found.what in ((told,) if found.explained > 0.98 else ("was calibrated on other values than it is fed",))


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [(1, 3, 4, 6, 10), (0, 11), (5,)])
def test_right_values_of_other_images_are_not_accused(tmp_path, chosen):
    assert said_of(tmp_path, lambda x: x, chosen) is None


def test_what_was_not_tried_is_told(tmp_path):
    told = []
    assert calibrated_otherwise(*of_random_outputs(tmp_path, 0.1), -1, told.append) is None
    assert told == ["calibration: time was up before all sets of images and values had been tried"]
