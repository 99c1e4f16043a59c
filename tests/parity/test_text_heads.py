"""Heads of text whose right answer is known by construction: the metric is 1 where all is found, and known where it is not."""

import json

import heads.text  # noqa: F401 (it adds its heads)
import numpy as np
import pytest
from heads.encode import HEADS, build

from seatrial.images.files import find_images
from seatrial.model.file import inspect_model
from seatrial.parity.accuracy import evaluate
from seatrial.parity.classes import ClassMap
from seatrial.parity.evaluation import said_beside, value_of
from seatrial.parity.truth import load_truth
from seatrial.pipeline.build import build_pipeline
from seatrial.plan.load import load_plan

REGIONS = [name for name in HEADS if name.startswith("text-db")]
TEXTS = [name for name in HEADS if name.startswith("text-ctc")]


def evaluated(path):
    """What a run would score, in this process."""
    import onnxruntime as ort

    plan = load_plan(path)
    spec = plan.plan.pipelines["only"]
    images, _ = find_images(plan)
    model = inspect_model(plan.resolve(spec.model))
    pipe = build_pipeline("only", spec, model, plan.folder)
    session = ort.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])
    feeds, results = pipe.allocate(1), []
    for image in images:
        geometries = pipe.preprocess([pipe.decode(image.path.read_bytes())], feeds)
        results += pipe.postprocess(session.run(None, feeds), geometries)
    truth = load_truth(plan.resolve(plan.plan.images.annotations), images)
    return evaluate(truth, images, results, ClassMap(how="text"))


@pytest.mark.parametrize("name", [*REGIONS, *TEXTS])
def test_a_perfect_model_is_perfect(tmp_path, name):
    found = evaluated(build(name, tmp_path))
    assert (found.metric, value_of(found)) == (HEADS[name].metric, 1.0)


@pytest.mark.parametrize("lost", [1, 5])
@pytest.mark.parametrize("name", REGIONS)
def test_lost_regions_cost_recall_alone(tmp_path, name, lost):
    found = evaluated(build(name, tmp_path, lost=lost))
    every = found.regions.sum()
    assert value_of(found) == pytest.approx(2 * (every - lost) / (2 * every - lost))
    left_out = ", 6 of 19 regions not judged (### or *)" * (name == "text-db")
    assert said_beside(found) == f"precision 1.000, recall {1 - lost / every:.3f}{left_out}"


@pytest.mark.parametrize("name", TEXTS)
def test_a_word_that_is_not_read_costs_its_text(tmp_path, name):
    found = evaluated(build(name, tmp_path, lost=1))  # the one thing of the first picture
    assert found.values.tolist() == [0, 1, 1, 1, 1, 1]
    assert "(1 - 4 edits / 59 characters)" in said_beside(found)  # its name has four letters


@pytest.mark.slow
def test_a_whole_run_of_regions(tmp_path, seatrial_cli):
    plan = build("text-db", tmp_path)
    budget = [{"metric": "accuracy", "min": "20%"}, {"metric": "hmean_drop", "max": "100 points"}]
    plan.write_text(json.dumps(json.loads(plan.read_text()) | {"budgets": budget}))
    done = seatrial_cli("run", plan, "--json", "out.json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((tmp_path / "out.json").read_text())
    for cell in record["cells"]:
        assert (cell["accuracy"]["metric"], cell["accuracy"]["value"]["value"]) == ("hmean", 1.0)
        assert "precision 1.000, recall 1.000, 6 of 19 regions not judged (### or *)" in cell["seen"]
    assert {d["verdict"] for d in record["decisions"]} == {"PASS"}
    assert np.isclose([c["parity"]["agreement"] for c in record["cells"] if c["parity"]], 1).all()
