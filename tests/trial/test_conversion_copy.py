"""What a conversion leaves where it cannot be written, or where no file stands."""

import errno
import os
import stat

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


def test_a_link_stays_one_and_a_device_or_pipe_is_written_into(tmp_path):
    (tmp_path / "link.onnx").symlink_to(tmp_path / "real.onnx")
    conversion.write_named(tmp_path / "link.onnx", b"new", "output")
    assert (tmp_path / "link.onnx").is_symlink()
    assert (tmp_path / "real.onnx").read_bytes() == b"new"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    conversion.write_named(pipe, b"new", "output")
    assert os.read(reader, 10) == b"new"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
