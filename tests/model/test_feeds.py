"""Inputs that the built-in preprocess cannot feed: which type it is, and what to do about it."""

import pytest

from seatrial.kernels.preprocess import WORDS
from seatrial.model.feeds import DTYPES, unfed
from seatrial.model.file import TensorInfo


def test_the_types_that_can_be_fed_are_those_that_preprocess_gives():
    assert set(DTYPES) == set(WORDS["dtype"])


@pytest.mark.parametrize(
    ("dtype", "cure"),
    [
        ("float64", "a Python preprocess stage that gives float64"),
        ("int64", "a Python preprocess stage that gives int64"),
        ("string", "a Python preprocess stage that gives string"),
        # No Python stage can give it either.
        ("bfloat16", "export the model with a float32 or float16 input"),
    ],
)
def test_why_and_the_cure(dtype, cure):
    said = unfed(TensorInfo("x", (1, None, "h"), dtype))
    assert said.startswith(f"input x {dtype}[1, ?, h] takes {dtype}")
    assert cure in said
    assert ("Python" in said) == (dtype != "bfloat16")


def test_a_name_that_would_turn_a_terminal_round_is_escaped():
    assert "\n" not in unfed(TensorInfo("x\n\x1b[31m", (1,), "int64"))
