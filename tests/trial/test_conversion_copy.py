"""What a conversion leaves where it cannot be written."""

import errno
from pathlib import Path

import pytest

from seatrial.errors import ResultsError
from seatrial.trial import conversion


def test_a_full_disk_keeps_what_stood_there_and_no_half_a_file(tmp_path, monkeypatch):
    made, out = tmp_path / "made.onnx", tmp_path / "out" / "m.onnx"
    made.write_bytes(b"new")
    out.parent.mkdir()
    out.write_bytes(b"old")

    def full(_source, target):
        Path(target).write_bytes(b"ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(conversion.shutil, "copyfile", full)
    with pytest.raises(ResultsError, match="No space left on device"):
        conversion._copy(made, out)
    assert [p.name for p in out.parent.iterdir()] == ["m.onnx"]
    assert out.read_bytes() == b"old"
