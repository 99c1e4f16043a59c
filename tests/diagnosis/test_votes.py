"""The odd one of several backends, and a precision that is not the one that runs."""

import numpy as np
import pytest
from pooled_models import SPEC, outputs_of, pooled
from result_candidates import Shown, Taps, demo_images, opened, way

from seatrial.diagnosis.diagnose import compare
from seatrial.diagnosis.votes import backend_wrong, odd_one_out, precision_not_applied

RNG = np.random.default_rng(3)
IMAGES = [RNG.normal(k, 1 + k, (1, 3, 8, 8)).astype(np.float32) for k in range(5)]


@pytest.mark.parametrize("odd", ["a", "b", "c"])
def test_the_odd_one_of_three(odd):
    right = [[i] for i in IMAGES]
    noisy = {n: [[i + RNG.normal(0, 1e-6, i.shape).astype(np.float32)] for i in IMAGES] for n in "abc"}
    wrong = noisy | {odd: [[i * np.float32(1.1) + 1] for (i,) in right]}

    assert odd_one_out(wrong) == odd
    assert odd_one_out(noisy) is None
    assert odd_one_out({n: wrong[n] for n in "ab"}) is None


def test_no_two_of_three_agree():
    assert odd_one_out({n: [[i * np.float32(f)] for i in IMAGES] for n, f in (("a", 1), ("b", 1.5), ("c", 2))}) is None


def test_a_precision_that_was_not_applied():
    full = [[i] for i in IMAGES]
    half = [[i.astype(np.float16).astype(np.float32)] for i in IMAGES]
    of_full, of_half = [*zip(full, full, strict=True)], [*zip(full, half, strict=True)]

    assert "to the bit" in precision_not_applied("fp16", {}, of_full)
    assert precision_not_applied("fp16", {}, of_half) == ""
    assert "54 of 54 convolutions and matrix products compute in fp32" in precision_not_applied(
        "fp16", {"fp32": 54}, of_half
    )
    assert precision_not_applied("fp16", {"fp16": 50, "fp32": 4}, of_half) == ""
    assert precision_not_applied("int8-u8", {"int8": 50}, of_half) == ""
    assert precision_not_applied("fp32", {"fp32": 54}, of_full) == ""


@pytest.mark.parametrize(
    ("wrong", "judges", "said"),
    [
        ("candidate", 1, "the candidate's mine is the odd one"),
        ("reference", 1, "the reference's onnxruntime-cpu is the odd one"),
        ("candidate", 0, ""),
        ("", 1, ""),
    ],
)
def test_a_third_backend_says_which_of_two_is_wrong(tmp_path, wrong, judges, said):
    """Of each side the model is right, or has other padding."""
    right, other = pooled(tmp_path / "a.onnx"), pooled(tmp_path / "b.onnx", pads=[2] * 4)
    reference = way(other if wrong == "reference" else right, SPEC)
    session, inputs = outputs_of(other if wrong == "candidate" else right, reference)
    # Not by the padding itself, which is a known mistake.
    noise = 1.0 if wrong else 1.3
    taps = {
        n: Taps(input=x, outputs={"logits": noise * session.run(None, {"images": x})[0]}) for n, x in inputs.items()
    }
    shown = Shown(taps, frozenset(("input", "outputs")))
    part = compare(reference, demo_images().__getitem__, list(taps), shown, time_s=600).parts[-1]
    third = {"openvino-cpu": opened(right if wrong else other, 1, "openvino-cpu")} if judges else {}

    found = backend_wrong(part, reference, ("onnxruntime-cpu", "mine"), third)

    assert (found.evidence if found else "").endswith(said)
    assert bool(found) == bool(said)
    assert backend_wrong(part, reference, ("onnxruntime-cpu", ""), third) is None
