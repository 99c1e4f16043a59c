"""Heads of text: what says that a head is one, and what is left to be checked."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seatrial.jobs.guessed import _with_labels_that_fit
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.plan.guess import guess
from seatrial.plan.heads import HEADS, recognise
from seatrial.plan.init import plan_text
from seatrial.plan.load import plan_in_memory
from seatrial.plan.seen import observe

F = np.float32
RNG = np.random.default_rng(1)


def model(shape, image=("n", 3, 48, "w"), metadata=None, name="m.onnx", dtype="float32"):
    return ModelInfo(
        Path(name), (TensorInfo("x", image, "float32"),), (TensorInfo("y", shape, dtype),), metadata or {}, 17, 1, ""
    )


def key_of(info, values=None):
    found = recognise(info, observe(["y"], [([values], 1)]) if values is not None else {}, (48, 320))
    return next(k for k, h in HEADS.items() if h is found.head), found


def steps(classes, blank, count=40):
    """Probabilities, of which most steps are blank."""
    rows = RNG.uniform(0, 0.01, (1, count, classes)).astype(F)
    rows[0, :, blank] = 0.9
    rows[0, ::7, classes // 2] = 0.95
    return rows


def dictionary(count):
    return {"character": "\n".join(chr(0x4E00 + k) for k in range(count))}


@pytest.mark.parametrize("count", [20, 3000])
@pytest.mark.parametrize("space", [True, False])
def test_a_dictionary_in_the_metadata_and_its_count_tell_a_recogniser(count, space):
    classes = count + 1 + space
    key, found = key_of(model(("n", "t", classes), metadata=dictionary(count)), steps(classes, 0))
    assert key == "ctc"
    assert dict(found.keys) == {"blank": "first", "space": str(space).lower()}
    assert (found.activation, found.doubts) == ("none", ())
    assert found.certain[0].startswith(
        f"task text, format ctc: {count} characters in the metadata, and {classes} classes"
    )


def test_nothing_is_ticked_that_no_run_shows():
    info = model(("n", "t", 22), metadata=dictionary(20))
    assert key_of(info)[1].certain == ()
    key, found = key_of(info, steps(22, 21))
    assert (key, dict(found.keys)["blank"], found.certain) == ("ctc", "last", ())
    assert key_of(info, np.log(steps(22, 0) + 1e-6))[1].activation == "softmax"


def test_an_open_count_of_classes_leaves_the_space_to_be_checked():
    key, found = key_of(model(("n", "t", "classes"), metadata=dictionary(20)))
    assert (key, found.certain) == ("ctc", ())
    assert "is there a space?" in found.doubts[0]


@pytest.mark.parametrize("classes", [20, 23])
def test_a_count_that_does_not_fit_is_no_recogniser_of_these_characters(classes):
    key, found = key_of(model(("n", "t", classes), metadata=dictionary(20)), steps(classes, 0))
    assert key == "ctc_nameless"
    assert "set task: text, format: ctc, blank: first or last, and labels: its dictionary" in found.doubts[0]


@pytest.mark.parametrize(
    ("shape", "image", "key"),
    [
        (("n", 24, 37), ("n", 1, 32, 100), "ctc_nameless"),
        (("n", "t", 97), ("n", 3, 48, "w"), "ctc_nameless"),
        ((24, 1, 37), (1, 1, 32, 100), "ctc_steps_first"),
        (("n", 84, 2100), ("n", 3, 320, 320), "yolov8"),
        (("n", 6300, 85), ("n", 3, 320, 320), "yolov5"),
        (("n", 24, 37), ("n", 3, 64, 64), "yolov8"),
    ],
)
def test_an_input_as_high_as_a_line_tells_a_recogniser_without_its_dictionary(shape, image, key):
    info = model(shape, image)
    assert next(k for k, h in HEADS.items() if h is recognise(info, {}).head) == key
    if key.startswith("ctc"):
        assert recognise(info, {}).head.task == "raw"


MAP = np.linspace(0, 1, 64, dtype=F).reshape(1, 1, 8, 8)
PADDLE = ("p2o.DynamicDimension.0", 3, "p2o.DynamicDimension.1", "p2o.DynamicDimension.2")


@pytest.mark.parametrize(
    ("name", "image", "key"),
    [
        ("ch_PP-OCRv4_det_infer.onnx", ("n", 3, "h", "w"), "db"),
        ("inference.onnx", PADDLE, "db"),
        ("db_resnet50.onnx", ("n", 3, 1024, 1024), "db"),
        ("text_detector.onnx", ("n", 3, 64, 64), "db"),
        ("u2net.onnx", ("n", 3, 320, 320), "one_channel"),
        ("midas.onnx", ("n", 3, 256, 256), "one_channel"),
    ],
)
def test_a_map_of_one_channel_is_text_where_its_file_says_so_and_never_surely(name, image, key):
    found_key, found = key_of(model(("n", 1, "h", "w"), image, name=name), MAP)
    assert found_key == key
    assert found.certain == ()
    if key == "db":
        assert "mattes, masks and depths are such maps too" in found.doubts[0]


def test_logits_of_a_map_get_their_sigmoid():
    info = model(("n", 1, "h", "w"), name="dbnet.onnx")
    assert dict(key_of(info, MAP)[1].keys) == {"threshold": "0.3", "confidence": "0.6", "unclip_ratio": "1.5"}
    assert dict(key_of(info, MAP * 9 - 5)[1].keys)["activation"] == "sigmoid"


@pytest.mark.parametrize(
    ("info", "values", "post", "size"),
    [
        (model(("n", "t", 3002), PADDLE, dictionary(3000)), steps(3002, 0),
         {"task": "text", "format": "ctc", "blank": "first", "space": True, "activation": "none"}, (48, 320)),
        (model(("n", 1, 64, 64), ("n", 3, 64, 64), name="ocr.onnx"), MAP,
         {"task": "text", "format": "db", "threshold": 0.3, "confidence": 0.6, "unclip_ratio": 1.5}, (64, 64)),
    ],
)  # fmt: skip
def test_the_plan_that_init_writes_says_each_key(tmp_path, info, values, post, size):
    info = replace(info, opset=0)  # there is no file to look into
    found = _with_labels_that_fit(info, guess(info, observe(["y"], [([values], 1)])))
    text = plan_text(info, found, tmp_path, "pictures", ["onnxruntime-cpu"])
    pipeline = plan_in_memory(text, tmp_path / "trial.yaml").plan.pipelines["baseline"]
    assert pipeline.postprocess.model_dump(exclude_unset=True) == post
    assert pipeline.preprocess.size == size
    assert pipeline.preprocess.color == "bgr"
    assert pipeline.preprocess.mode == "letterbox"


def test_steps_before_the_batch_are_known_by_the_inputs_batch():
    named = {"character": "\n".join("abcdefghij")}
    assert key_of(model((64, "n", 12), metadata=named))[0] == "ctc_steps_first"
    assert key_of(model((64, 1, 12), image=(1, 3, 48, "w"), metadata=named))[0] == "ctc_steps_first"
    assert key_of(model(("n", 64, 12), metadata=named))[0] == "ctc"
    assert key_of(model((1, 64, 12), image=(1, 3, 48, "w"), metadata=named))[0] == "ctc"


def test_classes_before_the_steps_are_known_by_their_count():
    key, found = key_of(model(("n", 12, 64), metadata={"character": "\n".join("abcdefghij")}))
    assert key == "ctc_classes_first"
    assert "transpose it to (B, steps, classes)" in found.head.cure


def test_letters_from_right_to_left_are_left_to_be_checked():
    def doubts(characters):
        info = model(("n", 40, 12), metadata={"character": "\n".join(characters)})
        return [d for d in key_of(info, steps(12, 0))[1].doubts if "backwards" in d]

    assert len(doubts("ابتثجحخدذر")) == 1
    assert doubts("abcdefghij") == []


def test_an_export_that_takes_bytes_is_not_said_to_be_scaled(monkeypatch):
    monkeypatch.setattr("seatrial.plan.guess._activation", lambda info: "none")  # which would open the file
    metadata = {"author": "Ultralytics", "stride": "32", "task": "detect", "names": "{0: 'a'}"}
    info = ModelInfo(
        Path("m.onnx"),
        (TensorInfo("x", ("n", 64, 64, 3), "uint8"),),
        (TensorInfo("y", ("n", 5, 84), "float32"),),
        metadata,
        17,
        1,
        "",
    )
    found = guess(info)
    assert found.preprocess["scale"] == 1
    assert not any("1/255" in line for line in found.why)
    assert any("bytes as they are" in line for line in found.why)
