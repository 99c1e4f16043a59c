"""What seatrial parity says of a side by itself: rows that are mixed, a precision that does not run, a calibration that is in the
file."""

import numpy as np
import pytest
from onnx import helper
from pooled_models import pooled, saved, weights

from seatrial.demo import PLAN
from seatrial.diagnosis.recalibration import quantised_plainly
from seatrial.history.records.diagnosis import ParityRecord

TEXT = f"""version: 1
images: {{path: {PLAN.parent / "images"}, limit: 6}}
pipelines:
  baseline:
    model: sound.onnx
    preprocess: {{size: [32, 32], mode: stretch, color: rgb}}
    postprocess: {{task: raw}}
  candidate: {{extends: baseline, model: other.onnx}}
matrix: {{backends: [onnxruntime-cpu], precisions: [fp32, fp16]}}
"""


def rows(path, mixed):
    """The same of one image; of a batch the image beside what it is more than the mean of all."""
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["m"], axes=[0], keepdims=1, name="mean"),
        helper.make_node("Sub", ["images", "m"], ["centred"], name="centred"),
        helper.make_node("Add", ["images", "centred"], ["both"], name="both"),
    ]
    if not mixed:
        nodes = [helper.make_node("Identity", ["images"], ["both"], name="both")]
    nodes += [
        helper.make_node("Conv", ["both", "w"], ["c"], name="conv"),
        helper.make_node("ReduceMax", ["c"], ["v"], axes=[2, 3], keepdims=0, name="reduce"),
        helper.make_node("MatMul", ["v", "head"], ["logits"], name="scores"),
    ]
    return saved(path, nodes, weights(w=(4, 3, 3, 3), head=(4, 6)))


@pytest.fixture
def desk(tmp_path):
    rows(tmp_path / "sound.onnx", mixed=False)
    rows(tmp_path / "other.onnx", mixed=True)
    (tmp_path / "trial.yaml").write_text(TEXT)
    return tmp_path


def asked(seatrial_cli, desk, *arguments):
    done = seatrial_cli("parity", "trial.yaml", *arguments, "--json", "out.json")
    return done, ParityRecord.model_validate_json((desk / "out.json").read_text())


def held(record, side):
    return {i.name: i.holds for i in record.invariants if i.side == side}


def test_a_candidate_that_mixes_rows_is_not_equal_though_it_is_so_of_one_image(seatrial_cli, desk):
    done, found = asked(seatrial_cli, desk)

    assert (done.returncode, found.verdict) == (1, "DIFFER"), done.stderr
    assert [d.fault for d in found.diagnosis] == ["batch-dependent"]
    assert found.first_divergence is None
    assert set(held(found, "reference").values()) == {True}
    assert held(found, "candidate") == {
        "row-alone": False,
        "identical-rows": True,
        "order": True,
        "dynamic-shape": True,
    }
    assert "of a batch of 4, all rows give another output 0 than their images alone" in found.reason
    assert "✗ the candidate by itself: row-alone: of a batch of 4" in done.stdout
    page = next(desk.glob("results/*/*/report.html")).read_text()
    assert "✗ the candidate by itself: row-alone: of a batch of 4" in page


@pytest.mark.slow
def test_a_reference_that_mixes_rows_is_no_yardstick(seatrial_cli, desk):
    done, found = asked(seatrial_cli, desk, "--reference", "candidate", "--candidate", "baseline")

    assert (done.returncode, found.verdict) == (3, "INCONCLUSIVE"), done.stderr
    assert found.diagnosis == ()
    assert "reference-unsound" in [w.code for w in found.warnings]
    assert "the reference is no yardstick" in found.reason


@pytest.mark.slow
def test_a_precision_that_does_not_run_is_never_silent(seatrial_cli, desk):
    done, found = asked(seatrial_cli, desk, "--candidate", "baseline.fp16")

    assert (done.returncode, found.verdict) == (0, "EQUAL"), done.stderr
    assert [d.fault for d in found.diagnosis] == ["precision-not-applied"]
    assert "asked for fp16, and 2 of 2 convolutions and matrix products compute in fp32" in found.reason

    with (desk / "trial.yaml").open("a") as plan:
        plan.write("budgets: [{metric: computed_in, min: 90%, where: {precision: fp16, pipeline: baseline}}]\n")
    done, found = asked(seatrial_cli, desk, "--candidate", "baseline.fp16")
    assert (done.returncode, found.verdict) == (1, "DIFFER"), done.stderr
    assert "the plan asks for 90% of them" in found.reason


@pytest.mark.slow
def test_a_models_own_file_says_what_it_was_calibrated_on(seatrial_cli, desk):
    pooled(desk / "sound.onnx")
    rng = np.random.default_rng(0)
    feeds = [{"images": (rng.random((1, 3, 32, 32)) * 255).astype(np.float32)} for _ in range(4)]
    quantised_plainly(desk / "sound.onnx", feeds, None, False, desk / "other.onnx")

    done, found = asked(seatrial_cli, desk)

    assert (done.returncode, found.verdict) == (1, "DIFFER"), done.stderr
    assert [d.fault for d in found.diagnosis] == ["calibration"]
    assert "quantises the input for 0 to 255, and it is fed 0 to 1" in found.diagnosis[0].evidence


def test_what_was_recorded_cannot_be_run_again(seatrial_cli, desk):
    done = seatrial_cli("tap", "trial.yaml", "--pipeline", "baseline", "--out", "taps")
    assert done.returncode == 0, done.stderr
    done, found = asked(seatrial_cli, desk, "--taps", "taps")

    assert (done.returncode, found.verdict) == (0, "EQUAL"), done.stderr
    assert set(held(found, "candidate").values()) == {None}
    assert set(held(found, "reference").values()) == {True}
    assert "? the candidate by itself: row-alone, identical-rows, order, dynamic-shape: not tried" in done.stdout
