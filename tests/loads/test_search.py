"""The search for the highest rate, against judges whose answers are known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.loads.search import ERROR, MOST_LOOKS, NARROW, Found, find_rate, highest_held
from seatrial.stats.knee import knee

ANSWERS = ["yes", "no", "unsure", None]


class Judge:
    """Holds the bound up to `truth`; keeps what it was asked."""

    def __init__(self, truth, blur=0.0):
        self.truth, self.blur = truth, blur
        self.tried, self.confirmed = [], []

    def holds(self, rate):
        if rate <= self.truth * (1 - self.blur):
            return "yes"
        return "no" if rate > self.truth * (1 + self.blur) else "unsure"

    def try_rate(self, rate):
        self.tried.append(rate)
        return self.holds(rate)

    def confirm(self, rate, error):
        self.confirmed.append((rate, error))
        return self.holds(rate)


@given(capacity=st.floats(0.01, 1e6), share=st.floats(0.005, 20.0))
def test_the_bracket_encloses_the_truth_and_ends_narrow(capacity, share):
    """Also where the first guess of the capacity was far too low: another job had the machine in that second."""
    judge = Judge(capacity * share)
    found = find_rate(capacity, judge.try_rate, judge.confirm)
    assert found.confirmed
    assert found.complete
    assert found.held <= judge.truth < found.failed <= found.held * NARROW * 1.0001
    assert len(judge.tried) <= MOST_LOOKS
    assert judge.confirmed == [(found.held, ERROR / 2)]


@given(capacity=st.floats(1, 1e4), share=st.floats(0.05, 0.9), blur=st.floats(0.01, 0.3))
def test_unsure_is_neither_held_nor_broken(capacity, share, blur):
    """Near the edge a test cannot tell: what is said to hold must have been shown, and so must what is said not to."""
    judge = Judge(capacity * share, blur)
    found = find_rate(capacity, judge.try_rate, judge.confirm)
    assert found.held <= judge.truth * (1 - blur)
    assert found.failed is None or found.failed > judge.truth * (1 + blur)


@pytest.mark.parametrize("answer", ["no", "unsure"])
def test_a_bound_that_nothing_holds(answer):
    tried = []
    found = find_rate(100.0, lambda rate: (tried.append(rate), answer)[1], lambda *_: pytest.fail("nothing to confirm"))
    assert tried == sorted(tried, reverse=True)
    assert 100 / 1000 <= tried[-1] < 2 * 100 / 1000
    assert found == Found(None, tried[-1] if answer == "no" else None, complete=True)


def test_luck_is_not_confirmed():
    """Every rate held in the search; on new requests only those up to 40 do. Each next test is stricter."""
    asked = []

    def confirm(rate, error):
        asked.append((rate, error))
        return "yes" if rate <= 40 else "no"

    found = find_rate(100.0, lambda rate: "yes" if rate <= 90 else "no", confirm)
    assert found.confirmed
    assert 40 / NARROW**2 / 1.001 <= found.held <= 40 or found.held in [60.0, 40.0]
    rates, errors = zip(*asked, strict=True)
    assert list(rates) == sorted(rates, reverse=True)
    assert errors == tuple(ERROR / 2**k for k in range(1, len(errors) + 1))
    assert sum(errors) < ERROR
    assert found.failed == rates[-2], "what was shown not to hold is the interval's other end"


def test_out_of_time_before_it_is_confirmed():
    answers = iter(["yes", "yes", None])
    found = find_rate(100.0, lambda _: next(answers), lambda *_: None)
    assert found == Found(78.0, None)
    # 60 was not confirmed, and there was no time for the one below, which nobody sent: it is no result.
    tries, confirms = iter(["yes", "no", None]), iter(["unsure", None])
    found = find_rate(100.0, lambda _: next(tries), lambda *_: next(confirms))
    assert found == Found(None, 78.0)
    assert find_rate(100.0, lambda _: None, lambda *_: "yes") == Found(None, None)


def test_out_of_time_and_confirmed_all_the_same():
    answers = iter(["yes", "no", None])
    found = find_rate(100.0, lambda _: next(answers), lambda *_: "yes")
    assert found == Found(60.0, 78.0, confirmed=True, complete=False)


@given(st.lists(st.sampled_from(ANSWERS), max_size=80), st.floats(1e-3, 1e6))
def test_it_ends_whatever_the_answers(answers, capacity):
    """Also where answers contradict each other, as noisy ones do."""
    given_answers = iter(answers)
    asked = []

    def answer(rate, *_):
        assert rate > 0
        asked.append(rate)
        return next(given_answers, None)

    find_rate(capacity, answer, answer)
    assert len(asked) <= 2 * MOST_LOOKS + 2


@given(st.lists(st.tuples(st.floats(0.1, 1000), st.sampled_from(ANSWERS[:3])), max_size=30))
def test_no_rate_above_one_that_broke_is_held(tried):
    held = highest_held(tried)
    broke = [rate for rate, holds in tried if holds != "yes"]
    if held is not None:
        assert (held, "yes") in tried
        assert all(held < rate for rate in broke)


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
