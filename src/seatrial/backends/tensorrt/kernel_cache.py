"""What a library keeps between two builds or two runs, so that the second is short: by its kind, one file a library and device.

TensorRT 10 and 11 keep times of kernels, TensorRT-RTX what it compiled for the device. Both check what they are given
themselves and refuse another version's. Not for: engines (cache.py).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seatrial.backends.tensorrt.driver import Device, find_device
from seatrial.backends.tensorrt.library import Library


def cache_base() -> Path:
    """SEATRIAL_CACHE, else the user's cache folder: as precision/variants.py has it."""
    given = os.environ.get("SEATRIAL_CACHE")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seatrial"
    # A cell's process may be led into another working folder by the user's code.
    return base.absolute()


def kernel_cache_path(library: Library, device: Device, kind: str) -> Path:
    name = "".join(
        c if c.isalnum() else "-" for c in f"{library.name}-{library.version}-{device.name}-{device.capability}"
    )
    return cache_base() / "kernels" / f"{name}.{kind}"


@contextlib.contextmanager
def with_timing_cache(library: Library, config: Any) -> Iterator[None]:
    """Around a build, of the libraries that time kernels while they build. One that cannot be written costs time alone."""
    device = find_device() if library.has_timing_cache else None
    if not isinstance(device, Device):
        yield
        return
    path = kernel_cache_path(library, device, "timing")
    cache = config.create_timing_cache(read(path))
    # What another version wrote is refused; an empty one never is.
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    yield
    write(path, bytes(config.get_timing_cache().serialize()))


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as fresh:
            try:
                fresh.write(data)
                fresh.flush()
                Path(fresh.name).replace(path)
            except BaseException:
                Path(fresh.name).unlink(missing_ok=True)
                raise
