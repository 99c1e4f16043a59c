"""Files by content: what a file was when it was hashed, and whether it still is.

For: inputs that are read again after they were hashed. Not for: which files a trial reads (cells/inputs.py).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# A clock of the kernel's moves in steps of up to 10 ms: two changes in one step leave one time behind.
SETTLED_NS = 100_000_000


@dataclass(frozen=True)
class HashedFile:
    """A file's sha256, and what stood in its inode before it was read: device, inode, size in bytes, times in ns.

    settled: its last change was long enough ago that another one must show in the times.
    """

    path: Path
    sha256: str
    inode: tuple[int, int, int, int, int]
    settled: bool


def hash_file(path: Path) -> HashedFile:
    """OSError where it can't be read."""
    now_ns = time.time_ns()
    with path.open("rb") as stream:
        status = os.fstat(stream.fileno())
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return HashedFile(path, digest, _inode(status), now_ns - max(status.st_mtime_ns, status.st_ctime_ns) > SETTLED_NS)


def combined_digest(files: Iterable[HashedFile]) -> str:
    """sha256 over the files' sha256, in their order."""
    total = hashlib.sha256()
    for file in files:
        total.update(bytes.fromhex(file.sha256))
    return "sha256:" + total.hexdigest()


def looked_at_again(file: HashedFile) -> HashedFile:
    """The same file now: as it was where its inode says so, which costs no reading; hashed anew where it moved.

    OSError where it can't be read any more.
    """
    if file.settled and _inode(file.path.stat()) == file.inode:
        return file
    return hash_file(file.path)


def _inode(status: os.stat_result) -> tuple[int, int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
