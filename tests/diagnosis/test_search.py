"""The search itself, on a stretch of plain numbers: what is given up for what, what is counted, and what confirms."""

import pytest

from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.search import Search
from seatrial.diagnosis.stages import INPUT, RESULTS
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
TRAP = mistake("interpolation", lambda i: 10.0 if i in (0, 2, 4, 6) else 5.0)
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


@pytest.mark.parametrize(("others", "named"), [(0.05, True), (0.4, True), (0.6, False), (1.0, False)])
def test_what_holds_of_one_image_alone_is_met_by_chance(others, named):
    """Two images differ a hundred times as much as the others, as where two ranks are flipped, and a mistake gives these."""
    numbers = Numbers()
    numbers.end, numbers.stages = RESULTS, (RESULTS,)
    numbers.compared = lambda way, i: Compared((100.0 if i in (0, 1) else 1.0) * way(i), way(i) == 0)
    numbers.distance = lambda way, i: numbers.compared(way, i).distance
    s = Search(numbers, lambda _i: 1.0, range(12), (), lambda: True)
    found = s.find([mistake("right", lambda i: 0.01 if i in (0, 1) else others)], ())
    assert (found.best is not None) == named


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
    assert said.removeprefix(", ").startswith(
        "and time was up after 3 of 9 known mistakes, none of which explains it; nearest"
    )
    done = search(range(20)).find([Mutation("no", "no", INPUT, no), *wrong], ())
    assert (done.tried, done.left, done.out_of_time) == (9, 0, False)


def test_what_came_closest_is_kept_where_time_is_up_before_it_is_confirmed():
    """Exact on the images that are tried first, which is when time is up."""
    asked = iter([True] * 9)
    wrong = [mistake(f"m{k}", lambda _i, k=k: float(k)) for k in range(3)]
    found = search(range(60), in_time=lambda: next(asked, False)).find([TRAP, *wrong], ())
    assert (found.best, found.out_of_time) == (None, True)
    assert [e.faults for e in found.near] == [("interpolation",), ("m2",), ("m1",)]
    said = _unexplained([type("Part", (), {"found": found})])
    assert said == (
        ", and time was up before all that was tried could be confirmed, and pairs be tried; nearest, and not confirmed, was "
        "interpolation (interpolation)"
    )


def pair_of(first, second):
    """Each makes up for half of what the candidate is apart by, as a change of the way that it is given."""

    def added(name, value):
        return Mutation(name, name, INPUT, lambda way: lambda i: way(i) + value)

    return added(first, 5.0), added(second, 5.0)


def test_a_pair_of_the_nearest_is_found_before_all_mistakes_were_tried():
    """Of many mistakes most stay untried in the time that they alone have."""
    tries = []

    class Counted(Numbers):
        def compared(self, way, image):
            tries.append(image)
            return super().compared(way, image)

    both = pair_of("channel-order", "scale-wrong")
    others = [mistake(f"m{k}", lambda _i: -90.0) for k in range(900)]
    clock = {"in_time": lambda: len(tries) < 300, "early": lambda: len(tries) < 210}
    found = Search(Counted(), lambda _i: 0.0, range(60), (), **clock).find([*both, *others], ())
    assert found.best is not None
    assert (sorted(found.best.faults), found.best.exact) == (["channel-order", "scale-wrong"], True)
    assert found.left > 500


def test_what_decides_which_results_stay_comes_before_all_else_behind_what_explains_most():
    """It shows nothing alone: the second half is there only where the first is."""
    tries = []

    class Whole(Numbers):
        end, stages = RESULTS, (INPUT, RESULTS)

        def compared(self, way, image):
            tries.append(image)
            return super().compared(way, image)

    def behind(name, fault, value):
        return Mutation(fault, name, RESULTS, lambda way: lambda i: value if way(i) == 6.0 else way(i))

    first = mistake("channel-order", lambda _i: 6.0)
    stays = behind("stays", "nms-settings", 10.0)
    others = [behind(f"o{k}", f"o{k}", 5.0) for k in range(400)]
    clock = {"in_time": lambda: len(tries) < 600, "early": lambda: len(tries) < 450}
    found = Search(Whole(), lambda _i: 0.0, range(60), (), **clock).find([first, *others[:80], stays, *others[80:]], ())
    assert found.best is not None
    assert (found.best.faults, found.best.exact) == (("channel-order", "nms-settings"), True)


def test_mistakes_that_the_pairs_came_before_are_tried_in_what_time_is_left():
    tries = []

    class Counted(Numbers):
        def compared(self, way, image):
            tries.append(image)
            return super().compared(way, image)

    right, wrong = mistake("right", lambda _i: 10.0), [mistake(f"m{k}", lambda _i: 1.0) for k in range(9)]
    clock = {"in_time": lambda: True, "early": lambda: len(tries) < 20}
    found = Search(Counted(), lambda _i: 0.0, range(60), (), **clock).find([*wrong, right], ())
    assert (found.best.mutations, found.best.exact, found.left) == ((right,), True, 0)
