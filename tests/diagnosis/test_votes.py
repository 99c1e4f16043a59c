"""The odd one of several backends, and a precision that is not the one that runs."""

import numpy as np
import pytest

from seatrial.diagnosis.votes import odd_one_out, precision_not_applied

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
