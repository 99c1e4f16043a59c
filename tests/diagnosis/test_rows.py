"""Rows of a batch that are wrong by their place are named by the places; what follows the images, or chance, is not."""

from dataclasses import dataclass, field
from math import comb

import numpy as np
import pytest

from seatrial.diagnosis.at import At
from seatrial.diagnosis.rows import batch_dependent, by_chance

RNG = np.random.default_rng(7)
NAMES = [f"{k:02d}.jpg" for k in range(16)]
IMAGES = [RNG.normal(0, 1, (1, 3, 8, 8)).astype(np.float32) for _ in NAMES]


@dataclass
class Stretch:
    """The two values of each image that the rule looks at: the candidate's tensor, and what the reference makes of it."""

    start: str = "input"
    end: str = "outputs"
    names: list = field(default_factory=lambda: NAMES)
    images: list = field(default_factory=lambda: IMAGES)

    def given(self, image):
        return self.images[image]

    def made(self, _way, image):
        return At([self.images[image].mean(axis=(2, 3))])


@dataclass
class Part:
    distances: list
    stretch: Stretch = field(default_factory=Stretch)
    way: None = None

    @property
    def differing(self):
        return tuple(sorted((i for i, d in enumerate(self.distances) if d), key=lambda i: -self.distances[i]))


def wrong_at(*places, batch=4, count=16):
    return [0.3 + 0.01 * k if k % batch in places else 0.0 for k in range(count)]


@pytest.mark.parametrize(
    ("batch", "places", "said"),
    [
        (4, (1, 2, 3), "in place 1 of each batch of 4"),
        (4, (0, 1, 2), "in place 4 of each"),
        (2, (1,), "in place 1 of each"),
        (4, (2, 3), "in places 1, 2 of each"),
    ],
)
def test_places_that_are_wrong(batch, places, said):
    found = batch_dependent(Part(wrong_at(*places, batch=batch)), batch, NAMES)

    assert found.fault == "batch-dependent"
    assert said in found.what
    assert found.explained is None
    assert "by chance in one case of" in found.evidence


def test_in_the_order_in_which_the_candidate_went():
    backwards = list(reversed(NAMES))
    distances = wrong_at(1, 2, 3)[::-1]

    assert batch_dependent(Part(distances), 4, backwards)
    # The last of a shorter set was no full batch.
    shorter = Part(wrong_at(0, batch=4, count=15), Stretch(names=NAMES[:15]))
    assert batch_dependent(shorter, 4, NAMES)


def test_nothing_is_said_of():
    exact = wrong_at(1, 2, 3)
    one_more = [*exact[:4], 0.3, *exact[5:]]
    graded = [d or 0.2 for d in exact]
    assert batch_dependent(Part(one_more), 4, NAMES) is None, "an image that does not keep to it"
    assert batch_dependent(Part(exact), 3, NAMES) is None, "another batch"
    assert batch_dependent(Part(exact), 1, NAMES) is None, "no batch"
    assert batch_dependent(Part(graded), 4, NAMES) is None, "all images"
    few = Part(wrong_at(1, 2, 3, count=8), Stretch(names=NAMES[:8]))
    assert batch_dependent(few, 4, NAMES) is None, "so few that it may be chance"
    in_front = Part(exact, Stretch(start="encoded"))
    assert batch_dependent(in_front, 4, NAMES) is None, "what may be of the pictures' own kind"


def test_every_fourth_picture_may_be_another_kind():
    """A camera's, one of four exposures: what they show tells them apart as well as their places do."""
    dark = [image if k % 4 == 0 else image * np.float32(0.2) for k, image in enumerate(IMAGES)]

    assert batch_dependent(Part(wrong_at(1, 2, 3), Stretch(images=dark)), 4, NAMES) is None


def test_chance_is_counted():
    places = [k % 4 for k in range(16)]
    assert by_chance(places, 12) == pytest.approx(4 / comb(16, 4))
    assert by_chance(places, 8) == pytest.approx(6 / comb(16, 8))
    assert by_chance(places, 11) == 0
    # Places of 4, 4 and 2 images: four of ten are the first or the second.
    assert by_chance([0, 1, 2, 0, 1, 2, 0, 1, 0, 1], 4) == pytest.approx(2 / comb(10, 4))


def test_random_differences_are_hardly_ever_accused():
    accused = 0
    for seed in range(2000):
        rng = np.random.default_rng(seed)
        distances = np.where(rng.permutation(16) < rng.integers(1, 16), 0.3, 0.0).tolist()
        accused += batch_dependent(Part(distances), 4, NAMES) is not None
    assert accused <= 10
