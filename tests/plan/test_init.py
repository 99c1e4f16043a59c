"""The plan that init writes: valid, honest about what it does not know, and nobody else's to add keys to."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper

from seatrial.errors import ModelError
from seatrial.model.file import inspect_model
from seatrial.plan.guess import guess
from seatrial.plan.init import Guessed, from_folder, plan_text
from seatrial.plan.load import load_plan
from seatrial.plan.seen import observe

FLOAT = TensorProto.FLOAT


def save(folder, inputs, outputs, metadata=None, nodes=None):
    """A model whose outputs have these types and shapes; what it computes is never asked."""
    nodes = nodes or [helper.make_node("Identity", [inputs[0].name] if inputs else [], [o.name]) for o in outputs]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs), opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    path = folder / "m.onnx"
    onnx.save(model, path)
    return path


def tensor(name, shape, dtype=FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def written(folder, path):
    """The plan as text, and as it is read again."""
    info = inspect_model(path)
    text = plan_text(info, guess(info), folder, "photos", ["onnxruntime-cpu"])
    (folder / "trial.yaml").write_text(text, "utf-8")
    return text, load_plan(folder / "trial.yaml")


IMAGE = tensor("images", ["batch", 3, 64, 64])
RUNS = {
    "float32": (tensor("x", [1, 3, 64, 64]), "float32"),
    "float16": (tensor("x", [1, 3, 64, 64], TensorProto.FLOAT16), "float16"),
    "uint8": (tensor("x", [1, 3, 64, 64], TensorProto.UINT8), "uint8"),
    "int8": (tensor("x", [1, 3, 64, 64], TensorProto.INT8), "int8"),
    "grey": (tensor("x", [1, 1, 64, 64]), "float32"),
    "channels last": (tensor("x", [1, 64, 64, 3], TensorProto.UINT8), "uint8"),
    "any size": (tensor("x", ["n", 3, "h", "w"]), "float32"),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_plan_is_written_where_the_built_in_preprocess_can_feed_the_model(tmp_path, name):
    from seatrial.pipeline.build import build_pipeline

    image, dtype = RUNS[name]
    path = save(tmp_path, [image], [tensor("y", [1, 10])])
    _, plan = written(tmp_path, path)
    spec = plan.plan.pipelines["baseline"]
    assert spec.preprocess.dtype == dtype
    build_pipeline("baseline", spec, inspect_model(path), tmp_path)
    assert plan.unconfirmed


REFUSED = {
    "float64": ([tensor("x", [1, 3, 64, 64], TensorProto.DOUBLE)], None, r"takes float64.*Python preprocess.*gives float64"),
    "int32": ([tensor("x", [1, 3, 64, 64], TensorProto.INT32)], None, r"takes int32.*Python preprocess"),
    "int64": ([tensor("x", [1, 3, 64, 64], TensorProto.INT64)], None, r"takes int64.*Python preprocess"),
    "uint16": ([tensor("x", [1, 3, 64, 64], TensorProto.UINT16)], None, r"takes uint16"),
    "bfloat16": ([tensor("x", [1, 3, 64, 64], TensorProto.BFLOAT16)], None, r"bfloat16, which NumPy does not have.*export"),
    "text": ([tensor("s", [1, 3], TensorProto.STRING)], None, r"takes text, not an image"),
    "no input": ([], None, r"no inputs, so no image can go in"),
    "two inputs": ([IMAGE, tensor("size", [1, 2])], None, r"has 2 inputs.*returns a dict"),
    "nothing goes in": ([tensor("x", [1, 3, 0, 8])], None, r"a dimension of size 0, into which no picture goes"),
    "no batch": ([tensor("x", [3, "h", "w"])], None, r"no input looks like an image"),
    "bfloat16 out": ([IMAGE], tensor("y", [1, 10], TensorProto.BFLOAT16), r"output y bfloat16\[1, 10\] is bfloat16.*export"),
    "sequence out": (
        [IMAGE], helper.make_tensor_sequence_value_info("y", FLOAT, None), r"output 'y' holds a value of type sequence, not a tensor.*export"
    ),
    "map out": (
        [IMAGE],
        helper.make_value_info("y", helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(FLOAT, []))),
        r"output 'y' holds a value of type map",
    ),
    "optional out": (
        [IMAGE], helper.make_value_info("y", helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, []))),
        r"output 'y' holds a value of type optional",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_no_plan_is_written_that_the_next_command_refuses(tmp_path, name):
    inputs, output, message = REFUSED[name]
    nodes = None if inputs else [helper.make_node("Constant", [], ["y"], value_float=1.0)]
    path = save(tmp_path, inputs, [output or tensor("y", [1, 10])], nodes=nodes)
    with pytest.raises(ModelError, match=message) as refused:
        guess(inspect_model(path))
    assert refused.value.exit_code == 4


EVIL = "y\nmatrix: {backends: [fake]}\n\x1b[2J\u2028\u202eparity: {}\x85z"


@pytest.mark.parametrize("where", ["input", "output", "dimension", "label", "task", "size"])
def test_names_in_a_model_add_no_keys_to_the_plan(tmp_path, where):
    image = tensor(EVIL if where == "input" else "x", [EVIL if where == "dimension" else "n", 3, 64, 64])
    output = tensor(EVIL if where == "output" else "y", ["n", 2])
    metadata = {
        "names": repr({0: EVIL if where == "label" else "a", 1: "b"}),
        "task": EVIL if where == "task" else "classify",
        "imgsz": EVIL if where == "size" else "[64, 64]",
    }
    path = save(tmp_path, [image], [output], metadata)
    text, plan = written(tmp_path, path)
    assert plan.plan.matrix.backends == ["onnxruntime-cpu"]
    assert not any(c in text for c in "\x1b\u2028\u202e\x85")
    assert list(yaml.safe_load(text)) == ["version", "images", "pipelines", "matrix", "budgets", "parity", "measure"]
    if where == "label":
        assert plan.plan.pipelines["baseline"].postprocess.labels == [EVIL, "b"]
    assert "\n" not in str(inspect_model(path).inputs[0])


def test_an_output_that_the_plan_names_is_found_again_whatever_it_is_called(tmp_path):
    outputs = [tensor(f"dets{EVIL}", ["n", 300, 4]), tensor("labels", ["n", 300, 4])]
    path = save(tmp_path, [IMAGE], outputs)
    _, plan = written(tmp_path, path)
    assert plan.plan.pipelines["baseline"].postprocess.outputs == [f"dets{EVIL}", "labels"]


FITS = [
    # metadata, output, mode, colour, scale is 1, what is read
    (
        {"stride": "32", "task": "detect", "description": "Ultralytics rtdetr-l"},
        [1, 300, 84],
        "stretch",
        "rgb",
        False,
        "detect",
    ),
    ({"stride": "32", "task": "detect"}, [1, 84, 336], "letterbox", "rgb", False, "detect"),
    ({}, [1, 336, 85], "letterbox", "bgr", True, "detect"),
    ({}, [1, 1008, 85], "letterbox", "rgb", False, "detect"),
    ({}, [1, 10], "resize_center_crop", "rgb", False, "classify"),
    ({"stride": "32", "task": "obb"}, [1, 7, 336], "letterbox", "rgb", False, "oriented"),
]


@pytest.mark.parametrize(("metadata", "shape", "mode", "color", "unscaled", "task"), FITS)
def test_how_a_picture_goes_in_follows_the_head(tmp_path, metadata, shape, mode, color, unscaled, task):
    found = guess(inspect_model(save(tmp_path, [tensor("images", [1, 3, 128, 128])], [tensor("y", shape)], metadata)))
    p = found.preprocess
    assert (found.task, p["mode"], p["color"], p["scale"] == 1) == (task, mode, color, unscaled)
    if task == "raw":
        assert found.recognition.refused
        assert any("no built-in postprocess reads it yet" in u for u in found.unsure)


def test_a_file_that_is_quantised_already_is_told(tmp_path):
    node = helper.make_node("QLinearConv", ["x"] * 8, ["y"])
    found = guess(inspect_model(save(tmp_path, [tensor("x", [1, 3, 64, 64])], [tensor("y", [1, 10])], nodes=[node])))
    assert any("quantised already: fp32 runs it as it is, and int8 is not made" in w for w in found.why)


def test_a_file_of_floats_with_a_quantised_input_is_not_called_quantised(tmp_path):
    nodes = [helper.make_node("DequantizeLinear", ["x", "s"], ["f"]), helper.make_node("Conv", ["f", "w"], ["y"])]
    image = tensor("x", [1, 3, 64, 64], TensorProto.UINT8)
    found = guess(inspect_model(save(tmp_path, [image], [tensor("y", [1, 10])], nodes=nodes)))
    assert not any("int8 is not made" in w for w in found.why)


def test_an_input_of_unknown_rank_has_an_error_of_its_own(tmp_path):
    with pytest.raises(ModelError, match=r"does not say its input's shape \(x float32\[unknown rank\]\)"):
        guess(inspect_model(save(tmp_path, [tensor("x", None)], [tensor("y", [1, 10])])))


def test_what_is_still_marked_is_found_in_the_plans_text(tmp_path):
    path = save(tmp_path, [tensor("x", ["n", 3, "h", "w"])], [tensor("y", [1, 10])])
    text, plan = written(tmp_path, path)
    assert len(plan.unconfirmed) == text.count("# CHECK") == 3
    assert plan.unconfirmed[0].startswith("size: the model leaves it open")
    done = "\n".join(line for line in text.splitlines() if not line.startswith("# CHECK"))
    (tmp_path / "trial.yaml").write_text(done, "utf-8")
    assert load_plan(tmp_path / "trial.yaml").unconfirmed == ()


@pytest.mark.parametrize(
    ("run_s", "limit", "most"), [(None, "200 ms", 20), (0.002, "200 ms", 20), (0.45, "1 s", 30), (3.0, "6 s", 180)]
)
def test_a_slow_model_has_the_time_that_its_verdict_takes(tmp_path, run_s, limit, most):
    """Ten runs in five seconds would decide nothing."""
    path = save(tmp_path, [tensor("x", [1, 3, 64, 64])], [tensor("y", [1, 10])])
    info = inspect_model(path)
    found = replace(guess(info), run_s=run_s)
    text = plan_text(info, found, tmp_path, "photos", ["onnxruntime-cpu"], Guessed(info, found))
    (tmp_path / "trial.yaml").write_text(text, "utf-8")
    plan = load_plan(tmp_path / "trial.yaml").plan
    assert f"max: {limit}}}" in text
    assert plan.measure.max_time == most
    assert plan.regression.max_time >= max(60, 400 * (run_s or 0))


def test_a_size_that_cannot_be_is_no_doubt_where_the_model_fixes_its_own(tmp_path):
    path = save(tmp_path, [tensor("x", [1, 3, 64, 64])], [tensor("y", [1, 10])], {"imgsz": "[3, 64, 64]"})
    found = guess(inspect_model(path))
    assert any(w.startswith("size 64 × 64: fixed in the model; imgsz '[3, 64, 64]'") for w in found.why)
    assert not any(u.startswith("size") for u in found.unsure)


def planned(folder, shape, values=None, **metadata):
    """The text of a plan for an output of this shape. values: what it held on a picture."""
    info = inspect_model(save(folder, [IMAGE], [tensor("y", shape)], metadata))
    seen = observe(["y"], [([values.astype("float32")], 1)]) if values is not None else {}
    return plan_text(info, guess(info, seen), folder, "photos", ["onnxruntime-cpu"])


NAMES = {"names": "{0: 'a', 1: 'b', 2: 'c'}", "stride": "32"}
ANNOTATIONS = {
    "detect": (["batch", 7, 84], NAMES | {"task": "detect"}, "annotations.json   # COCO JSON with boxes"),
    "oriented": (["batch", 8, 84], NAMES | {"task": "obb"}, "labels/   # a folder of DOTA's or Ultralytics' text files, or"),
    "pose": (["batch", 16, 84], NAMES | {"task": "pose", "kpt_shape": "[3, 3]"}, "annotations.json   # COCO JSON with keypoints"),
    "segment": (["batch", 3, 64, 64], {}, "masks/   # a folder of label images (PNG), or COCO JSON"),
    "classify": (["batch", 3], NAMES, "annotations.csv   # a CSV with columns image,class\n"),
    "text": (["batch", 9, 5], {"character": "a\nb\nc"}, "annotations.csv   # a CSV with columns image,text"),
}  # fmt: skip


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_the_line_for_the_truth_is_that_of_the_task(tmp_path, name):
    shape, metadata, said = ANNOTATIONS[name]
    assert f"  # annotations: {said}" in planned(tmp_path, shape, **metadata)


def test_several_classes_at_once_are_planned_where_probabilities_do_not_sum_to_one(tmp_path):
    (tmp_path / "trial.yaml").write_text(planned(tmp_path, ["batch", 3], np.array([[0.9, 0.8, 0.1]])), "utf-8")
    plan = load_plan(tmp_path / "trial.yaml")
    post = plan.plan.pipelines["baseline"].postprocess
    assert (post.task, post.multi_label, post.activation) == ("classify", True, "none")
    assert any("a sigmoid a class, so that several may be true (multi_label: true" in u for u in plan.unconfirmed)
    assert "columns image,class, a row for each class of an image" in plan.text
    one = planned(tmp_path, ["batch", 3], np.array([[0.2, 0.7, 0.1]]))
    assert "multi_label" not in one
    assert "top_k: 5" in one


@pytest.mark.parametrize(
    ("place", "plan", "said"),
    [
        ("trials/photos", "trials", "photos"),
        ("photos", "trials", "../photos"),
        ("trials", "trials", "."),
        ("deep/photos", "trials/of/mine", None),
        ("photos", "link", None),
    ],
)
def test_paths_below_a_plan_or_beside_it_are_relative_to_it(tmp_path, place, plan, said):
    """Through a link to the plan's folder, '..' would be somewhere else."""
    (tmp_path / "elsewhere" / "far").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "far")
    for folder in (place, "" if plan == "link" else plan):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    assert from_folder(tmp_path / place, tmp_path / plan) == (said or str(tmp_path / place))
