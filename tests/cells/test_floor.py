"""The reference against itself: what is kept of an image's outputs, and that a failure says nothing about the cell."""

import numpy as np
import pytest

from seatrial.cells.floor import kept, measure_floor
from seatrial.cells.matrix import expand
from seatrial.cells.preflight import preflight
from seatrial.cells.prepare import workload_of
from seatrial.jobs.opened import open_pipeline
from seatrial.pipeline.image_outputs import row_of


@pytest.mark.parametrize(
    ("output", "batch", "row", "own"),
    [
        (np.arange(6).reshape(2, 3), 2, 1, [3, 4, 5]),
        (np.arange(2), 2, 1, 1),
        (np.arange(3).reshape(1, 3), 1, 0, [0, 1, 2]),
        # Without a batch dimension: the whole is each image's.
        (np.arange(6).reshape(3, 2), 2, 1, [[0, 1], [2, 3], [4, 5]]),
        (np.array(7.0), 1, 0, 7.0),
        (np.zeros((2, 0)), 2, 0, []),
    ],
)
def test_one_images_own(output, batch, row, own):
    assert row_of(output, row, batch).tolist() == own
    assert kept(row_of(output, row, batch)).tolist() == own


def test_it_is_a_copy_since_the_next_run_overwrites():
    output = np.ones((2, 3))
    own = kept(row_of(output, 0, 2))
    output[:] = 9
    assert own.tolist() == [1, 1, 1]


@pytest.mark.parametrize(("array", "size"), [(np.array([["a"], ["b"]]), 0), (np.array([[None], [1]], object), 0), (np.array([[1 + 2j]]), 0), (np.array([[True], [False]]), 1)])  # fmt: skip
def test_what_has_no_differences_is_left_out(array, size):
    assert kept(row_of(array, 0, len(array))).size == size


@pytest.fixture
def measured(workspace):
    """Floors of the scripted classifier at these (batch, threads), against its own outputs, and what a test makes of them."""

    def call(*configurations, of=lambda raw: raw, **script):
        workspace.script("model.fake.json", **script)
        ready = preflight(workspace.load(), False, lambda _: None)
        cell = expand(ready.plan, ready.models, len(ready.images), 64)[0]
        w = workload_of(ready, cell, ready.models[cell.pipeline].path)
        opened = open_pipeline(w)
        with opened.backend:
            raw = []
            for k in range(len(opened.data)):
                opened.pipeline.preprocess([opened.pipeline.decode(opened.data[k])], opened.feeds)
                raw.append([kept(row_of(o, 0, 1)) for o in opened.backend.run(opened.feeds)])
            return measure_floor(w, configurations, opened, of(raw))

    return call


def test_each_way_of_running_again_has_its_name(measured):
    """The last batch of three is filled up with its last image."""
    floors = measured((1, 1), (3, 1), (1, 2))
    assert [(f.what, f.rebuilt, f.problem) for f in floors] == [
        ("built anew", True, ""), ("batch 3", False, ""), ("2 threads", False, "")
    ]  # fmt: skip
    assert [[(t.name, t.max_abs) for t in f.tensors] for f in floors] == [[("y", 0.0)]] * 3
    assert measured() == []


def test_what_moved_is_measured(measured):
    def moved(raw):
        raw[2][0][1] += 0.25
        return raw

    (floor,) = measured((2, 1), of=moved)
    assert [t.max_abs for t in floor.tensors] == [pytest.approx(0.25)]


def test_a_configuration_that_breaks_is_a_problem_of_its_own(measured):
    floors = measured((1, 1), (2, 1), (4, 1), fail={"at": 0, "how": "raise", "batch": 2, "message": "no " * 400})
    assert [bool(f.problem) for f in floors] == [False, True, False]
    assert floors[1].problem.startswith("CellError: no no")
    assert len(floors[1].problem) == 200
    assert floors[1].tensors == ()


def test_nan_in_one_of_two_runs_is_no_yardstick(measured):
    def broken(raw):
        raw[0][0][0] = np.nan
        return raw

    (floor,) = measured((1, 1), of=broken)
    assert floor.problem == "NaN or infinity in one of two runs"


def test_outputs_of_another_shape_are_a_problem_and_no_crash(measured):
    (floor,) = measured((1, 1), of=lambda raw: [[o[:2] for o in row] for row in raw])
    assert floor.problem
    assert floor.tensors == ()
