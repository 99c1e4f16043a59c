"""Means and deviations of another scale than the pixels': said before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.pipeline.odd_preprocess import odd_normalisation
from seatrial.plan import pipelines

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
IMAGENET_255 = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}


def odd(**keys: Any) -> list[str]:
    preprocess = pipelines.Preprocess.model_validate({"size": (32, 32)} | keys)
    found = odd_normalisation("pipelines.a", pipelines.Pipeline(model="m.onnx", preprocess=preprocess))
    assert all(w.code == "normalisation" for w in found)
    return [str(w) for w in found]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"scale": 1},
        IMAGENET,
        IMAGENET_255 | {"scale": 1},
        {"scale": 1, "mean": (104.0, 117.0, 123.0)},
        {"scale": 1, "mean": 127.5, "std": 128},
        {"scale": 1, "std": 255},
        {"scale": 1 / 127.5, "mean": 1},
        {"mean": 0.5, "std": (0.5, 0.5, 0.5)},
        {"std": 1 / 255},
        {"color": "gray", "mean": 0.1307, "std": 0.3081},
    ],
)
def test_what_training_tools_do_is_not_odd(keys: dict[str, Any]):
    assert odd(**keys) == []


def test_means_of_255_over_fractions_make_all_pixels_one():
    (said,) = odd(**IMAGENET_255)
    assert "from 0 to 1: the model would get values from -2.12 to -1.79" in said
    assert said.endswith("set scale: 1, or divide both by 255")


def test_means_of_fractions_over_255_stretch_pixels_apart():
    (said,) = odd(**IMAGENET, scale=1)
    assert "from 0 to 255: the model would get values from -2.12 to 1.14e+03" in said
    assert said.endswith("set scale: 1/255, or multiply both by 255")


@pytest.mark.parametrize("keys", [{"mean": -1}, {"std": 58}, {"mean": (0, 0, 2)}, {"scale": 1, "std": 300}])
def test_one_of_them_is_enough(keys: dict[str, Any]):
    assert len(odd(**keys)) == 1
