"""Engines that were built once: below the cache folder, by everything that they depend on.

For: a cell's engine, found again or built; the same one that `seatrial build` wrote ahead. Not for: what a file must be
before it is run (engine_files.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seatrial.backends.tensorrt.building import Built, build
from seatrial.backends.tensorrt.driver import Device
from seatrial.backends.tensorrt.engine_files import (
    SUFFIX,
    Manifest,
    check_folder,
    manifest_of,
    stale,
    write_engine,
)
from seatrial.backends.tensorrt.kernel_cache import cache_base
from seatrial.backends.tensorrt.library import Library
from seatrial.backends.tensorrt.options import EngineOptions
from seatrial.backends.tensorrt.profiles import Profile, Shape
from seatrial.backends.tensorrt.progress import Tell
from seatrial.model.file import ModelInfo

CURE = "set SEATRIAL_CACHE to a folder that you may write to"


def engine_folder(model: ModelInfo) -> Path:
    return cache_base() / "engines" / model.digest.removeprefix("sha256:")[:32]


def engine_path(
    library: Library, model: ModelInfo, profiles: Sequence[Profile], options: EngineOptions, device: Device | None
) -> Path:
    """Named by model, library, what it is built for and on, options and shapes."""
    key: list[Any] = [
        model.digest,
        library.name,
        library.version,
        options.as_json(),
        "" if library.rtx or device is None else [device.name, device.capability],
        [p.as_json() for p in profiles],
    ]
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return engine_folder(model) / f"{name}{SUFFIX}"


def found_engine(
    library: Library, model: ModelInfo, shapes: Mapping[str, Shape], options: EngineOptions, device: Device
) -> Path | None:
    """One that has a profile of exactly these shapes, runs on the device, and was built with these options.

    It may have been built for more capabilities or with more profiles than are needed here: then what is measured is the very
    engine that is to be deployed. The one with the fewest of both is taken.
    """
    wanted = replace(options, capabilities=()).as_json()
    found = []
    for path in sorted(engine_folder(model).glob(f"*{SUFFIX}")):
        manifest = manifest_of(path)
        if manifest is None or manifest.model_digest != model.digest or stale(manifest, library, device):
            continue
        same = {**manifest.options, "capabilities": []} == wanted
        if same and any(p.is_exactly(shapes) for p in manifest.profiles):
            found.append((len(manifest.profiles), len(manifest.capabilities), path))
    return min(found)[2] if found else None


def build_and_keep(
    library: Library,
    model: ModelInfo,
    profiles: Sequence[Profile],
    options: EngineOptions,
    device: Device | None,
    tell: Tell = lambda _step, _share: None,
    path: Path | None = None,
    cure: str = CURE,
) -> tuple[Path, Built, Manifest]:
    """Builds an engine into the cache, or to `path`.

    Raises:
        ModelError: the library builds none of this model.
        BackendUnavailableError: it has not what is asked for.
        ResultsError: the engine cannot be written; asked before it is built.
    """
    target = path or engine_path(library, model, profiles, options, device)
    check_folder(target.parent, cure)
    built = build(library, model, profiles, options, tell)
    manifest = Manifest.of(built, library, model, profiles, options, device)
    write_engine(target, built.data, manifest, cure)
    return target, built, manifest
