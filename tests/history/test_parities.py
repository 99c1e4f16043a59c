"""Comparisons of pipelines in a results folder: listed beside runs, and in nobody's way who reads records."""

import shutil
from pathlib import Path

import pytest
from parity_records import RECORDS

from seatrial.errors import ResultsError
from seatrial.history.find import find_run, heading, list_all, list_runs
from seatrial.history.frame import load_results

KEPT = Path(__file__).parent / "records"


@pytest.fixture
def results(tmp_path):
    """A trial of long ago, and two comparisons since."""
    folder = tmp_path / "results"
    (old,) = (p for p in KEPT.rglob("record.json") if p.parts[len(KEPT.parts)] == "trial")
    shutil.copytree(old.parent, folder / "a-machine" / old.parent.name)
    for name, created in (("fault", "2026-11-30T10:00:00+00:00"), ("equal", "2026-11-30T11:00:00+00:00")):
        run = folder / "a-machine" / f"2026-11-30-{name}"
        run.mkdir()
        record = RECORDS[name].model_copy(update={"created": created})
        (run / "parity.json").write_bytes(record.json_bytes())
        (run / "report.html").write_text("")
    return folder


def test_they_are_listed_in_their_order(results):
    found = [heading(r) for r in list_all(results)]
    assert [h.kind for h in found] == ["trial", "parity", "parity"]
    assert [h.state for h in found[1:]] == ["DIFFER", "EQUAL"]
    assert found[1].wall_s == 38.4
    assert found[1].subject.startswith("taps of vendor service 2.1 against baseline")
    assert [r.path.name for r in list_all(results / "a-machine" / "2026-11-30-equal")] == ["2026-11-30-equal"]


def test_who_reads_records_does_not_meet_them(results):
    assert len(list_runs(results)) == 1
    assert load_results(results)["run"].nunique() == 1
    assert find_run("latest", results).complete
    with pytest.raises(ResultsError, match="is a comparison of two pipelines, not a run"):
        find_run("2026-11-30-fault", results)
    with pytest.raises(ResultsError, match="is a comparison of two pipelines, not a run"):
        find_run(str(results / "a-machine" / "2026-11-30-fault"), results)


def test_a_damaged_one_says_so(results):
    path = results / "a-machine" / "2026-11-30-fault" / "parity.json"
    path.write_text("{}")
    (damaged,) = (r for r in list_all(results) if r.path == path.parent)
    with pytest.raises(ResultsError, match="the comparison is damaged"):
        heading(damaged)
