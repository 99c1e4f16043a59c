"""Model files: read without being trusted."""

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from seatrial.errors import ModelError
from seatrial.model.file import inspect_model


def make_model(folder, external=None, metadata=None):
    weight = numpy_helper.from_array(np.ones((4, 3), np.float32), "w")
    if external is not None:
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        for key, value in external.items():
            weight.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_a_sound_model_tells_its_tensors_and_digest(tmp_path):
    info = inspect_model(make_model(tmp_path, metadata={"names": "{1: 'dog', 0: 'cat'}"}))
    assert str(info.inputs[0]) == "x float32[batch, 3]"
    assert [o.name for o in info.outputs] == ["y"]
    assert info.labels() == ["cat", "dog"]
    assert info.digest.startswith("sha256:")
    assert info.size_bytes == (tmp_path / "model.onnx").stat().st_size


TWELVE = [f"kind{i}" for i in range(12)]
NAMES = [
    (str(dict(enumerate(TWELVE))), TWELVE, ""),
    (json.dumps(dict(enumerate(TWELVE))), TWELVE, ""),
    (str({str(i): n for i, n in reversed(list(enumerate(TWELVE)))}), TWELVE, ""),
    (json.dumps(TWELVE), TWELVE, ""),
    (str(tuple(TWELVE)), TWELVE, ""),
    # JSON's own words are no Python
    ('{"0": null, "1": true}', ["None", "True"], ""),
    ("{1: 'dog', 3: 'cow'}", ["", "dog", "", "cow"], "leave out 2 classes: 0, 2"),
    ('{"00": "cat", "1": "dog"}', ["cat", "dog"], ""),
    ("{0: 'cat', '0': 'dog'}", None, "no list and no dict of number to name"),
    ("{'cat': 0, 'dog': 1}", None, "no list and no dict of number to name"),
    ("{-1: 'none', 0: 'cat'}", None, "no list and no dict"),
    ("{0: 'cat', 1.5: 'dog'}", None, "no list and no dict"),
    ("{999999999999: 'cat'}", None, "no list and no dict"),
    ("{}", None, "no list and no dict"),
    ("person, car", None, "no list and no dict"),
    ("", None, ""),
]


@pytest.mark.parametrize(("names", "labels", "said"), NAMES, ids=range(len(NAMES)))
def test_the_class_of_a_key_is_its_number(tmp_path, names, labels, said):
    info = inspect_model(make_model(tmp_path, metadata={"names": names}))
    assert info.labels() == labels
    assert said in "".join(map(str, info.label_notes()))
    assert bool(said) == bool(info.label_notes())


@pytest.mark.parametrize("names", ["__import__('os').system('true')", "{", "[" * 500, "{0: open('x')}"])
def test_metadata_is_never_run(tmp_path, names):
    assert inspect_model(make_model(tmp_path, metadata={"names": names})).labels() is None


@pytest.mark.parametrize("keep", [0, 1, 10, 60, -1])
def test_a_model_cut_short_is_told(tmp_path, keep):
    path = make_model(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"model.onnx.*(cut short|empty)"):
        inspect_model(path)


def test_other_files_are_no_models(tmp_path):
    text = tmp_path / "notes.onnx"
    text.write_text("these are my notes\n" * 20)
    with pytest.raises(ModelError, match="cut short or is not ONNX"):
        inspect_model(text)
    with pytest.raises(ModelError, match="a folder, a pipe or a device"):
        inspect_model(tmp_path)
    with pytest.raises(ModelError, match=r"no such model; that folder has notes.onnx"):
        inspect_model(tmp_path / "model.onnx")


@pytest.mark.parametrize("name", [b"m\xff.onnx", b"m\n.onnx"])
def test_a_path_that_nobody_could_write_down_is_refused(tmp_path, name):
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
    make_model(tmp_path).rename(path)
    with pytest.raises(ModelError, match="expected a path in UTF-8 without control characters.*rename"):
        inspect_model(path)
    make_model(tmp_path).rename(tmp_path / "é\u3000模型 🚢.onnx")
    inspect_model(tmp_path / "é\u3000模型 🚢.onnx")


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../weights.bin", "a/../../weights.bin", "C:\\weights.bin", "..\\weights.bin", ""]
)
def test_external_data_outside_the_folder_is_refused(tmp_path, location):
    (tmp_path / "inner").mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(48))
    with pytest.raises(ModelError, match=r"refused.*outside the model's folder"):
        inspect_model(make_model(tmp_path / "inner", {"location": location}))


def test_external_data_through_a_link_is_refused(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "secret").write_bytes(bytes(48))
    os.symlink(tmp_path / "secret", tmp_path / "inner" / "weights.bin")
    with pytest.raises(ModelError, match=r"refused.*link"):
        inspect_model(make_model(tmp_path / "inner", {"location": "weights.bin"}))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(bytes(48))
    os.symlink(tmp_path / "data", tmp_path / "inner" / "sub")
    with pytest.raises(ModelError, match="refused"):
        inspect_model(make_model(tmp_path / "inner", {"location": "sub/w.bin"}))


def test_missing_and_short_external_data_are_told(tmp_path):
    path = make_model(tmp_path, {"location": "weights.bin", "length": "48"})
    with pytest.raises(ModelError, match=r"weights.bin is missing"):
        inspect_model(path)
    (tmp_path / "weights.bin").write_bytes(bytes(10))
    with pytest.raises(ModelError, match="cut short: expected at least 48 bytes, got 10"):
        inspect_model(path)
    (tmp_path / "weights.bin").write_bytes(bytes(48))
    assert inspect_model(path).size_bytes == path.stat().st_size + 48


def test_external_data_counts_in_the_digest(tmp_path):
    path = make_model(tmp_path, {"location": "weights.bin"})
    (tmp_path / "weights.bin").write_bytes(bytes(48))
    before = inspect_model(path).digest
    (tmp_path / "weights.bin").write_bytes(bytes(47) + b"\1")
    assert inspect_model(path).digest != before


def test_onnx_itself_agrees_that_the_sound_model_is_sound(tmp_path):
    onnx.checker.check_model(str(make_model(tmp_path)))


def outside(name="w"):
    """A tensor whose data are said to lie outside the model's folder."""
    tensor = onnx.TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../elsewhere.bin")
    return tensor


def sparse_outside(part):
    sound = numpy_helper.from_array(np.zeros(1, np.int64 if part == "values" else np.float32), "sound")
    parts = {"values": sound, "indices": sound} | {part: outside()}
    return onnx.SparseTensorProto(dims=[4], **parts)


def attribute(kind, held):
    made = onnx.AttributeProto(name="a", type=getattr(onnx.AttributeProto, kind.upper()))
    field = getattr(made, {"tensor": "t", "sparse_tensor": "sparse_tensor", "graph": "g"}.get(kind, kind))
    field.extend([held]) if kind.endswith("s") else field.CopyFrom(held)
    return made


def graph_outside():
    return onnx.GraphProto(name="sub", initializer=[outside()])


PLACES = {
    "initialiser": lambda m: m.graph.initializer.append(outside("other")),
    "sparse initialiser's values": lambda m: m.graph.sparse_initializer.append(sparse_outside("values")),
    "sparse initialiser's indices": lambda m: m.graph.sparse_initializer.append(sparse_outside("indices")),
    "attribute": lambda m: m.graph.node[0].attribute.append(attribute("tensor", outside())),
    "attribute's list": lambda m: m.graph.node[0].attribute.append(attribute("tensors", outside())),
    "sparse attribute's values": lambda m: m.graph.node[0].attribute.append(
        attribute("sparse_tensor", sparse_outside("values"))
    ),
    "sparse attribute's indices": lambda m: m.graph.node[0].attribute.append(
        attribute("sparse_tensor", sparse_outside("indices"))
    ),
    "sparse attributes": lambda m: m.graph.node[0].attribute.append(
        attribute("sparse_tensors", sparse_outside("values"))
    ),
    "subgraph": lambda m: m.graph.node[0].attribute.append(attribute("graph", graph_outside())),
    "subgraphs": lambda m: m.graph.node[0].attribute.append(attribute("graphs", graph_outside())),
    "subgraph of a subgraph": lambda m: m.graph.node[0].attribute.append(
        attribute(
            "graph",
            onnx.GraphProto(
                name="s", node=[onnx.NodeProto(op_type="If", attribute=[attribute("graph", graph_outside())])]
            ),
        )
    ),
    "function": lambda m: m.functions.append(
        onnx.FunctionProto(
            name="f", domain="d", node=[onnx.NodeProto(op_type="Constant", attribute=[attribute("tensor", outside())])]
        )
    ),
    "function's default": lambda m: m.functions.append(
        onnx.FunctionProto(name="f", domain="d", attribute_proto=[attribute("sparse_tensor", sparse_outside("values"))])
    ),
    "training information": lambda m: m.training_info.append(onnx.TrainingInfoProto(algorithm=graph_outside())),
}


@pytest.mark.parametrize("place", PLACES)
def test_data_outside_the_folder_is_refused_wherever_it_hides(tmp_path, place):
    path = make_model(tmp_path)
    inspect_model(path)
    model = onnx.load(path)
    PLACES[place](model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"refused: the weights of .* outside the model's folder"):
        inspect_model(path)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def test_a_git_lfs_pointer_is_told(tmp_path):
    (tmp_path / "m.onnx").write_bytes(LFS)
    with pytest.raises(ModelError, match=r"m.onnx: .*a Git LFS pointer.*git lfs pull"):
        inspect_model(tmp_path / "m.onnx")
    (tmp_path / "w.bin").write_bytes(LFS)
    with pytest.raises(ModelError, match=r"w.bin is a Git LFS pointer.*git lfs pull"):
        inspect_model(make_model(tmp_path, external={"location": "w.bin", "length": "48"}))


@pytest.mark.parametrize(
    ("kind", "words"), [("float32", ""), ("float16", "holds float16 weights"), ("bfloat16", "holds bfloat16 weights")]
)
def test_what_most_of_the_weights_are_held_in(tmp_path, kind, words):
    """A hundred among twelve of float32 are most."""
    path = make_model(tmp_path)
    model = onnx.load(path)
    held = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16}[kind]
    model.graph.initializer.append(helper.make_tensor("h", held, [100], np.zeros(100)))
    path.write_bytes(model.SerializeToString())
    info = inspect_model(path)
    assert (info.weights, info.held, info.quantised) == ("" if kind == "float32" else kind, words, False)


@pytest.mark.parametrize(
    ("shape", "shown", "ranked", "takes"),
    [
        (None, "float32[unknown rank]", False, [(), (3,), (1, 3, 8, 8)]),
        ([], "float32[]", True, [()]),
        ([None, 3], "float32[?, 3]", True, [(1, 3), (9, 3)]),
    ],
)
def test_a_tensor_without_a_shape_is_no_scalar(tmp_path, shape, shown, ranked, takes):
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [output])
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    info = inspect_model(tmp_path / "m.onnx")
    assert (str(info.inputs[0]), str(info.outputs[0])) == (f"x {shown}", f"y {shown}")
    assert info.inputs[0].ranked is info.outputs[0].ranked is ranked
    assert [s for s in ((), (3,), (1, 3), (9, 3), (1, 3, 8, 8)) if info.inputs[0].fits(s) and s in takes] == takes
    assert ranked == (not info.inputs[0].fits((7, 7, 7)))
