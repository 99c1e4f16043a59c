"""What is said of results by themselves."""

import numpy as np

from seatrial.kernels.results import Classification, Detections, SemanticMask
from seatrial.parity.seen import nothing_found, unknown_classes


def detections(*class_ids):
    n = len(class_ids)
    return Detections(np.zeros((n, 4), np.float32), np.ones(n, np.float32), np.array(class_ids, np.int64))


def test_classes_beyond_the_known_ones_are_counted():
    results = [detections(0, 2, 3), None, detections(), detections(-1, 1)]
    assert str(unknown_classes(results, 3)).startswith(
        "2 of 5 results are of a class that is none of 0 to 2, such as 3: they match"
    )
    assert unknown_classes(results[:1], 4) is None
    assert unknown_classes([], 4) is None
    answer = Classification(np.array([5, 1]), np.array([0.6, 0.2], np.float32))
    assert str(unknown_classes([answer], 5)).startswith("1 of 2 results")


def test_a_masks_id_for_what_is_not_judged_is_none_of_them():
    assert unknown_classes([SemanticMask(np.full((2, 2), 255))], 3) is None


def test_a_detector_without_a_box_anywhere_is_told():
    assert str(nothing_found([detections(), None, detections()])).startswith("not one box on any of 2 images: is ")
    assert nothing_found([detections(), detections(1)]) is None
    assert nothing_found([None]) is nothing_found([]) is None
