"""Recipes: what must stay in fp32 for a model that overflows, and no more than that; and delta debugging by itself."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from long_graphs import overflowing

from seatrial.demo import MODEL
from seatrial.errors import UsageError
from seatrial.localise import find_recipe
from seatrial.localise.smallest import smallest
from seatrial.model.file import inspect_model
from seatrial.precision.conversion import Calibration
from seatrial.precision.half import halved
from seatrial.precision.prepare import prepared
from seatrial.precision.recipe import read_recipe
from seatrial.precision.variants import convert


@given(st.integers(0, 60), st.data())
def test_of_a_list_what_is_needed_is_found(count, data):
    names = [f"n{i}" for i in range(count)]
    needed = frozenset(data.draw(st.lists(st.sampled_from(names), unique=True)) if names else [])
    first = data.draw(st.integers(1, 20))
    found = smallest(names, lambda kept: needed <= kept, first, most=10_000)
    assert (frozenset(found.items), found.enough, found.minimal) == (needed, True, True)
    assert len(found.items) == len(needed)


def test_few_of_many_take_few_questions():
    names = [f"n{i}" for i in range(500)]
    assert smallest(names, lambda kept: {"n3", "n200", "n499"} <= kept).asked < 100


def test_where_all_are_not_enough_and_where_the_questions_run_out_it_says_so():
    names = list("abcdefgh")
    none = smallest(names, lambda _kept: False)
    assert (none.items, none.enough, none.minimal) == (tuple(names), False, False)
    cut = smallest(names, lambda kept: {"a", "h"} <= kept, most=6)
    assert {"a", "h"} <= set(cut.items)
    assert (cut.enough, cut.minimal, cut.asked) == (True, False, 6)


@pytest.mark.parametrize("places", [(), (4,), (1, 9)])
def test_a_model_that_overflows_float16_gets_a_recipe_of_at_most_twice_the_nodes_that_it_needs(tmp_path, places):
    proto, needed = overflowing(places)
    onnx.save(proto, tmp_path / "m.onnx")
    rng = np.random.default_rng(1)
    feeds = [{"x": rng.random((1, 8, 10, 10), np.float32)} for _ in range(2)]
    found = find_recipe(tmp_path / "m.onnx", "fp16", feeds)
    assert found.restores
    assert found.minimal
    assert needed <= set(found.nodes)
    assert len(found.nodes) <= 2 * len(needed)
    assert np.isinf(found.before) == bool(places)
    assert found.after < 0.01
    # As the command takes it: by a file, with names that hold what a pattern would read otherwise.
    path = tmp_path / "recipe.yaml"
    path.write_text(found.text(), "utf-8")
    if needed:
        recipe = read_recipe(str(path))
        kept = {k.node for k in halved(prepared(inspect_model(tmp_path / "m.onnx")), "fp16", {}, recipe).kept}
        assert kept == set(found.nodes)
        made = convert(
            inspect_model(tmp_path / "m.onnx"),
            "fp16",
            Calibration(lambda: iter(feeds), "", recipe=recipe),
            tmp_path / "h.onnx",
        )
        assert min(made.sqnr_db.values()) > 40


def test_a_metric_of_ones_own_decides(tmp_path):
    onnx.save(overflowing((4,))[0], tmp_path / "m.onnx")
    feeds = [{"x": np.random.default_rng(1).random((1, 8, 10, 10), np.float32)}]
    asked = []

    def metric(answers):
        asked.append(answers)
        return False

    found = find_recipe(tmp_path / "m.onnx", "fp16", feeds, metric)
    assert (found.restores, found.minimal) == (False, False)
    assert list(asked[0][0]) == ["r15"]


@pytest.mark.slow
def test_eight_bits_have_recipes_too():
    rng = np.random.default_rng(0)
    feeds = [{"images": rng.random((1, 3, 320, 320), np.float32)}]
    found = find_recipe(MODEL, "int8-u8", feeds)
    assert (found.nodes, found.restores, found.candidates) == ((), True, 35)


def test_another_precision_is_refused_with_those_that_there_are(tmp_path):
    with pytest.raises(
        UsageError, match=r"expected a recipe for fp16, bf16, int8, int8-u8, got 'fp15' \(did you mean 'fp16'\?\)"
    ):
        find_recipe(tmp_path / "m.onnx", "fp15", [])
