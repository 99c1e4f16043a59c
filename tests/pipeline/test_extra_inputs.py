"""Inputs beside the image: filled from where its pixels went, and nothing is guessed."""

import numpy as np
import pytest

from seatrial.errors import ModelError, PlanError
from seatrial.kernels.geometry import fit
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.pipeline.build import build_pipeline
from seatrial.pipeline.extra_inputs import check_source_boxes, extra_values, unusual_inputs
from seatrial.plan.pipelines import Pipeline, Postprocess, Preprocess

PICTURE = TensorInfo("image", ("n", 3, 64, 64), "float32")
BOTH = {"im_shape": "resized_hw", "scale_factor": "scale_yx"}


def model(tmp_path, *others):
    return ModelInfo(
        tmp_path / "m.onnx", (*others[:1], PICTURE, *others[1:]), (TensorInfo("y", ("n", 2), "float32"),), {}, 17, 1, ""
    )


def two(name, dtype="float32", shape=("n", 2)):
    return TensorInfo(name, shape, dtype)


def built(tmp_path, info, extra, **more):
    spec = Pipeline(model="m.onnx", preprocess={"size": (64, 64), "extra_inputs": extra, **more})
    return build_pipeline("p", spec, info, tmp_path)


def test_each_image_of_a_batch_has_its_own(tmp_path):
    pipeline = built(
        tmp_path,
        model(tmp_path, two("im_shape"), two("scale_factor"), two("sizes", "int64")),
        BOTH | {"sizes": "source_wh"},
    )
    feeds = pipeline.allocate(2)
    assert {name: (a.shape, a.dtype.name) for name, a in feeds.items()} == {
        "image": ((2, 3, 64, 64), "float32"),
        "im_shape": ((2, 2), "float32"),
        "scale_factor": ((2, 2), "float32"),
        "sizes": ((2, 2), "int64"),
    }
    pipeline.preprocess([np.zeros((32, 128, 3), np.uint8), np.zeros((128, 32, 3), np.uint8)], feeds)
    assert feeds["im_shape"].tolist() == [[16, 64], [64, 16]]
    assert feeds["scale_factor"].tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert feeds["sizes"].tolist() == [[128, 32], [32, 128]]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("source_hw", (50, 100)),
        ("source_wh", (100, 50)),
        ("resized_hw", (32, 64)),
        ("input_hw", (64, 64)),
        ("input_wh", (64, 64)),
        ("scale_yx", (0.64, 0.64)),
        ("scale_xy", (0.64, 0.64)),
    ],
)
def test_what_each_kind_is(kind, expected):
    assert extra_values(kind, fit((50, 100), (64, 64), "letterbox")) == expected


def test_scales_of_a_stretch_are_rows_first_or_columns_first():
    geometry = fit((32, 128), (64, 64), "stretch")
    assert (extra_values("scale_yx", geometry), extra_values("scale_xy", geometry)) == ((2, 0.5), (0.5, 2))


@pytest.mark.parametrize(
    ("others", "extra", "error", "said"),
    [
        (
            (two("im_shape"),),
            {},
            ModelError,
            r"nothing says what goes into im_shape; set extra_inputs: \{im_shape: resized_hw\}",
        ),
        ((two("mystery"),), {}, ModelError, r"set extra_inputs: \{mystery: \?\}"),
        ((), {"im_shape": "source_hw"}, PlanError, "no such input 'im_shape'; it has no input beside the image"),
        ((two("im_shape"),), {"imshape": "source_hw"}, PlanError, "did you mean 'im_shape'"),
        (
            (two("mask", shape=("n", 64)),),
            {"mask": "source_hw"},
            ModelError,
            r"gives two numbers an image, but .* expects mask",
        ),
        ((two("text", "object"),), {"text": "source_hw"}, ModelError, "gives two numbers an image"),
        ((two("scale", "int64"),), {"scale": "scale_yx"}, ModelError, "gives scales, which are no whole numbers"),
    ],
)
def test_what_cannot_be_is_named(tmp_path, others, extra, error, said):
    with pytest.raises(error, match=said):
        built(tmp_path, model(tmp_path, *others), extra)


def test_the_image_is_the_input_with_four_dimensions(tmp_path):
    pipeline = built(tmp_path, model(tmp_path, two("im_shape")), {"im_shape": "input_hw"})
    assert list(pipeline.allocate(1)) == ["image", "im_shape"]


SOURCE = {"task": "detect", "format": "nms_tensors", "boxes": "source"}
PADDLE = {"task": "detect", "format": "paddle"}


@pytest.mark.parametrize(
    ("post", "pre", "cure"),
    [
        (PADDLE, {"mode": "letterbox"}, "set pad_anchor: top_left, or mode: stretch"),
        (PADDLE, {"mode": "letterbox", "pad_anchor": "top_left"}, None),
        (PADDLE, {"mode": "stretch"}, None),
        (PADDLE, {"mode": "resize_center_crop"}, "set pad_anchor: top_left, or mode: stretch"),
        (PADDLE | {"boxes": "pixels"}, {"mode": "letterbox"}, None),
        (
            SOURCE,
            {"mode": "letterbox", "pad_anchor": "top_left", "extra_inputs": {"s": "source_wh"}},
            "set mode: stretch,",
        ),
        (SOURCE, {"mode": "stretch", "extra_inputs": {"s": "source_wh"}}, None),
        (SOURCE, {"mode": "keep_ratio", "to_stride": "stretch", "extra_inputs": {"s": "source_wh"}}, None),
        (SOURCE, {"mode": "rect", "extra_inputs": {"s": "source_wh"}}, "set mode: stretch,"),
    ],
)
def test_boxes_of_the_picture_need_a_picture_that_is_not_moved(post, pre, cure):
    """The model divides by a scale, or multiplies fractions of its input: it knows nothing of a padding."""
    checked = Preprocess(size=(64, 64), **pre), Postprocess(**post)
    if cure is None:
        check_source_boxes("pipelines.p", *checked)
    else:
        with pytest.raises(PlanError, match=cure):
            check_source_boxes("pipelines.p", *checked)


@pytest.mark.parametrize(
    ("extra", "post", "mode", "cure"),
    [
        ({"orig_target_sizes": "source_wh"}, SOURCE, "stretch", ""),
        ({"orig_target_sizes": "source_hw"}, SOURCE, "stretch", "set orig_target_sizes: source_wh"),
        ({"orig_target_sizes": "input_wh"}, SOURCE, "stretch", "set orig_target_sizes: source_wh"),
        ({"orig_target_sizes": "input_wh"}, {"task": "detect", "format": "nms_tensors"}, "letterbox", ""),
        (
            {"orig_target_sizes": "input_hw"},
            {"task": "detect", "format": "nms_tensors"},
            "letterbox",
            "set orig_target_sizes: input_wh",
        ),
        ({"target_sizes": "source_wh"}, SOURCE, "stretch", "set target_sizes: source_hw"),
        (BOTH, PADDLE, "stretch", ""),
        (BOTH | {"im_shape": "input_hw"}, PADDLE, "stretch", ""),
        (BOTH | {"im_shape": "input_hw"}, PADDLE, "letterbox", "set im_shape: resized_hw"),
        (BOTH | {"im_shape": "scale_yx"}, PADDLE, "stretch", "set im_shape: resized_hw"),
        (BOTH | {"scale_factor": "scale_xy"}, PADDLE, "stretch", "set scale_factor: scale_yx"),
        ({"a_name_of_ones_own": "scale_xy"}, {}, "stretch", ""),
    ],
)
def test_an_input_of_a_known_name_that_gets_something_else_is_told(extra, post, mode, cure):
    """Rows and columns swapped look right on square pictures. That a model's own code differs is possible: no error."""
    spec = Pipeline(
        model="m.onnx", preprocess={"size": (64, 64), "mode": mode, "extra_inputs": extra}, postprocess=post
    )
    found = unusual_inputs("pipelines.p", spec)
    assert [w.code for w in found] == ["unusual-input"] * bool(cure)
    assert all(cure in str(w) for w in found)
