"""All that is wrong with a folder at once, each with its image and its cure; and what may surprise, counted."""

import hashlib
import json

import cv2
import numpy as np
import pytest
from taps_folders import BOXES, PICTURE, one_image, taps_json

from seatrial.errors import DataError
from seatrial.taps.check import check_taps, images_in
from seatrial.taps.folder import TapsFolder


def checked(folder, images=None):
    return check_taps(TapsFolder.open(folder), images)


def said(check):
    return [str(problem) for problem in check.problems]


def test_every_fault_of_every_image_is_said_at_once(tmp_path):
    np.savez(tmp_path / "a.npz", decoded=PICTURE / 1.0, input=np.zeros((2, 3, 4, 4)))
    np.savez(tmp_path / "b.npz", decoded=PICTURE, **BOXES)
    taps_json(tmp_path, {"a": "a.npz", "b": "b.npz", "c": "c.npz"}, ["decoded", "input", "results"])
    check = checked(tmp_path)
    assert (check.images, check.sound) == (3, 0)
    assert [(p.subject.rpartition("/")[2], p.key) for p in check.problems] == [
        ("a.npz: image a", "decoded"),
        ("a.npz: image a", "input"),
        ("a.npz: image a", "results"),
        ("b.npz: image b", "input"),
        ("c.npz: image c", ""),
    ]
    assert all("; " in line for line in said(check))


def test_sizes_may_differ_and_are_shown(tmp_path):
    for name, height in (("a", 6), ("b", 5)):
        np.savez(
            tmp_path / f"{name}.npz",
            decoded=PICTURE[:height],
            **{"output.y": np.asfortranarray(np.ones((height, 2)))},
            **BOXES,
        )
    taps_json(tmp_path, {"a": "a.npz", "b": "b.npz"}, ["decoded", "output.y", "results"])
    check = checked(tmp_path)
    assert check.problems == ()
    assert check.sound == 2
    assert check.seen == {
        "decoded": ("uint8 (6, 8, 3)", "uint8 (5, 8, 3)"),
        "output.y": ("float64 (6, 2)", "float64 (5, 2)"),
        "results": ("Detections",),
    }


def test_what_may_surprise_is_counted(tmp_path):
    for name, extra in (("a", {"tracks": np.zeros(1)}), ("b", {"tracks": np.zeros(1), "more": np.zeros(1)})):
        np.savez(
            tmp_path / f"{name}.npz",
            input=np.array([np.nan, 1.0]),
            **{"output.y": np.array([np.inf if name == "b" else 0.0])},
            **extra,
        )
    taps_json(tmp_path, {"a": "a.npz", "b": "b.npz"}, ["input", "output.y"])
    assert checked(tmp_path).notes == (
        "no sha256 for 2 of 2 images: nothing tells whether they are the plan's own; add it",
        "input has NaN or infinity in 2 of 2 images: a, b; where the pipeline has none there, the writer is at fault",
        "output.y has NaN or infinity in 1 of 2 images: b; where the pipeline has none there, the writer is at fault",
        "2 keys of no stage that taps.json lists, which are not read: tracks in 2 images, more in 1 image",
    )


def test_boxes_before_nms_are_boxes_and_no_fewer_than_it_leaves(tmp_path):
    fewer = {k.replace("results", "candidates"): v[:0] for k, v in BOXES.items()}
    other = {"candidates.class_ids": np.array([1]), "candidates.scores": np.array([0.5])}
    same = {k.replace("results", "candidates"): v for k, v in BOXES.items()}
    for name, more in (("a", fewer), ("b", other), ("c", same)):
        np.savez(tmp_path / f"{name}.npz", **BOXES, **more)
    taps_json(tmp_path, {n: f"{n}.npz" for n in "abc"}, ["candidates", "results"])
    notes = checked(tmp_path).notes
    assert (
        "candidates are no boxes in 1 of 3 images: b; write what NMS is given, with the fields of Detections" in notes
    )
    assert "candidates has fewer boxes than results in 1 of 3 images: a; write them in front of NMS" in notes
    assert not any(": c" in note for note in notes)


def _with_images(tmp_path, **changes):
    """Taps of photos a.png and sub/b.png, with their digests."""
    photos = tmp_path / "photos"
    (photos / "sub").mkdir(parents=True)
    rows = []
    folder = one_image(tmp_path / "taps", {"input": np.zeros(3)}, ["input"])
    for number, name in enumerate(("a.png", "sub/b.png")):
        cv2.imwrite(str(photos / name), np.full((4, 4, 3), number, np.uint8))
        digest = hashlib.sha256((photos / name).read_bytes()).hexdigest()
        np.savez(folder / f"{number}.npz", input=np.zeros(3))
        rows.append({"name": name, "sha256": digest.upper(), "file": f"{number}.npz"} | changes.get(name[-5], {}))
    (folder / "taps.json").write_text(json.dumps({"schema": "seatrial.taps/1", "stages": ["input"], "images": rows}))
    return folder, photos


def test_digests_are_held_against_the_images(tmp_path):
    folder, photos = _with_images(tmp_path)
    check = checked(folder, images_in(photos))
    assert (check.problems, check.notes, check.sound) == ((), (), 2)


def test_other_images_and_other_names_are_found(tmp_path):
    folder, photos = _with_images(tmp_path, a={"sha256": "0" * 64}, b={"name": "b.png"})
    check = checked(folder, images_in(photos))
    assert said(check) == [
        f"{folder}/taps.json: images: 1 of 2 images are not among the 2 images given: b.png (did you mean 'sub/b.png'?); "
        "name each as its path below the images' folder",
        f"{folder}/0.npz: image a.png: sha256: taps are of another file than {photos}/a.png: its sha256 is "
        f"{hashlib.sha256((photos / 'a.png').read_bytes()).hexdigest()[:12]}…, theirs 000000000000…; tap that very file, or give theirs",
    ]
    assert check.notes == ("1 of the 2 images given have no taps: sub/b.png",)


def test_an_image_that_went_is_said(tmp_path):
    folder, photos = _with_images(tmp_path)
    images = images_in(photos)
    (photos / "a.png").unlink()
    assert said(checked(folder, images)) == [
        f"{photos}/a.png: the image cannot be read (No such file or directory); copy it again"
    ]


def test_a_folder_of_images_has_to_be_there(tmp_path):
    with pytest.raises(DataError, match="no such folder; expected the images that were tapped"):
        images_in(tmp_path / "no")
