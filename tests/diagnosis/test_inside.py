"""When both models are searched, on which images, and what becomes of a search that could not be made."""

from pathlib import Path

import pytest
from parity_records import RECORDS

from seatrial.demo import MODEL
from seatrial.diagnosis.inside import LEAST_S, with_inside
from seatrial.errors import ModelError
from seatrial.history.records.diagnosis import WorstImage
from seatrial.jobs.workload import PipelineWorkload
from seatrial.model.file import inspect_model
from seatrial.plan import pipelines
from seatrial.runtimes.choice import BackendChoice

NAMES = [f"scene-{k:02d}.jpg" for k in range(10)]
DIFFERS = RECORDS["inside"].model_copy(
    update={"inside": None, "worst_images": tuple(WorstImage(name=n, stage="outputs", value=1.0) for n in NAMES[5:])}
)


@pytest.fixture(scope="module")
def side():
    spec = pipelines.Pipeline.model_validate({"model": str(MODEL), "preprocess": {"size": [32, 32]}})
    return PipelineWorkload(
        model=str(MODEL),
        model_info=inspect_model(Path(MODEL)),
        backend=BackendChoice("onnxruntime-cpu"),
        name="baseline",
        spec=spec,
        folder=".",
        images=tuple((f"/images/{n}", n) for n in NAMES),
    )


def test_it_is_searched_where_raw_outputs_differ_alone():
    assert DIFFERS.outputs_differ
    assert not RECORDS["fault"].outputs_differ
    assert not RECORDS["equal"].outputs_differ


def test_it_is_searched_too_where_results_disagree_though_outputs_keep_a_lesser_precisions_limit():
    outputs = RECORDS["inside"].first_divergence.model_copy(update={"images": 0})
    within = DIFFERS.model_copy(update={"stages": (outputs,), "first_divergence": None})
    assert outputs.value > 0
    assert within.outputs_differ
    assert not within.model_copy(update={"verdict": "EQUAL"}).outputs_differ
    same = outputs.model_copy(update={"value": 0.0})
    assert not within.model_copy(update={"stages": (same,)}).outputs_differ


def test_the_images_that_differ_most_go_in(side):
    seen = []

    def look(a, b, left_s, _tell):
        seen.append(([name for _, name in a.images], len(b.images), left_s))
        return RECORDS["inside"].inside

    found = with_inside(DIFFERS, side, side, look, 60.0)
    assert seen == [(NAMES[5:9], 10, 60.0)]
    assert found.inside == RECORDS["inside"].inside
    assert found.wall_s >= DIFFERS.wall_s


def test_what_cannot_be_searched_is_said_and_the_verdict_stands(side):
    def look(*_):
        raise ModelError("B's inputs have no partner among A's\nand more")

    found = with_inside(DIFFERS, side, side, look, 60.0)
    assert (found.verdict, found.inside) == ("DIFFER", None)
    assert found.warnings[-1].code == "inside-not-searched"
    assert "B's inputs have no partner among A's" in str(found.warnings[-1])
    assert "and more" not in str(found.warnings[-1])


def test_without_time_nothing_is_begun(side):
    found = with_inside(DIFFERS, side, side, lambda *_: pytest.fail("it began"), LEAST_S / 2)
    assert "10.0 s were left, which is too little" in str(found.warnings[-1])
