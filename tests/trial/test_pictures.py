"""Pictures of a trial: which images, what is drawn on odd results, and what has nothing to draw."""

import cv2
import numpy as np
import pytest

from seatrial.cells.matrix import expand
from seatrial.cells.preflight import preflight
from seatrial.cells.prepare import bare_record
from seatrial.history.records import ParityResult
from seatrial.history.run_folder import new_run
from seatrial.kernels.postprocess import Classification, Detections, Embedding, SemanticMask
from seatrial.pipeline.results import ResultsWriter
from seatrial.trial.pictures import PICTURES, WIDTH, draw_pictures


def boxes(*rows):
    """Of (x0, y0, x1, y1, score, class)."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def kind(k, score=0.9):
    return Classification(np.array([k], np.int64), np.array([score], np.float32))


def mask(value):
    return SemanticMask(np.full((12, 16), value, np.uint8))


@pytest.fixture
def drawn(workspace):
    """(pictures, run's folder) of a trial whose candidate and baseline gave these results."""

    def call(baseline, candidate=None, worst=(), status="ok"):
        ready = preflight(workspace.load(), False, lambda _: None)
        cells = expand(ready.plan, ready.models, len(ready.images), 64)
        records = []
        with new_run(workspace.folder / "results", "here") as run:
            for cell in cells:
                own = baseline if cell.pipeline == "baseline" or candidate is None else candidate
                folder = run.work / cell.id
                folder.mkdir(parents=True)
                with ResultsWriter(folder / "results.npz") as writer:
                    for result in own:
                        writer.add(result)
                    writer.add_specials(np.zeros((len(own), 0, 4), np.int64))
                across = ParityResult(reference="x", rtol=None, atol=None, worst_images=tuple(worst))
                changes = {"status": status, "across": across if cell.pipeline == "candidate" else None}
                records.append(bare_record(cell).model_copy(update=changes))
            return draw_pictures(ready, run, records), run.path

    return call


@pytest.mark.parametrize(
    ("result", "caption"),
    [
        (boxes(), "0 detections"),
        (boxes((2, 2, 8, 8, 0.5, 1)), "1 detection"),
        # Beyond the image on all sides, turned round, without size, and of a class without a label.
        (boxes((-90, -90, 900, 900, 1, 0), (8, 8, 2, 2, 0.1, 2), (3, 3, 3, 3, 0.2, 999)), "3 detections"),
        (kind(2), "2 (90%)"),
        (kind(0, 1.0), "0 (100%)"),
        (mask(0), ""),
        (mask(255), ""),
    ],
)
def test_each_kind_of_result_is_a_picture(drawn, result, caption):
    pictures, folder = drawn([result] * 4)
    assert [(p.image, p.pipeline) for p in pictures] == [(f"{k}.png", n) for k in range(4) for n in ("baseline", "candidate")]  # fmt: skip
    assert {p.caption for p in pictures} == {caption}
    for p in pictures:
        pixels = cv2.imread(str(folder / p.file))
        assert pixels.shape == (WIDTH * 12 // 16, WIDTH, 3)
    assert sorted(p.file for p in pictures) == sorted(f"pictures/{f.name}" for f in (folder / "pictures").iterdir())


def test_the_images_that_differ_most_come_first(drawn):
    pictures, _ = drawn([kind(0)] * 4, worst=("3.png", "1.png"))
    assert list(dict.fromkeys(p.image for p in pictures)) == ["3.png", "1.png", "0.png", "2.png"][:PICTURES]


def test_an_image_without_a_result_has_no_picture(drawn):
    pictures, _ = drawn([kind(0)] * 4, [None, kind(1), None, kind(1)])
    assert [p.image for p in pictures if p.pipeline == "candidate"] == ["1.png", "3.png"]
    assert len([p for p in pictures if p.pipeline == "baseline"]) == 4


@pytest.mark.parametrize(
    ("results", "status"),
    [([Embedding(np.ones(3, np.float32))] * 4, "ok"), ([None] * 4, "ok"), ([kind(0)] * 4, "failed")],
)
def test_nothing_to_draw_makes_no_folder(drawn, results, status):
    pictures, folder = drawn(results, status=status)
    assert pictures == []
    assert not (folder / "pictures").exists()
