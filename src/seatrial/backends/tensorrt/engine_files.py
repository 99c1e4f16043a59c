"""An engine as a file, with a manifest beside it that says what it is of, for and by: written whole, read back with suspicion.

An engine is code that runs on the device, and host code too: one that has no manifest of ours with its digest is refused unless
that is allowed. The manifest is not signed: it tells a stale or damaged file from a sound one, not a forger from a friend.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seatrial.backends.tensorrt.building import Built
from seatrial.backends.tensorrt.driver import Device
from seatrial.backends.tensorrt.library import Library
from seatrial.backends.tensorrt.options import EngineOptions
from seatrial.backends.tensorrt.profiles import Profile
from seatrial.errors import BackendUnavailableError, ModelError, ResultsError
from seatrial.model.file import ModelInfo

SCHEMA = "seatrial.engine/1"
SUFFIX = ".engine"
_AMPERE = 80


@dataclass(frozen=True)
class Manifest:
    """digest: sha256 of the engine's bytes; model_digest: as inspect_model gives it. device: '' where it was built for named
    capabilities without one. computed_in: of the parsed network, by its convolutions and matrix products."""

    digest: str
    size_bytes: int
    model: str
    model_digest: str
    library: str
    version: str
    capabilities: tuple[str, ...]
    device: str
    options: Mapping[str, Any]
    profiles: tuple[Profile, ...]
    build_s: float
    computed_in: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        built: Built,
        library: Library,
        model: ModelInfo,
        profiles: Sequence[Profile],
        options: EngineOptions,
        device: Device | None,
    ) -> Manifest:
        return cls(
            digest_of(built.data),
            len(built.data),
            model.path.name,
            model.digest,
            library.name,
            library.version,
            options.capabilities or ((device.capability,) if device else ()),
            "" if library.rtx or device is None else device.name,
            options.as_json(),
            tuple(profiles),
            built.build_s,
            built.computed_in,
            built.notes,
        )

    def as_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **asdict(self), "profiles": [p.as_json() for p in self.profiles]}

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Manifest:
        """ValueError, KeyError or TypeError where it is none."""
        if data["schema"] != SCHEMA:
            raise ValueError(f"expected {SCHEMA}, got {data['schema']}")
        own = {k: v for k, v in data.items() if k != "schema"}
        own["profiles"] = tuple(Profile.of_json(p) for p in own["profiles"])
        own["capabilities"], own["notes"] = tuple(own["capabilities"]), tuple(own["notes"])
        return cls(**own)


class DamagedEngineError(ModelError):
    """Its bytes are not those that its manifest was written for, or are gone."""


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def manifest_path(engine: Path) -> Path:
    return engine.with_name(engine.name + ".json")


def check_folder(folder: Path, cure: str) -> None:
    """Before minutes of building: ResultsError where nothing can be written there. Makes the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as e:
        raise _not_written(folder, e, cure) from None


def write_engine(path: Path, data: bytes, manifest: Manifest, cure: str) -> None:
    """Each file whole or not at all, the engine first: without its manifest it is refused, not mistaken.

    Raises:
        ResultsError: it cannot be written; what stood there before stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _fresh(path) as engine, _fresh(manifest_path(path)) as note:
            engine.write_bytes(data)
            note.write_text(json.dumps(manifest.as_json(), indent=1), "utf-8")
            with _locked(path.parent, fcntl.LOCK_EX):
                engine.replace(path)
                note.replace(manifest_path(path))
    except OSError as e:
        raise _not_written(path, e, cure) from None


@contextlib.contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """Whoever else writes or reads an engine there waits: of two that build the same one, a file of each would not fit.

    Where a file system has no locks, or the folder is gone, nobody waits.
    """
    try:
        held = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(held, how)
        yield
    finally:
        os.close(held)


@contextlib.contextmanager
def _fresh(path: Path) -> Iterator[Path]:
    """A name beside it for what is not whole yet; gone afterwards, however that ends."""
    name = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield name
    finally:
        name.unlink(missing_ok=True)


def _not_written(path: Path, error: OSError, cure: str) -> ResultsError:
    room = "; make room there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return ResultsError(f"{path}: engines cannot be written there: {error.strerror or error}{room}; {cure}")


def manifest_of(engine: Path) -> Manifest | None:
    """None where there is none, or it is not whole."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        return Manifest.of_json(json.loads(manifest_path(engine).read_text("utf-8")))
    return None


def read_engine(
    path: Path, library: Library, model: ModelInfo, device: Device | None, allowed: bool, named: bool = True
) -> tuple[bytes, Manifest | None]:
    """The engine's bytes, once they are what the manifest says, and of this model, library and device.

    allowed: takes one without a manifest, which is then held against nothing. named: as stale has it.

    Raises:
        DamagedEngineError: it is missing, or changed since it was written.
        ModelError: it is not ours, or of another model.
        BackendUnavailableError: it is of another library, version or device.
    """
    try:
        with _locked(path.parent, fcntl.LOCK_SH):
            data, manifest = path.read_bytes(), manifest_of(path)
    except OSError as e:
        raise DamagedEngineError(f"the engine cannot be read: {e.strerror or e}", subject=path) from None
    if manifest is None:
        if allowed:
            return data, None
        raise ModelError(
            f"refused: an engine is code, and this one has no manifest of seatrial's ({manifest_path(path).name}); build it "
            "with 'seatrial build', or set allow_engine where you trust who made it",
            subject=path,
        )
    if digest_of(data) != manifest.digest:
        raise DamagedEngineError(
            "refused: the engine is not the one that its manifest was written for: it was changed or cut short since; "
            "build it again with 'seatrial build', or delete it",
            subject=path,
        )
    if manifest.model_digest != model.digest:
        raise ModelError(
            f"refused: the engine is of another model than {model.path}: it was built from {manifest.model}, which had other "
            "content; build it again with 'seatrial build'",
            subject=path,
        )
    if why := stale(manifest, library, device, named):
        raise BackendUnavailableError(
            f"refused: the engine is stale: {why}; build it again with 'seatrial build'", subject=path
        )
    return data, manifest


def stale(manifest: Manifest, library: Library, device: Device | None, named: bool = False) -> str:
    """Why an engine does not run with this library on this device, or ''.

    named: it was asked for as it is; else it stands for what this library builds, so that another version's is none.
    """
    if (manifest.library, manifest.version) != (library.name, library.version):
        built = f"it was built by {manifest.library} {manifest.version}, and this is {library.name} {library.version}"
        if not (named and manifest.library == library.name and manifest.options.get("version_compatible")):
            return built
        if _number(manifest.version) > _number(library.version):
            return f"{built}: version_compatible is for later versions alone"
    return _misplaced(manifest, device) if device else ""


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))


def _misplaced(manifest: Manifest, device: Device) -> str:
    """Why an engine does not run on this device, or ''."""
    carried = manifest.options.get("hardware_compatibility", "none")
    if carried == "ampere_plus":
        if int(device.capability.removeprefix("sm")) >= _AMPERE:
            return ""
        return f"it was built for sm{_AMPERE} and later (ampere_plus), and {device.name} is {device.capability}"
    if device.capability not in manifest.capabilities:
        return f"it was built for {', '.join(manifest.capabilities)}, and {device.name} is {device.capability}"
    if carried == "none" and manifest.device not in ("", device.name):
        return f"it was built on {manifest.device}, and this is {device.name}"
    return ""
