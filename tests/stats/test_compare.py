"""Effect, interval, test and verdict for pairs: against brute force, against SciPy, and by simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seatrial.stats.compare import (
    EXACT_UP_TO,
    PairedEffect,
    hodges_lehmann,
    judge,
    paired_effect,
    signed_rank_p,
    walsh_interval,
    what_to_add,
    within_pair_se,
)
from seatrial.stats.launches import LaunchModes, launch_modal, launch_modes
from seatrial.stats.multiplicity import LOOKS, benjamini_hochberg, nominal_alpha

# Few distinct sizes, so that ties and zeros are common; small whole numbers keep sums of ranks exact.
tied = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=9)
effects = st.lists(st.floats(-0.5, 0.5).map(lambda x: round(x, 6)), min_size=1, max_size=20)


def brute_force_p(d):
    """Every assignment of signs to the mid-ranks of |d|, the zeros ranked but without a sign."""
    ranks = stats.rankdata(np.abs(d))[np.array(d) != 0]
    seen = ranks[np.array(d)[np.array(d) != 0] > 0].sum()
    sums = [sum(itertools.compress(ranks, heads)) for heads in itertools.product([0, 1], repeat=len(ranks))]
    few = sum(s <= seen for s in sums) / len(sums)
    many = sum(s >= seen for s in sums) / len(sums)
    return min(1.0, 2 * min(few, many))


@given(tied)
def test_p_is_that_of_all_signs_with_ties_and_zeros(d):
    assert signed_rank_p(d) == pytest.approx(brute_force_p(d), rel=1e-12)


@pytest.mark.parametrize("n", [1, 5, 6, 12, 30, 50])
def test_p_is_scipys_exact_one_without_ties(n):
    d = np.random.default_rng(n).normal(0.4, 1, n)
    assert signed_rank_p(d) == pytest.approx(stats.wilcoxon(d, method="exact").pvalue, rel=1e-9)


def test_p_hardly_jumps_where_the_normal_approximation_takes_over():
    rng = np.random.default_rng(1)
    for shift in np.linspace(0, 0.6, 30):
        d = rng.normal(shift, 1, EXACT_UP_TO + 1)
        assert signed_rank_p(d) == pytest.approx(stats.wilcoxon(d, method="exact").pvalue, abs=0.003)


def test_pairs_without_any_difference_speak_for_none():
    assert signed_rank_p([0.0] * 10) == 1.0
    assert signed_rank_p([0.0] * 100) == 1.0
    e = paired_effect([0.0] * 10)
    assert (e.effect, e.low, e.high) == (0, 0, 0)
    assert judge(e, 0.02)[0] == "EQUIVALENT"


@given(effects)
def test_the_effect_is_the_median_of_the_averages_and_turns_with_the_signs(d):
    averages = [(a + b) / 2 for a, b in itertools.combinations_with_replacement(d, 2)]
    assert hodges_lehmann(d) == pytest.approx(np.median(averages), abs=1e-12)
    assert hodges_lehmann([-x for x in d]) == pytest.approx(-hodges_lehmann(d), abs=1e-12)
    assert signed_rank_p([-x for x in d]) == signed_rank_p(d)


@given(effects, st.sampled_from([0.9, 0.95, 0.99]))
def test_the_interval_holds_the_effect_and_exists_from_the_right_number_of_pairs(d, confidence):
    low, high = walsh_interval(d, confidence)
    least = {0.9: 5, 0.95: 6, 0.99: 8}[confidence]
    assert (low is None) == (high is None) == (len(d) < least)
    if low is not None:
        assert min(d) <= low <= hodges_lehmann(d) <= high <= max(d)
        negative = walsh_interval([-x for x in d], confidence)
        assert negative == (pytest.approx(-high), pytest.approx(-low))


@pytest.mark.parametrize("n", [6, 9, 16, 40, 80])
def test_the_interval_is_what_the_test_does_not_reject(n):
    d = np.random.default_rng(n).normal(0.01, 0.02, n)
    low, high = walsh_interval(d, 0.95)
    for end, inward in ((low, 1), (high, -1)):
        assert signed_rank_p(d - end - inward * 1e-9) > 0.05
        assert signed_rank_p(d - end + inward * 1e-9) <= 0.05


@pytest.mark.parametrize("draw", ["normal", "standard_t", "laplace"])
@pytest.mark.parametrize("n", [6, 8, 16])
def test_the_interval_covers_as_often_as_it_says(draw, n):
    rng = np.random.default_rng(2)
    runs = 1500
    rows = rng.standard_t(2, (runs, n)) if draw == "standard_t" else getattr(rng, draw)(size=(runs, n))
    covered = sum(low <= 0 <= high for low, high in (walsh_interval(row, 0.95) for row in rows))
    assert covered / runs >= 0.95 - 3 * (0.05 * 0.95 / runs) ** 0.5


def test_what_an_effect_reports():
    e = paired_effect([0.01, 0.02, 0.03, 0.02, 0.05, 0.02, 0.01, 0.02])
    assert e.pairs == 8
    assert e.effect == pytest.approx(0.02)
    assert e.slowdown == pytest.approx(math.exp(0.02) - 1)
    assert e.detectable == pytest.approx(2.8 * 1.48 * 0.005 / math.sqrt(8), rel=1e-3)
    assert e.sd == pytest.approx(np.std([1, 2, 3, 2, 5, 2, 1, 2], ddof=1) / 100)
    assert e.p_value == 2 / 2**8
    assert e.warnings == ()


@pytest.mark.parametrize(
    ("pairs", "confidence", "missing"), [(1, 0.95, 5), (4, 0.95, 2), (5, 0.95, 1), (6, 0.99, 2), (6, 0.9779, 1)]
)
def test_too_few_pairs_say_how_many_are_missing(pairs, confidence, missing):
    e = paired_effect(np.linspace(0.0507, 0.0509, pairs), confidence)
    assert (e.low, e.high) == (None, None)
    assert f"needs {missing} more pair" in str(e.warnings[0])
    verdict, reason = judge(e, 0.02)
    assert verdict == "INCONCLUSIVE"
    assert reason.startswith("B against A +5.2")
    assert f"needs {missing} more pair" in reason


def test_a_lone_pair_has_no_spread():
    e = paired_effect([0.01])
    assert e.effect == 0.01
    assert math.isnan(e.sd)
    assert math.isnan(e.detectable)


@pytest.mark.parametrize("bad", [[], [0.1, math.nan], [math.inf], [[0.1, 0.2]]])
def test_values_that_are_no_effects_are_refused(bad):
    with pytest.raises(ValueError, match="expected one finite number or more"):
        paired_effect(bad)


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_a_confidence_is_a_share(confidence):
    with pytest.raises(ValueError, match="confidence: expected a number between 0 and 1"):
        paired_effect([0.1], confidence)


def known(effect, low, high, pairs=12):
    return PairedEffect(effect, low, high, 0.95, 0.01, pairs, 0.005, 0.004)


@pytest.mark.parametrize(
    ("effect", "low", "high", "verdict"),
    [
        (0.050, 0.040, 0.060, "REGRESSION"),
        (0.021, 0.001, 0.040, "REGRESSION"),
        (-0.050, -0.060, -0.040, "IMPROVED"),
        (0.001, -0.004, 0.006, "EQUIVALENT"),
        (0.014, 0.009, 0.019, "EQUIVALENT"),  # a real change, and below the margin for sure
        (0.014, 0.009, 0.021, "INCONCLUSIVE"),
        (0.021, -0.001, 0.040, "INCONCLUSIVE"),
        (0.000, -0.030, 0.030, "INCONCLUSIVE"),
    ],
)
def test_a_verdict_of_known_numbers(effect, low, high, verdict):
    assert judge(known(effect, low, high), 0.02)[0] == verdict


@given(st.floats(-0.1, 0.1), st.floats(0, 0.1), st.floats(0, 0.1), st.floats(0.001, 0.2))
def test_swapping_sides_mirrors_the_verdict(effect, below, above, margin):
    mirrored = {"REGRESSION": "IMPROVED", "IMPROVED": "REGRESSION"}
    one = known(effect, effect - below, effect + above)
    other = known(-effect, -effect - above, -effect + below)
    verdict = judge(one, margin)[0]
    assert judge(other, margin)[0] == mirrored.get(verdict, verdict)


def test_reasons_are_for_people():
    e = known(math.log(1.014), math.log(1.009), math.log(1.019))
    assert (
        judge(e, 0.02)[1]
        == "B against A +1.40 % (95 % interval +0.90 % to +1.90 %); the margin is 2 % (-1.96 % to +2.00 %)"
    )
    faster = known(-math.log(1.05), -math.log(1.06), -math.log(1.04))
    assert judge(faster, 0.02) == (
        "IMPROVED",
        "B against A -4.76 % (95 % interval -5.66 % to -3.85 %); the margin is 2 % (-1.96 % to +2.00 %)",
    )
    assert judge(known(0.0, -0.03, 0.03), 0.02)[1].startswith("B against A +0.00 % (95 % interval")


def test_an_open_question_says_what_would_settle_it():
    # 0.0198 is a margin of 2 % in ln; the half-width has to shrink from 0.022 to it: 12 (0.022 / 0.0198)^2 = 14.8.
    assert judge(known(0.0, -0.022, 0.022), 0.02)[1].endswith("about 15 pairs would settle it, 3 more than these 12")
    at_the_edge = judge(known(math.log(1.02) - 1e-15, 0.01, 0.03), 0.02)[1]
    assert at_the_edge.endswith("more than 16 pairs would be needed: raise the margin or quiet the machine")


def test_the_number_of_pairs_it_asks_for_usually_settles_it():
    rng = np.random.default_rng(3)
    settled = asked = 0
    for _ in range(300):
        d = rng.normal(0, 0.015, 64)
        verdict, reason = judge(paired_effect(d[:8]), 0.02)
        if verdict == "INCONCLUSIVE" and "about" in reason:
            asked += 1
            settled += judge(paired_effect(d[: int(reason.split("about ")[1].split()[0])]), 0.02)[0] != "INCONCLUSIVE"
    assert asked > 30
    assert settled / asked > 0.7


@pytest.mark.parametrize("margin", [0, -0.02, math.nan, math.inf])
def test_a_margin_is_a_share_above_zero(margin):
    with pytest.raises(ValueError, match="margin: expected a finite share above zero"):
        judge(known(0, -0.01, 0.01), margin)


@pytest.mark.parametrize(("looks", "pocock"), [(1, 0.05), (2, 0.0294), (3, 0.0221), (4, 0.0182), (5, 0.0158)])
def test_the_nominal_level_is_pococks(looks, pocock):
    assert nominal_alpha(looks) == pytest.approx(pocock, abs=5e-5)


@pytest.mark.parametrize(("looks", "alpha"), [(2, 0.01), (3, 0.05), (5, 0.05), (5, 0.1)])
def test_the_nominal_level_gives_the_total(looks, alpha):
    runs = 200_000
    walk = np.random.default_rng(4).normal(size=(runs, looks)).cumsum(axis=1) / np.sqrt(np.arange(1, looks + 1))
    crossed = (np.abs(walk) > stats.norm.isf(nominal_alpha(looks, alpha) / 2)).any(axis=1).mean()
    assert crossed == pytest.approx(alpha, abs=3.5 * (alpha / runs) ** 0.5)


def test_the_looks_have_a_level_of_their_own():
    assert nominal_alpha() == nominal_alpha(len(LOOKS), 0.05)
    for looks, alpha in ((0, 0.05), (3, 0), (3, 1)):
        with pytest.raises(ValueError, match="one look or more"):
            nominal_alpha(looks, alpha)


def test_what_to_add_follows_the_larger_part_of_the_spread():
    assert what_to_add(between_pairs_sd=0.010, within_pair_se=0.002) == "pairs"
    assert what_to_add(between_pairs_sd=0.010, within_pair_se=0.009) == "blocks"


def test_the_error_within_a_pair_is_the_spread_of_its_estimate():
    rng = np.random.default_rng(5)
    rows = rng.normal(0, 0.02, (2000, 40))
    said = np.mean([within_pair_se(row) for row in rows])
    assert said == pytest.approx(np.std([hodges_lehmann(row) for row in rows]), rel=0.08)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_adjusted_p_values_are_scipys(p):
    expected = stats.false_discovery_control(p) if p else []
    assert benjamini_hochberg(p) == pytest.approx(list(expected))


@pytest.mark.parametrize("bad", [[0.1, math.nan], [-0.1], [1.1]])
def test_p_values_outside_their_range_are_refused(bad):
    with pytest.raises(ValueError, match="p-values from 0 to 1"):
        benjamini_hochberg(bad)


@pytest.mark.parametrize("n", [8, 9, 12, 16, 24, 32])
def test_launches_of_one_kind_hardly_ever_look_modal(n):
    rng = np.random.default_rng(6)
    # The spread is wide enough for the 1 % floor not to help.
    assert np.mean([launch_modal(row) for row in 1 + 0.1 * rng.normal(size=(4000, n))]) < 0.01
    assert np.mean([launch_modal(row) for row in rng.lognormal(0, 0.1, (4000, n))]) < 0.015


@pytest.mark.parametrize(("n", "found"), [(8, 0.85), (10, 0.93), (12, 0.95), (16, 0.95), (32, 0.95)])
def test_launches_of_two_kinds_look_modal(n, found):
    rng = np.random.default_rng(7)
    fast = np.array([rng.permutation(n) < rng.integers(2, n - 1) for _ in range(2000)])
    assert np.mean([launch_modal(row) for row in np.where(fast, 1, 1.05) + 0.005 * rng.normal(size=fast.shape)]) > found


def test_too_few_launches_lone_outliers_and_small_steps_are_no_modes():
    assert not launch_modal([1, 1, 1.05, 1.05, 1.05])
    assert not launch_modal([1, 1.001, 1.002, 1, 1.001, 1.002, 1.003, 1.5])
    assert not launch_modal([1, 1, 1, 1, 1.009, 1.009, 1.009, 1.009])
    assert launch_modal([1, 1, 1, 1, 1.011, 1.011, 1.011, 1.011])
    assert not launch_modal([1.0] * 8)


def test_the_groups_are_counted_and_measured():
    found = launch_modes([1.05, 1.0, 1.0001, 1.05, 1.0, 1.0001, 1.0, 1.0])
    assert (found.smaller, found.larger) == (2, 6)
    assert found.apart == pytest.approx(np.log(1.05), abs=1e-4)


@pytest.mark.parametrize(("follows", "own"), [(1.0, True), (0.5, True), (0.2, False), (0.0, False), (-1.0, False)])
def test_groups_that_the_rounds_other_sides_share_are_the_machines(follows, own):
    """beside: by how much of the gap a launch stood out from its own round."""
    slow = np.array([0, 0, 1, 1, 1, 0, 0, 0, 1, 0])
    wobble = np.random.default_rng(0).normal(0, 0.0005, 10)
    launches = np.exp(0.05 * slow + wobble)
    assert launch_modes(launches) is not None
    assert (launch_modes(launches, 0.05 * follows * slow + wobble) is not None) == own


@pytest.mark.parametrize(
    ("smaller", "of", "known"),
    [
        (2, 8, False),
        (4, 8, False),
        (2, 12, True),
        (3, 12, False),
        (5, 12, True),
        (3, 16, True),
        (4, 16, False),
        (5, 16, True),
    ],
)
def test_the_mix_is_known_from_five_of_each_or_where_one_is_surely_the_rarer(smaller, of, known):
    assert LaunchModes(smaller, of - smaller, 0.05).mix_known == known


def test_pairs_in_two_groups_are_warned_about():
    rng = np.random.default_rng(8)
    d = np.repeat([0.0, 0.06], 6) + rng.normal(0, 0.003, 12)
    (said,) = paired_effect(d).warnings
    assert said.code == "launch-modes"
    assert str(said) == "LAUNCH-MODAL: the pairs fall into two groups; add launches, not iterations"
    assert not paired_effect(rng.normal(0, 0.003, 12)).warnings
