"""What a side shows by itself, and what that makes of the verdict."""

import pytest

from seatrial.diagnosis.by_itself import with_findings, with_invariants, with_precision, with_reference_odd
from seatrial.history.records.diagnosis import Diagnosis, Invariant, ParityRecord

EQUAL = ParityRecord(verdict="EQUAL", reason="nothing differs", reference="a", candidate="b", images=8)
DIFFER = EQUAL.model_copy(
    update={"verdict": "DIFFER", "reason": "they part at 'outputs', and no known mistake explains it"}
)


def invariant(side, holds, name="row-alone"):
    return Invariant(name=name, holds=holds, said="rows 1, 2 give another output 0", side=side)


@pytest.mark.parametrize(
    ("record", "violated", "verdict", "faults"),
    [
        (EQUAL, (), "EQUAL", []),
        (EQUAL, ("candidate",), "DIFFER", ["batch-dependent"]),
        (EQUAL, ("reference",), "INCONCLUSIVE", []),
        (EQUAL, ("reference", "candidate"), "INCONCLUSIVE", ["batch-dependent"]),
        (DIFFER, ("candidate",), "DIFFER", ["batch-dependent"]),
        (DIFFER, ("reference",), "DIFFER", []),
    ],
)
def test_a_side_whose_rows_are_not_its_own(record, violated, verdict, faults):
    found = with_invariants(record, [invariant(s, s not in violated) for s in ("reference", "candidate")])

    assert found.verdict == verdict
    assert [d.fault for d in found.diagnosis] == faults
    assert len(found.invariants) == 2
    assert any(w.code == "reference-unsound" for w in found.warnings) == ("reference" in violated)
    if violated and record is EQUAL:
        assert "rows 1, 2 give another output 0" in found.reason


def test_what_was_not_tried_changes_nothing():
    found = with_invariants(EQUAL, [invariant("candidate", None), invariant("reference", None)])

    assert (found.verdict, found.reason, found.diagnosis) == ("EQUAL", "nothing differs", ())


def test_an_open_shape_that_gives_other_numbers_is_the_backends():
    found = with_invariants(EQUAL, [invariant("candidate", False, "dynamic-shape")])

    assert [d.fault for d in found.diagnosis] == ["backend-wrong"]


def test_a_finding_takes_the_place_of_no_known_mistake():
    found = with_findings(DIFFER, [Diagnosis(fault="calibration", what="w", stage="outputs", evidence="e")])

    assert found.reason == "they part at 'outputs': calibration"
    assert with_findings(found, found.diagnosis).diagnosis == found.diagnosis


@pytest.mark.parametrize(("required", "verdict"), [(None, "EQUAL"), (0.9, "DIFFER"), (0.0, "EQUAL")])
def test_a_precision_that_does_not_run_fails_where_the_plan_asks_for_it(required, verdict):
    found = with_precision(EQUAL, "fp16", "by its own account", {"fp32": 54}, required)

    assert found.verdict == verdict
    assert [d.fault for d in found.diagnosis] == ["precision-not-applied"]
    assert [w.code for w in found.warnings] == ["computed-otherwise"]
    assert "asked for fp16, and 54 of 54 convolutions and matrix products compute in fp32" in found.reason
    assert with_precision(EQUAL, "fp16", "", {"fp16": 54}, required) == EQUAL


def test_that_the_reference_is_the_odd_one_is_in_the_reason():
    d = Diagnosis(fault="backend-wrong", what="agrees with a third backend, against the reference's", stage="outputs")
    record = DIFFER.model_copy(update={"diagnosis": (d,)})

    assert "the reference's backend is the odd one" in with_reference_odd(record, "against the reference's").reason
    assert with_reference_odd(DIFFER, "against the reference's") == DIFFER
