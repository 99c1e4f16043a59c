"""Masks of a truth: what pycocotools can take, and what would make it go on for ever."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from seatrial.errors import DataError
from seatrial.images.files import ImageFile
from seatrial.kernels.masks import runs_of
from seatrial.kernels.results import Detections, Instances
from seatrial.parity.classes import ClassMap
from seatrial.parity.coco_masks import mask_problem
from seatrial.parity.objects import evaluate_objects
from seatrial.parity.truth import check_truth, load_truth

HW = (4, 6)


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_what_pycocotools_writes_is_sound(mask):
    text = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    plain = {"counts": runs_of(mask, (0, 0), mask.shape).tolist(), "size": list(mask.shape)}
    for segmentation in ({"counts": text["counts"].decode(), "size": list(mask.shape)}, plain):
        assert mask_problem(segmentation, mask.shape) == ""
    assert mask_problem({"counts": text["counts"].decode(), "size": [mask.shape[0] + 1, mask.shape[1]]}, None)


@given(st.text(alphabet=[chr(c) for c in range(40, 120)], max_size=12))
def test_any_text_has_an_answer(text):
    assert isinstance(mask_problem({"counts": text, "size": [4, 6]}, HW), str)


WRONG = {
    "counts too few": ({"counts": [3, 4], "size": [4, 6]}, "its counts add up to 7, expected 4 × 6 = 24"),
    "size turned": (
        {"counts": [24], "size": [6, 4]},
        r"its size is 6 × 4, and the image's 4 × 6 \(height × width\): height",
    ),
    "another size": ({"counts": [25], "size": [5, 5]}, "its size is 5 × 5, and the image's 4 × 6"),
    "text of another size": ({"counts": "PXb04", "size": [4, 6]}, "its counts add up to"),
    "no text of runs": ({"counts": "~~", "size": [4, 6]}, "expected counts as a list of whole numbers"),
    "a text that breaks off": ({"counts": "P", "size": [4, 6]}, "expected counts as a list of whole numbers"),
    "negative counts": ({"counts": [-1, 25], "size": [4, 6]}, "expected counts as a list of whole numbers"),
    "no size": ({"counts": [24]}, "expected polygons, or runs with 'counts' and 'size'"),
    "a point and a half": ([[1, 2, 3]], "expected each polygon as x, y of three points or more, got 3 numbers"),
    "two points": ([[1, 2, 3, 4]], "three points or more, got 4 numbers"),
    "an odd number": ([[1, 2, 3, 4, 5, 6, 7]], "three points or more, got 7 numbers"),
    "no numbers": ([["a"] * 6], "three points or more, got"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("sized", [True, False])
def test_what_is_no_mask_is_refused_before_anything_runs_and_of_a_users_own_stage(tmp_path, name, sized):
    segmentation, said = WRONG[name]
    row = {"id": 1, "file_name": "0.png", **({"height": 4, "width": 6} if sized else {})}
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": segmentation, "area": 4}
    (tmp_path / "t.json").write_text(
        json.dumps({"images": [row], "annotations": [annotation], "categories": [{"id": 1, "name": "a"}]})
    )
    images = [ImageFile(tmp_path / "0.png", "0.png")]
    truth = load_truth(tmp_path / "t.json", images)
    for task in ("instances", "segment"):
        with pytest.raises(DataError, match=f"an annotation of 0.png gives no mask: .*{said}"):
            check_truth(truth, images, [HW], task)
    boxes = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    with pytest.raises(DataError, match=said):
        evaluate_objects(truth, images, [Instances.of_masks(boxes, [], HW)], ClassMap((1,)))
