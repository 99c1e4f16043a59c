"""Two models' parity as the command prints it: words, JSON and exit codes."""

import json

import jsonschema
import onnx
import pytest
from long_graphs import network, overflowing
from onnx import helper

from seatrial.cli.output import console
from seatrial.cli.parity_models import parity_of_models
from seatrial.cli.schema import schema_of
from seatrial.demo import MODEL, PICTURE
from seatrial.errors import ExitCode, UsageError
from seatrial.precision.half import halved
from seatrial.precision.recipe import read_recipe


@pytest.fixture
def model(tmp_path):
    onnx.save(network(), tmp_path / "a.onnx")
    return tmp_path / "a.onnx"


def test_one_file_on_two_backends_is_equal(model, capsys):
    code = parity_of_models(console(), model, model, backends=("onnxruntime-cpu", "openvino-cpu"), count=1)
    said = capsys.readouterr().out
    assert code == ExitCode.PASS
    assert said.splitlines()[-1] == "EQUAL  every output within 0.001 of its spread, and every node on equal inputs"
    assert "a.onnx on openvino-cpu" in said
    assert "125 tensors matched, 0 of A and 0 of B not; 1 made-up input" in said


def test_the_node_is_named_with_what_differs_and_json_has_all(model, tmp_path, capsys):
    proto = network()
    target = next(n for n in proto.graph.node if n.name == "BatchNormalization_51")
    target.attribute.append(helper.make_attribute("epsilon", 0.05))
    onnx.save(proto, tmp_path / "b.onnx")
    code = parity_of_models(console(), model, tmp_path / "b.onnx", count=1, json=tmp_path / "out.json")
    said = capsys.readouterr().out
    assert code == ExitCode.FAIL
    assert "epsilon not given in A, 0.05 in B" in said
    assert "first at BatchNormalization BatchNormalization_51" in " ".join(said.split())
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["schema"], found["verdict"], found["made_up_inputs"]) == ("seatrial.parity/1", "FAIL", True)
    assert found["first_divergence"]["node"] == "BatchNormalization_51"
    assert len(found["inside"]["errors"]) == 124
    jsonschema.validate(found, schema_of("parity"))


def test_pictures_go_in_as_init_would_have_it(tmp_path, capsys):
    proto = onnx.load(MODEL)
    target = next(n for n in proto.graph.node if n.op_type == "Relu")
    target.op_type = "LeakyRelu"
    onnx.save(proto, tmp_path / "b.onnx")
    code = parity_of_models(console(), MODEL, tmp_path / "b.onnx", images=PICTURE.parent, count=2)
    said = capsys.readouterr().out
    assert code == ExitCode.FAIL
    assert "2 images" in said
    assert "Relu in A, LeakyRelu in B" in said


def test_a_recipe_is_written_as_convert_reads_it(tmp_path, capsys):
    proto, needed = overflowing((4,))
    onnx.save(proto, tmp_path / "a.onnx")
    onnx.save(halved(proto, "fp16", {}).proto, tmp_path / "b.onnx")
    recipe = tmp_path / "recipe.yaml"
    code = parity_of_models(console(), tmp_path / "a.onnx", tmp_path / "b.onnx", count=1, recipe=recipe)
    said = capsys.readouterr().out
    assert code == ExitCode.FAIL
    assert f"recipe: {len(needed)} nodes of 32 in fp32: the outputs' error goes from not finite to" in said
    nodes = [n for n in proto.graph.node if read_recipe(str(recipe)).keeps(n)]
    assert {n.name for n in nodes} == needed
    with pytest.raises(UsageError, match="which a recipe is for, got one in fp32"):
        # Before anything runs: A is not even there.
        parity_of_models(console(), tmp_path / "none.onnx", tmp_path / "a.onnx", count=1, recipe=recipe)
