"""The scripted backend, which others' tests rest on: it plays what its script says, and nothing else."""

import json

import numpy as np
import pytest

from seatrial.backends.base import OpenOptions
from seatrial.backends.fake import FakeBackend
from seatrial.errors import CellError, ModelError

SCRIPT = {"inputs": {"x": {"shape": ["batch", 3, 2, 2]}}, "outputs": {"y": {"shape": ["batch", 3]}}}
X = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)


def opened(tmp_path, batch=2, threads=1, **changes):
    path = tmp_path / "m.fake.json"
    path.write_text(json.dumps(SCRIPT | changes))
    return FakeBackend.open(path, OpenOptions(threads=threads, input_shapes={"x": (batch, 3, 2, 2)}))


def output(**fields):
    return {"outputs": {"y": {"shape": ["batch", 3]} | fields}}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [[0, 0, 0]] * 2),
        ({"values": 0.5}, [[0.5] * 3] * 2),
        ({"values": [1, 2, 3]}, [[1, 2, 3]] * 2),
        ({"values": [[1, 2, 3], [4, 5, 6]]}, [[1, 2, 3], [4, 5, 6]]),
        ({"values": float("nan")}, [[np.nan] * 3] * 2),
        ({"values": 3, "dtype": "int64"}, [[3] * 3] * 2),
        ({"values": "channel_mean"}, X.mean(axis=(2, 3))),
    ],
)
def test_values(tmp_path, fields, expected):
    (y,) = opened(tmp_path, **output(**fields)).run({"x": X})
    assert (y.shape, y.dtype) == ((2, 3), fields.get("dtype", "float32"))
    np.testing.assert_array_equal(y, expected)


def test_each_run_gives_its_own_array(tmp_path):
    backend = opened(tmp_path, **output(values=1))
    (first,) = backend.run({"x": X})
    first[:] = 9
    (second,) = backend.run({"x": X})
    assert second.tolist() == [[1.0] * 3] * 2


def test_tensors_are_told_with_the_batch_that_was_asked_for(tmp_path):
    backend = opened(tmp_path, batch=5, threads=3)
    assert [(t.name, t.shape, t.dtype) for t in backend.inputs()] == [("x", (5, 3, 2, 2), "float32")]
    assert [(t.name, t.shape, t.dtype) for t in backend.outputs()] == [("y", (5, 3), "float32")]
    assert backend.details() == {"runtime": "fake", "threads": "3"}


@pytest.mark.parametrize(
    ("fail", "runs"), [({"at": 0}, 0), ({"at": 2}, 2), ({"at": 2, "batch": 2}, 2), ({"at": 0, "batch": 4}, 5)]
)
def test_it_fails_when_the_script_says_so(tmp_path, fail, runs):
    backend = opened(tmp_path, fail=fail | {"how": "raise", "message": "as written"})
    for _ in range(runs):
        backend.run({"x": X})
    if runs < 5:
        with pytest.raises(CellError, match="^as written$"):
            backend.run({"x": X})


def test_another_client_counts_its_own_runs(tmp_path):
    backend = opened(tmp_path, fail={"at": 1, "how": "raise"})
    backend.run({"x": X})
    other = backend.another()
    other.run({"x": X})
    for one in (backend, other):
        with pytest.raises(CellError, match="the script says so"):
            one.run({"x": X})


@pytest.mark.parametrize("feeds", [{}, {"z": X}, {"x": X, "z": X}])
def test_other_inputs_are_refused(tmp_path, feeds):
    with pytest.raises(ModelError, match=r"m\.fake\.json: "):
        opened(tmp_path).run(feeds)


@pytest.mark.parametrize("name", ["m.onnx", "m.json", "fake.json"])
def test_a_model_is_no_script(tmp_path, name):
    with pytest.raises(ModelError, match=r"plays scripts called \*\.fake\.json, not models"):
        FakeBackend.open(tmp_path / name, OpenOptions())
