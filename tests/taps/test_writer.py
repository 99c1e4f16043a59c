"""What is written is read back to the bit, and what was written before a failure stays."""

import json

import numpy as np
import pytest
from taps_folders import PICTURE

from seatrial.errors import ResultsError
from seatrial.kernels.results import (
    Classification,
    DenseMap,
    Detections,
    Embedding,
    Instances,
    Labels,
    OrientedBoxes,
    Poses,
    SemanticMask,
    Text,
    TextRegions,
)
from seatrial.pipeline.results import KINDS
from seatrial.taps.check import check_taps
from seatrial.taps.folder import TapsFolder
from seatrial.taps.shown import ImageTaps
from seatrial.taps.writer import TapsWriter

BOXES = Detections(
    np.array([[1, 2, 9, 8], [0, 0, 4, 4]], np.float32), np.array([0.9, 0.2], np.float32), np.array([2, 0])
)
CORNERS = np.array([[[0, 0], [4, 0], [4, 2], [0, 2]]] * 2, np.float32)
FIELDS = vars(BOXES).values()
RESULTS = [
    BOXES,
    Instances.of_masks(BOXES, [np.eye(6, 8) > 0, np.zeros((6, 8), bool)], (6, 8)),
    Poses(*FIELDS, np.zeros((2, 3, 3), np.float32), np.full(3, 0.1, np.float32)),
    OrientedBoxes(*FIELDS, CORNERS),
    TextRegions(*FIELDS, CORNERS),
    Classification(np.array([3, 1]), np.array([0.7, 0.3], np.float32)),
    Labels(np.array([], np.int64), np.array([], np.float32)),
    SemanticMask(np.array([[1, 255]], np.uint8)),
    SemanticMask(np.array([[1, 65535]], np.uint16)),
    DenseMap(np.array([[1, np.nan]], np.float32)),
    Embedding(np.arange(4, dtype=np.float32)),
    Text.of("Grüße", 0.5),
]
DIGEST = "ab" * 32


def test_there_is_a_result_of_every_kind():
    assert {type(r) for r in RESULTS} == set(KINDS)


@pytest.mark.parametrize("result", RESULTS, ids=lambda r: type(r).__name__)
def test_every_kind_of_result_comes_back(tmp_path, result):
    with TapsWriter(tmp_path / "t", "a test", ["results", "candidates"]) as writer:
        writer.add("a", ImageTaps(results=result, candidates=result))
    taps = TapsFolder.open(tmp_path / "t")
    for found in (taps.load("a").results, taps.load("a").candidates):
        assert type(found) is type(result)
        for name, value in vars(result).items():
            back = getattr(found, name)
            assert (back.dtype, back.shape) == (value.dtype, value.shape), name
            assert np.array_equal(back, value, equal_nan=value.dtype.kind == "f"), name
    assert check_taps(taps).problems == ()


def test_scores_that_nobody_knows_come_back_so(tmp_path):
    unknown = Classification(np.array([3, 1]), np.full(2, np.nan, np.float32))
    with TapsWriter(tmp_path, "a test", ["results"]) as writer:
        writer.add("a", ImageTaps(results=unknown))
    taps = TapsFolder.open(tmp_path)
    assert taps.load("a").results.class_ids.tolist() == [3, 1]
    assert np.isnan(taps.load("a").results.scores).all()
    assert check_taps(taps).seen == {"results": ("Classification without scores",)}


def test_no_answer_to_an_image_is_an_answer(tmp_path):
    with TapsWriter(tmp_path, "a test", ["results"]) as writer:
        writer.add("a", ImageTaps(results=None))
        writer.add("b", ImageTaps(results=BOXES))
    taps = TapsFolder.open(tmp_path)
    assert taps.load("a").results is None
    assert len(taps.load("b").results) == 2
    assert check_taps(taps).seen == {"results": ("None", "Detections")}


def test_stages_come_back_and_the_folder_is_sound(tmp_path):
    taps = ImageTaps(
        PICTURE,
        PICTURE[:3, ::2],
        np.zeros((1, 3, 4, 4), np.float16),
        {"a/b": np.asfortranarray(np.eye(3)), "c": np.array([[True]])},
    )
    with TapsWriter(
        tmp_path / "x" / "t",
        "a test",
        ["outputs", "decoded", "resized", "input"],
        color={"decoded": "rgb", "resized": "bgr"},
        batch=2,
    ) as w:
        # Names lead wherever a plan's list leads; files do not.
        for name in ("../a.jpg", "sub/a.jpg", "/abs/ä.jpg", "..."):
            w.add(name, taps, DIGEST)
    folder = TapsFolder.open(tmp_path / "x" / "t")
    assert sorted(p.name for p in folder.path.iterdir()) == [
        "00000-a.npz",
        "00001-a.npz",
        "00002.npz",
        "00003.npz",
        "taps.json",
    ]
    assert folder.names == ("../a.jpg", "sub/a.jpg", "/abs/ä.jpg", "...")
    assert folder.manifest.stages == ("decoded", "resized", "input", "output.a/b", "output.c")
    assert folder.manifest.color == {"decoded": "rgb", "resized": "bgr"}
    assert folder.image("...").sha256 == DIGEST
    found = folder.load("...")
    assert np.array_equal(found.resized, taps.resized)
    assert found.input.dtype == np.float16
    assert np.array_equal(found.outputs["a/b"], np.eye(3))
    assert found.outputs["c"].dtype == bool
    check = check_taps(folder)
    assert (check.problems, check.notes, check.sound) == ((), (), 4)


def test_what_was_written_before_a_failure_is_a_folder_with_a_note(tmp_path):
    def broken_off():
        with TapsWriter(tmp_path, "a test", ["outputs"], total=9) as writer:
            writer.add("a", ImageTaps(outputs={"y": np.ones(2)}))
            writer.add("b", ImageTaps(outputs={"y": np.ones(2)}))
            raise ZeroDivisionError("division by\nzero")

    with pytest.raises(ZeroDivisionError):
        broken_off()
    folder = TapsFolder.open(tmp_path)
    assert folder.names == ("a", "b")
    assert folder.manifest.note == "broken off after 2 images of 9: division by\\nzero"
    assert "taps.json says: broken off after 2 images of 9" in check_taps(folder).notes[0]


def test_a_process_that_is_killed_leaves_what_it_wrote(tmp_path, monkeypatch):
    monkeypatch.setattr("seatrial.taps.writer.SAFE_EVERY_S", 0.0)
    with TapsWriter(tmp_path, "a test", ["input"], total=2) as writer:
        writer.add("a", ImageTaps(input=np.ones(2)))
        killed = TapsFolder.open(tmp_path)
        writer.add("b", ImageTaps(input=np.ones(2)))
    assert killed.names == ("a",)
    assert killed.manifest.note == "broken off after 1 image of 2: what wrote it was ended, or writes it still"
    assert TapsFolder.open(tmp_path).manifest.note == ""


def test_nothing_is_left_of_a_failure_before_the_first_image(tmp_path):
    with pytest.raises(KeyboardInterrupt), TapsWriter(tmp_path, "a test", ["input"]):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(ResultsError) as refused, TapsWriter(tmp_path, "a test", ["input"]):
        pass
    assert refused.value.for_command_line() == (
        f"{tmp_path}: has photo.jpg in it; expected an empty folder; delete it, or give --out another"
    )


def test_a_file_in_the_folders_place_is_said(tmp_path):
    (tmp_path / "t").touch()
    with (
        pytest.raises(ResultsError, match="t: is a file; give out a folder"),
        TapsWriter(tmp_path / "t", "a test", ["input"]),
    ):
        pass


@pytest.mark.parametrize(
    ("taps", "stages", "message"),
    [
        (ImageTaps(), ["input"], "b: expected its input, which every image is to have"),
        (ImageTaps(), ["decoded", "results"], "b: expected its decoded"),
        (ImageTaps(), ["outputs"], "b: expected the outputs"),
        (
            ImageTaps(outputs={"z": np.zeros(2)}),
            ["outputs"],
            r"b: expected the outputs \('y',\), as of the images before, got \('z',\)",
        ),
        (ImageTaps(decoded=PICTURE / 1), ["decoded"], "b: expected decoded as uint8, got float64"),
        (ImageTaps(input=np.array([{}])), ["input"], "input: expected numbers, got object"),
    ],
)
def test_an_image_that_lacks_something_is_refused_and_the_others_stay(tmp_path, taps, stages, message):
    whole = ImageTaps(PICTURE, PICTURE, np.zeros(2), {"y": np.zeros(2)}, results=BOXES)

    def refused():
        with TapsWriter(tmp_path, "a test", stages) as writer:
            writer.add("a", whole)
            writer.add("b", taps)

    with pytest.raises(ValueError, match=message):
        refused()
    assert TapsFolder.open(tmp_path).names == ("a",)
    assert len(json.loads((tmp_path / "taps.json").read_text())["images"]) == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_words_that_are_no_stage_and_no_image_at_all_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no stage is called 'output' \(did you mean 'outputs'\?\)"):
        TapsWriter(tmp_path, "a test", ["output"])
    with pytest.raises(ValueError, match="expected at least one image"), TapsWriter(tmp_path, "a test", ["input"]):
        pass
