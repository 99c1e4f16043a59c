"""Why a provider's library does not open, found by opening what it needs ourselves; and what installs that.

For: the real reason in a message. ONNX Runtime goes on with the CPU where it may, or names only the first missing library.
Not for: which nodes a provider that did open has taken (assignment.py).
"""

from __future__ import annotations

import ctypes
import re
import site
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from seatrial.backends.onnxruntime.providers import Provider

GPU_WHEELS = "python -m pip install 'onnxruntime-gpu[cuda,cudnn]'"
_DRIVER = (
    "install NVIDIA's driver, which no wheel brings; start a container with the host's GPUs (docker run --gpus all)"
)
_TENSORRT_10 = (
    "onnxruntime-gpu's TensorRT provider wants TensorRT 10, and PyPI's is 11: python -m pip install "
    "--extra-index-url https://pypi.nvidia.com 'tensorrt-cu13<11', in an environment without tensorrt 11"
)
# The beginning of a library's name, and what installs it.
_CURES = (
    ("libcuda.so", _DRIVER),
    ("libnvidia-ml.so", _DRIVER),
    ("libnvinfer", _TENSORRT_10),
    ("libnvonnxparser", _TENSORRT_10),
    *((name, GPU_WHEELS) for name in ("libcublas", "libcudnn", "libcudart", "libcurand", "libcufft", "libnvrtc")),
)
# CUDA's major version, and the first branch of the driver that serves it.
_FIRST_DRIVERS = {12: 525, 13: 580}
_DT_NULL, _DT_NEEDED, _DT_STRTAB = 0, 1, 5
_PT_LOAD, _PT_DYNAMIC = 1, 2


@dataclass(frozen=True)
class Missing:
    """A library that does not open, by the dynamic loader's own words. other: one of another version that is here."""

    library: str
    reason: str
    other: str = ""

    @property
    def cure(self) -> str:
        return next(
            (cure for name, cure in _CURES if self.library.startswith(name)), f"install what brings {self.library}"
        )


@dataclass(frozen=True)
class Problem:
    """Why a provider cannot run here, and what helps."""

    reason: str
    cure: str


def needed_libraries(path: Path) -> list[str]:
    """DT_NEEDED of a 64-bit little-endian ELF file, in its order. Empty where it is none.

    Source: System V ABI, chapters 4 and 5 (ELF header, program header, dynamic section).
    """
    with path.open("rb") as file:
        header = file.read(64)
        if len(header) < 64 or header[:6] != b"\x7fELF\x02\x01":
            return []
        offset, entry_size, count = struct.unpack_from("<Q", header, 32)[0], *struct.unpack_from("<HH", header, 54)
        file.seek(offset)
        table = file.read(entry_size * count)
        # type, flags, offset, virtual address, physical address, size in the file, size in memory, alignment
        segments = [struct.unpack_from("<IIQQQQQQ", table, i * entry_size) for i in range(count)]
        dynamic = next((s for s in segments if s[0] == _PT_DYNAMIC), None)
        if dynamic is None:
            return []
        file.seek(dynamic[2])
        entries = list(struct.iter_unpack("<qQ", file.read(dynamic[5])))
        strings = next(value for tag, value in entries if tag == _DT_STRTAB)
        segment = next(s for s in segments if s[0] == _PT_LOAD and s[3] <= strings < s[3] + s[6])
        found = []
        for tag, value in entries:
            if tag == _DT_NULL:
                break
            if tag == _DT_NEEDED:
                file.seek(segment[2] + strings - segment[3] + value)
                found.append(file.read(256).split(b"\0")[0].decode())
        return found


def wheel_folders() -> Iterator[Path]:
    """Where NVIDIA's wheels put libraries, which the dynamic loader does not look into."""
    roots = dict.fromkeys([*sys.path, *site.getsitepackages()])
    for root in map(Path, filter(None, roots)):
        yield from sorted(root.glob("nvidia/*/lib"))
        yield from sorted(root.glob("tensorrt_libs"))


def missing_libraries(provider: Provider) -> list[Missing]:
    """What the provider's library needs and this process cannot open, driver first. What opens stays open.

    So the provider's own library finds by name what lies in wheels. The first missing library hides none behind it.
    """
    path, folder = provider.library_path(), provider.folder()
    if path is None or folder is None:
        return []
    folders = [folder, *wheel_folders()]
    found = {}
    for library in (*needed_libraries(path), *provider.dynamic):
        reason = _reason(library, folders)
        if reason:
            # One that is there may want another that is not: that is the missing one.
            blamed = re.match(r"(\S+\.so\S*): cannot open shared object file", reason)
            name = Path(blamed[1]).name if blamed else library
            found[name] = Missing(name, reason, _other_version(name, folders))
    return sorted(found.values(), key=lambda m: m.cure != _DRIVER)


def driver_too_old(provider: Provider) -> Problem | None:
    """By the driver's version, which it tells without being initialised. None where it is new enough, or not here."""
    path = provider.library_path()
    named = [re.fullmatch(r"libcudart\.so\.(\d+)", n) for n in (needed_libraries(path) if path else [])]
    wanted = next((int(m[1]) for m in named if m), 0)
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    version = ctypes.c_int()
    if driver.cuDriverGetVersion(ctypes.byref(version)) != 0 or version.value // 1000 >= wanted:
        return None
    newest = _FIRST_DRIVERS.get(wanted)
    return Problem(
        f"NVIDIA's driver serves CUDA {version.value // 1000}.{version.value % 1000 // 10}, and {provider.distribution} is "
        f"built for CUDA {wanted}",
        f"update the driver{f' to {newest} or newer' if newest else ''}, or install {provider.distribution} built for "
        f"CUDA {version.value // 1000}",
    )


def driver_problem(provider: Provider) -> Problem | None:
    """Why NVIDIA's driver does not serve the provider: too old, or what it says to cuInit. None where it has a device, or is
    not here at all."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    if too_old := driver_too_old(provider):
        return too_old
    code = int(driver.cuInit(0))
    if code == 0:
        return None
    name = ctypes.c_char_p()
    with suppress(AttributeError):
        driver.cuGetErrorName(code, ctypes.byref(name))
    said = (name.value or b"").decode() or "an error that it has no name for"
    return Problem(
        f"NVIDIA's driver answers cuInit with {said} ({code})",
        {
            "CUDA_ERROR_NO_DEVICE": "see whether nvidia-smi lists a device, and what CUDA_VISIBLE_DEVICES leaves of it",
            "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": "its library and its kernel module differ: restart the machine",
        }.get(said, "see whether nvidia-smi works"),
    )


def why_not_opened(provider: Provider) -> Problem | None:
    """None where all that the provider needs opens, as far as can be told from outside."""
    missing = missing_libraries(provider)
    if not missing:
        return driver_problem(provider) if provider.nvidia else None
    first, *others = missing
    reason = f"{provider.library} needs {first.reason}"
    if others:
        *names, last = [m.library for m in others]
        reason += f"; nor does it find {', '.join(names)}{' or ' if names else ''}{last}"
    for m in missing:
        if m.other:
            reason += f"; {m.other} is here, but {provider.distribution} is built for {m.library}"
    cures = dict.fromkeys(m.cure for m in missing)
    return Problem(reason, "; then ".join(cures))


def provider_problem(provider: Provider) -> Problem | None:
    """Why the provider is not to be had in this environment: its wheel is missing, or what the wheel needs is. Imports nothing,
    and asks no driver: a process that did could not be forked."""
    path = provider.library_path()
    if not provider.library:
        return None
    if path:
        return why_not_opened(provider) if missing_libraries(provider) else driver_too_old(provider)
    if provider.plugin:
        return Problem(
            f"the package {provider.distribution} is not installed",
            f"python -m pip install 'seatrial[{provider.name}]'",
        )
    # Both write the same files.
    command = "python -m pip uninstall -y onnxruntime && python -m pip install 'seatrial[gpu]'"
    return Problem(f"this onnxruntime has no {provider.execution_provider}", f"{command}; {also_needed(provider)}")


def also_needed(provider: Provider) -> str:
    """What the provider needs beside its wheel, before that is installed: what comes next may not fit what is there by then."""
    driver = "it needs NVIDIA's driver"
    return f"{_TENSORRT_10}; {driver}" if provider.name == "onnxruntime-tensorrt" else driver


def _reason(library: str, folders: list[Path]) -> str:
    """The loader's words on why it does not open, by name and then in the folders; '' where it does."""
    try:
        ctypes.CDLL(library)
    except OSError as e:
        words = str(e)
    else:
        return ""
    # Wheels hold no links: libcudart.so.13 may lie there as libcudart.so.13.4.36.
    for path in (p for folder in folders for p in sorted(folder.glob(f"{library}*"))):
        try:
            ctypes.CDLL(str(path))
        except OSError as e:
            words = str(e)
        else:
            return ""
    return words


def _other_version(library: str, folders: list[Path]) -> str:
    """libcublas.so.12 where libcublas.so.13 is wanted."""
    stem, _, wanted = library.partition(".so.")
    # A driver's library has one version for ever.
    if not wanted.isdigit() or wanted == "1":
        return ""
    for folder in folders:
        for path in sorted(folder.glob(f"{stem}.so.*")):
            if path.name.partition(".so.")[2].partition(".")[0] != wanted:
                return path.name
    for major in range(int(wanted) + 1, int(wanted) - 3, -1):
        with suppress(OSError):
            if major != int(wanted):
                ctypes.CDLL(f"{stem}.so.{major}")
                return f"{stem}.so.{major}"
    return ""
