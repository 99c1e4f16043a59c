"""The knee of a curve of throughput."""

import pytest

from seatrial.stats.knee import knee


def exactly(rates):
    return [(r, r) for r in rates]


@pytest.mark.parametrize(
    ("counts", "intervals", "expected"),
    [
        ([1, 2, 4, 8], exactly([100, 190, 200, 201]), (4, 4)),
        ([1, 2, 4, 8], exactly([100, 192, 200, 201]), (2, 2)),  # 95 % of the best
        ([8, 4, 2, 1], exactly([201, 200, 190, 100]), (4, 4)),  # in any order
        ([1, 2, 4], exactly([100, 60, 50]), (1, 1)),  # more clients are slower
        ([3], exactly([7]), (3, 3)),
        # What the noise leaves open is said as a range.
        ([1, 2, 4], [(95, 105), (180, 200), (190, 210)], (2, 4)),
        ([1, 2, 4], [(95, 105), (170, 175), (190, 192)], (4, 4)),
        # It is compared with the others: how vaguely it is known itself does not make another the best.
        ([1, 2, 4], [(80, 120), (40, 60), (30, 50)], (1, 1)),
        ([1, 2, 4], [(80, 120), (90, 130), (30, 50)], (1, 4)),
    ],
)
def test_the_knee_is_the_fewest_clients_that_nearly_reach_the_best(counts, intervals, expected):
    assert knee(counts, intervals) == expected
