"""Limits: the table, the measured floor, and which of the two is the greater."""

import re
from pathlib import Path

import numpy as np
import pytest

from seatrial.history.records import Floor
from seatrial.parity.tensors import compare_tensors
from seatrial.parity.tolerance import automatic_tolerance, sqnr_limits


def floor_of(reference, again, rebuilt=True, name="y"):
    (row,) = compare_tensors([name], [[np.asarray(reference)]], [[np.asarray(again)]], None)
    return Floor(what="again", rebuilt=rebuilt, tensors=(row,))


@pytest.mark.parametrize(
    ("precision", "reference", "same_runtime", "expected"),
    [
        ("fp32", "fp32", True, (1.3e-6, 1e-5, None)),
        ("fp32", "fp32", False, (1e-3, 1e-3, None)),
        ("fp16", "fp16", True, (1e-3, 1e-5, None)),
        ("fp16", "fp16", False, (None, None, 1e-2)),
        ("bf16", "bf16", True, (1.6e-2, 1e-5, None)),
        ("bf16", "bf16", False, (1.6e-2, 1e-5, None)),
        ("int8", "int8", True, None),
        ("int8", "fp32", True, None),
        ("fp16", "fp32", True, None),
    ],
)
def test_the_table(precision, reference, same_runtime, expected):
    found = automatic_tolerance(precision, reference, same_runtime)
    assert (found and (found.rtol, found.atol, found.mean_rtol)) == expected


def share(delta, same_runtime=True, floors=(), size=1.0):
    """Share of elements outside, where every element of `size` is off by delta."""
    reference = np.full(50, size)
    tolerance = automatic_tolerance("fp32", "fp32", same_runtime, floors)
    return compare_tensors(["y"], [[reference]], [[reference + delta]], tolerance)[0].share_outside


def test_one_unit_in_the_last_place_does_not_fail_a_deterministic_reference():
    still = floor_of(np.ones(4, np.float32), np.ones(4, np.float32))
    for value in (np.float32(1), np.float32(600), np.float32(1e-30), np.float32(3e38)):
        assert share(float(np.nextafter(value, np.float32(np.inf)) - value), floors=[still], size=float(value)) == 0


@pytest.mark.parametrize(
    ("delta", "same_runtime", "rebuilt", "off", "outside"),
    [
        (2e-5, True, True, 0.0, 1),
        (2e-5, True, True, 7e-6, 0),  # 3 × the floor is more than the table
        (2.2e-5, True, True, 7e-6, 1),
        (5e-6, True, True, 1e-7, 0),  # the table is more than 3 × the floor
        (5e-3, False, True, 2e-3, 0),
        (5e-3, False, True, 1e-3, 1),
        (1.5e-3, True, False, 1e-3, 0),  # at another batch size: no more than the pair across runtimes, 2e-3 here
        (2.5e-3, True, False, 1e-3, 1),
        (2.5e-3, True, False, 0.5, 1),
        (0.02, False, False, 1.0, 1),
    ],
)
def test_the_tolerance_is_the_greater_of_table_and_floor(delta, same_runtime, rebuilt, off, outside):
    floor = floor_of(np.full(4, 1.0), np.full(4, 1.0 + off), rebuilt)
    assert share(delta, same_runtime, [floor]) == outside


def test_a_floor_is_of_its_own_part():
    assert share(2e-5, floors=[floor_of([1.0], [1.1], name="another")]) == 1


@pytest.mark.parametrize(
    ("precision", "reference", "decoded", "given", "expected"),
    [
        ("int8", "fp32", False, None, (20, 10)),
        ("fp16", "fp32", False, None, (40, 20)),
        ("bf16", "fp32", False, None, (30, 15)),
        ("fp32", "int8", False, None, (20, 10)),
        ("int8", "fp16", False, None, (20, 10)),
        ("int8", "fp32", True, None, (3, 3)),
        ("int8", "fp32", False, 25.0, (25, 25)),
        ("int8", "fp32", True, 25.0, (25, 25)),
    ],
)
def test_limits_of_reduced_precisions(precision, reference, decoded, given, expected):
    found = sqnr_limits(precision, reference, decoded, given)
    assert (found.least, found.failing) == expected


@pytest.mark.parametrize(
    ("floor_db", "expected"),
    [(100, (20, 10)), (29.6, (20, 10)), (25, (pytest.approx(25 - 9.542, abs=1e-3), 10)), (15, (None, None))],
)
def test_no_default_asks_for_more_than_the_reference_keeps_with_itself(floor_db, expected):
    rng = np.random.default_rng(0)
    reference = rng.normal(size=10_000)
    noise = rng.normal(size=10_000)
    noise *= np.linalg.norm(reference) / np.linalg.norm(noise) * 10 ** (-floor_db / 20)
    found = sqnr_limits("int8", "fp32", False, None, [floor_of(reference, reference + noise)])
    assert (found.least, found.failing) == expected
    assert sqnr_limits("int8", "fp32", False, 20.0, [floor_of(reference, reference + noise)]).least == 20


def documented():
    """Rows of the tables in docs/plan.md, by each name in their first column."""
    text = (Path(__file__).parents[2] / "docs" / "plan.md").read_text("utf-8")
    section = text[text.index("## parity") : text.index("## regression")]
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    return {(name.strip(), len(row)): row[1:] for row in rows for name in row[0].split(",")}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8", "int8-u8", "fp8"])
def test_the_documents_give_the_tables_figures(precision):
    for same_runtime, said in zip((True, False), documented()[precision, 3], strict=True):
        found = automatic_tolerance(precision, precision, same_runtime)
        if found is None:
            assert said == "SQNR"
        elif found.mean_rtol:
            assert f"{found.mean_rtol:g}" == "0.01"
            assert "at most 1e-2 of the mean size" in said
        else:
            assert [float(v) for v in said.split("/")] == [found.rtol, found.atol]


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8", "int8-u8", "fp8"])
def test_the_documents_give_the_limits_of_sqnr(precision):
    least, failing = (
        sqnr_limits(precision, "fp32", False, None).least,
        sqnr_limits(precision, "fp32", False, None).failing,
    )
    destroyed = sqnr_limits(precision, "fp32", True, None).failing
    assert [int(said.split()[0]) for said in documented()[precision, 4]] == [least, failing, destroyed]
