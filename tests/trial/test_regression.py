"""`regression` in a plan: the trial compares pipelines in lock-step behind its cells."""

import json

import pytest


@pytest.fixture
def slower(workspace):
    """A plan whose candidate takes half as long again."""
    workspace.script("slow.fake.json", latency_ms=[0.9])
    workspace.script("model.fake.json", latency_ms=[0.6])
    pipelines = (
        "\n  baseline:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n"
        "    postprocess: {task: classify, top_k: 3}\n  candidate: {extends: baseline, model: slow.fake.json}"
    )
    return workspace.plan(pipelines=pipelines, regression="{against: baseline, margin: 10%}", parity="")


@pytest.mark.slow
def test_a_slower_candidate_fails_the_trial(slower, seatrial_cli):
    done = seatrial_cli("run", slower, "--json", "out.json")
    record = json.loads((slower.parent / "out.json").read_text())
    (c,) = record["comparisons"]
    assert (c["a"], c["b"], c["stage"], c["design"]) == ("baseline", "candidate", "end_to_end", "lock-step")
    assert c["verdict"] == "REGRESSION", c["reason"]
    assert c["change"]["value"] > 0.1
    (d,) = [d for d in record["decisions"] if d["check"] == "regression candidate against baseline"]
    assert d["verdict"] == "FAIL"
    assert d["evidence"].startswith("sha256:")
    assert done.returncode == 1
    page = next((slower.parent / "results").glob("*/*/report.html")).read_text()
    assert "REGRESSION" in page


def test_without_the_baselines_cell_it_is_inconclusive(slower, seatrial_cli):
    script = slower.parent / "model.fake.json"
    script.write_text(json.dumps(json.loads(script.read_text()) | {"fail": {"at": 0, "how": "raise"}}))
    done = seatrial_cli("run", slower, "--json", "out.json")
    record = json.loads((slower.parent / "out.json").read_text())
    assert record["comparisons"] == []
    (d,) = [d for d in record["decisions"] if d["check"].startswith("regression")]
    assert d["verdict"] == "INCONCLUSIVE"
    assert "the reference configuration did not run in both pipelines" in d["reason"]
    assert done.returncode == 1
