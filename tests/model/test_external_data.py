"""Where a model may keep its weights: no path in a file leads out of its folder, and no tensor is overlooked."""

import os
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from seatrial.errors import ModelError
from seatrial.model.external_data import LFS_POINTER, all_nodes, all_tensors, external_files, is_lfs_pointer


def tensor(name, **facts):
    """One whose data is said to lie elsewhere; without facts, one that holds its own."""
    made = numpy_helper.from_array(np.zeros(4, np.float32), name)
    if facts:
        made.ClearField("raw_data")
        made.data_location = TensorProto.EXTERNAL
        for key, value in facts.items():
            made.external_data.add(key=key, value=str(value))
    return made


def model(*tensors, nodes=()):
    graph = helper.make_graph(list(nodes), "g", [], [], list(tensors))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.fixture
def folder(tmp_path):
    """A model's folder with 16 bytes of data, and a secret beside the folder."""
    own = tmp_path / "own"
    (own / "sub").mkdir(parents=True)
    for file in (own / "w.bin", own / "sub" / "w.bin", own / "größe 1.bin", own / "...bin", tmp_path / "secret"):
        file.write_bytes(bytes(16))
    (own / "empty").touch()
    (own / "lfs").write_bytes(LFS_POINTER + b"\noid sha256:0\n")
    (own / "link").symlink_to("w.bin")
    (own / "out").symlink_to(tmp_path)
    os.mkfifo(own / "pipe")
    return own


@pytest.mark.parametrize(
    ("location", "facts"),
    [
        ("w.bin", {}),
        ("w.bin", {"offset": 0, "length": 16}),
        ("w.bin", {"offset": 0}),
        ("sub/w.bin", {"length": 16}),
        ("./w.bin", {}),
        ("größe 1.bin", {}),
        # Two dots in a name are no way up.
        ("...bin", {}),
    ],
)
def test_data_beside_the_model(folder, location, facts):
    found = external_files(model(tensor("t", location=location, **facts)), folder / "m.onnx")
    assert [f.resolve() for f in found] == [(folder / location).resolve()]


@pytest.mark.parametrize(
    ("location", "facts", "said"),
    [
        ("", {}, "refused: the weights of 't' are said to lie at '', outside"),
        ("../secret", {}, "outside the model's folder"),
        ("sub/../../secret", {}, "outside the model's folder"),
        # Back inside: nobody needs that.
        ("sub/../w.bin", {}, "outside the model's folder"),
        ("..\\secret", {}, "outside the model's folder"),
        ("sub\\..\\..\\secret", {}, "outside the model's folder"),
        ("/etc/passwd", {}, "outside the model's folder"),
        ("C:\\w.bin", {}, "outside the model's folder"),
        ("C:w.bin", {}, "outside the model's folder"),
        ("\\\\host\\share\\w.bin", {}, "outside the model's folder"),
        ("link", {}, "is a link or not a regular file"),
        ("out/secret", {}, "is a link or not a regular file"),
        ("sub", {}, "is a link or not a regular file"),
        (".", {}, "is a link or not a regular file"),
        ("pipe", {}, "is a link or not a regular file"),
        ("missing", {}, "is missing (weights of 't')"),
        ("w.bin\0", {}, "is missing (weights of 't')"),
        ("w.bin/x", {}, "is missing (weights of 't')"),
        ("lfs", {}, "is a Git LFS pointer"),
        ("w.bin", {"length": 17}, "cut short: expected at least 17 bytes, got 16"),
        ("w.bin", {"offset": 1, "length": 16}, "cut short: expected at least 17 bytes, got 16"),
        # Without a length it follows from shape and dtype.
        ("empty", {}, "cut short: expected at least 16 bytes, got 0"),
        ("w.bin", {"offset": 1}, "cut short: expected at least 17 bytes, got 16"),
        ("w.bin", {"offset": 99}, "cut short: expected at least 115 bytes, got 16"),
        ("w.bin", {"length": 15}, "'t' is said to be 15 bytes long, and float32[4] takes 16; export it again"),
        ("w.bin", {"offset": -1, "length": 1}, "'t' has the offset -1, and there is nothing below 0"),
        ("w.bin", {"offset": 0, "length": -1}, "'t' has the length -1, and there is nothing below 0"),
        ("w.bin", {"length": 10**30}, "cut short"),
        ("w.bin", {"offset": "x"}, "'t' has a malformed offset or length"),
        ("w.bin", {"length": ""}, "'t' has a malformed offset or length"),
        ("w.bin", {"length": "1.5"}, "'t' has a malformed offset or length"),
    ],
)
def test_what_is_refused(folder, location, facts, said):
    with pytest.raises(ModelError, match=re.escape(said)):
        external_files(model(tensor("t", location=location, **facts)), folder / "m.onnx")


def test_a_file_of_many_tensors_is_named_once_and_one_without_any_not_at_all(folder):
    many = model(tensor("own"), *(tensor(f"t{k}", location="w.bin", length=16) for k in range(4)))
    assert external_files(many, folder / "m.onnx") == [folder / "w.bin"]
    assert external_files(model(), folder / "m.onnx") == []


@pytest.mark.parametrize(
    ("dtype", "dims", "needed"),
    [("FLOAT", [2, 3], 24), ("DOUBLE", [], 8), ("BOOL", [5], 5), ("BFLOAT16", [3], 6), ("INT4", [5], 3), ("UINT4", [4], 2),
     ("FLOAT8E4M3FN", [7], 7), ("COMPLEX64", [1], 8), ("INT64", [0, 9], 0)],
)  # fmt: skip
def test_as_many_bytes_are_needed_as_the_format_packs_the_values_into(folder, dtype, dims, needed):
    held = onnx.TensorProto(name="t", data_type=TensorProto.DataType.Value(dtype), dims=dims, data_location=1)
    held.external_data.add(key="location", value="exact.bin")
    (folder / "exact.bin").write_bytes(bytes(needed))
    external_files(model(held), folder / "m.onnx")
    if needed:
        (folder / "exact.bin").write_bytes(bytes(needed - 1))
        with pytest.raises(ModelError, match=f"cut short: expected at least {needed} bytes, got {needed - 1}"):
            external_files(model(held), folder / "m.onnx")


def attribute(name, value):
    return helper.make_node("X", [], ["y"], **{name: value})


def everywhere():
    """Models that hold one tensor 't' in each place that ONNX has for one; a sparse one has an index tensor too."""
    t = tensor("t")
    indices = numpy_helper.from_array(np.zeros(4, np.int64), "i")
    sparse = helper.make_sparse_tensor(t, indices, [8])
    inner = helper.make_graph([], "inner", [], [], [t])
    yield "initializer", model(t)
    yield "attribute", model(nodes=[attribute("value", t)])
    yield "attribute list", model(nodes=[attribute("values", [t, t])])
    yield "subgraph", model(nodes=[attribute("body", inner)])
    yield "subgraph list", model(nodes=[attribute("bodies", [inner])])
    deep = helper.make_graph([attribute("body", helper.make_graph([attribute("value", t)], "d", [], []))], "m", [], [])
    yield "subgraph in a subgraph", model(nodes=[attribute("body", deep)])
    m = model()
    m.graph.sparse_initializer.append(sparse)
    yield "sparse initializer", m
    yield "sparse attribute", model(nodes=[attribute("sparse", sparse)])
    opset = [helper.make_opsetid("", 17)]
    m = model()
    m.functions.append(helper.make_function("d", "F", [], ["y"], [attribute("value", t)], opset))
    yield "function", m
    m = model()
    m.functions.append(helper.make_function("d", "F", [], ["y"], [attribute("body", inner)], opset))
    yield "subgraph in a function", m
    default = helper.make_attribute("a", t)
    m = model()
    m.functions.append(helper.make_function("d", "F", [], ["y"], [], opset, attribute_protos=[default]))
    yield "function's default", m
    for part in ("initialization", "algorithm"):
        m = model()
        getattr(m.training_info.add(), part).CopyFrom(inner)
        yield f"training's {part}", m


PLACES = dict(everywhere())


@pytest.mark.parametrize("place", PLACES)
def test_no_tensor_is_overlooked(place):
    names = [t.name for t in all_tensors(PLACES[place])]
    assert names == {"attribute list": ["t", "t"]}.get(place, ["t", "i"] if "sparse" in place else ["t"])
    # And so in a file: nothing of this is lost on the way.
    again = onnx.load_from_string(PLACES[place].SerializeToString())
    assert [t.name for t in all_tensors(again)] == names


def test_nodes_of_every_graph_and_function():
    kinds = [n.op_type for n in all_nodes(PLACES["subgraph in a subgraph"])]
    assert kinds == ["X"] * 3
    assert [n.op_type for n in all_nodes(PLACES["function"])] == ["X"]
    assert list(all_nodes(model())) == []


@pytest.mark.parametrize(("name", "is_one"), [("lfs", True), ("w.bin", False), ("empty", False), ("none", False), ("sub", False)])  # fmt: skip
def test_lfs_pointers(folder, name, is_one):
    assert is_lfs_pointer(folder / name) == is_one
