"""Plots of loads and comparisons with little to show: one request, unknown ends, rates that nobody held."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
import records
from records import measured
from svg import SVG, fills, lines, texts, ticks

from seatrial.history.records import Comparison, LoadResult, Noise, Pair, RatePoint, Spike
from seatrial.report.highlights import worth_telling
from seatrial.report.load_plots import MOST_POINTS, pair_effects, rate_curve, scaling, timeline


def dots(svg):
    """How many points each scatter has."""
    groups = [g for g in ET.fromstring(svg).iter(f"{SVG}g") if "PathCollection" in g.get("id", "")]
    return [len(list(g.iter(f"{SVG}use"))) for g in groups]


def requests(count, latency_s=0.01, wait_s=0.0):
    at = 1000.0 + np.arange(count) * 0.02
    return np.column_stack([at, np.full(count, latency_s), np.full(count, wait_s)])


@pytest.mark.parametrize("count", [1, 2, 49, 50, 51, 200])
def test_every_request_of_a_short_load_is_a_dot(count):
    c = records.cell()
    svg = timeline([c], {c.id: requests(count)})
    assert dots(svg) == [count]
    assert svg == timeline([c], {c.id: requests(count)})


def test_of_a_long_one_as_many_as_the_eye_can_tell_and_every_slow_one():
    c = records.cell()
    (shown,) = dots(timeline([c], {c.id: requests(100_000)}))
    assert MOST_POINTS <= shown <= 2 * MOST_POINTS


def test_spikes_are_ringed_where_they_are_worth_telling():
    def spike(at_s, times):
        return Spike(at_s=at_s, duration_s=0.1, times_median=times, causes=("unexplained",))

    c = records.cell(noise=Noise(watched_s=1, cores=(0,), spikes=(spike(0.2, 9.0), spike(0.4, 1.01))))
    assert len(dots(timeline([c], {c.id: requests(100)}))) == 2


@pytest.mark.parametrize(
    ("duration_s", "times", "told"),
    [
        (0.027, 1.23, False),  # three of 27 ms on a model of 22 ms, in a calm sample
        (0.040, 1.82, True),
        (0.0004, 4.0, False),  # four times as long, and 0.3 ms by the clock
        (0.0009, 4.0, True),
        (0.002, float("inf"), True),
    ],
)
def test_a_spike_is_worth_telling_where_it_is_far_from_the_rest_and_by_the_clock(duration_s, times, told):
    spike = Spike(at_s=0.1, duration_s=duration_s, times_median=times, causes=("unexplained",))
    assert worth_telling([spike]) == [spike] * told


def test_a_row_a_cell_with_its_name():
    cells = [records.cell("a<b", point="server-20"), records.cell("c")]
    found = texts(timeline(cells, {c.id: requests(9) for c in cells}))
    assert "a<b · fake fp32 b1 t1 server-20" in found
    assert "c · fake fp32 b1 t1" in found


def point(rate, holds="yes", **ends):
    m = measured(0.01, **ends)
    return RatePoint(offered_per_s=rate, achieved_per_s=rate, n=9, unserved=0, p50=m, p90=m, p99=m, tail=m, holds=holds)


@pytest.mark.parametrize(
    "fields",
    [
        {"curve": (point(10),)},
        {"curve": (point(20, "no"), point(10), point(15, "unsure", low=0.005, high=0.02))},
        {"curve": (point(10),), "found_rate": measured(10.0, 10.0, None, "1/s")},
        {"curve": (point(10),), "rate_estimate": measured(10.0, 9.0, 12.0, "1/s")},
        {"curve": (point(10),), "rate_estimate": measured(0.0, 0.0, 0.0, "1/s")},
        {"curve": (point(10),), "found_rate": measured(10.0, unit="1/s")},
    ],
)
def test_a_search(fields):
    load = LoadResult(scenario="server", bound_s=0.05, bound_quantile=0.9, **fields)
    svg = rate_curve(load)
    assert dots(svg) == [1] * 2 * len(fields["curve"]), "a median and a p90 each"
    assert {"bound 50.0 ms@p90", "p50"} <= set(texts(svg))


GREEN, RED = "#009e73", "#d55e00"
BOUNDED = {"low": 0.009, "high": 0.012}


@pytest.mark.parametrize(
    ("estimate", "points", "connected"),
    [
        (None, (point(10, **BOUNDED), point(20, "no", **BOUNDED)), 0),
        (measured(15.0, 14.0, 16.0, "1/s"), (point(10, **BOUNDED), point(20, "no", **BOUNDED)), 2),
        # An unsure percentile's line would meet the bound somewhere too; the median's is known.
        (measured(15.0, 14.0, 16.0, "1/s"), (point(10, **BOUNDED), point(20, "unsure", **BOUNDED)), 1),
    ],
)
def test_a_line_between_two_rates_only_where_an_estimate_says_where_it_leads(estimate, points, connected):
    load = LoadResult(scenario="server", bound_s=0.05, bound_quantile=0.9, curve=points, rate_estimate=estimate)
    slanted = [p for dashed, p in lines(rate_curve(load)) if not dashed and len({x for x, _ in p}) > 1]
    assert len(slanted) == connected


@pytest.mark.parametrize(
    ("p", "filled", "said"),
    [
        (point(10, "yes", **BOUNDED), GREEN, ["p90: holds"]),
        (point(10, "no", **BOUNDED), RED, ["p90: does not hold"]),
        (point(10, "unsure", **BOUNDED), "white", ["p90: unsure"]),
        (point(10, "yes", low=0.009), "white", ["p90: holds", "open: as seen, no upper bound"]),
    ],
)
def test_a_percentile_that_is_not_known_is_an_open_mark_and_the_legend_says_so(p, filled, said):
    svg = rate_curve(LoadResult(scenario="server", bound_s=0.05, bound_quantile=0.9, curve=(p,)))
    assert fills(svg)[1] == filled
    assert [t for t in texts(svg) if t.startswith(("p90", "open"))] == said


@pytest.mark.parametrize("low", [3e-7, 0.0244, 0.424])
@pytest.mark.parametrize("ratio", [1.0, 1.003, 1.18, 2.1, 60.0])
@pytest.mark.parametrize("count", [1, 4])
def test_every_row_over_time_has_scales(low, ratio, count):
    cells = [records.cell(f"p{k}") for k in range(count)]
    table = requests(2, low) * [1, 1, 0]
    table[1, 1] *= ratio
    svg = timeline(cells, {c.id: table for c in cells})
    for axis in "xy":
        rows = ticks(svg, axis)
        assert len(rows) == count
        assert all(len(set(labels)) == len(labels) >= 2 for labels in rows)


@pytest.mark.parametrize(("rate", "ratio"), [(0.5, 1.0), (9.1, 2.7), (9000.0, 1.0001), (1e6, 30.0)])
def test_a_curve_has_scales(rate, ratio):
    curve = (point(rate), point(rate * ratio))
    svg = rate_curve(LoadResult(scenario="server", bound_s=0.0101, bound_quantile=0.9, curve=curve))
    for axis in "xy":
        (labels,) = ticks(svg, axis)
        assert len(set(labels)) == len(labels) >= 4


@pytest.mark.parametrize("counts", [(1,), (1, 2), (8, 1, 2, 4)])
def test_clients_against_throughput(counts):
    cells = [records.cell(load=LoadResult(scenario="multi-stream", clients=n, requests_per_s=measured(10.0 * n, 9.0 * n, 11.0 * n, "1/s"))) for n in counts]  # fmt: skip
    found = texts(scaling(cells, (min(counts), max(counts))))
    assert [t for t in found if t in map(str, counts)][: len(counts)] == [str(n) for n in sorted(counts)]
    assert "knee" in found


def test_many_counts_of_clients_have_as_many_labels_as_there_is_room_for():
    counts = (1, 2, 3, 4, 8, 64, 128)
    cells = [records.cell(load=LoadResult(scenario="multi-stream", clients=n, requests_per_s=measured(10.0, 9.0, 11.0, "1/s"))) for n in counts]  # fmt: skip
    assert ticks(scaling(cells, (1, 1)), "x") == [["3", "8", "64", "128"]]
    assert len(ticks(scaling(cells[:1], (1, 1)), "x")[0]) == 2


def pair(effect, control):
    return Pair(effect=effect, control=control, within_se=None, values={}, launched=(), burst=1, blocks=1, wall_s=1.0)


@pytest.mark.parametrize(
    ("pairs", "change", "shown"),
    [
        ((), measured(0.0), [0, 0]),
        ((pair(0.1, None),), measured(0.1), [1, 0]),
        ((pair(0.1, 0.0), pair(-0.1, 0.0)), measured(0.0, -0.1, 0.1), [2, 2]),
    ],
)
def test_rounds_of_a_comparison(pairs, change, shown):
    c = Comparison(
        a="a", b="b", metric="p50", stage="infer", design="lock-step", verdict="INCONCLUSIVE", reason="", margin=0.02,
        change=change, a_value=measured(1.0), b_value=measured(1.0), p_value=1.0, p_adjusted=1.0, pairs=pairs,
    )  # fmt: skip
    svg = pair_effects(c)
    assert dots(svg) == shown
    assert {"B against A", "A against A"} <= set(texts(svg))
    assert len(ticks(svg, "x")[0]) >= 4
