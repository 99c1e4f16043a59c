"""The simulated figures that the design for comparisons rests on, from one noise model.

A launch multiplies every latency of its process by exp(N(0, 1 %)). Within a launch the ln latency is AR(1) with
correlation 0.3 and sd 0.6 %, and one iteration in a hundred takes 1.75 times as long. The machine drifts by 2 % from
the first launch of a session to the last of twenty. 1000 iterations a launch, no true change between A and B.

What each figure depends on: 97 % on the difference between two launches being some 50 times what a rank test of 1000
against 1000 iterations takes for its error, 67 % on the size of the spikes, which hide the launches from Welch's test
(73 % at 1.6 times as long), 52 % on the drift being twice the launches' sd, and 5 % on none of it.
"""

from collections import Counter

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import mannwhitneyu, ttest_ind

from seatrial.stats.compare import judge, paired_effect, signed_rank_p
from seatrial.stats.multiplicity import LOOKS, nominal_alpha

LAUNCH_SD = 0.01
SESSION_DRIFT = 0.02
ITERATIONS = 1000
# d of a lock-step pair (40 blocks of 3), and of two processes one after the other, on the same shared machine.
PAIRED_SD, SEPARATE_SD = 0.0043, 0.105


def processes(rng, count):
    """Latencies (count, ITERATIONS) of as many launches of the same thing."""
    rho = 0.3
    noise = rng.normal(size=(count, ITERATIONS)) * np.sqrt(1 - rho**2)
    noise[:, 0] /= np.sqrt(1 - rho**2)
    within = 0.006 * lfilter([1], [1, -rho], noise, axis=1)
    spikes = np.where(rng.random((count, ITERATIONS)) < 0.01, 1.75, 1.0)
    return np.exp(LAUNCH_SD * rng.normal(size=(count, 1)) + within) * spikes


def sessions(rng, count):
    """ln medians (count, 20) of a session's launches, in order; 1000 iterations know one to 0.03 %, so taken as exact."""
    return LAUNCH_SD * rng.normal(size=(count, 20)) + SESSION_DRIFT * np.linspace(0, 1, 20)


def test_one_process_each_is_called_different_97_or_67_times_in_100():
    rng = np.random.default_rng(1)
    runs = 1000
    a, b = processes(rng, runs), processes(rng, runs)
    ranks = np.mean(mannwhitneyu(a, b, axis=1, method="asymptotic").pvalue <= 0.05)
    welch = np.mean(ttest_ind(a, b, axis=1, equal_var=False).pvalue <= 0.05)
    assert ranks == pytest.approx(0.97, abs=0.02)
    assert welch == pytest.approx(0.67, abs=0.05)


def test_ten_of_a_then_ten_of_b_mistake_the_drift_for_a_change_every_other_time():
    medians = sessions(np.random.default_rng(2), 4000)
    p = mannwhitneyu(medians[:, :10], medians[:, 10:], axis=1, method="exact").pvalue
    assert np.mean(p <= 0.05) == pytest.approx(0.52, abs=0.03)


def test_ten_interleaved_pairs_keep_their_level_under_the_same_drift():
    rng = np.random.default_rng(3)
    pairs = sessions(rng, 4000).reshape(4000, 10, 2)
    order = np.where(rng.random((4000, 10)) < 0.5, 1, -1)
    p = [signed_rank_p(d) for d in order * (pairs[..., 1] - pairs[..., 0])]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.012)


def verdicts(effect, margin, sd=PAIRED_SD, pairs=8, runs=1000):
    rng = np.random.default_rng(4)
    rows = np.log1p(effect) + sd * rng.normal(size=(runs, pairs))
    counts = Counter(judge(paired_effect(d), margin)[0] for d in rows)
    return {verdict: n / runs for verdict, n in counts.items()}


def test_eight_lock_step_pairs_of_the_same_are_equivalent():
    rates = verdicts(0.0, 0.02)
    assert rates.get("REGRESSION", 0) + rates.get("IMPROVED", 0) <= 0.02
    assert rates["EQUIVALENT"] >= 0.95


def test_eight_lock_step_pairs_find_five_percent():
    assert verdicts(0.05, 0.02)["REGRESSION"] >= 0.95


def test_eight_lock_step_pairs_find_two_percent_beyond_a_margin_of_one():
    rates = verdicts(0.02, 0.01)
    assert rates["REGRESSION"] >= 0.8
    assert "EQUIVALENT" not in rates


def test_a_change_of_exactly_the_margin_is_never_equivalent_more_often_than_the_interval_errs():
    assert verdicts(0.02, 0.02).get("EQUIVALENT", 0) <= 0.025 + 3 * (0.025 / 1000) ** 0.5


def test_eight_pairs_of_separate_processes_can_tell_neither():
    same, slower = verdicts(0.0, 0.02, SEPARATE_SD), verdicts(0.05, 0.02, SEPARATE_SD)
    assert same["INCONCLUSIVE"] >= 0.9
    assert same.get("REGRESSION", 0) + same.get("IMPROVED", 0) <= 0.05
    assert slower["INCONCLUSIVE"] >= 0.6


def test_the_detectable_effect_is_found_four_times_in_five():
    rng = np.random.default_rng(5)
    detectable = 2.8 * PAIRED_SD / np.sqrt(16)
    found = [paired_effect(d).low > 0 for d in detectable + PAIRED_SD * rng.normal(size=(1000, 16))]
    # Ranks and sixteen pairs cost a little of the normal theory's 80 %.
    assert 0.7 <= np.mean(found) <= 0.82


@pytest.mark.slow
def test_three_looks_keep_the_total_level():
    rng = np.random.default_rng(6)
    runs = 4000
    confidence = 1 - nominal_alpha()
    crossed = 0
    for d in rng.normal(size=(runs, LOOKS[-1])):
        looks = (paired_effect(d[:n], confidence) for n in LOOKS)
        crossed += any(e.low > 0 or e.high < 0 for e in looks)
    assert crossed / runs <= 0.05
