"""A folder of taps: what is read is what was written, in whatever order, byte order and packing; and what is refused, by name."""

import json
import os
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from taps_folders import BOXES, PICTURE, npy, one_image, raw_image, taps_json

from seatrial.errors import DataError
from seatrial.kernels.results import Classification, Detections, Instances, Labels, Poses, SemanticMask, Text
from seatrial.taps.folder import TapsFolder
from seatrial.taps.manifest import TapsManifest
from seatrial.taps.shown import Shown

DTYPES = st.one_of(
    hnp.floating_dtypes(endianness="?"),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.boolean_dtypes(),
)
ARRAYS = DTYPES.flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=4))
)


def load(folder):
    taps = TapsFolder.open(folder)
    return taps.load(taps.names[0])


@settings(max_examples=150)
@given(ARRAYS, st.sampled_from(["C", "F", "strided", "packed"]))
def test_a_tensor_comes_back_whatever_its_type_order_and_strides(tmp_path_factory, array, way):
    folder = tmp_path_factory.mktemp("taps")
    written = {"C": array, "F": np.asfortranarray(array), "strided": np.repeat(array, 2, axis=0)[::2], "packed": array}[
        way
    ]
    (np.savez_compressed if way == "packed" else np.savez)(folder / "a.npz", **{"output.y": written})
    taps_json(folder, {"a.jpg": "a.npz"}, ["output.y"])
    found = load(folder).outputs["y"]
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.dtype.isnative
    assert found.flags.c_contiguous
    assert found.shape == array.shape
    assert found.tobytes() == array.astype(found.dtype).tobytes()


def test_it_says_what_is_there_and_reads_image_by_image(tmp_path):
    arrays = {
        "decoded": PICTURE,
        "resized": PICTURE[..., 0],
        "input": np.zeros((1, 3, 4, 4), np.float32),
        "output.b/c": np.ones(3),
    }
    np.savez(tmp_path / "a.npz", **arrays, **BOXES, extra=np.zeros(2))
    taps_json(
        tmp_path,
        {"x/a.jpg": "a.npz", "b.jpg": "gone.npz"},
        [*arrays, "results"],
        color={"decoded": "bgr"},
        batch=4,
        later_key=1,
    )
    taps = TapsFolder.open(tmp_path)
    shown: Shown = taps
    assert shown.names == ("x/a.jpg", "b.jpg")
    assert shown.stages == {"decoded", "resized", "input", "outputs", "results"}
    assert (taps.manifest.color, taps.manifest.batch, taps.manifest.output_names) == ({"decoded": "bgr"}, 4, ("b/c",))
    found = shown.load("x/a.jpg")
    assert np.array_equal(found.decoded, PICTURE)
    assert np.array_equal(found.resized, PICTURE[..., :1])
    assert found.outputs["b/c"].sum() == 3
    assert found.unread == ("extra",)
    assert found.candidates is None
    with pytest.raises(DataError, match=r"gone\.npz: image b\.jpg: no such file; copy it into the folder"):
        shown.load("b.jpg")
    with pytest.raises(DataError, match=r"no image called 'x/b\.jpg' \(did you mean"):
        shown.load("x/b.jpg")


def test_the_schema_knows_the_manifest():
    schema = TapsManifest.model_json_schema()
    assert schema["properties"]["schema"]["const"] == "seatrial.taps/1"
    assert set(schema["required"]) == {"stages", "images"}


def _poses(**fields):
    return {**BOXES, **{f"results.{k}": v for k, v in fields.items()}}


@pytest.mark.parametrize(
    ("arrays", "kind", "is_right"),
    [
        (BOXES, Detections, lambda r: r.class_ids.tolist() == [3, 0]),
        # In order of score, whatever the order and the types that they were written in.
        (
            {"results.boxes_xyxy": np.array([[0, 0, 1, 1], [0, 0, 2, 2]]), "results.scores": np.array([0.25, 0.5]), "results.class_ids": [4.0, 5.0]},
            Detections,
            lambda r: (r.class_ids.tolist(), r.boxes_xyxy[0].tolist(), r.boxes_xyxy.dtype, r.class_ids.dtype)
            == ([5, 4], [0, 0, 2, 2], np.float32, np.int64),
        ),
        (
            {"results.boxes_xyxy": np.zeros((0, 4)), "results.scores": np.zeros(0), "results.class_ids": np.zeros(0)},
            Detections,
            lambda r: len(r) == 0,
        ),
        (_poses(keypoints=np.zeros((2, 17, 3))), Poses, lambda r: r.sigmas.shape == (17,) and r.sigmas[0] == np.float32(0.026)),
        (
            {"results.boxes_xyxy": np.zeros((0, 4)), "results.scores": [], "results.class_ids": [], "results.keypoints": np.zeros((0, 5, 3))},
            Poses,
            lambda r: r.sigmas.shape == (5,) and len(r) == 0,
        ),
        (_poses(keypoints=np.zeros((2, 5, 3)), sigmas=np.full(5, 0.1)), Poses, lambda r: r.sigmas[4] == np.float32(0.1)),
        (
            {**BOXES, "results.scores": np.array([0.1, 0.9]), "results.masks": np.stack([np.zeros((4, 5), bool), np.eye(4, 5) > 0])},
            Instances,
            lambda r: (r.mask(0) == (np.eye(4, 5) > 0)).all() and not r.mask(1).any() and r.class_ids.tolist() == [0, 3],
        ),
        ({"results.class_ids": [1, 2], "results.scores": [0.1, 0.9]}, Classification, lambda r: r.class_ids.tolist() == [2, 1]),
        ({"results.class_ids": [], "results.scores": [], "results.kind": "Labels"}, Labels, lambda r: len(r) == 0),
        ({"results.class_ids": np.array([[1, 255]], np.uint8)}, SemanticMask, lambda r: r.without_class.tolist() == [[False, True]]),
        ({"results.code_points": np.array([72, 105]), "results.score": np.array(0.5)}, Text, lambda r: r.text == "Hi"),
        # Scores that nobody logged are no numbers.
        (
            {k: v for k, v in (BOXES | {"results.kind": "Detections"}).items() if k != "results.scores"},
            Detections,
            lambda r: np.isnan(r.scores).all() and r.scores.shape == (2,) and r.class_ids.tolist() == [3, 0],
        ),
        # A model that overflowed gives NaN, which is its answer.
        ({**BOXES, "results.scores": [np.nan, 0.5]}, Detections, lambda r: r.scores[0] == 0.5 and np.isnan(r.scores[1])),
        ({"results.class_ids": [2, 1], "results.kind": "Classification"}, Classification, lambda r: r.class_ids.tolist() == [2, 1]),
        # A kind that is said has others' fields passed over.
        ({**BOXES, "results.kind": "Detections", "results.track_ids": [1, 2]}, Detections, lambda r: len(r) == 2),
    ],
)  # fmt: skip
def test_fields_make_a_result(tmp_path, arrays, kind, is_right):
    found = load(one_image(tmp_path, arrays, ["results"]))
    assert type(found.results) is kind
    assert is_right(found.results)
    assert found.unread == tuple(k for k in arrays if k == "results.track_ids")


@pytest.mark.parametrize(
    ("arrays", "stage", "message"),
    [
        ({"decoded": PICTURE / 255}, "decoded", "decoded: is of float64; expected uint8"),
        ({"decoded": PICTURE.transpose(2, 0, 1)}, "decoded", "has shape (3, 6, 8); expected (height, width) or (height, width, 1, 3 or 4): channels come last"),
        ({"resized": np.zeros((0, 4, 3), np.uint8)}, "resized", "resized: has shape (0, 4, 3)"),
        ({"input": np.zeros((8, 3, 4, 4))}, "input", "has shape (8, 3, 4, 4), which is a batch; write each image's own row into its own file"),
        ({"input": np.float32(1)}, "input", "input: has shape (); expected the model's tensor of one image"),
        ({"input": np.array(["text"])}, "input", "input: is of <U4; expected numbers"),
        ({"input": np.zeros(3, np.complex64)}, "input", "input: is of dtype <c8; expected floats, integers or bools"),
        ({"input": np.array([{}])}, "input", "input: holds Python objects, which are never unpickled; write an array of numbers"),
        ({"input": np.zeros(2, "V2")}, "input", "write bfloat16 as float32"),
        ({"other": np.zeros(2)}, "input", "input: is one of the 'stages' of taps.json, and not in the file; write it, or take it out"),
        ({"other": np.zeros(2)}, "results", "results: is one of the 'stages' of taps.json, and not in the file"),
        ({"results": np.zeros(2)}, "results", "results: is one of the 'stages' of taps.json, and not in the file"),
        (
            {"results.boxes": np.zeros((1, 4)), "results.scores": [1.0], "results.class_ids": [1]},
            "results",
            "results: has results.boxes, results.class_ids, results.scores, which no kind of result has; Classification is the nearest; "
            "leave out results.boxes, or write results.kind, with which others are passed over",
        ),
        ({"results.boxes_xyxy": np.zeros((1, 4)), "results.scores": [1.0]}, "results", "Detections is the nearest; add results.class_ids"),
        ({**BOXES, "results.kind": "Detection"}, "results", "results.kind: is 'Detection' (did you mean 'Detections'?); expected the text of one of"),
        ({**BOXES, "results.kind": np.array([1])}, "results", "results.kind: is int64 (1,); expected the text"),
        ({"results.other": [1.0], "results.kind": "Detections"}, "results", "is called Detections and lacks results.boxes_xyxy, results.class_ids; add it"),
        ({**BOXES, "results.scores": [1e300, 0.5]}, "results", "results: is Detections.scores of float32; expected finite numbers"),
        ({**BOXES, "results.scores": ["a", "b"]}, "results", "results.scores: is of <U1; expected numbers"),
        ({**BOXES, "results.class_ids": [1.5, 2]}, "results", "results.class_ids: holds numbers that are not whole"),
        ({**BOXES, "results.boxes_xyxy": np.zeros((2, 5))}, "results", "boxes_xyxy (2, 5), class_ids (2,), scores (2,)"),
        ({**BOXES, "results.keypoints": np.zeros((2, 5))}, "results", "results: is Poses of boxes_xyxy (2, 4), class_ids (2,), keypoints (2, 5), scores (2,), sigmas (0,); see"),
        ({**BOXES, "results.masks": np.zeros((3, 4, 4))}, "results", "results.masks: is float64 (3, 4, 4); expected (2, height, width) of bool"),
        ({**BOXES, "results.masks": np.full((2, 4, 4), 0.5)}, "results", "expected (2, height, width) of bool, or of 0 and 1 or 255"),
        ({"results.masks": np.zeros((1, 4, 4)), "results.kind": "Instances"}, "results", "has masks and lacks results.boxes_xyxy, results.class_ids, results.scores"),
        ({"results.class_ids": [], "results.scores": []}, "results", "is of no class; expected one or more; of a model of labels write results.kind = 'Labels'"),
        ({"results.class_ids": np.zeros((2, 2)) + 0.5}, "results", "results.class_ids: holds numbers that are not whole"),
        ({"results.code_points": [-1], "results.score": 1.0}, "results", "results.code_points: holds numbers below 0 or beyond 32 bits"),
    ],
)  # fmt: skip
def test_unsound_values_are_refused_by_image_file_and_key(tmp_path, arrays, stage, message):
    folder = one_image(tmp_path, arrays, [stage])
    with pytest.raises(DataError) as refused:
        load(folder)
    assert str(refused.value).startswith(f"{tmp_path}/a.npz: image a.jpg: {stage}")
    assert message in str(refused.value)


HEADER = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"input.npy": npy(HEADER, bytes(7))}, "input: has a header of float32 (2,), which are 8 bytes, and 7 bytes behind it; write the file again"),
        ({"input.npy": npy(HEADER, bytes(9))}, "which are 8 bytes, and 9 bytes behind it"),
        # A few bytes that would be petabytes.
        ({"input.npy": npy(HEADER.replace("(2,)", "(1000000, 1000000, 1000)"))}, "which are 4000000000000000 bytes, and 0 bytes behind it"),
        ({"input.npy": npy(HEADER.replace("(2,)", "(-2,)"))}, "input: has a header of float32 (-2,)"),
        ({"input.npy": npy(HEADER.replace("<f4", "|O"), bytes(16))}, "holds Python objects, which are never unpickled"),
        ({"input.npy": npy("__import__('os')")}, "input: is no array: expected an .npy header of version 1.0 or 2.0; write it as docs/taps.md shows"),
        ({"input.npy": npy("{'descr': '<f4'}")}, "input: is no array: expected an .npy header"),
        ({"input.npy": b"\x93NUMPY\x03\x00\x00"}, "expected an .npy header of version 1.0 or 2.0"),
        ({"input.npy": b"nothing"}, "input: is no array: expected"),
        ({"input.npy": b""}, "input: is no array: expected"),
        ({"input.npy": npy(HEADER.replace("(2,)", "'x'"), bytes(8))}, "input: is no array: expected"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_array_are_refused(tmp_path, entries, message):
    with pytest.raises(DataError) as refused:
        load(raw_image(tmp_path, entries, ["input"]))
    assert message in str(refused.value)
    assert "a.npz: image a.jpg: input: " in str(refused.value)


def test_what_unpacks_to_more_than_an_image_can_have_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("seatrial.taps.npz.MOST_BYTES", 1000)
    bomb = npy(HEADER.replace("(2,)", "(500000,)"), bytes(2_000_000))
    folder = raw_image(tmp_path, {"input.npy": bomb}, ["input"])
    assert (folder / "a.npz").stat().st_size < 5000
    with pytest.raises(DataError, match=r"a\.npz: image a\.jpg: unpacks to 1.91 MiB; expected at most"):
        load(folder)


@pytest.mark.parametrize("spoil", [lambda b: b[:-30], lambda b: b"", lambda b: b[:80] + bytes([b[80] ^ 255]) + b[81:]])
def test_a_broken_file_is_named(tmp_path, spoil):
    folder = one_image(tmp_path, {"output.y": np.arange(40.0)}, ["output.y"])
    (folder / "a.npz").write_bytes(spoil((folder / "a.npz").read_bytes()))
    with pytest.raises(DataError, match=r"a\.npz: image a\.jpg: .*(damaged|no array).*write"):
        load(folder)


def test_a_key_that_stands_there_twice_is_refused(tmp_path):
    folder = one_image(tmp_path, {"input": np.zeros(2)}, ["input"])
    with zipfile.ZipFile(folder / "a.npz", "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("input.npy", npy(HEADER, bytes(8)))
    with pytest.raises(DataError, match="input: stands in the file twice; write each key once"):
        load(folder)


MANIFEST = {"schema": "seatrial.taps/1", "stages": ["input"], "images": [{"name": "a", "file": "a.npz"}]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": "seatrial.taps/2"}, "expected schema seatrial.taps/1, got 'seatrial.taps/2'; use a newer seatrial"),
        ({"schema": "taps"}, "got 'taps'; write \"schema\": \"seatrial.taps/1\""),
        ({"schema": None}, "got None; write"),
        ({"stages": ["inputs"]}, "stages: no stage is called 'inputs' (did you mean 'input'?); write stages as decoded, resized, input"),
        ({"stages": ["output."]}, "stages: no stage is called 'output.'"),
        ({"stages": []}, "stages: expected each stage that every image has, once, got none"),
        ({"stages": ["input", "input"]}, "stages: expected each stage that every image has, once, got input, input"),
        ({"color": {"decoded": "brg"}}, "color.decoded: Input should be 'bgr', 'rgb' or 'gray'"),
        ({"batch": 0}, "batch: Input should be greater than or equal to 1"),
        ({"images": []}, "lists no image; record at least one"),
        ({"images": [], "note": "broken off"}, "lists no image; it says: broken off; record at least one"),
        ({"images": [{"name": "a", "file": "/etc/passwd"}]}, "images.0.file: expected a path below the folder of taps.json, got '/etc/passwd'"),
        ({"images": [{"name": "a", "file": "../a.npz"}]}, "images.0.file: expected a path below the folder of taps.json, got '../a.npz'"),
        ({"images": [{"name": "a", "file": "a.npz", "sha256": "abc"}]}, "images.0.sha256: expected 64 hexadecimal digits"),
        ({"images": [{"name": "a"}]}, "images.0.file: Field required"),
        ({"images": [{"name": "", "file": "a.npz"}]}, "images.0.name: String should have at least 1 character"),
        ({"images": [{"name": "a", "file": "1"}, {"name": "a", "file": "2"}]}, "images: name 'a' stands there twice; give each image a name of its own"),
        ({"images": [{"name": "a", "file": "1"}, {"name": "b", "file": "1"}]}, "images: file '1' stands there twice; give each image a file of its own"),
    ],
)  # fmt: skip
def test_an_unsound_manifest_is_refused_by_its_key(tmp_path, changes, message):
    (tmp_path / "taps.json").write_text(json.dumps(MANIFEST | changes))
    with pytest.raises(DataError) as refused:
        TapsFolder.open(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / 'taps.json'}: ")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON, but it cannot be parsed"),
        ("[]", "expected a JSON object, got a list"),
        ("[" * 10**5, "cannot be parsed"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path, content, message):
    (tmp_path / "taps.json").write_text(content)
    with pytest.raises(DataError, match=message):
        TapsFolder.open(tmp_path)


def test_no_folder_and_no_manifest_name_the_page(tmp_path):
    for folder, said in ((tmp_path / "no", "no such folder"), (tmp_path, r"taps\.json: cannot be read: No such file")):
        with pytest.raises(DataError, match=f"{said}.*see docs/taps.md"):
            TapsFolder.open(folder)


@pytest.mark.parametrize("what", ["file", "folder", "taps.json", "circle"])
def test_links_out_of_the_folder_are_refused(tmp_path, what):
    outside = one_image(tmp_path / "outside", {"input": np.zeros(2)}, ["input"])
    folder = tmp_path / "taps"
    folder.mkdir()
    taps_json(folder, {"a.jpg": "sub/a.npz" if what == "folder" else "a.npz"}, ["input"])
    if what == "taps.json":
        (folder / "taps.json").unlink()
        (folder / "taps.json").symlink_to(outside / "taps.json")
    elif what == "folder":
        (folder / "sub").symlink_to(outside)
    else:
        (folder / "a.npz").symlink_to(outside / "a.npz" if what == "file" else folder / "a.npz")
    with pytest.raises(DataError, match=r"leads out of the folder of taps; put the file itself|no such file"):
        load(folder)


def test_links_within_and_a_linked_folder_are_read(tmp_path):
    folder = one_image(tmp_path / "taps", {"input": np.zeros(2)}, ["input"])
    (folder / "real").mkdir()
    (folder / "a.npz").rename(folder / "real" / "b.npz")
    (folder / "a.npz").symlink_to("real/b.npz")
    (tmp_path / "link").symlink_to(folder)
    assert load(tmp_path / "link").input.shape == (2,)


def test_a_pipe_is_no_file(tmp_path):
    taps_json(tmp_path, {"a.jpg": "a.npz"}, ["input"])
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(DataError, match="no such file"):
        load(tmp_path)


def test_a_pipe_in_place_of_the_manifest_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "taps.json")
    with pytest.raises(DataError, match="expected a file, got something else"):
        TapsFolder.open(tmp_path)
