"""What is fitted where no list of usual mistakes has it: channels without a factor, and answers that are late now and then."""

from dataclasses import replace

import numpy as np
import pytest
from logged_detector import NAMES, logged, own, said

BEFORE = {2: 1, 5: 4}


def late(shown, which, field):
    """which: whose value an image has in place of its own."""
    taps = dict(shown.by_name)
    for k, other in which.items():
        taps[NAMES[k]] = replace(taps[NAMES[k]], **{field: getattr(shown.by_name[NAMES[other]], field)})
    return replace(shown, by_name=taps)


def faults(record):
    return [(d.fault, d.what, d.exact) for d in record.diagnosis]


@pytest.mark.slow
def test_outputs_of_the_image_before_now_and_then():
    _, record = said(late(logged(), BEFORE, "outputs"))
    assert faults(record)[:1] == [("stale-output", "gives the outputs of the image before on 2 of 6 images", True)]
    assert record.diagnosis[0].effect is None


@pytest.mark.slow
def test_one_that_is_late_and_one_that_is_wrong_are_no_race():
    shown = late(logged(), {2: 1}, "outputs")
    odd = replace(shown.by_name[NAMES[4]], outputs={"output0": own("outputs")[4][0] + np.float32(3)})
    _, record = said(replace(shown, by_name={**shown.by_name, NAMES[4]: odd}))
    assert "stale-output" not in [d.fault for d in record.diagnosis]


@pytest.mark.parametrize(
    ("factors", "named"),
    [
        pytest.param((1, 0, 0), ["scale-wrong"], marks=pytest.mark.slow),
        pytest.param((0, 0, 0), [], marks=pytest.mark.slow),
    ],
)
def test_channels_without_a_factor(factors, named):
    """cv2.dnn's scalefactor of one number in a Scalar. A tensor of nothing but zeros is no evidence of any factor."""
    of = np.array(factors, np.float32).reshape(1, 3, 1, 1)
    shown = replace(logged(lambda x: x * of), stages=frozenset({"input"}))
    _, record = said(shown)
    assert [d.fault for d in record.diagnosis] == named
    assert not named or "ours times (1, 0, 0) plus (0, 0, 0)" in record.diagnosis[0].what
