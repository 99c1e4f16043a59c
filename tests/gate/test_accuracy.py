"""What fails on few images: bounds that hold what so few images did not show, on the failing side too."""

import numpy as np
import pytest

from seatrial.gate.accuracy import accuracy_interval, judge_accuracy, judge_drop
from seatrial.parity.evaluation import BoxEvaluation, ClassMatches, MeanEvaluation, PixelEvaluation, value_of
from seatrial.stats.resample import share_low

ALL = (1 << 10) - 1


def top1(*right):
    return MeanEvaluation("top-1", np.array(right, np.float64))


def boxes(*found):
    """One category, an object an image, found on those images alone."""
    image = np.flatnonzero(found).astype(np.int32)
    n = len(image)
    matches = ClassMatches(
        1, image, np.linspace(0.9, 0.5, n), np.full(n, ALL, np.uint32), np.zeros(n, np.uint32), np.ones(len(found))
    )  # fmt: skip
    return BoxEvaluation((matches,), len(found))


def pixels(*share):
    return PixelEvaluation((1,), 100.0 * np.array(share)[:, None], np.full((len(share), 1), 100.0))


@pytest.mark.parametrize("made", [top1, boxes, pixels])
@pytest.mark.parametrize(
    ("images", "most", "verdict"), [(1, 0.05, "INCONCLUSIVE"), (4, 0.005, "FAIL"), (3, 0.6, "INCONCLUSIVE"), (40, 0.6, "FAIL")]
)  # fmt: skip
def test_a_drop_on_all_of_few_images_fails_only_what_so_many_show(made, images, most, verdict):
    judged = judge_drop(made(*[1] * images), made(*[0] * images), most, 0)
    assert (judged.verdict, judged.value) == (verdict, pytest.approx(1.0))
    assert "drop 100.0 to 100.0" not in judged.reason


@pytest.mark.parametrize("images", [1, 2, 3, 8, 30])
def test_no_drop_of_top1_is_called_larger_than_what_is_surely_lost(images):
    exact = share_low(images, images, 0.95)
    reference, own = top1(*[1] * images), top1(*[0] * images)
    assert judge_drop(reference, own, exact * 1.001, 0).verdict == "INCONCLUSIVE"


@pytest.mark.parametrize("made", [boxes, pixels])
def test_few_images_leave_room_above_an_accuracy(made):
    few = made(0, 0.5, 0) if made is pixels else made(0, 1, 0)
    low, high = accuracy_interval(few, 0)
    assert low < value_of(few) < high
    assert judge_accuracy(made(0), 0.5, 0).verdict == "INCONCLUSIVE"
    assert judge_accuracy(made(*[0] * 40), 0.5, 0).verdict == "FAIL"


def test_a_perfect_image_never_makes_a_fail_easier():
    """mAP is not linear: behind false positives an image found first raises the reference more than the candidate."""
    n = 40
    image = np.repeat(np.arange(n, dtype=np.int32), 2)
    false = ClassMatches(
        1, np.concatenate([image, np.arange(n, dtype=np.int32)]), np.repeat([0.9, 0.5], [2 * n, n]),
        np.repeat(np.array([0, ALL], np.uint32), [2 * n, n]), np.zeros(3 * n, np.uint32), np.ones(n),
    )  # fmt: skip
    judged = judge_drop(BoxEvaluation((false,), n), boxes(*[1] * 8, *[0] * 32), 0.01, 0)
    assert judged.value > 0.01
    assert judged.verdict == "INCONCLUSIVE"


def test_a_perfect_image_more():
    assert value_of(top1(0, 0).with_perfect(0)) == pytest.approx(1 / 3)
    # Found first: precision is 1 up to the recall of a third, at 34 of 101 levels.
    assert value_of(boxes(0, 0).with_perfect(1)) == pytest.approx(34 / 101)
    assert value_of(boxes(1, 1).with_perfect(0)) == pytest.approx(1)
    assert value_of(pixels(0, 0.5).with_perfect(0)) == pytest.approx(150 / 300)
    scores = boxes(1, 0, 1).with_perfect(0).classes[0].score
    assert (np.diff(scores) <= 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("images", [2, 4, 16, 32, 100])
@pytest.mark.parametrize("limit", [0.1, 0.3, 0.6])
def test_a_drop_at_the_limit_seldom_fails(images, limit):
    """By simulation 0 to 7 %; 300 sets allow for three standard errors above 5 %."""
    rng = np.random.default_rng([images, int(100 * limit)])
    wrong = 0
    for seed in range(300):
        own = (rng.random(images) > limit).astype(np.float64)
        wrong += judge_drop(top1(*[1] * images), top1(*own), limit, seed).verdict == "FAIL"
    assert wrong / 300 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
