"""How far two objects are the same: IoU of boxes and masks, OKS of poses, against pycocotools and plain counting."""

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from seatrial.kernels.poses import COCO_SIGMAS
from seatrial.kernels.results import Detections, Instances, Poses
from seatrial.parity.overlaps import FILLED, OVERLAPS, mask_iou, object_keypoint_similarity
from seatrial.parity.results import agreement, match
from seatrial.pipeline.results import KINDS

RNG = np.random.default_rng(4)


def boxes(n, classes=None):
    corner = RNG.uniform(0, 40, (n, 2))
    whole = np.concatenate([corner, corner + RNG.uniform(4, 30, (n, 2))], axis=1).astype(np.float32)
    return Detections(whole, np.linspace(0.9, 0.5, n, dtype=np.float32), np.array(classes or [0] * n, np.int64))


def instances(masks, classes=None):
    return Instances.of_masks(boxes(len(masks), classes), masks, (20, 30))


def poses(points, seen=None, sigmas=None):
    found, n, k = boxes(len(points)), len(points), len(points[0]) if len(points) else 17
    whole = np.concatenate([points, np.ones((n, k, 1)) if seen is None else seen], axis=2).astype(np.float32)
    return Poses(
        found.boxes_xyxy, found.scores, found.class_ids, whole, np.array(sigmas or COCO_SIGMAS[:k], np.float32)
    )


def test_every_kind_of_objects_has_an_overlap():
    assert set(OVERLAPS) == {k for k in KINDS if issubclass(k, Detections)}


def test_mask_iou_is_the_share_of_common_pixels():
    a, b = (RNG.random((3, 20, 30)) < 0.5 for _ in range(2))
    a[2] = False
    expected = [[(x & y).sum() / max(1, (x | y).sum()) for y in b] for x in a]
    np.testing.assert_allclose(mask_iou(instances(a), instances(b)), expected)


def test_masks_of_unlike_sizes_have_nothing_in_common():
    other = Instances.of_masks(boxes(1), [np.ones((30, 20), bool)], (30, 20))
    assert mask_iou(instances([np.ones((20, 30), bool)]), other).tolist() == [[0.0]]


def test_oks_is_that_of_pycocotools():
    """Its own computeOks, with the area that a box is taken to hold."""
    points = RNG.uniform(0, 60, (3, 17, 2))
    reference, candidate = poses(points), poses(points + RNG.normal(0, 2, points.shape))
    judge = COCOeval(iouType="keypoints")
    judge.params.useCats, judge.params.maxDets = 1, [20]
    sides = (reference.boxes_xyxy[:, 2:] - reference.boxes_xyxy[:, :2]).astype(float)

    def flat(found):
        return [np.column_stack([k[:, :2].astype(float), np.full(17, 2)]).ravel().tolist() for k in found.keypoints]

    judge._gts[1, 1] = [
        {"keypoints": k, "bbox": [0, 0, 1, 1], "area": FILLED * s.prod()}
        for k, s in zip(flat(reference), sides, strict=True)
    ]
    judge._dts[1, 1] = [{"keypoints": k, "score": 1.0} for k in flat(candidate)]
    found = object_keypoint_similarity(reference, candidate)
    np.testing.assert_allclose(found, np.array(judge.computeOks(1, 1)).T, rtol=1e-6, atol=1e-9)
    assert 0.1 < found.diagonal().min() < found.diagonal().max() < 1


def test_points_that_the_reference_does_not_see_say_nothing():
    points = RNG.uniform(0, 60, (1, 5, 2))
    seen = np.array([1, 1, 0.2, 0.2, 0.2])[None, :, None]
    moved = points + np.array([0, 0, 50, 50, 50])[None, :, None]
    assert object_keypoint_similarity(poses(points, seen), poses(moved, seen))[0, 0] == pytest.approx(1)
    unseen = np.zeros((1, 5, 1))
    assert object_keypoint_similarity(poses(points, unseen), poses(moved, unseen))[0, 0] == pytest.approx(0.4)


def test_poses_of_unlike_points_have_nothing_in_common():
    found = object_keypoint_similarity(poses(RNG.uniform(0, 9, (2, 5, 2))), poses(RNG.uniform(0, 9, (3, 4, 2))))
    assert found.tolist() == [[0.0] * 3] * 2


def test_objects_agree_by_what_they_are():
    """Two poses in one box with unlike points agree as boxes, and not as poses."""
    points = RNG.uniform(0, 20, (1, 17, 2))
    a, b = poses(points), poses(points + 40)
    b = Poses(a.boxes_xyxy, b.scores, b.class_ids, b.keypoints, b.sigmas)
    assert match(Detections(*list(vars(a).values())[:3]), Detections(*list(vars(b).values())[:3]))
    assert match(a, b) == []
    found = agreement([a], [b])
    assert (found.value, found.unit) == (0.0, "poses matched (F1 over all poses at OKS 0.5, same class)")
    assert found.said(["a.jpg"]) == "0 of 1 poses matched, 1 extra in a.jpg, 1 missing in a.jpg"


def test_masks_agree_at_half_their_pixels():
    whole = np.zeros((20, 30), bool)
    whole[:10] = True
    half, less = whole.copy(), whole.copy()
    half[5:10], less[4:10] = False, False
    for part, expected in ((whole, 1), (half, 1), (less, 0)):
        found = agreement([instances([whole])], [instances([part])])
        assert (found.value, found.unit) == (expected, "masks matched (F1 over all masks at IoU 0.5, same class)")


def test_boxes_and_masks_do_not_compare():
    with pytest.raises(ValueError, match="results of one kind, got Detections and Instances"):
        agreement([boxes(1)], [instances([np.ones((20, 30), bool)])])


def test_nothing_on_one_side_of_an_image():
    nothing, one = instances([]), instances([np.ones((20, 30), bool)])
    assert agreement([one, nothing, nothing], [nothing, nothing, one]).value == 0
    assert agreement([nothing], [nothing]).value is None
    assert object_keypoint_similarity(poses(np.zeros((0, 17, 2))), poses(RNG.uniform(0, 9, (2, 17, 2)))).shape == (0, 2)
