"""Rules that say "enough": warm-up windows, sequential looks at a centre and tails, the tail's order-statistic bound."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.stats.means import independent_block_means, student_half_width
from seatrial.stats.stopping import StoppingRule, windows_agree


def steady(rng, n=40, cv=0.02):
    return 10 * np.exp(cv * rng.normal(size=n))


def ar1(rng, n, rho):
    x = np.empty(n)
    x[0] = rng.normal()
    noise = rng.normal(size=n) * np.sqrt(1 - rho**2)
    for i in range(1, n):
        x[i] = rho * x[i - 1] + noise[i]
    return x


def agrees(x):
    return windows_agree(x[:20], x[20:])


@pytest.mark.parametrize(("cv", "share"), [(0.0, 1.0), (0.02, 0.95), (0.05, 0.9)])
def test_steady_windows_agree(cv, share):
    rng = np.random.default_rng(1)
    assert np.mean([agrees(steady(rng, cv=cv)) for _ in range(500)]) >= share


@pytest.mark.parametrize("fall", [5, 10, 20])
def test_a_falling_latency_is_still_warming_up(fall):
    rng = np.random.default_rng(2)
    trend = 1 + np.exp(-np.arange(40) / fall)
    assert not any(agrees(steady(rng) * trend) for _ in range(200))


@given(st.integers(0, 50), st.integers(1, 1000), st.randoms(use_true_random=False))
def test_a_coarse_clock_does_not_keep_the_warm_up_going(ticks, tick, random):
    """Readings of two neighbouring ticks, each half the time: quartiles jump by a tick, and so by up to 100 %."""
    x = np.array([(ticks + 5 + random.choice([0, 1])) * tick for _ in range(40)], float)
    assert agrees(x)


CALM = 10 + np.linspace(-0.1, 0.1, 20)
SKEWED = np.repeat([6.0, 10.0, 10.1], [6, 8, 6])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param([11.1, *CALM[1:]], CALM, id="the first value"),
        pytest.param([*CALM[:-1], 40], CALM, id="the mean"),
        pytest.param([*CALM[:13], *CALM[13:] * 0.92], CALM, id="the first quartile"),
        pytest.param([*CALM[:13], *CALM[13:] * 1.08], CALM, id="the third quartile"),
        pytest.param(np.repeat([9.5, 10.5, 10.6], [9, 2, 9]), np.repeat([9.5, 9.6, 10.6], [9, 2, 9]), id="the median"),
        pytest.param(np.repeat([6.0, 8.5, 10.0, 10.1, 14.0], [6, 3, 2, 5, 4]), SKEWED, id="the MAD"),
    ],
)
def test_one_thing_unlike_the_next_window_is_enough_to_go_on(first, second):
    assert windows_agree(second, second)
    assert not windows_agree(first, second)


def test_windows_hold_something():
    with pytest.raises(ValueError, match="two windows"):
        windows_agree([], [1.0])


def table(stream):
    """One column, the whole request."""
    return np.asarray(stream)[:, None]


def run(rule, stream):
    """The sample count and the answer at which the rule stops, or where the stream ends."""
    look = None
    while rule.next_look <= len(stream):
        n = rule.next_look
        look = rule.look(table(stream[:n]))
        assert rule.next_look > n
        if look.enough:
            return n, look
    return len(stream), look


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
def test_where_it_stops_the_mean_is_known_to_the_precision(rho):
    rng = np.random.default_rng(4)
    wrong, counts = 0, []
    runs = 60
    for _ in range(runs):
        stream = 10 + 0.5 * ar1(rng, 20_000, rho)
        n, look = run(StoppingRule("mean"), stream)
        assert look.enough
        assert look.centre == pytest.approx(stream[:n].mean())
        assert look.half_width <= 0.01 * look.centre
        assert len(independent_block_means(stream[:n])) >= 10
        wrong += abs(look.centre - 10) > look.half_width
        counts.append(n)
    assert wrong / runs <= 0.05
    # Samples that repeat each other are waited for: (1 + rho) / (1 - rho) times as many, here within a factor of two.
    needed = (1.96 * 0.05 / 0.01) ** 2 * (1 + rho) / (1 - rho)
    assert needed < np.mean(counts) < 8 * needed


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_where_it_stops_the_median_is_known_to_the_precision(rho):
    rng = np.random.default_rng(14)
    runs = 60
    wrong = 0
    for _ in range(runs):
        _, look = run(StoppingRule("median"), 10 + 0.5 * ar1(rng, 20_000, rho))
        assert look.enough
        assert look.half_width <= 0.01 * look.centre
        wrong += abs(look.centre - 10) > look.half_width
    assert wrong / runs <= 0.05


GROWTH = [50, 75, 113, 170, 255, 383, 575]
STEADY = 10 + np.random.default_rng(6).normal(size=600)
SAME = np.full(600, 3.0)
NEAR = {"precision": 1e-6}
WHOLE = {"whole_time": True}
# 1,367 requests bound it; in runs of at most two 137.
P95 = {"tails": [(-1, 0.95)]}


@pytest.mark.parametrize(
    ("centre", "rule", "stream", "looks", "enough", "at_the_end"),
    [
        pytest.param("mean", {}, SAME, GROWTH[:1], True, True, id="a constant mean"),
        pytest.param("mean", {}, np.zeros(600), GROWTH, False, False, id="no time at all"),
        pytest.param("mean", {"first_look": 4}, SAME, GROWTH[:1], True, True, id="no mean below ten blocks"),
        pytest.param("mean", {"first_look": 90}, SAME, [90], True, True, id="a first look of one's own"),
        # 54 requests bound a median where slow ones come in runs of at most twenty.
        pytest.param("median", {}, SAME, GROWTH[:2], True, True, id="a constant median"),
        pytest.param("median", {"longest_run": 1}, SAME, GROWTH[:1], True, True, id="a median without runs"),
        pytest.param("mean", NEAR, STEADY, GROWTH, False, False, id="never: the mean"),
        pytest.param("median", NEAR, STEADY, GROWTH, False, False, id="never: the median"),
        pytest.param("median", NEAR, STEADY[:49], [], False, False, id="too few for a look"),
        pytest.param("median", WHOLE, SAME, [], False, True, id="whole: the median at the end"),
        pytest.param("mean", WHOLE, SAME, [], False, True, id="whole: the mean at the end"),
        pytest.param("median", WHOLE, SAME[:53], [], False, False, id="whole: no bound at the end"),
        pytest.param("mean", P95, SAME, GROWTH, False, False, id="a tail without a bound"),
        pytest.param("mean", P95 | {"longest_run": 2}, SAME, GROWTH[:4], True, True, id="a tail beside the mean"),
        pytest.param("median", P95 | {"longest_run": 2}, SAME, GROWTH[:4], True, True, id="a tail beside the median"),
    ],
)
def test_which_samples_at_which_look_and_how_it_ends(centre, rule, stream, looks, enough, at_the_end):
    stopping, found = StoppingRule(centre, **rule), []
    for n in range(1, len(stream) + 1):
        before = stopping.next_look
        look = stopping.look(table(stream[:n]))
        if n == before:
            found.append((n, look.alpha))
        if look.enough:
            break
    assert [n for n, _ in found] == looks
    assert [alpha for _, alpha in found] == pytest.approx([0.05 / (k * (k + 1)) for k in range(1, len(looks) + 1)])
    assert look.enough == enough
    last = stopping.conclude(table(stream[:n]))
    assert last.enough == at_the_end
    if enough:
        assert last == look, "what a look has said stands, and costs no more"
    elif n >= 50:
        assert last.alpha == pytest.approx(0.05 / ((len(looks) + 1) * (len(looks) + 2)))


def test_a_tail_is_of_its_own_column():
    """Slow ones come together in the stage, and the whole is constant: only the stage has no bound."""
    whole = np.full(400, 3.0)
    stage = np.repeat([1.0, 2.0, 1.0, 2.0, 1.0], [100, 10, 190, 10, 90])
    rows = np.column_stack([stage, whole])
    assert StoppingRule("mean", tails=[(1, 0.9)], longest_run=4).conclude(rows).enough
    assert not StoppingRule("mean", tails=[(0, 0.9)], longest_run=4).conclude(rows).enough


@given(
    st.sampled_from(["median", "mean"]),
    st.floats(0.001, 0.5),
    st.integers(1, 60),
    st.lists(st.integers(1, 200), min_size=1, max_size=12),
)
def test_looks_at_geometric_counts_spend_at_most_alpha_in_all(centre, alpha, first_look, steps):
    """However many requests come between two questions."""
    rule = StoppingRule(centre, 1e-12, first_look, alpha=alpha)
    stream = np.random.default_rng(8).exponential(size=sum(steps))
    asked, spent = 0, []
    for step in steps:
        asked += step
        due = rule.next_look
        look = rule.look(table(stream[:asked]))
        if asked >= due:
            spent.append(look.alpha)
        assert rule.next_look > asked
        # No two looks are closer together than the growth, up to a rounding.
        assert asked < due or rule.next_look >= 1.5 * due
    if asked >= first_look and (centre == "median" or asked >= 50):
        spent.append(rule.conclude(table(stream)).alpha)
    assert sum(spent) <= alpha
    assert spent == sorted(spent, reverse=True)


def test_looks_come_at_geometric_counts_and_others_are_not_counted():
    rng = np.random.default_rng(5)
    stream = rng.exponential(size=2000)
    rule, asked = StoppingRule("mean", 1e-6), StoppingRule("mean", 1e-6)
    counts = []
    for n in range(1, 600):
        if n == rule.next_look:
            counts.append(n)
            expected = rule.look(table(stream[:n]))
        given_ = asked.look(table(stream[:n]))
        if counts:
            assert given_ == expected
    assert counts == GROWTH


def test_each_look_at_a_mean_is_at_its_share_of_alpha():
    x = 10 + np.random.default_rng(6).normal(size=500)
    once, again = StoppingRule("mean", first_look=500), StoppingRule("mean", first_look=100)
    again.look(table(x[:100]))
    means = independent_block_means(x)
    for rule, share in ((once, 2), (again, 6)):
        assert rule.look(table(x)).half_width == pytest.approx(student_half_width(means, 0.05 / 2 / share))


def test_memory_longer_than_the_sample_is_never_enough():
    look = StoppingRule("mean").look(table(np.linspace(10, 10.1, 60)))
    assert (look.enough, look.half_width) == (False, math.inf)


def test_it_is_not_enough_before_the_median_has_a_bound():
    rows = table(np.full(54, 1000))
    assert not StoppingRule("median", 0.5, 10).conclude(rows[:53]).enough
    assert StoppingRule("median", 0.5, 10).conclude(rows).enough


@pytest.mark.parametrize("bad", [{"precision": 0}, {"precision": math.nan}, {"alpha": 1}, {"first_look": 0}])
def test_a_rule_that_means_nothing_is_refused(bad):
    with pytest.raises(ValueError, match="expected a precision above 0"):
        StoppingRule("mean", **bad)


def streams():
    """Whole nanoseconds, 6,000 of each kind."""
    rng = np.random.default_rng(20)
    n = 6000
    noise = rng.normal(size=n)
    alike = np.empty(n)
    alike[0] = noise[0]
    for i in range(1, n):
        alike[i] = 0.6 * alike[i - 1] + 0.8 * noise[i]
    kinds = {
        "steady": 1e6 * (1 + 0.05 * noise),
        "alike": 1e6 * (1 + 0.05 * alike),
        "spikes": 1e6 * (1 + 0.05 * noise + 9 * (rng.random(n) < 0.02)),
        "wild": 1e6 * rng.exponential(size=n),
    }
    return {kind: x.astype(np.int64) for kind, x in kinds.items()}


STREAMS = streams()


# The centre and its half width as two rules gave them, one a centre, before there was one for both.
@pytest.mark.parametrize(
    ("kind", "centre", "precision", "tails", "looks", "n", "enough", "value", "half_width"),
    [
        ("steady", "median", 0.02, (), 4, 135, True, 995415.0, 19592.0),
        ("steady", "mean", 0.02, (), 3, 113, True, 991089.3982300885, 0.018446058408003077 * 991089.3982300885),
        ("steady", "median", 0.02, ((-1, 0.9),), 8, 687, True, 996458.0, 9369.0),
        (
            "steady",
            "mean",
            0.02,
            ((-1, 0.9),),
            8,
            863,
            True,
            996745.9710312862,
            0.006543048261277906 * 996745.9710312862,
        ),
        ("steady", "median", 0.001, (), 14, 6000, False, 999145.0, 2893.0),
        ("steady", "mean", 0.001, (), 12, 4373, False, 997807.0651726504, 0.002815038294667334 * 997807.0651726504),
        ("alike", "median", 0.02, (), 9, 1031, True, 992641.0, 18393.0),
        ("alike", "mean", 0.02, (), 5, 255, True, 984185.0392156863, 0.017155334947399074 * 984185.0392156863),
        ("alike", "median", 0.02, ((-1, 0.9),), 9, 1031, True, 992641.0, 18393.0),
        (
            "alike",
            "mean",
            0.02,
            ((-1, 0.9),),
            8,
            863,
            True,
            993356.0834298957,
            0.013864317880601275 * 993356.0834298957,
        ),
        ("alike", "median", 0.001, (), 14, 6000, False, 997950.0, 5712.0),
        ("alike", "mean", 0.001, (), 12, 4373, False, 995640.25680311, 0.005451200144298932 * 995640.25680311),
        ("spikes", "median", 0.02, (), 5, 203, True, 994612.0, 19741.0),
        ("spikes", "mean", 0.02, (), 12, 4373, False, 1164511.844500343, 0.05655669271201581 * 1164511.844500343),
        ("spikes", "median", 0.02, ((-1, 0.9),), 8, 687, True, 997420.0, 9303.0),
        (
            "spikes",
            "mean",
            0.02,
            ((-1, 0.9),),
            12,
            4373,
            False,
            1164511.844500343,
            0.05655669271201581 * 1164511.844500343,
        ),
        ("spikes", "median", 0.001, (), 14, 6000, False, 1000486.0, 3120.0),
        ("spikes", "mean", 0.001, (), 12, 4373, False, 1164511.844500343, 0.05655669271201581 * 1164511.844500343),
        ("wild", "median", 0.02, (), 14, 6000, False, 716031.0, 53269.0),
        ("wild", "mean", 0.02, (), 12, 4373, False, 998662.5245826663, 0.051301055174107116 * 998662.5245826663),
        ("wild", "median", 0.02, ((-1, 0.9),), 14, 6000, False, 716031.0, 53269.0),
        (
            "wild",
            "mean",
            0.02,
            ((-1, 0.9),),
            12,
            4373,
            False,
            998662.5245826663,
            0.051301055174107116 * 998662.5245826663,
        ),
        ("wild", "median", 0.001, (), 14, 6000, False, 716031.0, 53269.0),
        ("wild", "mean", 0.001, (), 12, 4373, False, 998662.5245826663, 0.051301055174107116 * 998662.5245826663),
    ],
)
def test_both_centres_are_as_they_were_before_they_had_one_rule(
    kind, centre, precision, tails, looks, n, enough, value, half_width
):
    stream = STREAMS[kind]
    rule = StoppingRule(centre, precision, 40, tails=tails)
    stop, look = run(rule, stream)
    if not look.enough:
        # Of clients' throughput nothing is asked at the end.
        stop, look = (stop, rule.conclude(table(stream))) if centre == "median" else (n, look)
    assert (stop, look.enough, look.centre) == (n, enough, value)
    assert look.alpha == pytest.approx(0.05 / (looks * (looks + 1)))
    assert look.half_width == pytest.approx(half_width, rel=1e-14)
