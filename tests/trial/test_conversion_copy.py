"""What a conversion leaves where it cannot be written, or where no file stands."""

import errno
import os
import stat
import threading

import pytest

from seatrial.errors import ResultsError
from seatrial.history import files
from seatrial.trial import conversion


def test_a_full_disk_keeps_what_stood_there_and_no_half_a_file(tmp_path, monkeypatch):
    out = tmp_path / "out" / "m.onnx"
    out.parent.mkdir()
    out.write_bytes(b"old")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(ResultsError, match="the disk is full"):
        conversion.write_named(out, b"new", "output")
    assert [p.name for p in out.parent.iterdir()] == ["m.onnx"]
    assert out.read_bytes() == b"old"
