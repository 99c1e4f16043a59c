"""How a comparison spends its time: tables of seconds in and counts out."""

import itertools
import math

import pytest

from seatrial.compare.round_plan import (
    LEAST_BLOCKS,
    least_turns_s,
    longest_turns,
    plan_turns,
    round_budget_s,
    time_needed_s,
)


@pytest.mark.parametrize(
    ("asked", "request_s", "least", "left_s", "blocks", "most", "burst"),
    [
        # A block is three sides of a burst and one request that wakes the caches.
        (40, 0.004, 1, math.inf, 40, 120, 3),
        (40, 0.004, 1, 2.0, 40, 40, 3),
        (40, 0.004, 1, 1.0, 20, 20, 3),
        (40, 0.0002, 1, math.inf, 40, 120, 60),
        (40, 0.00001, 1, math.inf, 40, 120, 64),
        # 70 ms: with 8 s to spend there are 8 blocks of three requests, with half of it 8 of one.
        (40, 0.07, 1, 8.0, 8, 8, 3),
        (40, 0.07, 1, 6.0, 8, 8, 2),
        (40, 0.07, 1, 3.5, 8, 8, 1),
        # Where not even those fit they are what is planned: the round that takes least.
        (40, 0.09, 1, 2.0, 8, 8, 1),
        # A slow request needs no others beside it.
        (40, 1.0, 1, 2.0, 8, 8, 1),
        (40, 1.0, 1, 120.0, 20, 20, 1),
        # A tail's requests: eight a turn of 10 ms take 0.27 s a block, which is known before the blocks are counted.
        (40, 0.01, 299, math.inf, 40, 120, 8),
        (40, 0.01, 299, 10.5, 38, 38, 8),
        # In fewer and longer turns fewer requests are not kept.
        (40, 0.01, 299, 6.0, 10, 10, 30),
        (40, 0.0001, 299, 0.2, 10, 10, 64),
        (2, 0.02, 1, math.inf, 2, 6, 3),
    ],
)
def test_a_round_spends_its_time_on_blocks_of_bursts(asked, request_s, least, left_s, blocks, most, burst):
    plan = plan_turns(asked, [request_s] * 3, least, left_s)
    assert (plan.blocks, plan.most, plan.burst) == (blocks, most, burst)
    assert plan.block_s == pytest.approx(3 * (burst + 1) * request_s)
    assert plan.blocks * plan.burst >= least


def test_each_side_counts_for_what_it_takes_and_the_hand_over_too():
    plan = plan_turns(40, [0.004, 0.001, 0.004], 1, math.inf, hand_over_s=0.09)
    assert plan.burst == 3
    assert plan.block_s == pytest.approx(4 * 0.009 + 0.09)


@pytest.mark.parametrize("least", [1, 29, 299])
@pytest.mark.parametrize("hand_over_s", [0.0, 0.1])
def test_plans_keep_what_they_promise(least, hand_over_s):
    """From 10 µs to 2 s a request, from no time at all to plenty."""
    for request_s, left_s in itertools.product((1e-5, 1e-3, 0.01, 0.07, 0.5, 2.0), (0.0, 0.1, 1.0, 7.0, 60.0, 1e6)):
        plan = plan_turns(40, [request_s, 2 * request_s, request_s], least, left_s, hand_over_s)
        shortest_s = least_turns_s(40, [request_s, 2 * request_s, request_s], least, hand_over_s)
        assert LEAST_BLOCKS <= plan.least <= plan.blocks <= plan.most
        assert {plan.least % 2, plan.blocks % 2, plan.most % 2} == {0}, "each block has its mirror image"
        assert plan.least * plan.burst >= least
        assert plan.most * (plan.burst + 1) <= longest_turns(40, least), "there is room for what it asks for"
        taken_s = plan.blocks * plan.block_s
        assert shortest_s <= taken_s + 1e-9
        assert taken_s <= max(left_s, shortest_s) + 1e-9, "a round that fits is found where there is one"


@pytest.mark.parametrize("rounds", [1, 7, 8])
@pytest.mark.parametrize(("ready_s", "turns_s"), [(0.0, 1.0), (3.0, 0.5), (10.0, 30.0)])
def test_the_time_that_is_asked_for_is_enough(rounds, ready_s, turns_s):
    needed_s = time_needed_s(rounds, ready_s, turns_s, spent_s=2.5)
    assert round_budget_s(needed_s - 2.5, rounds) == pytest.approx(ready_s + turns_s)
    assert needed_s <= 2.5 + 1.06 * rounds * (ready_s + turns_s)


def test_the_last_round_of_a_look_may_take_what_is_left():
    assert round_budget_s(10.0, 1) == round_budget_s(10.0, 0) == pytest.approx(9.5)
