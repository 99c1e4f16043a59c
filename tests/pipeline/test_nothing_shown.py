"""A picture on which a model finds nothing confirms no reading of it: YOLOv5's scores are products, which a part alone hides."""

import numpy as np
import pytest

from seatrial.demo import MODEL
from seatrial.jobs.guessed import confirmed
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.plan.guess import guess
from seatrial.plan.seen import observe

METADATA = {"stride": "32", "names": "{0: 'a', 1: 'b', 2: 'c'}"}
ANCHORS = 3 * (20 * 20 + 10 * 10 + 5 * 5)


def recognised(objectness, best_class):
    rng = np.random.default_rng(0)
    boxes, sure, classes = (
        rng.uniform(1, 160, (ANCHORS, 4)),
        rng.uniform(0.9, 1, (ANCHORS, 1)),
        rng.random((ANCHORS, 3)),
    )
    head = np.concatenate([boxes, objectness * sure, best_class * classes], axis=1).astype(np.float32)[None]
    info = ModelInfo(
        MODEL, (TensorInfo("images", (1, 3, 160, 160), "float32"),),
        (TensorInfo("output0", head.shape, "float32"),), METADATA, 17, 1, "",
    )  # fmt: skip
    seen = observe(["output0"], [([head], 1)])
    return confirmed(info, guess(info, seen), seen).recognition


@pytest.mark.parametrize(("objectness", "best_class"), [(0.3, 0.3), (0.1, 0.9), (0.9, 0.1), (0.05, 0.05)])
def test_where_no_product_is_sure_nothing_was_found(objectness, best_class):
    found = recognised(objectness, best_class)
    assert not found.certain
    assert any("nothing was found on the picture" in doubt for doubt in found.doubts)


def test_where_one_is_the_reading_is_confirmed():
    found = recognised(0.9, 0.9)
    assert len(found.certain) == 1
    assert not found.doubts
