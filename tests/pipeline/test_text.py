"""Text in a plan against a model's file and the numbers of a run: dictionaries, shapes, activations, results on disk."""

from pathlib import Path

import numpy as np
import pytest

from seatrial.errors import ModelError, PlanError
from seatrial.kernels.geometry import fit
from seatrial.kernels.results import Detections, Text, TextRegions
from seatrial.kernels.text import TextDecoder
from seatrial.kernels.text_regions import TextRegionDecoder
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.pipeline.build import build_pipeline, labels_of
from seatrial.pipeline.plausibility import Plausibility
from seatrial.pipeline.results import ResultsWriter, check_result
from seatrial.pipeline.stored import load_results_file
from seatrial.pipeline.text import lines_of, text_decoder
from seatrial.plan import pipelines

DB, CTC = {"task": "text", "format": "db"}, {"task": "text", "format": "ctc"}
ABC = {"character": "a\nb\nc"}


def model(*shapes, metadata=None, batch="n"):
    outputs = tuple(TensorInfo(f"output{k}", s, "float32") for k, s in enumerate(shapes))
    return ModelInfo(
        Path("m.onnx"), (TensorInfo("x", (batch, 3, 32, 64), "float32"),), outputs, metadata or {}, 17, 1, ""
    )


def spec(post):
    return pipelines.Pipeline.model_validate({"model": "m.onnx", "preprocess": {"size": [32, 64]}, "postprocess": post})


def built(post, info, folder=Path()):
    return build_pipeline("only", spec(post), info, folder)


@pytest.mark.parametrize(
    ("post", "info"),
    [
        (DB, model(("n", 1, 32, 64))),
        (DB, model(("n", "c", "h", "w"))),
        (CTC, model(("n", 16, 4), metadata=ABC)),
        (CTC | {"space": True}, model(("n", "t", 5), metadata=ABC)),
        (CTC | {"labels": ["a", "b"], "blank": "last"}, model(("n", 16, 3), metadata=ABC)),
        (CTC | {"outputs": ["output1"]}, model(("n", 7), (1, 16, 4), metadata=ABC)),
    ],
)
def test_what_fits_is_built(post, info):
    built(post, info)


@pytest.mark.parametrize(
    ("post", "info", "said"),
    [
        (
            DB,
            model(("n", 3, 32, 64)),
            "reads one output (B, 1, height, width), but m.onnx gives output0 float32[n, 3, 32, 64]",
        ),
        (DB, model(("n", 100, 4)), "reads one output (B, 1, height, width)"),
        (DB, model(("n", 1, 8, 8), ("n", 1, 4, 4)), "reads one output, but m.onnx gives output0"),
        (CTC, model(("n", 16, 4)), "neither postprocess.labels nor the metadata of m.onnx (character) says"),
        (CTC, model(("n", 16, 5), metadata=ABC), "or the class is a space behind the last"),
        (CTC, model(("n", 16, 3), metadata=ABC), "take the blank out of the dictionary"),
        (CTC, model(("n", 4), metadata=ABC), "reads (B, steps, classes), but m.onnx gives output0 float32[n, 4]"),
        (CTC, model((16, 1, 4), metadata=ABC, batch=1), "with the steps first: transpose it in the model"),
        (CTC, model((16, "n", 4), metadata=ABC), "with the steps first: transpose it in the model"),
        (CTC, model(("n", 4, 16), metadata=ABC), "with the classes before the steps: transpose it in the model"),
    ],
)
def test_what_cannot_be_right_is_refused_before_a_run(post, info, said):
    with pytest.raises(ModelError) as caught:
        built(post, info)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("data", "characters"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"\xef\xbb\xbfa\r\nb", ["a", "b"]),
        (b"a\n \n", ["a", " "]),
        ("a\n\u3000\nb\u2028\n".encode(), ["a", "\u3000", "b\u2028"]),
        (b"a\n\n", ["a", ""]),
    ],
)
def test_a_dictionary_is_read_line_by_line_as_it_stands(tmp_path, data, characters):
    (tmp_path / "keys.txt").write_bytes(data)
    assert labels_of(spec(CTC | {"labels": "keys.txt"}), model(("n", 1, 4)), tmp_path) == characters
    assert lines_of(data.decode("utf-8-sig")) == characters


def test_a_dictionary_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "keys.txt").write_bytes(b"\xff")
    for name in ("keys.txt", "none.txt"):
        with pytest.raises(PlanError, match=f"{name}: the labels cannot be read"):
            labels_of(spec(CTC | {"labels": name}), model(("n", 1, 4)), tmp_path)


def test_what_a_plan_leaves_out_has_the_defaults_of_text():
    assert text_decoder(spec(DB).postprocess, None) == TextRegionDecoder()
    assert text_decoder(spec(CTC).postprocess, ["a"]) == TextDecoder(("a",))
    own = {"confidence": 0.5, "unclip_ratio": 1.6, "dilation": True, "max_detections": 300}
    assert text_decoder(spec(DB | own).postprocess, None) == TextRegionDecoder(**own)


@pytest.mark.parametrize(
    ("post", "said"),
    [
        (DB | {"activation": "softmax"}, "reads an activation of none or sigmoid, not 'softmax'"),
        (CTC | {"activation": "sigmoid"}, "reads an activation of none or softmax, not 'sigmoid'"),
        (DB | {"labels": ["a"]}, "have no classes; leave 'labels' out"),
        (DB | {"blank": "last"}, "only format ctc reads 'blank', not 'db'"),
        (CTC | {"threshold": 0.2}, "only format db or one_channel reads 'threshold', not 'ctc'"),
        (CTC | {"class_ids": "order"}, "or segment reads 'class_ids', not 'text'"),
        ({"task": "detect", "format": "yolov8", "space": True}, "only format ctc reads 'space'"),
        ({"task": "text", "format": "yolov8"}, "task 'text' reads formats db, ctc, not 'yolov8'"),
        ({"task": "text"}, "task 'text' needs a format: one of db, ctc"),
    ],
)
def test_a_key_that_nothing_would_read_is_refused(post, said):
    with pytest.raises(ValueError) as caught:
        spec(post)
    assert said in str(caught.value)


def seen(post, output, metadata=None):
    p = Plausibility("only", spec(post), model(output.shape, metadata=metadata), None)
    p.add([output], len(output))
    return p


F = np.float32
LOGITS = np.linspace(-9, 5, 64, dtype=F).reshape(1, 1, 8, 8)
CHANCES = np.full((1, 16, 4), 0.25, F)


def test_a_map_of_logits_is_an_error_with_its_cure():
    said = seen(DB, LOGITS).problem()
    assert said == (
        "pipelines.only.postprocess.format is db, which expects probabilities, but the map goes from -9 to 5: logits, such as "
        "docTR exports, need activation: sigmoid"
    )
    assert seen(DB | {"activation": "sigmoid"}, LOGITS).problem() == ""
    half = np.full((1, 1, 8, 8), 0.5, F)
    assert "expects logits, but the map goes from 0.5 to 0.5: probabilities already, set activation: none" in (
        seen(DB | {"activation": "sigmoid"}, half).problem()
    )
    assert seen(DB, half).problem() == ""
    assert seen(DB, np.zeros((1, 1, 8, 8), F)).problem() == ""
    assert seen(DB, np.full((1, 1, 8, 8), np.nan, F)).problem() == ""


@pytest.mark.parametrize(
    ("post", "output", "codes"),
    [
        (DB, LOGITS, []),
        (CTC | {"activation": "softmax"}, CHANCES, ["double-activation"]),
        (CTC, CHANCES, []),
        (CTC, CHANCES * 40, ["raw-logits"]),
        (CTC, np.full((1, 16, 3000), 7, F), ["raw-logits"]),
        (CTC | {"activation": "softmax"}, CHANCES * 40 - 3, []),
    ],
)
def test_an_activation_that_makes_scores_none_is_noticed(post, output, codes):
    assert [w.code for w in seen(post, output, ABC).doubts()] == codes


POLYGON = np.array([[[0, 0], [9, 0], [9, 5], [0, 5]]], F)
REGIONS = TextRegions(np.array([[0, 0, 9, 5]], F), np.array([0.9], F), np.zeros(1, np.int64), POLYGON)


def test_results_come_back_from_their_file(tmp_path):
    given = [REGIONS, Text.of("a 漢𝄞", 0.5), None, Text.of("", 0)]
    with ResultsWriter(tmp_path / "results.npz") as writer:
        for result in given:
            writer.add(check_result(result))
    found, _ = load_results_file(tmp_path / "results.npz")
    assert [type(r) for r in found] == [type(r) for r in given]
    np.testing.assert_array_equal(found[0].polygons, POLYGON)
    assert (found[1].text, float(found[1].score), found[3].text) == ("a 漢𝄞", 0.5, "")
    assert found[1].score.shape == ()


@pytest.mark.parametrize(
    "result",
    [
        TextRegions(REGIONS.boxes_xyxy, REGIONS.scores, REGIONS.class_ids, POLYGON[:, :3]),
        TextRegions(REGIONS.boxes_xyxy, REGIONS.scores, REGIONS.class_ids, POLYGON[:, [0, 2, 1, 3]]),
        TextRegions(REGIONS.boxes_xyxy, REGIONS.scores, REGIONS.class_ids, POLYGON * np.nan),
        TextRegions(REGIONS.boxes_xyxy[:0], REGIONS.scores, REGIONS.class_ids, POLYGON),
        Text(np.array([0xD800], np.uint32), np.array(0.5, F)),
        Text(np.array([-1], np.int64), np.array(0.5, F)),
        Text(np.array([97.5], F), np.array(0.5, F)),
        Text(np.array([97], np.uint32), np.array([0.5], F)),
        Text(np.array([[97]], np.uint32), np.array(0.5, F)),
    ],
)
def test_results_of_a_users_stage_are_checked(result):
    with pytest.raises(PlanError, match=type(result).__name__):
        check_result(result)


def test_regions_are_kept_as_regions_and_not_as_boxes():
    kept = check_result(REGIONS)
    assert type(kept) is TextRegions
    assert isinstance(kept, Detections)


def test_a_batch_goes_through_a_built_pipeline():
    pipe = built(CTC, model(("n", 6, 4), metadata=ABC))
    steps = np.eye(4, dtype=F)[[[1, 0, 1, 2, 0, 0], [0, 3, 3, 0, 2, 2]]]
    assert [t.text for t in pipe.postprocess([steps], [fit((32, 64), (32, 64), "stretch")] * 2)] == ["aab", "cb"]
