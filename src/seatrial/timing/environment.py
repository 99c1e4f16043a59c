"""Where something was measured: machine, limits, runtimes, and what would disturb a measurement.

For: the fingerprint on every record, and doctor's advice. Not for: changing any setting; root is never needed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from seatrial._native.kernels import simd_level, simd_levels
from seatrial._native.timing import clock_step_ns

PACKAGES = (
    "seatrial",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
)


@dataclass(frozen=True)
class Disturbance:
    """Something that makes timings here less certain, and its cure."""

    what: str
    cure: str


def environment() -> dict[str, Any]:
    """Facts about this machine and installation, as they go into a record."""
    facts = {
        "machine": machine_name(),
        "fingerprint": fingerprint(),
        "cpu": cpu_model(),
        "cores": len(usable_cores()),
        "memory_bytes": psutil.virtual_memory().total,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": packages(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "unknown",
        "smt": {"1": "on", "0": "off"}.get(_read("/sys/devices/system/cpu/smt/active"), "unknown"),
        "virtual": _is_virtual(),
        "cgroup_cpu_limit": _cgroup_cpu_limit(),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "clock_step_ns": clock_step_ns(),
        "simd": simd_level() or "none",
    }
    return facts | {"disturbances": [vars(d) for d in disturbances(facts)]}


def machine_name() -> str:
    """Host name as a folder name."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", platform.node().split(".")[0]).strip("-.") or "machine"


def fingerprint() -> str:
    """Twelve hex digits that change when results stop being comparable: CPU, cores, memory, system, packages, SIMD level."""
    memory_gib = round(psutil.virtual_memory().total / 2**30)
    parts = [
        cpu_model(),
        str(len(usable_cores())),
        str(memory_gib),
        platform.machine(),
        sys.platform,
        *map(str, packages().items()),
        simd_level() or "none",
    ]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:12]


def usable_cores() -> list[int]:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cpu_model() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def peak_memory_bytes() -> int:
    """Most memory that this process ever held resident. The kernel's ru_maxrss would include the parent's before exec."""
    match = re.search(r"VmHWM:\s+(\d+) kB", _read("/proc/self/status"))
    if match:
        return int(match[1]) * 1024
    memory = psutil.Process().memory_info()
    return int(getattr(memory, "peak_wset", memory.rss))


def disturbances(facts: dict[str, Any]) -> list[Disturbance]:
    """What on this machine would disturb a measurement."""
    found = []
    load, cores = facts["load_1min"], facts["cores"]
    if load is not None and load > 0.5 * cores:
        found.append(
            Disturbance(f"other work is running (load {load} on {cores} cores)", "stop it, or wait until it ends")
        )
    if facts["governor"] not in ("unknown", "performance"):
        found.append(
            Disturbance(
                f"the CPU governor is '{facts['governor']}': clocks follow the load",
                "cpupower frequency-set -g performance",
            )
        )
    if facts["smt"] == "on":
        found.append(
            Disturbance(
                "hyper-threading is on: a neighbour on the same core slows a run", "pin with threads <= physical cores"
            )
        )
    if facts["virtual"]:
        found.append(
            Disturbance(
                "this is a virtual machine: other guests can take its cores", "compare only within one run, interleaved"
            )
        )
    best = simd_levels()[-1]
    if facts["simd"] != best:
        level = os.environ.get("SEATRIAL_SIMD", facts["simd"])
        # None: the name is unknown here, and no native kernel runs.
        lost = f"kernels do without this machine's {best}" if simd_level() else "native kernels refuse to run"
        found.append(Disturbance(f"SEATRIAL_SIMD={level}: {lost}", "unset SEATRIAL_SIMD"))
    if cores < 2:
        found.append(
            Disturbance("one core: the harness and the system share it with the model", "use at least two cores")
        )
    limit = facts["cgroup_cpu_limit"]
    if limit is not None and limit < cores:
        found.append(
            Disturbance(
                f"a container limit of {limit:g} CPUs throttles {cores} cores in bursts",
                "raise the limit, or use fewer threads",
            )
        )
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    if battery is not None and battery.power_plugged is False:
        found.append(Disturbance("running on battery: clocks are reduced", "plug the machine in"))
    if psutil.virtual_memory().available < 1 << 30:
        found.append(Disturbance("less than 1 GiB of memory is free: cells may be killed", "close other programs"))
    return found


def _is_virtual() -> bool:
    return "hypervisor" in _read("/proc/cpuinfo")


def _cgroup_cpu_limit() -> float | None:
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit():
        return int(quota) / int(period)
    return None


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
