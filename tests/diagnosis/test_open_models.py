"""Models that a diagnosis opens: few at a time, each there whenever it is run."""

from contextlib import closing

import numpy as np
import pytest
from result_candidates import MODELS

from seatrial.backends import OpenOptions, open_backend
from seatrial.diagnosis.open_models import OpenModels
from seatrial.errors import ModelError
from seatrial.model.file import inspect_model

MODEL = MODELS / "seamarks-v1.onnx"
FEEDS = {"images": np.full((1, 3, 320, 320), 0.5, np.float32)}


def opening(opened):
    """Counts what it opens."""
    options = OpenOptions.for_shapes(inspect_model(MODEL), 1, {"images": (1, 3, 320, 320)})

    def open_one():
        opened.append(open_backend("onnxruntime-cpu", MODEL, options))
        return opened[-1]

    return open_one


def test_one_that_was_closed_is_opened_again_and_gives_the_same():
    opened, others = [], []
    with OpenModels(most=2) as models:
        run = models.run(opening(opened))
        before = [o.copy() for o in run(FEEDS)]
        for _ in range(2):
            models.run(opening(others))
        with pytest.raises(Exception, match=".+"):
            opened[0].run(FEEDS)
        after = run(FEEDS)

        assert len(opened) == 2
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_one_that_is_run_stays_open():
    opened = []
    with OpenModels(most=2) as models:
        run = models.run(opening(opened))
        for _ in range(4):
            run(FEEDS)
            models.run(opening([]))

    assert len(opened) == 1


def test_all_are_closed_at_the_end():
    opened = []
    with OpenModels() as models:
        models.run(opening(opened))

    with closing(opened[0]), pytest.raises(Exception, match=".+"):
        opened[0].run(FEEDS)


def test_what_is_wrong_with_a_model_is_told_at_once(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with OpenModels() as models, pytest.raises(ModelError):
        models.run(lambda: open_backend("onnxruntime-cpu", tmp_path / "broken.onnx", OpenOptions()))
