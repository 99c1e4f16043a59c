"""A detector's boxes before NMS as a stage of their own: how they are read is judged there, what NMS makes of them behind."""

from dataclasses import replace

import numpy as np
import pytest
from result_candidates import Detector, Shown, demo_images, demo_way, said_of

from seatrial import Detections
from seatrial.diagnosis.candidates import has_candidates
from seatrial.taps.shown import ImageTaps

NO_NMS = {"iou": 1.0, "most": 100_000}


def taps(detector, data, **without):
    """In NumPy: the same code with its NMS left out gives what NMS chose among."""
    full = detector.taps(data)
    before = detector.but(**NO_NMS, **without).taps(data)
    return ImageTaps(input=full.input, outputs=full.outputs, candidates=before.results, results=full.results)


def compared(detector, stages=("outputs", "candidates", "results"), change=lambda t: t, **without):
    shown = {name: change(taps(detector, data, **without)) for name, data in demo_images().items()}
    _, _, found = said_of(demo_way(), demo_images(), Shown(shown, frozenset(stages)))
    return {
        p.stretch.end: (p.found.best.faults if p.found and p.found.best else ()) if p.diverges else None
        for p in found.parts
    }


def test_equal_pipelines_are_equal_there_in_any_order_clipped_or_not_and_with_what_the_threshold_drops():
    def shuffled(t):
        order = np.random.default_rng(0).permutation(len(t.candidates))
        c = t.candidates
        return replace(t, candidates=Detections(c.boxes_xyxy[order], c.scores[order], c.class_ids[order]))

    equal = {"outputs": None, "candidates": None, "results": None}
    assert compared(Detector()) == equal
    assert compared(Detector(), change=shuffled) == equal
    assert compared(Detector(), clip=False) == equal
    assert compared(Detector(), confidence=0.05) == equal


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"to_boxes": lambda b: np.concatenate([b[:, :2], b[:, :2] + b[:, 2:]], axis=1)}, "box-format"),
        ({"back": lambda b, gain, *_: b / gain}, "unletterbox"),
        ({"to_scores": lambda s: 1 / (1 + np.exp(-s))}, "activation"),
        ({"confidence": 0.6}, "nms-settings"),
    ],
)
def test_how_boxes_are_decoded_is_judged_in_front_of_nms_and_not_again_behind(wrong, fault):
    assert compared(Detector(**wrong)) == {"outputs": None, "candidates": (fault,), "results": None}


@pytest.mark.parametrize(
    "wrong",
    [{"iou": 0.8}, {"across": True, "iou": 0.1}, {"most": 2}, {"finish": lambda b, s, k: (b, s, k + 1)}],
)
def test_what_nms_makes_of_them_is_judged_behind(wrong):
    own = Detector(**wrong)
    right_before = {"finish": Detector().finish} if "finish" in wrong else {}
    fault = "label-offset" if "finish" in wrong else "nms-settings"
    assert compared(own, **right_before) == {"outputs": None, "candidates": None, "results": (fault,)}


def test_both_are_told_apart():
    own = Detector(back=lambda b, gain, *_: b / gain, iou=0.8)
    assert compared(own) == {"outputs": None, "candidates": ("unletterbox",), "results": ("nms-settings",)}


def test_without_raw_outputs_they_are_not_compared():
    assert compared(Detector(), stages=("candidates", "results")) == {"results": None}


def test_behind_raw_outputs_that_cannot_be_gone_on_from_they_are_said_not_to_be_compared():
    def short(t):
        return replace(t, outputs={"output0": t.outputs["output0"][:, :3]})

    shown = {name: short(taps(Detector(), data)) for name, data in demo_images().items()}
    stages = frozenset(("input", "outputs", "candidates", "results"))
    _, _, found = said_of(demo_way(), demo_images(), Shown(shown, stages))
    assert [p.stretch.end for p in found.parts] == ["input", "outputs", "results"]
    assert any(said.startswith("the candidate's 'candidates' are not compared") for said in found.passed_over)


def test_of_masks_and_of_models_without_nms_there_are_none():
    spec = demo_way().spec
    assert has_candidates(spec)
    for task, head in (("detect", "end_to_end"), ("instances", "yolov8_seg"), ("pose", "yolov8_pose")):
        post = spec.postprocess.model_copy(update={"task": task, "format": head})
        assert not has_candidates(spec.model_copy(update={"postprocess": post}))
