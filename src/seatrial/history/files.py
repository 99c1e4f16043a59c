"""Files of a run: written whole or not at all, and why not. Not for: which files there are (run_folder.py)."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from pathlib import Path
from typing import Any

from seatrial.errors import ResultsError, option


def write_atomic(path: Path, content: bytes, named_by: str = "results") -> None:
    """Writes the whole file or leaves what was there: temporary file, fsync, rename, fsync of the folder.

    named_by: the option that the path comes from, for the cure. Its mode is what the user's umask leaves. ResultsError says why
    it can't be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            # Opened with the usual mode, so that the kernel takes the umask, and a folder's own rules, from it.
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as e:
        raise ResultsError(f"{path}: cannot be written: {why_not_written(e, named_by)}") from e


def write_named(path: Path, content: bytes, named_by: str) -> None:
    """A file where a user says, through links: a file whole or not at all, and into a device or a pipe that stands there.

    named_by: as of write_atomic. ResultsError why it can't be written.
    """
    file = Path(os.path.realpath(path))
    if not path.exists() or (path.is_file() and file.exists()):
        write_atomic(file, content, named_by)
        return
    # What has no name of its own, such as a shell's pipe or a file that was deleted, cannot be replaced.
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        # Whoever reads a pipe and leaves has seen enough.
        with contextlib.suppress(BrokenPipeError), os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
    except OSError as e:
        raise ResultsError(f"{path}: cannot be written: {why_not_written(e, named_by)}") from e


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder outlast a loss of power, as fsync does a file's content."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as e:
        if e.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that has no such thing
            raise
    finally:
        os.close(descriptor)


def is_full(error: OSError) -> bool:
    """Whether there was no room left, on the disk or in a quota."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def why_not_written(error: OSError, named_by: str = "results") -> str:
    """The reason and the cure, for an error's text. named_by: the option that names the place."""
    give = f"{option(named_by)} {'FOLDER' if named_by == 'results' else 'FILE'}"
    if is_full(error):
        return f"the disk is full ({error.strerror}); earlier records are intact; free some space or give {give}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"no permission ({error.strerror}); give {give} that you may write to"
    return f"{error.strerror or error}; name a place that you may write to, such as {give}"


def json_bytes(data: Any) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> dict[str, Any]:
    """ResultsError where there is no whole JSON object."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as e:
        raise ResultsError(f"{path}: cannot be read: {e.strerror}") from None
    except (ValueError, RecursionError) as e:
        raise ResultsError(f"{path}: the file is damaged ({e}); restore it or delete the run's folder") from None
    if not isinstance(data, dict):
        raise ResultsError(f"{path}: the file is damaged: expected a JSON object")
    return data
