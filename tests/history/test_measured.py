"""What a figure with its interval can be asked."""

import pytest

from seatrial.history.records import Measured


@pytest.mark.parametrize(
    ("interval", "ends", "positive"),
    [
        (None, (2.0, 2.0), None),
        ((None, None), (2.0, 2.0), None),
        ((1.0, None), (1.0, 2.0), None),
        ((None, 3.0), (2.0, 3.0), None),
        ((0.0, 3.0), (0.0, 3.0), None),
        ((1.0, 3.0), (1.0, 3.0), (1.0, 3.0)),
    ],
)
def test_ends_of_an_interval(interval, ends, positive):
    m = Measured(value=2.0, unit="s", interval=interval)
    assert (m.ends, m.positive_interval) == (ends, positive)
