"""A model's section of a record: what its file says, for people."""

from types import SimpleNamespace

import pytest

from seatrial.history.sections import model_section
from seatrial.model.file import TensorInfo

FACTS = {"path": "m.onnx", "digest": "sha256:0", "size_bytes": 1, "opset": 17, "inputs": (), "outputs": ()}


@pytest.mark.parametrize(
    ("labels", "expected"), [(None, None), ([], ()), (["a"], ("a",)), (["a", "", "a"], ("a", "", "a"))]
)
def test_no_labels_are_not_an_empty_list_of_them(labels, expected):
    section = model_section(SimpleNamespace(**FACTS), labels)
    assert section.labels == expected
    assert type(section).model_validate_json(section.model_dump_json()) == section


def test_tensors_are_one_line_each():
    inputs = (TensorInfo("x", ("batch", 3, None, 8), "float32"), TensorInfo("n\nm", (), "int64"))
    section = model_section(SimpleNamespace(**FACTS | {"inputs": inputs}))
    assert section.inputs == ("x float32[batch, 3, ?, 8]", "n\\nm int64[]")
    assert section.outputs == ()
