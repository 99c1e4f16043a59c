"""train/00.png is no truth of val/00.png, whatever kind the truth is of."""

import cv2
import numpy as np
import pytest

from seatrial.errors import DataError
from seatrial.images.files import ImageFile
from seatrial.parity.file_names import own_by_base
from seatrial.parity.truth import load_truth

HW = (20, 20)


def label_image(folder, entry):
    path = folder / "truth" / f"{entry}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.ones(HW, np.uint8))
    return folder / "truth"


def labels(folder, entry):
    path = folder / "truth" / f"{entry}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("0 0 8 0 8 8 0 8 boat 0\n")
    return folder / "truth"


def texts(folder, entry):
    (folder / "truth.csv").write_text(f"image,text\n{entry}.png,word\n")
    return folder / "truth.csv"


def regions(folder, entry):
    rows = '[{"transcription": "word", "points": [[0, 0], [8, 0], [8, 8]]}]'
    (folder / "truth.txt").write_text(f"{entry}.png\t{rows}\n")
    return folder / "truth.txt"


def loaded(folder, write, image, entry):
    return load_truth(write(folder, entry), [ImageFile(folder / "pictures" / image, image)], [HW])


@pytest.mark.parametrize("write", [label_image, labels, texts, regions])
def test_a_truth_of_another_folder_is_refused_with_the_cure(tmp_path, write):
    with pytest.raises(DataError, match=r"train/00.* has the name of val/00.png, but lies in another folder: name"):
        loaded(tmp_path, write, "val/00.png", "train/00")


@pytest.mark.parametrize("write", [label_image, labels, texts, regions])
@pytest.mark.parametrize(
    ("image", "entry"),
    [("val/00.png", "val/00"), ("val/00.png", "00"), ("val/00.png", "set/val/00"), ("00.png", "pictures/00")],
)
def test_folders_that_agree_or_are_not_named_are_taken(tmp_path, write, image, entry):
    assert loaded(tmp_path, write, image, entry).warnings == ()


@pytest.mark.parametrize("write", [label_image, labels, texts, regions])
def test_a_folder_that_nothing_confirms_is_told(tmp_path, write):
    (warned,) = loaded(tmp_path, write, "00.png", "train/00").warnings
    assert (
        "of 1 image are taken by the file's name alone, though they lie in another folder: 00.png has train/00"
        in str(warned)
    )


def test_the_folder_of_the_images_goes_before_others(tmp_path):
    image = ImageFile(tmp_path / "val" / "00.png", "00.png")
    assert own_by_base(image, ["train/00.png", "val/00.png"]) == ["val/00.png"]
    assert own_by_base(image, ["train/00.png", "test/00.png"]) == ["train/00.png", "test/00.png"]
