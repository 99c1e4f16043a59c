"""The search itself, on a stretch of plain numbers: what is given up for what, what is counted, and what confirms."""

import pytest

from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.search import Search
from seatrial.diagnosis.stages import INPUT
from seatrial.diagnosis.stretch import Compared
from seatrial.diagnosis.verdict import _unexplained


class Numbers:
    """The candidate has 10 on every image, the reference 0. A way is what it has of an image."""

    end, stages = INPUT, (INPUT,)

    def compared(self, way, image):
        return Compared(abs(10.0 - way(image)), way(image) == 10)

    def distance(self, way, image):
        return self.compared(way, image).distance


def mistake(name, values):
    return Mutation(name, name, INPUT, lambda _way: values)


def search(differing, agreeing=(), in_time=lambda: True):
    return Search(Numbers(), lambda _i: 0.0, differing, agreeing, in_time)


# Exact on the images that are tried first, or on all that are searched, and half on the others.
TRAPS = [
    ("interpolation", lambda i: 10.0 if i in (0, 2, 4, 6) else 5.0),
    ("antialias", lambda i: 10.0 if i % 2 == 0 else 5.0),
]


@pytest.mark.parametrize(("fault", "values"), TRAPS)
@pytest.mark.parametrize("first", ["trap", "right"])
def test_nothing_is_given_up_for_what_is_exact_on_some_images_alone(fault, values, first):
    """Right is near everywhere, but for the image that all are tried on first. Of one fault no pair is tried."""
    right = mistake("interpolation", lambda i: 2.0 if i == 0 else 9.99)
    both = [mistake(fault, values), right]
    found = search(range(60)).find(both if first == "trap" else both[::-1], ())
    assert found.best is not None
    assert (found.best.mutations, found.best.exact) == ((right,), False)


@pytest.mark.parametrize(("count", "again"), [(1, 1), (2, 1), (5, 3), (7, 4), (8, 0), (20, 0)])
def test_how_many_images_a_mistake_was_found_on_that_confirm_it(count, again):
    s = search(range(count), range(100, 104))
    found = s.find([mistake("right", lambda i: 10.0 if i < 100 else 0.0)], ())
    assert found.best is None  # the images that agree are moved
    found = search(range(count)).find([mistake("right", lambda _i: 10.0)], ())
    assert (found.best.images, found.best.again) == (count if count < 8 else count // 2, again)
    assert count == 1 or set(s._confirm) - set(s._search)


def test_of_two_of_one_fault_that_searched_images_show_alike_the_others_tell():
    wrong, right = (mistake("exif", v) for v in (lambda i: 10.0 if i % 2 == 0 else 0.0, lambda _i: 10.0))
    found = search(range(7)).find([wrong, right], ())
    assert (found.best.mutations, found.best.exact) == ((right,), True)


def test_numbers_are_fitted_to_half_of_few_images():
    assert search([3, 1, 4, 0, 2])._fitted == [3, 4, 2]
    assert search([3, 1, 4, 0, 2])._confirm == [1, 0, 3, 4, 2]


def test_what_was_tried_is_counted_and_what_was_not_as_well():
    def no(_way):
        raise ValueError("cannot be made")

    asked = iter([True] * 5 + [False] * 100)
    wrong = [mistake(f"m{k}", lambda _i: 1.0) for k in range(9)]
    found = search(range(20), in_time=lambda: next(asked, False)).find([Mutation("no", "no", INPUT, no), *wrong], ())
    assert found.best is None
    assert found.out_of_time
    assert (found.tried, found.left) == (3, 6)
    said = _unexplained([type("Part", (), {"found": found})])
    assert said.removeprefix(", ") == "and time was up after 3 of 9 known mistakes, none of which explains it"
    done = search(range(20)).find([Mutation("no", "no", INPUT, no), *wrong], ())
    assert (done.tried, done.left, done.out_of_time) == (9, 0, False)
