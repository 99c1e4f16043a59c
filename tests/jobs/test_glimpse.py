"""A model that nobody has run yet, on a few pictures, in a process of its own. The model is a script that can break."""

import json

import cv2
import numpy as np
import pytest

from seatrial.jobs.glimpse import glimpse
from seatrial.model.file import inspect_model
from seatrial.plan.guess import guess


@pytest.fixture
def model(tmp_path):
    """Its output is each channel's mean; `fail` says how it breaks."""

    def make(**fail):
        script = {
            "inputs": {"x": {"shape": [2, 3, 8, 8]}},
            "outputs": {"y": {"shape": [2, 3], "values": "channel_mean"}},
        }
        path = tmp_path / "m.fake.json"
        path.write_text(json.dumps(script | ({"fail": {"at": 0, **fail}} if fail else {})))
        return inspect_model(path)

    return make


@pytest.fixture
def photos(tmp_path):
    """Something that is no picture, then five of growing brightness."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "0.txt").write_text("not a picture")
    for i in range(1, 6):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((20, 30, 3), 40 * i, np.uint8))
    return sorted(folder.iterdir())


def looked(info, pictures, **options):
    settings = guess(info).preprocess | {"mean": (0, 0, 0), "std": (1, 1, 1)}
    return glimpse(info, settings, guess(info).batch_fixed, pictures, "fake", **options)


def test_outputs_are_seen_over_the_first_four_pictures_that_decode(model, photos):
    found = looked(model(), photos)
    assert found.problem == ""
    held = found.seen["y"]
    assert (held.images, held.shape) == (8, (2, 3))  # the model's own batch of two, filled with each picture
    np.testing.assert_allclose([held.columns.least, held.columns.most], [40 / 255, 160 / 255], rtol=1e-5)


@pytest.mark.parametrize(
    ("fail", "timeout_s", "said"),
    [
        ({"how": "raise", "message": "no such shape"}, 60, "no such shape"),
        ({"how": "segfault"}, 60, "crashed with SIGSEGV"),
        ({"how": "kill"}, 60, "ran out of memory"),
        ({"how": "hang"}, 3, "longer than 3"),
    ],
)
def test_a_model_that_does_not_run_is_a_reason_and_no_error(model, photos, fail, timeout_s, said):
    found = looked(model(**fail), photos, timeout_s=timeout_s)
    assert found.seen == {}
    assert said in found.problem
    again = guess(model(), found.seen, found.problem)
    assert any(u.startswith("nothing was run on a picture") and said in u for u in again.unsure)


def test_what_a_run_took_is_known(model, photos):
    assert 0 < looked(model(), photos).run_s < 60
    assert looked(model(), photos[:1]).run_s is None, "none of these is a picture"
    assert looked(model(), photos[:1]).seen == {}


def test_a_model_larger_than_the_memory_is_not_tried(model, photos, monkeypatch):
    monkeypatch.setattr("seatrial.jobs.glimpse.free_bytes", lambda: 100)
    assert "more memory than is free" in looked(model(), photos).problem
