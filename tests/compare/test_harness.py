"""The harness measured by itself: figures that cannot be zero, in the order that they must have."""

import json

import pytest

from seatrial.compare.rounds import Question
from seatrial.history.records import Comparison
from seatrial.stats.compare import least_pairs


@pytest.mark.slow
def test_doctor_measures_clock_loops_timers_and_a_against_a(seatrial_cli, tmp_path):
    done = seatrial_cli("doctor", "--measure", "--json", "doctor.json")
    assert done.returncode == 0, done.stdout + done.stderr
    harness = json.loads((tmp_path / "doctor.json").read_text())["harness"]
    assert 0 < harness["clock_read_ns"] < harness["native_loop_ns"] < harness["python_loop_ns"] < 100_000
    median, tail = harness["wake_late_ns"]
    assert 0 <= median <= tail
    c = Comparison.model_validate(harness["comparison"])
    assert c.design == "lock-step"
    # On a busy machine half a minute may be too short for the rounds that an interval takes; then nothing is claimed.
    assert c.pairs
    enough = len(c.pairs) >= least_pairs(Question().confidence)
    assert (c.noise_floor is not None) == enough
    assert enough or c.verdict == "INCONCLUSIVE"
    for words in ("The harness itself", "A against A", *(["noise floor"] if enough else [])):
        assert words in done.stdout
