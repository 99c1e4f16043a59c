"""Classes counted or named by another list, and scores through another activation; and what is no fault of the catalogue."""

import numpy as np
import pytest
from result_candidates import MODELS as DEMO_MODELS
from result_candidates import Detector, Taps, demo_images, demo_way, opened, said_of, shown

RIGHT = Detector()


def numbered(change):
    return RIGHT.but(finish=lambda b, s, c: (b, s, change(c)))


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


CASES = {
    "off-by-one": ("label-offset", numbered(lambda c: c + 1)),
    "background-dropped": ("label-offset", numbered(lambda c: c - 1)),
    "another-list": ("label-map", numbered(lambda c: np.array([3, 1, 4, 0, 2])[c])),
    "two-swapped": ("label-map", numbered(lambda c: np.array([0, 2, 1, 3, 4])[c])),
    "sigmoid-again": ("activation", RIGHT.but(to_scores=lambda s: 1 / (1 + np.exp(-s)))),
    "softmax-again": ("activation", RIGHT.but(to_scores=softmax, confidence=0.2)),
    "objectness": (
        "decode-mode",
        RIGHT.but(split=lambda h: (h[:, :4], h[:, 5:] * h[:, 4:5]), confidence=0.0),
    ),
}
PLANS = {"softmax-again": {"confidence": 0.2}, "objectness": {"confidence": 0.0}}


@pytest.mark.parametrize("case", ["off-by-one", "two-swapped"])
def test_named_behind_the_outputs(case):
    fault, candidate = CASES[case]

    assert candidate.named("outputs") == (fault,)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["outputs", "answers"])
@pytest.mark.parametrize("case", CASES)
def test_all_named(case, level):
    fault, candidate = CASES[case]

    assert candidate.named(level, **PLANS.get(case, {})) == (fault,)


@pytest.mark.slow
def test_the_model_of_the_candidate_ends_in_a_sigmoid_more():
    encoded = demo_images()

    def taps(data):
        own = RIGHT.taps(data)
        head = own.outputs["output0"].copy()
        head[:, 4:] = 1 / (1 + np.exp(-head[:, 4:]))
        return Taps(outputs={"output0": head})

    faults, _, _ = said_of(demo_way(), encoded, shown(encoded, ("outputs",), taps), "outputs")

    assert faults == ("activation",)


OUTSIDE = {"another-model": RIGHT.but(model="seamarks-v2.onnx"), "noise": RIGHT.but(noise=0.05)}


@pytest.mark.slow
@pytest.mark.parametrize("level", ["outputs", "answers"])
@pytest.mark.parametrize("case", OUTSIDE)
def test_what_is_no_fault_of_the_catalogue_is_not_named(case, level):
    candidate, encoded = OUTSIDE[case], demo_images()
    stages = {"outputs": ("outputs", "results"), "answers": ("results",)}[level]

    faults, _, compared = said_of(demo_way(), encoded, shown(encoded, stages, candidate.taps), stages[0])

    assert compared.parts[0].diverges
    assert faults == ()


@pytest.mark.slow
def test_another_runtime_is_no_fault():
    encoded, run = demo_images(), opened(DEMO_MODELS / "seamarks-v1.onnx", 1, "openvino-cpu")

    def taps(data):
        tensor, gain, left, top, size = RIGHT.tensor(data)
        head = np.array(run({"images": tensor})[0])
        return Taps(outputs={"output0": head}, results=RIGHT.results(head, gain, left, top, size))

    _, _, compared = said_of(demo_way(), encoded, shown(encoded, ("outputs", "results"), taps))

    assert not any(p.diverges for p in compared.parts)
