"""Whether a file is what it was when it was hashed, whoever changed it and however."""

import os
import time

import pytest

from seatrial import digests as files
from seatrial.digests import combined_digest, hash_file, looked_at_again


def in_place(path):
    path.write_bytes(b"other bytes")


def renamed_over(path):
    other = path.with_name("new")
    other.write_bytes(b"other bytes")
    other.replace(path)


def in_place_with_its_old_times(path):
    before = path.stat()
    path.write_bytes(b"other bytes")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def link_turned(path):
    other = path.with_name("new")
    other.write_bytes(b"other bytes")
    path.unlink()
    path.symlink_to(other)


@pytest.mark.parametrize("change", [in_place, renamed_over, in_place_with_its_old_times, link_turned])
@pytest.mark.parametrize("settled", [True, False])
def test_other_content_is_seen(tmp_path, change, settled):
    path = tmp_path / "model"
    path.write_bytes(b"these bytes")
    if settled:
        time.sleep(files.SETTLED_NS / 1e9 + 0.05)
    before = hash_file(path)
    assert before.settled is settled
    change(path)
    assert looked_at_again(before).sha256 != before.sha256


@pytest.mark.parametrize(
    "change", [lambda p: p.touch(), lambda p: p.chmod(0o600), lambda p: p.write_bytes(b"these bytes")]
)
def test_the_same_content_is_the_same_file(tmp_path, change):
    path = tmp_path / "model"
    path.write_bytes(b"these bytes")
    before = hash_file(path)
    change(path)
    assert looked_at_again(before).sha256 == before.sha256


def test_a_file_that_did_not_move_is_not_read_again(tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.write_bytes(b"these bytes")
    time.sleep(files.SETTLED_NS / 1e9 + 0.05)
    before = hash_file(path)
    monkeypatch.setattr(files, "hash_file", None)
    assert looked_at_again(before) is before


def test_the_digest_of_several_depends_on_their_order(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(name)
    a, b = (hash_file(tmp_path / name) for name in "ab")
    assert combined_digest([a, b]) != combined_digest([b, a])
    assert combined_digest([a, b]) == combined_digest(iter([a, b]))
