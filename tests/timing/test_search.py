"""The search for the highest rate, against servers whose answer is known."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.timing.search import NARROW, Found, bracket, knee, rates_to_try

ANSWERS = ["yes", "no", "unsure"]


def searched(capacity, holds):
    """What is tried with `holds(rate)` as the judge."""
    tried = []
    for rate, answer in rates_to_try(capacity):
        tried.append((rate, holds(rate)))
        answer(tried[-1][1])
    return tried


@given(capacity=st.floats(0.01, 1e6), share=st.floats(0.005, 1.04))
def test_the_bracket_encloses_the_truth_and_ends_narrow(capacity, share):
    """A server that holds the bound up to a share of its capacity."""
    truth = capacity * share
    tried = searched(capacity, lambda rate: "yes" if rate <= truth else "no")
    found = bracket(tried)
    assert found.held is not None
    assert found.held <= truth
    if found.failed is not None:
        assert truth < found.failed <= found.held * NARROW * 1.0001
    else:
        assert found.held * NARROW >= capacity * 1.05 * 0.9999, "else it gave up below what the server can do"
    assert len(tried) <= 16


@given(capacity=st.floats(1, 1e4), share=st.floats(0.05, 0.9), blur=st.floats(0.01, 0.3))
def test_unsure_counts_as_not_held(capacity, share, blur):
    """Near the edge a test cannot tell; what is reported as held must have been shown."""
    truth = capacity * share

    def judge(rate):
        return "yes" if rate <= truth * (1 - blur) else "no" if rate > truth * (1 + blur) else "unsure"

    found = bracket(searched(capacity, judge))
    assert found.held <= truth * (1 - blur)
    assert found.failed > truth * (1 - blur)
    assert found.failed / found.held <= NARROW * 1.0001


@pytest.mark.parametrize("answer", ["no", "unsure"])
def test_a_bound_that_nothing_holds(answer):
    tried = searched(100.0, lambda _: answer)
    rates = [rate for rate, _ in tried]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] >= 100 / 1000
    assert rates[-1] / 2 < 100 / 1000
    assert bracket(tried) == Found(None, rates[-1])


def test_a_bound_that_everything_holds_ends_just_above_the_capacity():
    tried = searched(100.0, lambda _: "yes")
    assert bracket(tried) == Found(tried[-1][0], None)
    assert 100 <= tried[-1][0] <= 105
    assert len(tried) <= 8


@given(st.lists(st.sampled_from(ANSWERS), max_size=60), st.floats(1e-3, 1e6))
def test_it_ends_whatever_the_answers(answers, capacity):
    """Also where answers contradict each other, as noisy ones do, and where one is missing."""
    given_answers = iter(answers)
    tried = []
    for rate, answer in islice(rates_to_try(capacity), 100):
        assert 0 < rate <= capacity * 1.05
        word = next(given_answers, None)
        if word:
            answer(word)
        tried.append((rate, word or "no"))
    assert len(tried) < 30
    found = bracket(tried)
    assert all(h != "yes" or found.failed is None or r < found.failed for r, h in tried if r == found.held)


@given(st.lists(st.tuples(st.floats(0.1, 1000), st.sampled_from(ANSWERS)), max_size=30))
def test_no_rate_above_a_failed_one_is_held(tried):
    found = bracket(tried)
    failed = [rate for rate, holds in tried if holds != "yes"]
    assert found.failed == (min(failed) if failed else None)
    if found.held is not None:
        assert (found.held, "yes") in tried
        assert all(found.held < rate for rate in failed)


def test_nothing_tried_is_nothing_known():
    assert bracket([]) == Found(None, None)


@pytest.mark.parametrize(
    ("counts", "rates", "expected"),
    [
        ([1, 2, 4, 8], [100, 190, 200, 201], 4),
        ([1, 2, 4, 8], [100, 192, 200, 201], 2),  # 95 % of the best
        ([8, 4, 2, 1], [201, 200, 190, 100], 4),  # in any order
        ([1, 2, 4], [100, 60, 50], 1),  # more clients are slower
        ([3], [7], 3),
    ],
)
def test_the_knee_is_the_fewest_clients_that_nearly_reach_the_best(counts, rates, expected):
    assert knee(counts, rates) == expected
