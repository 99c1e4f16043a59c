"""Trials that must not pass: wrong answers, NaN, pipelines that never ran; and evidence that can be checked again."""

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto, helper

from seatrial.cells.preflight import preflight
from seatrial.cells.watch import Watcher
from seatrial.errors import DataError, ExitCode, ModelError, ResultsError
from seatrial.history.find import list_runs, load_record
from seatrial.history.run_folder import RunFolder
from seatrial.trial.run import run_trial

BASE = "\n  baseline:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n    postprocess: {task: classify}"


def trial(workspace, **parts):
    allow = parts.pop("allow_code", False)
    return run_trial(workspace.load(**parts), workspace.folder / "results", allow_code=allow)


def decision(outcome, check):
    return next(d for d in outcome.record.decisions if d.check == check)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parity", "verdict"),
    [
        ("{}", "INCONCLUSIVE"),
        ("{agreement: 90%}", "FAIL"),
        ("{agreement: 1%}", "PASS"),
        ("{agreement: 20%}", "INCONCLUSIVE"),
    ],
)
def test_a_candidate_that_contradicts_the_baseline_never_just_passes(workspace, parity, verdict):
    swapped = BASE + "\n  candidate: {extends: baseline, preprocess: {color: bgr}}"
    outcome = trial(workspace, pipelines=swapped, parity=parity)
    judged = decision(outcome, "agreement with baseline")
    assert (judged.verdict, judged.value) == (verdict, 0.25)
    assert outcome.record.verdict == verdict


@pytest.mark.slow
def test_a_budget_is_not_judged_by_kernels_that_may_have_changed(workspace):
    """A second of one level does not fit into the time, however fast the machine is; the limit is generous."""
    workspace.script("model.fake.json", kernels={"at_ms": 0, "times": 1})
    outcome = trial(
        workspace,
        pipelines=BASE,
        parity="",
        budgets="[{metric: latency, max: 10 s}]",
        measure="{max_time: 300 ms, min_samples: 20}",
    )
    (judged,) = [d for d in outcome.record.decisions if "latency" in d.check]
    assert judged.verdict == "INCONCLUSIVE"
    assert {"unsteady-warm-up", "level-shift"} & {w.code for w in outcome.record.cells[0].warnings}
    assert judged.reason == outcome.record.cells[0].measurement.doubt


@pytest.mark.slow
def test_classes_are_compared_by_label_not_by_number(workspace):
    workspace.script("turned.fake.json", outputs={"y": {"shape": ["batch", 3], "values": "channel_mean"}})
    named = BASE.replace("task: classify", "task: classify, labels: [red, green, blue]")
    other = (
        "\n  candidate: {extends: baseline, model: turned.fake.json, preprocess: {color: bgr}, "
        "postprocess: {labels: [blue, green, red]}}"
    )
    outcome = trial(workspace, pipelines=named + other)
    assert outcome.record.cells[1].across.agreement == 1
    assert outcome.exit_code == ExitCode.PASS


@pytest.mark.slow
def test_nan_in_an_output_fails(workspace):
    workspace.script("nan.fake.json", outputs={"y": {"shape": ["batch", 3], "values": float("nan")}})
    outcome = trial(workspace, pipelines=BASE + "\n  candidate: {extends: baseline, model: nan.fake.json}")
    assert decision(outcome, "outputs without NaN").verdict == "FAIL"
    assert outcome.exit_code == ExitCode.FAIL


@pytest.mark.slow
def test_an_infinity_in_an_output_is_said(workspace):
    workspace.script("inf.fake.json", outputs={"y": {"shape": ["batch", 3], "values": float("inf")}})
    outcome = trial(workspace, pipelines=BASE + "\n  candidate: {extends: baseline, model: inf.fake.json}")
    warnings = outcome.record.cells[1].warnings
    assert (
        "output y is infinite somewhere on 4 of 4 images: an overflow? a result made of it is left out, or means nothing"
        in map(str, warnings)
    )


def test_a_stage_that_counts_classes_from_one_is_told(workspace):
    (workspace.folder / "fromone.py").write_text(
        "import numpy as np\nfrom seatrial import Classification\n"
        "def post(outputs, sizes):\n    return [Classification(np.array([1 + y.argmax()]), np.ones(1, np.float32)) for y in outputs['y']]\n"
    )
    mine = BASE.replace("{task: classify}", "{python: 'fromone:post', labels: [red, green, blue]}")
    outcome = trial(workspace, pipelines=mine, parity="", allow_code=True)
    (said,) = (w for w in outcome.record.cells[0].warnings if w.code == "unknown-classes")
    assert said.text.startswith("1 of 4 results are of a class that is none of 0 to 2, such as 3")


def test_a_pipeline_that_never_ran_is_not_fit(workspace):
    workspace.script("two.fake.json", inputs={"x": {"shape": [2, 3, 8, 8]}})
    outcome = trial(workspace, pipelines=BASE + "\n  candidate: {extends: baseline, model: two.fake.json}")
    assert outcome.exit_code == ExitCode.INCONCLUSIVE
    assert (
        "no cell of pipeline candidate ran: the model's batch dimension is fixed at 2"
        in decision(outcome, "cells run").reason
    )


@pytest.mark.slow
def test_too_few_batches_for_a_throughput_are_inconclusive(workspace):
    workspace.script("model.fake.json", latency_ms=[60])
    outcome = trial(
        workspace, pipelines=BASE, parity="", budgets="[{metric: throughput, min: 1 images/s}]",
        measure="{max_time: 300 ms, min_samples: 3}",
    )  # fmt: skip
    assert outcome.exit_code == ExitCode.INCONCLUSIVE
    assert "an interval needs 20 batches" in outcome.record.decisions[0].reason


@pytest.fixture(scope="module")
def judged(tmp_path_factory, make_workspace):
    """A complete run with truth, two pipelines and two batch sizes."""
    workspace = make_workspace(tmp_path_factory.mktemp("judged"))
    (workspace.folder / "truth.csv").write_text("image,class\n0.png,blue\n1.png,green\n2.png,red\n3.png,blue\n")
    labels = BASE.replace("task: classify", "task: classify, labels: [red, green, blue]")
    return trial(
        workspace, images="{path: images, annotations: truth.csv}", pipelines=labels + "\n  candidate: {extends: baseline}",
        matrix="{backends: [fake], batch_sizes: [1, 2]}", budgets="[{metric: top1_drop, max: 99 points}]",
    )  # fmt: skip


@pytest.mark.slow
def test_evidence_is_found_again_in_what_is_kept(judged):
    record = load_record(judged.run)
    assert record.to_json() == json.loads(json.dumps(judged.record.to_json()))
    assert record.rules == "seatrial.rules/2"
    assert all(d.evidence.startswith("sha256:") for d in record.decisions if d.cell)
    drop = next(d for d in record.decisions if d.check.startswith("top1_drop"))
    assert drop.against == record.cells[0].id


def _edited(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def _first(name, **fields):
    def change(data):
        d = next(d for d in data["decisions"] if d["check"].startswith(name))
        d.update(fields)

    return change


def _cut(name):
    def change(folder):
        frame = pd.read_parquet(folder / name)
        frame.iloc[:-1].to_parquet(folder / name, index=False)

    return change


def _whole(data):
    data.update(verdict="PASS" if data["verdict"] != "PASS" else "FAIL")


def _without_the_last(data):
    data["decisions"].pop()


def _a_figure(data):
    data["cells"][1]["accuracy"]["value"]["value"] = 0.99


TAMPERED = {
    "the whole verdict": lambda f: _edited(f / "record.json", _whole),
    "a decision that is gone": lambda f: _edited(f / "record.json", _without_the_last),
    "all decisions": lambda f: _edited(f / "record.json", lambda d: d.update(decisions=[], verdict="PASS")),
    "a cell's file": lambda f: (f / "cells" / "candidate.fake.fp32.b2.t1.json").unlink(),
    "evidence that is gone": lambda f: _edited(f / "record.json", _first("top1_drop", verdict="FAIL", evidence="")),
    "a figure of a cell": lambda f: _edited(f / "record.json", _a_figure),
    "a verdict": lambda f: _edited(f / "record.json", _first("top1_drop", verdict="FAIL")),
    "a value": lambda f: _edited(f / "record.json", _first("top1_drop", value=0.5)),
    "a limit": lambda f: _edited(f / "record.json", _first("top1_drop", limit=0.5)),
    "the rules": lambda f: _edited(f / "record.json", lambda d: d.update(rules="seatrial.rules/9")),
    "the plan": lambda f: _edited(f / "record.json", lambda d: d["plan"].update(text="version: 1")),
    "a model": lambda f: _edited(f / "record.json", lambda d: d["models"]["candidate"].update(digest="sha256:0")),
    "the truth": lambda f: _edited(f / "record.json", lambda d: d["images"].update(truth_digest="sha256:0")),
    "the reference's cell": lambda f: _edited(
        f / "cells" / "baseline.fake.fp32.b1.t1.json", lambda d: d["measurement"].update(warm_up=0)
    ),
    "a cell": lambda f: _edited(
        f / "cells" / "candidate.fake.fp32.b2.t1.json", lambda d: d["measurement"].update(warm_up=0)
    ),
    "samples": _cut("samples.parquet"),
    "evaluations": _cut("evaluations.parquet"),
    "no samples": lambda f: (f / "samples.parquet").unlink(),
    "no evaluations": lambda f: (f / "evaluations.parquet").unlink(),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_changed_after_the_run_is_told_when_it_is_loaded(judged, tmp_path, what):
    copy = RunFolder(tmp_path / judged.run.path.name)
    shutil.copytree(judged.run.path, copy.path)
    load_record(copy)
    TAMPERED[what](copy.path)
    with pytest.raises(ResultsError, match="does not follow from the run's files"):
        load_record(copy)
    assert load_record(copy, check=False).kind == "trial"


def test_records_from_before_the_rules_had_a_name_load_and_are_checked_by_their_own_digest(judged, tmp_path):
    copy = RunFolder(tmp_path / judged.run.path.name)
    shutil.copytree(judged.run.path, copy.path)
    samples = pd.read_parquet(copy.path / "samples.parquet")

    def as_before(data):
        del data["rules"]
        for d in data["decisions"]:
            del d["against"]
            own = samples[samples["cell"] == d["cell"]].drop(columns=["cell", "iteration"])
            total = hashlib.sha256(hashlib.sha256((copy.cells / f"{d['cell']}.json").read_bytes()).digest())
            total.update(hashlib.sha256(np.ascontiguousarray(own.to_numpy("<i8")).tobytes()).digest())
            d["evidence"] = f"sha256:{total.hexdigest()}"

    _edited(copy.path / "record.json", as_before)
    assert load_record(copy).rules == ""
    TAMPERED["a cell"](copy.path)
    with pytest.raises(ResultsError, match="does not follow"):
        load_record(copy)


def test_what_a_bootstrap_draws_is_kept(judged):
    rows = pd.read_parquet(judged.run.path / "evaluations.parquet")
    own = rows[rows["cell"] == "candidate.fake.fp32.b1.t1"]
    assert dict(zip(own["image"], own["value"], strict=True)) == {
        "0.png": 1.0,
        "1.png": 1.0,
        "2.png": 1.0,
        "3.png": 0.0,
    }


def test_the_run_says_what_the_pipelines_saw(judged):
    assert judged.record.cells[0].seen == "3 classes on 4 images, most often red (2), median top score 0.50"


def test_scores_that_are_no_numbers_fail(workspace):
    """Infinite logits make NaN of every softmax, and the first class of it."""
    workspace.script("endless.fake.json", outputs={"y": {"shape": ["batch", 3], "values": float("inf")}})
    outcome = trial(workspace, pipelines=BASE + "\n  candidate: {extends: baseline, model: endless.fake.json}")
    assert decision(outcome, "outputs without NaN").verdict == "FAIL"
    assert outcome.record.cells[1].measured.nan_outputs == ("decoded scores",)


def test_a_candidate_that_is_the_baseline_is_told(workspace):
    outcome = trial(workspace)
    assert "pipelines baseline and candidate are the same: one model, and the same stages around it" in map(
        str, outcome.record.warnings
    )


@pytest.mark.slow
def test_a_resumed_cell_is_compared_with_a_reference_that_ran_only_now(workspace):
    workspace.script("model.fake.json", fail={"at": 0, "how": "raise"})
    workspace.script("other.fake.json")
    plan = workspace.load(pipelines=BASE + "\n  candidate: {extends: baseline, model: other.fake.json}")

    class Stop(Watcher):
        def cell_ends(self, record):
            if record.pipeline == "candidate":
                raise KeyboardInterrupt

    results = workspace.folder / "results"
    first = run_trial(plan, results, watcher=Stop())
    (cell,) = [c for c in first.run.finished_cells().values() if c.pipeline == "candidate"]
    assert "did not run" in cell.across.note
    start = json.loads((first.run.path / "run.json").read_text())
    workspace.script("model.fake.json")
    again = workspace.load(pipelines=BASE + "\n  candidate: {extends: baseline, model: other.fake.json}")
    # The model was mended: a run of another digest is not resumed, so the start is made to say the new one.
    start["identity"] |= preflight(again, False, lambda _: None).identity()
    (first.run.path / "run.json").write_text(json.dumps(start))
    done = run_trial(again, results, resume=True)
    assert done.record.cells[1].across.agreement == 1
    load_record(done.run)


USER = {
    "good": ("return [Classification(np.array([1]), np.array([0.5], np.float32))] * len(sizes)", "ok", ""),
    "none": ("return None", "failed", "gave NoneType; expected a list of one result an image"),
    "short": ("return []", "failed", "gave 0 results"),
    "other": ("return [3] * len(sizes)", "failed", "gave a int; expected one of seatrial's Instances"),
    "empty": ("return [Classification(np.array([]), np.array([]))] * len(sizes)", "failed", "Classification of"),
    "objects": (
        "return [Classification(np.array([object()]), np.array([1.0]))] * len(sizes)",
        "failed",
        "expected finite numbers",
    ),
    "nan": (
        "return [Detections(np.full((1, 4), np.nan), np.ones(1), np.ones(1, int))] * len(sizes)",
        "failed",
        "finite numbers",
    ),
    "leave": ("sys.exit(0)", "failed", "exit status 0"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", USER)
def test_what_a_users_stage_gives_is_checked_in_its_cell(workspace, name):
    body, status, said = USER[name]
    (workspace.folder / "stages.py").write_text(
        f"import sys\nimport numpy as np\nfrom seatrial import Classification, Detections\ndef post(outputs, sizes):\n    {body}\n"
    )
    mine = BASE.replace("{task: classify}", "{python: 'stages:post'}").replace("baseline", "mine")
    outcome = trial(workspace, pipelines=BASE + mine, parity="{agreement: 0%}", allow_code=True)
    cell = outcome.record.cells[1]
    assert cell.status == status, cell.reason
    assert said in cell.reason
    assert outcome.run.complete


@pytest.mark.slow
def test_boxes_of_a_users_preprocess_need_its_geometry(workspace):
    head = [[[0.5, 0.5, 4, 4, 0.9, 0]]]
    workspace.script("head.fake.json", outputs={"y": {"shape": ["batch", 1, 6], "values": head}})
    stages = workspace.folder / "stages2.py"
    stages.write_text(
        "import numpy as np, seatrial\nkernel = seatrial.Preprocess(size=(8, 8))\n"
        "def bare(image):\n    return kernel(image)\n"
        "def told(image):\n    return kernel(image), kernel.geometry(image.shape[:2])\n"
    )
    form = "    postprocess: {task: detect, format: end_to_end}"
    plan = "\n  only:\n    model: head.fake.json\n    preprocess: {python: 'stages2:NAME'}\n" + form
    bare = trial(workspace, pipelines=plan.replace("NAME", "bare"), parity="", allow_code=True)
    assert "return (array, seatrial.Geometry)" in bare.record.cells[0].reason
    assert bare.exit_code == ExitCode.BAD_INPUT
    assert (
        trial(workspace, pipelines=plan.replace("NAME", "told"), parity="", allow_code=True).exit_code == ExitCode.PASS
    )


@pytest.mark.slow
def test_a_run_that_goes_on_is_not_resumed_by_another(workspace):
    class Meddler(Watcher):
        error = None

        def cell_ends(self, record):
            if self.error is None:
                try:
                    run_trial(plan, results, resume=True)
                except ResultsError as e:
                    self.error = e

    plan, results = workspace.load(), workspace.folder / "results"
    meddler = Meddler()
    outcome = run_trial(plan, results, watcher=meddler)
    assert outcome.exit_code == ExitCode.PASS
    assert "still going on in another process" in str(meddler.error)
    assert not outcome.run.running


@pytest.mark.slow
def test_a_damaged_neighbour_does_not_stop_a_resume(workspace):
    class Stop(Watcher):
        def cell_ends(self, record):
            raise KeyboardInterrupt

    plan, results = workspace.load(), workspace.folder / "results"
    first = run_trial(plan, results, watcher=Stop())
    damaged = RunFolder(first.run.path.with_name("2999-01-01-000000-dead"))
    damaged.cells.mkdir(parents=True)
    (damaged.path / "run.json").write_text("")
    assert run_trial(plan, results, resume=True).run.path == first.run.path
    assert len(list_runs(results / first.run.path.parent.name)) == 2


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        ("image,class\n0.png,red\n1.png,bleu\n2.png,red\n3.png,red\n", "1.png is of class 'bleu', which is no label (did you mean 'blue'?)"),
        ({"images": [], "annotations": [], "categories": [{"id": 1, "name": "red"}]}, "no row in 'images' for 4 of 4 images: 0.png, 1.png, 2.png, 3.png; an image"),
    ],
)  # fmt: skip
def test_truth_that_cannot_judge_is_told_before_anything_runs(workspace, truth, said):
    name = "truth.csv" if isinstance(truth, str) else "truth.json"
    (workspace.folder / name).write_text(truth if isinstance(truth, str) else json.dumps(truth))
    named = BASE.replace("task: classify", "task: classify, labels: [red, green, blue]")
    with pytest.raises(DataError) as caught:
        trial(workspace, images=f"{{path: images, annotations: {name}}}", pipelines=named, parity="")
    assert said in str(caught.value)
    assert not (workspace.folder / "results").exists()


def nonzero_model(path):
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["x"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [4, "found"])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())


def test_outputs_whose_shape_depends_on_the_data(workspace):
    nonzero_model(workspace.folder / "nz.onnx")
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:3] = 9
    workspace.image("part.png", pixels)
    outcome = trial(
        workspace,
        pipelines="\n  nz:\n    model: nz.onnx\n    preprocess: {size: [8, 8]}",
        matrix="{backends: onnxruntime-cpu}",
        parity="",
    )
    assert outcome.record.cells[0].status == "ok", outcome.record.cells[0].reason


def test_an_int8_cell_is_never_plain_fp32(workspace):
    nonzero_model(workspace.folder / "nz.onnx")
    outcome = trial(
        workspace, pipelines="\n  nz:\n    model: nz.onnx\n    preprocess: {size: [8, 8]}", parity="",
        matrix="{backends: onnxruntime-cpu, precisions: int8}",
    )  # fmt: skip
    assert "nothing to quantize" in outcome.record.cells[0].reason


@pytest.mark.parametrize(("form", "said"), [("yolov5", "did you mean yolov8?"), ("detr", "boxes (B, N, 4)")])
def test_a_format_that_the_models_shapes_rule_out_is_told_at_once(workspace, form, said):
    workspace.script("head.fake.json", outputs={"y": {"shape": ["batch", 9, 84]}})
    plan = f"\n  only:\n    model: head.fake.json\n    preprocess: {{size: [8, 8]}}\n    postprocess: {{task: detect, format: {form}}}"
    with pytest.raises(ModelError) as caught:
        trial(workspace, pipelines=plan, parity="")
    assert said in str(caught.value)
