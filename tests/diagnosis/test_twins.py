"""Two mistakes of one name are told apart in words: a filter that averages where the reference does not, and every picture mirrored."""

import pytest
from result_candidates import demo_way

from seatrial.diagnosis.mutations.every import mutations_of


def antialias(ours):
    way = demo_way().with_settings("preprocess", interpolation=ours)
    return {m.what: m.twin for m in mutations_of(way) if m.fault == "antialias"}


@pytest.mark.parametrize(
    ("ours", "other", "added"),
    [
        ("linear", "resizes linearly with antialiasing (Pillow's, torchvision's)", True),
        ("cubic", "resizes cubically with antialiasing (Pillow's, torchvision's)", True),
        ("antialias_linear", "resizes linearly without antialiasing (OpenCV's INTER_LINEAR)", False),
        ("antialias_cubic", "resizes cubically without antialiasing (OpenCV's INTER_CUBIC)", False),
    ],
)
def test_antialiasing_left_out_and_added(ours, other, added):
    found = antialias(ours)
    assert found[other] is added
    assert set(found.values()) == {added}


def test_a_plain_flip_is_no_matter_of_exif():
    found = {m.what: m for m in mutations_of(demo_way()) if m.fault == "exif"}
    flip = found[
        "mirrors every image (left and right change places), as EXIF orientation 2 would ask, whatever its own is"
    ]
    assert (flip.twin, flip.key) == (True, "")
    ignored = found["does not turn images as their EXIF orientation says"]
    assert (ignored.twin, ignored.key) == (False, "decode.exif")
    assert "mirrors every image with an orientation in EXIF (left and right change places)" in found
