"""Maps and rows of scores in plans: which map an export has, which keys go together, and what only a run shows to be wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from seatrial.errors import ModelError
from seatrial.jobs.guessed import _with_labels_that_fit
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.pipeline.check_outputs import check_postprocess
from seatrial.pipeline.class_count import check_labels, head_classes
from seatrial.pipeline.decoders import decoder_of, has_two_engines
from seatrial.pipeline.plausibility import Plausibility
from seatrial.plan import pipelines
from seatrial.plan.budgets import Budget
from seatrial.plan.guess import guess
from seatrial.plan.heads import recognise
from seatrial.plan.init import plan_text
from seatrial.plan.pipelines import Postprocess
from seatrial.plan.seen import Seen, observe

RNG = np.random.default_rng(8)
SIDE = 64


def info(outputs, labels=0):
    """outputs: shapes by name, without the batch, each with its dtype behind where that is no float32."""
    tensors = []
    for name, shape in outputs.items():
        *dims, last = shape
        dtype = last if isinstance(last, str) and last not in ("h", "w", "c") else "float32"
        tensors.append(TensorInfo(name, ("n", *dims, *([] if dtype is last else [last])), dtype))
    metadata = {"names": json.dumps({k: f"c{k}" for k in range(labels)}).replace('"', "'")} if labels else {}
    return ModelInfo(
        Path("m.onnx"), (TensorInfo("x", ("n", 3, SIDE, SIDE), "float32"),), tuple(tensors), metadata, 0, 1, ""
    )


def of_arrays(arrays, labels=0):
    return info({n: (*a.shape[1:], a.dtype.name) for n, a in arrays.items()}, labels)


def seen(arrays):
    return observe(list(arrays), [(list(arrays.values()), 1)])


def f32(*shape):
    return RNG.normal(0, 2, shape).astype(np.float32)


PROBABILITIES = RNG.uniform(0, 1, (1, 1, 32, 32)).astype(np.float32)
NUMBERS = RNG.integers(0, 5, (1, 32, 32))
CASES = {
    "logits": ({"y": f32(1, 1, 32, 32)}, "segment", "one_channel", "sigmoid", ()),
    "probabilities": ({"y": PROBABILITIES}, "segment", "one_channel", "none", ()),
    "U²-Net": ({f"d{k}": PROBABILITIES for k in range(7)}, "segment", "one_channel", "none", ("d0",)),
    "class numbers": ({"y": NUMBERS}, "segment", "class_map", None, ()),
    "class numbers in float": ({"y": NUMBERS[:, None].astype(np.float32)}, "segment", "class_map", None, ()),
    "class numbers in float, without a channel": ({"y": NUMBERS.astype(np.float32)}, "segment", "class_map", None, ()),
    "channels last": ({"y": f32(1, 32, 32, 5)}, "segment", "channels_last", None, ()),
    "torchvision's deeplab": ({"out": f32(1, 21, 64, 64), "aux": f32(1, 21, 64, 64)}, "segment", None, None, ("out",)),
    "depth": ({"predicted_depth": np.abs(f32(1, 64, 64))}, "dense", None, None, ()),
    "depth without a name": ({"y": 3 + np.abs(f32(1, 64, 64))}, "dense", None, None, ()),
    "depth beside a field of view": (
        {"depth": np.abs(f32(1, 1, 64, 64)), "fov": f32(1, 1)},
        "dense",
        None,
        None,
        ("depth",),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_map_is_told_and_always_to_be_checked(name):
    arrays, task, form, activation, outputs = CASES[name]
    model = of_arrays(arrays)
    found = recognise(model, seen(arrays), (SIDE, SIDE))
    assert (found.head.task, found.head.format, found.outputs) == (task, form, outputs)
    assert not found.certain
    assert found.doubts
    g = guess(model, seen(arrays))
    assert activation is None or g.activation == activation
    text = plan_text(model, g, Path(), "pictures", ["onnxruntime-cpu"])
    assert "# CHECK" in text


def test_whole_numbers_with_labels_for_all_are_ticked():
    found = recognise(of_arrays({"y": NUMBERS}, 5), seen({"y": NUMBERS}), (SIDE, SIDE))
    assert found.certain
    assert not recognise(of_arrays({"y": NUMBERS}, 4), seen({"y": NUMBERS}), (SIDE, SIDE)).certain


def test_a_detectors_list_is_no_map():
    arrays = {"y": f32(1, 9, 84)}
    assert recognise(of_arrays(arrays), seen(arrays), (SIDE, SIDE)).head.task != "dense"


def test_a_column_more_than_labels_is_a_background_to_be_checked():
    arrays = {"y": f32(1, 11)}
    model = of_arrays(arrays, 10)
    found = _with_labels_that_fit(model, guess(model, seen(arrays)))
    assert (found.background, found.labels_fit) == ("first", True)
    assert any("10 classes for 11 columns" in said for said in found.unsure)
    assert "      background: first" in plan_text(model, found, Path(), "pictures", ["onnxruntime-cpu"])


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"task": "segment", "format": "yolov8"}, "task 'segment' reads formats scores, class_map"),
        ({"task": "segment", "format": "one_channel"}, "'one_channel' needs activation: sigmoid where"),
        ({"task": "segment", "threshold": 0.3}, "only format db or one_channel reads 'threshold', not 'scores'"),
        ({"task": "segment", "format": "class_map", "resize": "linear"}, "between which there is nothing"),
        ({"task": "classify", "resize": "linear"}, "only task segment reads 'resize'"),
        ({"task": "dense", "scale": 0}, "expected a number other than 0"),
        ({"task": "segment", "invert": True}, "only task dense reads 'invert'"),
        ({"task": "dense", "format": "scores"}, "task 'dense' takes no format"),
        ({"task": "classify", "multi_label": True}, "multi_label needs activation: sigmoid"),
        ({"task": "classify", "multi_label": True, "activation": "none", "top_k": 3}, "leave 'top_k' out"),
        (
            {"task": "classify", "multi_label": True, "activation": "none", "background": "first"},
            "leave 'background' out",
        ),
        ({"task": "detect", "format": "scores"}, "task 'detect' reads formats yolov5"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(keys, said):
    with pytest.raises(ValidationError, match=said):
        Postprocess.model_validate(keys)


def test_a_limit_on_rmse_is_a_plain_number():
    assert (Budget(metric="rmse", max=0.5).limit, Budget(metric="rmse", max=0.5).unit) == (0.5, "")
    assert (Budget(metric="abs_rel", max="10%").limit, Budget(metric="abs_rel", max=0.1).unit) == (0.1, "fraction")
    with pytest.raises(
        ValidationError, match="expected a plain number such as 0.5, in the unit of the truth, got '0.5 m'"
    ):
        Budget(metric="rmse", max="0.5 m")
    with pytest.raises(ValidationError, match="takes 'max', not 'min'"):
        Budget(metric="abs_rel", min=0.5)


def spec(**post):
    return pipelines.Pipeline.model_validate(
        {"model": "m.onnx", "preprocess": {"size": [SIDE, SIDE]}, "postprocess": post}
    )


MASK = {"task": "segment", "format": "one_channel", "activation": "none"}


@pytest.mark.parametrize(
    ("post", "outputs", "said"),
    [
        ({"task": "segment"}, {"y": (32, 32)}, "set format: class_map"),
        ({"task": "segment"}, {"y": (1, 32, 32)}, "format: one_channel for a mask.* class_map .* or task: dense"),
        ({"task": "segment"}, {"y": (32, 32, 5)}, "with its channels last: set format: channels_last"),
        (
            {"task": "segment", "format": "channels_last"},
            {"y": (5, 32, 32)},
            "with its channels first: set format: scores",
        ),
        (MASK, {"y": (5, 32, 32)}, r"reads \(B, 1, height, width\) or .*format scores where its channels are classes"),
        (MASK, {"a": (1, 32, 32), "b": (1, 32, 32)}, r"reads one output, but .*name it: outputs: \[a\]"),
        ({"task": "dense"}, {"y": (5, 32, 32)}, r"task is dense, which reads \(B, 1, height, width\)"),
        ({"task": "dense"}, {"y": (10,)}, "use task: raw"),
        ({"task": "segment"}, {"y": (10,)}, "use task: raw"),
    ],
)
def test_shapes_that_rule_a_map_out_name_the_format(post, outputs, said):
    with pytest.raises(ModelError, match=said):
        check_postprocess("pipelines.only", spec(**post).postprocess, info(outputs), None)


@pytest.mark.parametrize(
    ("post", "outputs"),
    [
        (MASK, {"y": (1, 32, 32)}),
        (MASK, {"y": ("c", "h", "w")}),
        (MASK | {"outputs": ["a"]}, {"a": (1, 32, 32), "b": (1, 32, 32)}),
        ({"task": "segment", "format": "class_map"}, {"y": (32, 32, "int64")}),
        ({"task": "segment", "format": "channels_last"}, {"y": (32, 32, 5)}),
        ({"task": "dense"}, {"y": ("h", "w")}),
    ],
)
def test_maps_that_may_be_right_pass(post, outputs):
    check_postprocess("pipelines.only", spec(**post).postprocess, info(outputs), None)


@pytest.mark.parametrize(
    ("post", "array", "labels", "said"),
    [
        (MASK, f32(1, 1, 16, 16), None, "expects probabilities for activation: none.*set activation: sigmoid"),
        (MASK | {"activation": "sigmoid"}, PROBABILITIES, None, "no pixel would be below a half; set activation: none"),
        ({"task": "segment", "format": "class_map"}, PROBABILITIES[0], None, "are not whole; set format: one_channel"),
        ({"task": "segment", "format": "class_map"}, -NUMBERS, None, "are not negative"),
        (
            {"task": "segment", "format": "class_map"},
            NUMBERS,
            ["a"],
            "up to 4, but there are 1 labels; give one a class",
        ),
        (
            {"task": "segment", "format": "class_map"},
            NUMBERS,
            ["a"] * 4,
            "for 0 to 3; counted from 1. give class 0 a label",
        ),
        ({"task": "segment"}, f32(1, 32, 32, 5), None, "set format: channels_last"),
        (MASK, PROBABILITIES, None, ""),
        (MASK | {"activation": "sigmoid"}, f32(1, 1, 16, 16), None, ""),
        (MASK | {"activation": "sigmoid"}, np.zeros((1, 1, 16, 16), np.float32), None, ""),
        ({"task": "segment", "format": "class_map"}, NUMBERS, ["a"] * 5, ""),
        ({"task": "segment", "format": "class_map"}, np.where(NUMBERS == 4, 255, NUMBERS), ["a"] * 4, ""),
        ({"task": "segment"}, f32(1, 5, 32, 32), None, ""),
        ({"task": "dense"}, f32(1, 32, 32), None, ""),
    ],
)
def test_what_a_map_held_is_held_against_its_format(post, array, labels, said):
    model = ModelInfo(
        Path("m.onnx"), (TensorInfo("x", ("n", 3, SIDE, SIDE), "float32"),),
        (TensorInfo("y", ("n", *"abc"[: array.ndim - 1]), array.dtype.name),), {}, 0, 1, "",
    )  # fmt: skip
    found = Plausibility("only", spec(**post), model, labels)
    found.add([array], 1)
    problem = found.problem()
    assert bool(problem) is bool(said)
    if said:
        with pytest.raises(ModelError, match=said):
            found.settle(reduced=False)


@pytest.mark.parametrize("form", ["scores", "channels_last"])
def test_independent_sigmoids_are_doubted_where_none_wins(form):
    def doubts(scores):
        scores = scores if form == "scores" else scores.transpose(0, 2, 3, 1)
        model = info({"y": scores.shape[1:]})
        found = Plausibility("only", spec(task="segment", format=form), model, None)
        found.add([np.ascontiguousarray(scores, np.float32)], 1)
        return [w.code for w in found.doubts()]

    sigmoids = np.full((1, 3, 32, 32), 0.02)
    sigmoids[:, 1, :12] = 0.98
    assert doubts(sigmoids) == ["independent-scores"]
    # With a background that wins there; as shares of one whole; as logits; in few cells.
    rest = 1 - sigmoids.max(axis=1, keepdims=True)
    assert doubts(np.concatenate([rest, sigmoids], axis=1)) == []
    assert doubts(np.full((1, 4, 32, 32), 0.25)) == []
    assert doubts(np.log(sigmoids)) == []
    sigmoids[:, 2, 8:28] = 0.7
    assert doubts(sigmoids) == []


def test_what_has_no_inverse_is_warned_of():
    model = info({"y": (16, 16)})
    found = Plausibility("only", spec(task="dense", invert=True), model, None)
    found.add([np.linspace(-1, 3, 256, dtype=np.float32).reshape(1, 16, 16)], 1)
    assert [w.code for w in found.doubts()] == ["no-inverse"]
    flat = Plausibility("only", spec(task="dense"), model, None)
    flat.add([np.ones((1, 16, 16), np.float32)], 1)
    assert [w.code for w in flat.doubts()] == ["constant-map"]


@pytest.mark.parametrize(
    ("post", "outputs", "count"),
    [
        ({"task": "classify", "background": "first"}, {"y": (1001,)}, 1000),
        ({"task": "segment", "format": "channels_last"}, {"y": (32, 32, 21)}, 21),
        ({"task": "segment", "format": "class_map"}, {"y": (32, 32)}, None),
        (MASK, {"y": (1, 32, 32)}, 2),
        ({"task": "dense"}, {"y": (32, 32)}, None),
    ],
)
def test_classes_of_a_head_are_counted_as_results_count_them(post, outputs, count):
    assert head_classes(Postprocess.model_validate(post), info(outputs)) == count


def test_one_label_more_or_fewer_is_cured_by_the_background():
    own = spec(task="classify", labels=[str(k) for k in range(1000)])
    with pytest.raises(ModelError, match=r"set background: first \(or last\) where that column is no class"):
        check_labels("pipelines.only", own, info({"y": (1001,)}), own.postprocess.labels)
    check_labels("pipelines.only", spec(task="classify", background="last"), info({"y": (1001,)}), ["x"] * 1000)


@pytest.mark.parametrize(
    ("post", "two"),
    [
        ({"task": "segment"}, True),
        ({"task": "segment", "format": "channels_last"}, True),
        ({"task": "segment", "resize": "linear"}, True),
        ({"task": "segment", "format": "class_map"}, False),
        (MASK, False),
        ({"task": "dense"}, False),
        ({"task": "classify"}, True),
        ({"task": "classify", "multi_label": True, "activation": "none"}, False),
        ({"task": "embed"}, False),
    ],
)
def test_only_what_has_two_engines_is_held_against_the_other(post, two):
    post = Postprocess.model_validate(post)
    assert has_two_engines(post) is two
    assert getattr(decoder_of(post, "reference"), "engine", "reference") == "reference"


def test_what_was_seen_of_a_map_goes_through_json():
    arrays = {"y": np.array([[[[1, np.nan], [np.inf, 3]]]], np.float32)}
    own = seen(arrays)["y"]
    assert (own.span, own.whole) == ((1, 3), False)
    again = Seen.from_json(json.loads(json.dumps(own.to_json())))
    assert (again.span, again.whole, again.shape) == (own.span, own.whole, own.shape)
