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

import numpy as np

from seatrial.digests import hash_file
from seatrial.errors import BackendUnavailableError, ModelError, ResultsError, count_of
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
    """The model file in that precision; made where the cache has none that is whole. ModelError where it can't be made."""
    path = variant_path(model, precision, calibration.digest)
    if precision == "fp32" or why_not_whole(path) == "":
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
            held = {"file": {"sha256": hash_file(fresh).sha256, "bytes": fresh.stat().st_size}}
            note.write_text(json.dumps(held | {"conversion": asdict(conversion)}), "utf-8")
            # Nobody sees half a file; between the two a note does not fit, and the variant is made once more.
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
            errno.EISDIR,
            errno.EEXIST,
        ):
            raise
        raise _unwritable(path.parent, precision, e) from None
    return path


def why_not_whole(path: Path) -> str | None:
    """Why a cached variant is not what was made, for people; '' where it is, None where there never was one."""
    if not path.exists() and not _note_of(path).exists():
        return None
    try:
        found = json.loads(_note_of(path).read_text("utf-8"))["file"]
        size, sha256 = found["bytes"], found["sha256"]
    except (OSError, ValueError, TypeError, KeyError):
        return "what was noted of it is gone or damaged"
    if conversion_of(path) is None:
        return "what was noted of it is damaged"
    try:
        whole = path.stat().st_size == size and hash_file(path).sha256 == sha256
    except OSError:
        return "it is gone, and what was noted of it is still there"
    return "" if whole else "the file has changed since it was made"


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
    from seatrial.precision.makers import MAKERS

    try:
        return _judged(MAKERS[precision](model, out, calibration), model, out, calibration)
    except ModelError as e:
        raise ModelError(e.text, subject=e.subject or model.path) from e


def _judged(made: Conversion, model: ModelInfo, out: Path, calibration: Calibration) -> Conversion:
    """With how near it comes."""
    import onnx

    from seatrial.precision.closeness import closeness
    from seatrial.precision.feeds import CalibrationFeeds, extremes, picture_of
    from seatrial.precision.same import decided_by

    given = [{name: array.copy() for name, array in each.items()} for each in calibration.compared()]
    decided = decided_by(onnx.load(str(model.path), load_external_data=False))
    feeds = given or [CalibrationFeeds(calibration).first]
    found = closeness(model.path, out, made.precision, feeds, decided)
    pictures = count_of(len(feeds), "picture")
    which = "no range was seen on" if given and calibration.apart else "gave ranges too"
    seen = [p for p in map(picture_of, feeds) if p is not None]
    empty = seen and all(np.array_equal(*extremes(p)) for p in seen)
    said = "there is nothing on the picture that answers were compared on: how near they are is not known by that"
    return replace(
        made,
        run_by=found.run_by,
        sqnr_db=found.sqnr_db,
        equal_share=found.equal_share,
        unknown=found.unknown,
        measured_on=f"{pictures} that {which}",
        warnings=(*made.warnings, said) if empty else made.warnings,
    )


def conversion_of(path: Path) -> Conversion | None:
    """What was noted beside a cached variant; None where there is no note."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        found = json.loads(_note_of(path).read_text("utf-8"))["conversion"]
        kept = tuple(Kept(**k) for k in found.pop("kept"))
        return Conversion(**{**found, "kept": kept, "warnings": tuple(found["warnings"])})
    return None


def _note_of(path: Path) -> Path:
    return path.with_suffix(".json")


def _tool_versions() -> list[str]:
    """Of whatever makes the calibration inputs or the variant."""
    return [f"{name} {number}" for name, number in packages().items()]
