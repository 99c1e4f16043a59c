"""What stays in fp32, as a user says it."""

import glob

import pytest
from onnx import helper

from seatrial.errors import PlanError
from seatrial.precision.recipe import Recipe, read_recipe

NODES = [
    helper.make_node("Conv", ["x"], ["y"], name="/head/conv"),
    helper.make_node("Softmax", ["y"], ["z"], name="top"),
]


def test_names_after_commas_are_operators_or_nodes():
    recipe = read_recipe("Softmax, /head/*,top")
    assert recipe == Recipe(("Softmax", "/head/*", "top"), ("Softmax",))
    assert [recipe.keeps(n) for n in NODES] == [True, True]
    assert not recipe.unmatched(NODES)


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_file_says_both(tmp_path, suffix):
    path = tmp_path / f"recipe.{suffix}"
    path.write_text('{"nodes": ["/head/*"], "operators": ["Softmax"]}')
    assert read_recipe(str(path)) == Recipe(("/head/*",), ("Softmax",))


def test_what_the_model_does_not_have_is_named():
    assert Recipe(("/tail/*", "top"), ("Conv", "Gelu")).unmatched(NODES) == ("Gelu", "/tail/*")


def test_a_name_with_brackets_or_a_case_of_its_own_is_taken_as_it_is():
    node = helper.make_node("Conv", ["x"], ["y"], name="Block")
    assert not Recipe(("block",)).keeps(node)
    assert Recipe(("Block",)).keeps(node)
    for name, other in (("conv[0]", "conv0"), ("what?", "whats"), ("a*b", "ab")):
        node.name = name
        assert Recipe((glob.escape(name),)).keeps(node), "as a search for a recipe writes it"
        assert Recipe((name,)).keeps(node)
        node.name = other
        assert Recipe((name,)).keeps(node) == ("*" in name)
        assert not Recipe((glob.escape(name),)).keeps(node)


def test_what_may_be_an_operators_or_a_nodes_is_whichever_the_model_has():
    nodes = [
        helper.make_node("Conv", ["x"], ["y"], name="Convolution28"),
        helper.make_node("Relu", ["y"], ["z"], name="last"),
    ]
    for text, kept in (("Convolution28", [True, False]), ("Relu", [False, True]), ("Relu,Convolution28", [True, True])):
        recipe = read_recipe(text)
        assert ([recipe.keeps(n) for n in nodes], recipe.unmatched(nodes)) == (kept, ())
    assert read_recipe("Convolution29").unmatched(nodes) == ("Convolution29",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a recipe file"),
        ("absent.yaml", "cannot be read"),
    ],
)
def test_what_is_no_recipe_is_refused(text, said):
    with pytest.raises(PlanError, match=said):
        read_recipe(text)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[a, b]", "expected a mapping with nodes or operators, got list"),
        ("{}", "expected a mapping"),
        ("{node: [a]}", r"unknown key node \(did you mean 'nodes'\?\)"),
        ("{nodes: a}", "nodes: expected a list of names, got 'a'"),
        ("{nodes: [1]}", "expected a list of names"),
        ("{nodes: [", "cannot be read"),
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path, content, said):
    path = tmp_path / "r.yaml"
    path.write_text(content)
    with pytest.raises(PlanError, match=said):
        read_recipe(str(path))
