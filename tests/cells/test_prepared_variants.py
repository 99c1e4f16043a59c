"""Models in other precisions as a trial prepares them: out of its cache while that is whole, and what they are told of."""

import pytest

from seatrial.cells.matrix import Cell
from seatrial.cells.model_checks import check_models
from seatrial.cells.preflight import preflight
from seatrial.cells.prepare import models_to_make, prepare_variants
from seatrial.cells.variant import MOST_COMPARED, _chosen
from seatrial.cells.watch import Watcher
from seatrial.demo import PLAN
from seatrial.history.run_folder import new_run
from seatrial.plan.load import load_plan, plan_in_memory

CELL = Cell("baseline", "onnxruntime-cpu", "int8-u8", 1, 1)


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """The demo's, of three images."""
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    text = PLAN.read_text().replace("{path: images,", "{path: images, limit: 3,")
    return plan_in_memory(text, PLAN.with_name("trial.yaml (in memory)"), {})


def test_a_variant_that_was_damaged_is_made_anew_and_said_to_be(plan, tmp_path):
    ready = preflight(plan, False, lambda _: None)
    with new_run(tmp_path / "results", "here") as run:
        path = prepare_variants(ready, run, [CELL], Watcher())["baseline", "int8-u8"]
        whole = path.read_bytes()
        codes = [w.code for w in ready.warnings]
        assert codes.count("conversion") == 1, "three images are few"
        assert "made-anew" not in codes
        assert models_to_make(ready, [CELL]) == 0
        path.write_bytes(bytes(len(whole)))
        assert models_to_make(ready, [CELL]) == 1
        assert prepare_variants(ready, run, [CELL], Watcher())["baseline", "int8-u8"] == path
    assert path.read_bytes() == whole
    assert [str(w) for w in ready.warnings if w.code == "made-anew"] == [
        f"pipeline baseline: {path}: the file has changed since it was made, so that the int8-u8 model was made anew"
    ]
    assert [w.code for w in ready.warnings].count("conversion") == 1, "once, however often it is prepared"


@pytest.mark.parametrize("images", [1, 2, 8, 9, 10, 12, 32, 64, 65, 1000])
@pytest.mark.parametrize("most", [1, 4, 64])
def test_ranges_are_of_as_many_as_may_be_and_figures_of_others_where_there_are_any(images, most):
    seen, compared = _chosen(images, most)
    assert len({*seen}) == len(seen) == min(images, most)
    assert {*seen, *compared} <= {*range(images)}
    assert len({*compared}) == len(compared) == min(MOST_COMPARED, images - len(seen) or images)
    assert bool({*seen} & {*compared}) == (images <= most)


@pytest.mark.parametrize(
    ("precisions", "told"),
    [("fp32, int8", True), ("fp32, int8, int8-u8", False), ("fp32, int8-u8", False), ("fp32", False)],
)
def test_a_plan_that_says_int8_alone_is_told_once_which_one_it_is(precisions, told):
    text = PLAN.read_text().replace("precisions: [fp32, int8-u8]", f"precisions: [{precisions}]")
    found = check_models(plan_in_memory(text, PLAN.with_name("trial.yaml (in memory)"), {}))[2]
    assert [w.code for w in found].count("integer-form") == told
    assert load_plan(PLAN).plan.matrix.precisions == ["fp32", "int8-u8"]
