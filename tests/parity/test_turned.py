"""Where EXIF turns an image and no size shows it, the truth may be of the stored picture: that is told."""

import json

import pytest

from seatrial.images.check import CheckedImage
from seatrial.images.files import ImageFile
from seatrial.parity.text_truth import Region
from seatrial.parity.truth import Truth, load_truth
from seatrial.parity.turned import turned_notes

STORED, SHOWN, SQUARE = (20, 40), (40, 20), (20, 20)


def said_of(folder, shown, stored, turned, sized=True):
    size = {"height": shown[0], "width": shown[1]} if sized else {}
    data = {
        "images": [{"id": 1, "file_name": "x.jpg", **size}],
        "annotations": [],
        "categories": [{"id": 1, "name": "a"}],
    }
    (folder / "t.json").write_text(json.dumps(data))
    images = [ImageFile(folder / "x.jpg", "x.jpg")]
    checked = [CheckedImage(folder / "x.jpg", shown, stored, turned=turned)]
    return turned_notes(load_truth(folder / "t.json", images), images, checked)


@pytest.mark.parametrize(
    ("shown", "stored", "turned", "sized", "told"),
    [
        (STORED, STORED, False, True, False),
        (STORED, STORED, True, True, True),
        (SQUARE, SQUARE, True, True, True),
        (SHOWN, STORED, True, True, False),
        (SHOWN, STORED, True, False, True),
    ],
)
def test_turns_that_no_size_shows_are_told(tmp_path, shown, stored, turned, sized, told):
    found = said_of(tmp_path, shown, stored, turned, sized)
    assert [w.code for w in found] == ["turned-images"] * told
    assert all("1 image is turned by EXIF" in str(w) and "decode.exif: ignore" in str(w) for w in found)


def test_a_truth_without_places_is_of_either_picture(tmp_path):
    image = ImageFile(tmp_path / "x.jpg", "x.jpg")
    checked = [CheckedImage(image.path, STORED, STORED, turned=True)]
    assert turned_notes(Truth(tmp_path / "t.csv", classes={"x.jpg": "a"}), [image], checked) == []
    regions: dict[str, tuple[Region, ...]] = {"x.jpg": ()}
    assert len(turned_notes(Truth(tmp_path / "t.txt", regions=regions), [image], checked)) == 1
