"""A model file in another precision: made once, cached by everything it depends on, with a note of what was done.

For: the cache, and what a conversion says of itself. Not for: how it is made (makers.py), or what it costs (parity).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import tempfile
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path

from seatrial.errors import BackendUnavailableError, ModelError, ResultsError
from seatrial.history.records import CONVERSIONS
from seatrial.machine.packages import packages
from seatrial.model.file import ModelInfo
from seatrial.precision.conversion import Calibration, Conversion, Kept


def cache_folder() -> Path:
    """SEATRIAL_CACHE, else the user's cache folder."""
    given = os.environ.get("SEATRIAL_CACHE")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seatrial"
    # A cell's process may be led into another working folder by the user's code.
    return (base / "precision").absolute()


def variant_path(model: ModelInfo, precision: str, calibration_digest: str) -> Path:
    """Where the variant lies, or will lie: named by everything that it depends on."""
    if precision == "fp32":
        return model.path
    key = json.dumps([model.digest, precision, calibration_digest, _tool_versions(), CONVERSIONS], sort_keys=True)
    return cache_folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.onnx"


def variant(model: ModelInfo, precision: str, calibration: Calibration) -> Path:
    """The model file in that precision; made where the cache has none. ModelError where it can't be made."""
    path = variant_path(model, precision, calibration.digest)
    if precision == "fp32" or path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise _unwritable(path.parent, precision, e) from None
    try:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            fresh = Path(folder) / "variant.onnx"
            conversion = convert(model, precision, calibration, fresh)
            note = Path(folder) / "variant.json"
            note.write_text(json.dumps(asdict(conversion)), "utf-8")
            # Two makers of the same variant write the same content: whoever is last wins, and nobody sees half a file.
            note.replace(_note_of(path))
            fresh.replace(path)
    except OSError as e:
        # What is only read, such as a picture, fails in other ways: that is not the cache's.
        if e.errno not in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EACCES,
            errno.EROFS,
            errno.EPERM,
            errno.ENOTDIR,
            errno.EEXIST,
        ):
            raise
        raise _unwritable(path.parent, precision, e) from None
    return path


def _unwritable(folder: Path, precision: str, e: OSError) -> ResultsError:
    return ResultsError(
        f"{folder}: the cache of {precision} models cannot be written: {e.strerror or e}; set SEATRIAL_CACHE to a folder "
        "that you may write to, with room in it"
    )


def convert(model: ModelInfo, precision: str, calibration: Calibration, out: Path) -> Conversion:
    """Writes the model in that precision to `out`, past the cache.

    Raises:
        ModelError: it cannot be made, or what it is made of answers otherwise than the model.
        BackendUnavailableError: onnxruntime, which runs and quantizes it, is not installed.
    """
    if find_spec("onnxruntime") is None:
        raise BackendUnavailableError(
            f"{precision}: onnxruntime makes the model and is not installed; python -m pip install 'seatrial[cpu]'"
        )
    from seatrial.precision.closeness import closeness
    from seatrial.precision.makers import MAKERS, first_feeds

    try:
        made = MAKERS[precision](model, out, calibration)
        run_by, decibels = closeness(model.path, out, precision, first_feeds(calibration))
        return replace(made, run_by=run_by, sqnr_db=decibels)
    except ModelError as e:
        raise ModelError(e.text, subject=e.subject or model.path) from e


def conversion_of(path: Path) -> Conversion | None:
    """What was noted beside a cached variant; None where there is no note."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(_note_of(path).read_text("utf-8"))
        kept = tuple(Kept(**k) for k in found.pop("kept"))
        return Conversion(**found, kept=kept)
    return None


def _note_of(path: Path) -> Path:
    return path.with_suffix(".json")


def _tool_versions() -> list[str]:
    """Of whatever makes the calibration inputs or the variant."""
    return [f"{name} {number}" for name, number in packages().items()]
