"""Which engine a run gets: the one that its settings name, one out of the cache, or one that is built now.

For: settings that fit one another, and words for the record. Not for: loading it (loaded.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from seatrial.backends.tensorrt.cache import build_and_keep, found_engine
from seatrial.backends.tensorrt.driver import Device
from seatrial.backends.tensorrt.engine_files import DamagedEngineError, Manifest, read_engine
from seatrial.backends.tensorrt.library import Library
from seatrial.backends.tensorrt.options import EngineOptions, RunOptions
from seatrial.backends.tensorrt.profiles import Profile, Shape
from seatrial.errors import PlanError
from seatrial.model.file import ModelInfo
from seatrial.units import format_seconds, format_value


def check_settings(library: Library, run: RunOptions) -> None:
    """PlanError for settings that this library leaves without an effect."""
    if run.kernel_strategy != "eager" and not library.rtx:
        raise PlanError(
            "only tensorrt-rtx compiles kernels for shapes as they come; leave it out", key="options.kernel_strategy"
        )


def chosen_engine(
    library: Library,
    device: Device,
    info: ModelInfo,
    shapes: Mapping[str, Shape],
    options: EngineOptions,
    run: RunOptions,
) -> tuple[bytes, Manifest | None, dict[str, str]]:
    """The engine that was named, else one out of the cache, else one that is built now; and words on it for the record."""
    if run.engine:
        path, how = Path(run.engine), "as the plan names it"
        data, manifest = read_engine(path, library, info, device, run.allow_engine)
    else:
        path, how, data, manifest = _of_cache(library, device, info, shapes, options)
    about = {"engine": f"{path.name}, {how}, {format_value(len(data), 'B')}"}
    if manifest is not None:
        about["engine_digest"] = manifest.digest
        on = f" on {manifest.device}" if manifest.device else ""
        built_for = ", ".join(manifest.capabilities)
        about["engine_build"] = (
            f"{format_seconds(manifest.build_s)}, for {built_for}{on}, by {manifest.library} {manifest.version}"
        )
        about["engine_options"] = ", ".join(f"{k}={v}" for k, v in manifest.options.items() if k != "capabilities")
        about["engine_profiles"] = "; ".join(map(str, manifest.profiles))
    else:
        about["engine_build"] = "unknown: not built by seatrial, and allowed by allow_engine"
    return data, manifest, about


def _of_cache(
    library: Library, device: Device, info: ModelInfo, shapes: Mapping[str, Shape], options: EngineOptions
) -> tuple[Path, str, bytes, Manifest | None]:
    """Found there, or built into it now: also where what was found is damaged, since nobody named that one."""
    how = "built now"
    if path := found_engine(library, info, shapes, options, device):
        try:
            return path, "from the cache", *read_engine(path, library, info, device, allowed=False, named=False)
        except DamagedEngineError:
            how = f"built now: what the cache had as {path.name} was changed or cut short"
            with contextlib.suppress(OSError):
                path.unlink()
    own = replace(options, capabilities=(device.capability,) if library.rtx else ())
    path, _, _ = build_and_keep(library, info, [Profile.exactly(shapes)], own, device)
    return path, how, *read_engine(path, library, info, device, allowed=False, named=False)
