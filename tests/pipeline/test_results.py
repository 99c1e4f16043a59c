"""Results on their way from a cell's process to the parent: the same behind the file, and none of them kept."""

import tracemalloc

import numpy as np
import pytest

from seatrial.errors import PlanError, ResultsError
from seatrial.kernels.results import (
    Classification,
    DenseMap,
    Detections,
    Embedding,
    Instances,
    Labels,
    OrientedBoxes,
    Poses,
    SemanticMask,
    Text,
    TextRegions,
)
from seatrial.pipeline.results import KINDS, ResultsWriter, check_result
from seatrial.pipeline.stored import load_results_file

ONE = Detections(np.array([[0, 1, 2, 3.5]], np.float32), np.array([0.5], np.float32), np.array([7]))
SQUARE = np.array([[[0, 0], [4, 0], [4, 2], [0, 2]]], np.float32)
RESULTS = [
    Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)),
    None,
    Classification(np.array([2, 0]), np.array([0.75, 0.25], np.float32)),
    SemanticMask(np.arange(6, dtype=np.uint8).reshape(2, 3).T),
    Embedding(np.array([0.5, -1.0], np.float64)),
    Detections(np.array([[0, 1, 2, 3.5]], np.float32), np.array([0.5], np.float32), np.array([7])),
    Instances.of_masks(ONE, [np.arange(12).reshape(3, 4) > 5], (3, 4)),
    Poses(*vars(ONE).values(), np.ones((1, 2, 3), np.float32), np.full(2, 0.5, np.float32)),
    OrientedBoxes(*vars(ONE).values(), SQUARE),
    TextRegions(*vars(ONE).values(), SQUARE),
    Text.of("a€😀", 0.5),
    Labels(np.array([3, 1]), np.array([0.9, 0.6], np.float32)),
    DenseMap(np.arange(6, dtype=np.float32).reshape(2, 3)),
]
RAW = [[np.float32(3.5), np.arange(4, dtype=np.float16)], [np.zeros((2, 0)), np.array([True, False])]]


def same(a, b):
    return a is b is None or (
        type(a) is type(b)
        and all(
            x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True)
        )
    )


def test_what_is_written_is_read(tmp_path):
    with ResultsWriter(tmp_path / "results.npz") as writer:
        for outputs in RAW:
            writer.add_raw(outputs)
        for result in RESULTS:
            writer.add(result)
    results, raw = load_results_file(tmp_path / "results.npz")
    assert len(results) == len(RESULTS)
    assert all(map(same, results, RESULTS))
    assert [[o.dtype for o in outputs] for outputs in raw] == [
        [np.asarray(o).dtype for o in outputs] for outputs in RAW
    ]
    assert all(np.array_equal(x, y) for a, b in zip(raw, RAW, strict=True) for x, y in zip(a, b, strict=True))


def test_no_result_is_kept_or_copied(tmp_path):
    """Else it would count as the pipeline's own memory."""
    size = 4_000_000
    with ResultsWriter(tmp_path / "results.npz") as writer:
        tracemalloc.start()
        try:
            for _ in range(10):
                writer.add(SemanticMask(np.ones((size // 1000, 1000), np.uint8)))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # One, and the next before the first is let go.
    assert peak < 2.5 * size


def test_a_file_that_cannot_be_written_is_told(small_disk):
    said = r"results.npz: cannot be written: the disk is full"
    with pytest.raises(ResultsError, match=said), ResultsWriter(small_disk / "results.npz") as writer:
        writer.add(SemanticMask(np.ones((4000, 1000), np.uint8)))


def test_a_file_that_was_broken_off_is_not_taken_for_whole(tmp_path):
    with pytest.raises(ZeroDivisionError), ResultsWriter(tmp_path / "results.npz") as writer:
        writer.add(1 / 0)
    with pytest.raises(KeyError):
        load_results_file(tmp_path / "results.npz")


def test_every_kind_is_written_and_read():
    assert {type(r) for r in RESULTS} - {type(None)} == set(KINDS)


@pytest.mark.parametrize("result", RESULTS)
def test_sound_results_pass_as_they_are(result):
    assert same(check_result(result), result)


RUNS = np.array([6, 6], np.uint32)


@pytest.mark.parametrize(
    "result",
    [
        Instances(*vars(ONE).values(), RUNS, np.array([0, 2]), np.array([3, 5])),
        Instances(*vars(ONE).values(), RUNS, np.array([0]), np.array([3, 4])),
        Instances(*vars(ONE).values(), RUNS, np.array([0, 1]), np.array([3, 4])),
        Instances(*vars(ONE).values(), RUNS, np.array([1, 2]), np.array([3, 4])),
        Instances(*vars(ONE).values(), RUNS.astype(float), np.array([0, 2]), np.array([3, 4])),
        Instances(*vars(ONE).values(), np.array([-6, 18]), np.array([0, 2]), np.array([3, 4])),
        Poses(*vars(ONE).values(), np.ones((1, 2, 2), np.float32), np.full(2, 0.5)),
        Poses(*vars(ONE).values(), np.ones((2, 2, 3), np.float32), np.full(2, 0.5)),
        Poses(*vars(ONE).values(), np.ones((1, 2, 3), np.float32), np.full(3, 0.5)),
        Poses(*vars(ONE).values(), np.ones((1, 2, 3), np.float32), np.zeros(2)),
        Poses(*vars(ONE).values(), np.full((1, 2, 3), np.nan), np.full(2, 0.5)),
    ],
)
def test_a_users_own_masks_and_poses_must_be_sound(result):
    with pytest.raises(PlanError, match=rf"the Python postprocess gave {type(result).__name__}"):
        check_result(result)


def test_class_numbers_of_a_mask_are_whole():
    with pytest.raises(
        PlanError, match=r"SemanticMask.class_ids of float32; expected whole class numbers: class_ids.astype"
    ):
        check_result(SemanticMask(np.zeros((2, 3), np.float32)))
