"""Quantities: read as people write them, printed with three digits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial import units


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (units.duration_s, "30 ms", 0.03), (units.duration_s, "30ms", 0.03), (units.duration_s, "1.5 µs", 1.5e-6),
        (units.duration_s, "2 min", 120), (units.duration_s, "1e3 us", 1e-3), (units.size_bytes, "1 GiB", 2**30),
        (units.size_bytes, "1.5 MB", 1.5e6), (units.rate_per_s, "60 images/s", 60), (units.rate_per_s, "25 fps", 25),
        (units.fraction, "2%", 0.02), (units.fraction, "0.5 points", 0.005), (units.fraction, 0.25, 0.25),
        (units.decibels, "20 dB", 20), (units.decibels, 20, 20), (units.decibels, "-3dB", -3),
    ],
)  # fmt: skip
def test_reading(read, text, value):
    assert read(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "text", ["", "ms", "30", "30 lightyears", "1 2 ms", "nan ms", "inf s", "1e999 s", None, True, [1], "0x10 ms"]
)
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="such as '30 ms'"):
        units.duration_s(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.0099996, "10.0 ms"),
        (0.99996, "1.00 s"),
        (0.03, "30.0 ms"),
        (1.2345e-6, "1.23 µs"),
        (123.4, "123 s"),
        (5e-9, "5.00 ns"),
    ],
)
def test_printing_seconds(seconds, text):
    assert units.format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2**30, "B", "1.00 GiB"),
        (0.005, "points", "0.5 points"),
        (0.99, "fraction", "99.0 %"),
        (-0.0487, "change", "-4.87 %"),
        (0.031, "change", "+3.10 %"),
        (-1e-9, "change", "+0.00 %"),
        (87.41, "images/s", "87.4 images/s"),
        (10 * 2**20, "B/h", "10.0 MiB/h"),
        (-3 * 2**10, "B/h", "-3.00 KiB/h"),
        (0.001, "share outside", "0.1 % outside"),
    ],
)
def test_printing_values(value, unit, text):
    assert units.format_value(value, unit) == text


@given(st.floats(1e-9, 1e4))
def test_what_is_printed_reads_back_within_half_a_percent(seconds):
    assert units.duration_s(units.format_seconds(seconds)) == pytest.approx(seconds, rel=0.0051)


@pytest.mark.parametrize(
    ("seconds", "beside", "text"),
    [(1.02, 0.985, "1020 ms"), (0.00098, 0.0012, "0.980 ms"), (0.0, 0.01, "0 ms"), (0.5, 0.0, "500 ms"), (0.5, float("inf"), "500 ms")],
)  # fmt: skip
def test_an_end_of_an_interval_takes_the_unit_of_its_value(seconds, beside, text):
    assert units.format_seconds(seconds, beside) == text
