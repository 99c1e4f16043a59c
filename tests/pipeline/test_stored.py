"""Results are read one by one, as they are asked for: no pass over a trial's images holds more than a few of them."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from seatrial.images.files import ImageFile
from seatrial.kernels.masks import coco_rle
from seatrial.kernels.results import Classification, Instances, SemanticMask
from seatrial.parity.accuracy import evaluate
from seatrial.parity.classes import ClassMap
from seatrial.parity.relabel import relabelled
from seatrial.parity.results import agreement
from seatrial.parity.seen import nothing_found, seen, unknown_classes
from seatrial.parity.truth import Truth
from seatrial.pipeline.results import ResultsWriter
from seatrial.pipeline.stored import OnRequest, kinds_of, load_results_file
from seatrial.trial import telling

COUNT, HW = 120, (500, 1000)
SIZE = HW[0] * HW[1]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Two files of as many masks, which differ in a row of each."""
    folder = tmp_path_factory.mktemp("stored")
    for name, row in (("a", 0), ("b", 1)):
        with ResultsWriter(folder / name) as writer:
            for k in range(COUNT):
                mask = np.full(HW, k % 3, np.uint8)
                mask[row] = 3
                writer.add(SemanticMask(mask))
    return folder


def peak_of(run):
    tracemalloc.start()
    try:
        found = run()
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_agreement_and_a_first_look_hold_a_few_masks(stored):
    def run():
        reference, _ = load_results_file(stored / "a")
        own, _ = load_results_file(stored / "b")
        words = seen(own, None), nothing_found(own), unknown_classes(own, 4)
        return agreement(reference, own), words

    (found, words), peak = peak_of(run)
    assert found.value == pytest.approx(1 - 2 / HW[0])
    assert words == (f"4 classes on {COUNT} images, most of all class 0 (33% of the pixels)", None, None)
    assert peak < 12 * SIZE


def test_renumbered_masks_are_made_one_by_one(stored):
    def run():
        reference, _ = load_results_file(stored / "a")
        return agreement(reference, relabelled(reference, np.array([1, 0, 2, 3])))

    found, peak = peak_of(run)
    assert found.value == pytest.approx(1 / 3 + 2 / 3 / HW[0])
    # Renumbered they are of int64, and made through some more of that.
    assert peak < 6 * 8 * SIZE


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_accuracy_holds_a_few_masks(stored):
    runs = coco_rle(np.array([0, SIZE], np.uint32), HW)
    truth = {
        "images": [{"id": k + 1, "file_name": f"{k}.png", "height": HW[0], "width": HW[1]} for k in range(COUNT)],
        "annotations": [
            {"id": k + 1, "image_id": k + 1, "category_id": 1 + k % 3, "segmentation": runs, "area": SIZE, "iscrowd": 0}
            for k in range(COUNT)
        ],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3, "name": "c"}],
    }
    images = [ImageFile(stored / f"{k}.png", f"{k}.png") for k in range(COUNT)]

    def run():
        results, _ = load_results_file(stored / "a")
        return evaluate(Truth(stored, coco=truth), images, results, ClassMap(ids=(1, 2, 3), how="plan"))

    found, peak = peak_of(run)
    assert float(found.weighted(np.ones((1, COUNT)))[0]) == pytest.approx(1 - 1 / HW[0])
    assert peak < 24 * SIZE  # its truth is int64


def test_the_choice_of_pictures_holds_a_few_masks(stored, monkeypatch):
    cells = [SimpleNamespace(id=name, status="ok", pipeline="p") for name in "ab"]
    monkeypatch.setattr(telling, "reference_cell", lambda *_: cells[0])
    monkeypatch.setattr(telling, "baseline_name", lambda *_: "p")
    monkeypatch.setattr(telling, "is_reference_configuration", lambda _plan, c: c is cells[0])
    ready = SimpleNamespace(plan=SimpleNamespace(plan=SimpleNamespace(pipelines={"p": None})), relabellings={})
    loaded = {c.id: load_results_file(stored / c.id)[0] for c in cells}
    views, peak = peak_of(lambda: telling.most_telling(ready, cells, lambda c: loaded[c.id], lambda _: None))
    assert [(v.why, len(v.sides)) for v in views] == [("differs", 2)] * 6
    # Six pictures of two sides are kept, to be drawn.
    assert peak < (12 + 8) * SIZE


def test_one_is_read_when_it_is_asked_for_and_once():
    made = []
    items = OnRequest(5, lambda i: made.append(i) or i * i)
    assert len(items) == 5
    assert made == []
    assert (items[3], items[-2], items[1:3], list(items)) == (9, 9, [1, 4], [0, 1, 4, 9, 16])
    assert made == [3, 1, 2, 0, 1, 2, 3, 4]
    with pytest.raises(IndexError):
        items[5]


def test_kinds_are_known_without_reading(tmp_path):
    answer = Classification(np.array([1]), np.array([0.5], np.float32))
    mask = SemanticMask(np.zeros((2, 3), np.uint8))
    with ResultsWriter(tmp_path / "results.npz") as writer:
        for result in (answer, None, mask):
            writer.add(result)
    results, raw = load_results_file(tmp_path / "results.npz")
    assert kinds_of(results) == kinds_of([answer, None, mask]) == (Classification, None, SemanticMask)
    assert kinds_of(relabelled(results, np.array([0, 2]))) == kinds_of(results)
    assert relabelled(results, np.array([0, 2]))[0].class_ids.tolist() == [2]
    assert Instances not in kinds_of(results)
    assert len(raw) == 0
