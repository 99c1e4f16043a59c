"""When requests arrive: the distributions that the names promise, and traces as people have them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seatrial.errors import DataError
from seatrial.timing.arrivals import constant, poisson, read_trace, trace

# A correct generator fails a test at this level once in ten thousand seeds; these seeds are fixed and pass.
LEVEL = 1e-4


@pytest.mark.parametrize("rate", [3.0, 200.0, 25_000.0])
def test_gaps_are_exponential_with_the_mean_that_was_asked_for(rate):
    gaps_s = np.diff(poisson(rate, 4000 / rate, seed=1), prepend=0) / 1e9
    assert stats.kstest(gaps_s, "expon", args=(0, 1 / rate)).pvalue > LEVEL
    # Memoryless: a gap says nothing about the next.
    assert abs(stats.spearmanr(gaps_s[:-1], gaps_s[1:]).statistic) < 5 / math.sqrt(len(gaps_s))


@pytest.mark.parametrize("wrong", [0.9, 1.1])
def test_that_check_sees_a_rate_that_is_a_tenth_off(wrong):
    gaps_s = np.diff(poisson(200.0, 20.0, seed=1), prepend=0) / 1e9
    assert stats.kstest(gaps_s, "expon", args=(0, wrong / 200)).pvalue < LEVEL


def test_counts_are_poisson():
    """Chi-square over 1000 seeds: variance as large as the mean, which evenly spread arrivals would not have."""
    counts = np.array([len(poisson(20.0, 1.0, seed)) for seed in range(1000)])
    edges = [-1, 12, 14, 16, 18, 20, 22, 24, 26, 28, 1000]
    seen = np.histogram(counts, np.array(edges) + 0.5)[0]
    expected = np.diff(stats.poisson.cdf(edges, 20.0)) * len(counts)
    assert stats.chisquare(seen, expected * seen.sum() / expected.sum()).pvalue > LEVEL


@given(rate=st.floats(1e-3, 5000), duration=st.floats(0.01, 3), seed=st.integers(0, 2**32))
def test_arrivals_ascend_within_the_time_and_follow_from_the_seed(rate, duration, seed):
    due_ns = poisson(rate, duration, seed)
    assert due_ns.dtype == np.int64
    assert len(due_ns) >= 1
    assert due_ns[0] >= 0
    assert due_ns[-1] <= duration * 1e9
    assert (np.diff(due_ns) >= 0).all()
    assert np.array_equal(due_ns, poisson(rate, duration, seed))


def test_another_seed_gives_other_arrivals():
    assert not np.array_equal(poisson(50.0, 1.0, 0)[:10], poisson(50.0, 1.0, 1)[:10])


@pytest.mark.parametrize(
    ("rate", "duration", "offsets_ms"),
    [
        (100.0, 0.05, [0, 10, 20, 30, 40]),
        (2.0, 1.0, [0, 500]),
        (2.0, 1.9, [0, 500, 1000]),
        (0.1, 1.0, [0]),  # one at least
    ],
)
def test_a_camera_comes_at_once_and_then_evenly(rate, duration, offsets_ms):
    assert (constant(rate, duration) / 1e6).tolist() == offsets_ms


@pytest.mark.parametrize(
    ("seconds", "duration", "expected"),
    [
        ([5.0, 6.0, 8.0], 3.0, [0, 1, 3]),  # from its own first request on
        ([0.0, 1.0, 3.0], 10.0, [0, 1, 3, 4.5, 5.5, 7.5, 9, 10]),  # the mean gap of 1.5 between last and first
        ([0.0, 1.0, 3.0], 0.5, [0]),  # cut off
        ([2.0, 2.0, 2.0], 1.0, [0, 0, 0]),  # a burst has no gap that could be repeated
        ([7.0], 1.0, [0]),
    ],
)
def test_a_trace_is_repeated_as_often_as_fits(seconds, duration, expected):
    assert (trace(seconds, duration) / 1e9).tolist() == expected


@given(st.lists(st.floats(0, 5), min_size=1, max_size=30).map(sorted), st.floats(0.05, 5), st.floats(0.5, 20))
def test_a_repeated_trace_keeps_its_rate_and_its_gaps(seconds, last_gap, duration):
    # A trace of next to no length would be repeated billions of times; bench refuses it (tests/cli/test_bench_options.py).
    seconds = [*seconds, seconds[-1] + last_gap]
    due_ns = trace(seconds, duration)
    assert due_ns[0] == 0
    assert (np.diff(due_ns) >= 0).all()
    assert due_ns[-1] <= duration * 1e9
    own_ns = ((np.array(seconds) - seconds[0]) * 1e9).astype(np.int64)
    shown = min(len(own_ns), len(due_ns))
    assert np.array_equal(due_ns[:shown], own_ns[:shown])
    span_s = seconds[-1] - seconds[0]
    if span_s > duration / 10:
        per_s = (len(seconds) - 1) / span_s
        assert len(due_ns) <= per_s * duration + len(seconds)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0\n0.5\n1.25\n", [0.0, 0.5, 1.25]),
        ("arrival_s,user\n0.1,ann\n0.1,bob\n", [0.1, 0.1]),  # a header, further columns, two at once
        ("\ufeff1e1\r\n 2e1 \r\n\r\n3e1", [10.0, 20.0, 30.0]),  # as spreadsheets write it
        ('-2\n"-1.5","said ""hi"""\n', [-2.0, -1.5]),
    ],
)
def test_traces_as_people_have_them(tmp_path, text, seconds):
    path = tmp_path / "trace.csv"
    path.write_text(text, "utf-8", newline="")
    assert read_trace(path) == seconds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\n3\n2\n", "line 3: expected ascending times, got 2 behind 3; sort the trace"),
        ("t\n\n\n1\n0.5\n", "line 5: expected ascending times, got 0.5 behind 1; sort the trace"),  # lines, not values
        ("0\nnan\n1\n", "line 2: expected a finite time in seconds, got nan"),
        ("0\n1\ninf\n", "line 3: expected a finite time in seconds, got inf"),
        ("0\n1\nsoon\n", "line 3: expected a time in seconds, got 'soon'"),
        ("a\nb\n1\n", "line 2: expected a time in seconds, got 'b'"),  # one header only
        ("0;1\n1;2\n2;3\n", "line 2: expected a time in seconds, got '1;2'"),
        ('0\n"1\n2\n', None),  # a quotation mark that is never closed holds no further lines
        ("5\n", "expected at least two arrival times in seconds, one a line, got 1"),
        ("seconds\n", "got 0"),
        ("", "got 0"),
        ("0,\0\n1\n", None),
    ],
)
def test_a_bad_trace_names_its_line(tmp_path, text, said):
    path = tmp_path / "trace.csv"
    path.write_text(text, "utf-8")
    if said is None:
        assert len(read_trace(path)) >= 2
        return
    with pytest.raises(DataError) as raised:
        read_trace(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: None, "No such file"),
        (lambda p: p.mkdir(), "Is a directory"),
        (lambda p: p.write_bytes(b"\xff\xfe\x00\x93"), "codec can't decode"),
        (lambda p: p.write_text("1" * 200_000 + "\n2\n"), "field larger than"),
    ],
    ids=["missing", "folder", "binary", "endless line"],
)
def test_a_file_that_is_no_trace(tmp_path, make, said):
    make(tmp_path / "trace.csv")
    with pytest.raises(DataError, match=said) as raised:
        read_trace(tmp_path / "trace.csv")
    assert "expected seconds, one a line" in str(raised.value)
