"""Where something was measured: machine, limits, runtimes, and what would disturb a measurement.

For: the fingerprint on every record, and doctor's advice. Not for: changing any setting; root is never needed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
from typing import Any

import psutil

from seatrial._native.kernels import simd_level
from seatrial._native.timing import clock_step_ns
from seatrial.machine import cgroups
from seatrial.machine import facts as machine
from seatrial.machine.disturbances import disturbances, is_loaded
from seatrial.machine.facts import cpu_model
from seatrial.machine.nvml import gpu_facts
from seatrial.machine.packages import BYSTANDERS, packages

__all__ = [
    "comparable_facts",
    "cpu_model",
    "disturbances",
    "environment",
    "fingerprint",
    "machine_name",
    "packages",
    "peak_memory_bytes",
    "usable_cores",
]


def environment() -> dict[str, Any]:
    """Facts about this machine and installation, as they go into a record."""
    cores = usable_cores()
    memory = machine.memory_info()
    load = os.getloadavg()[0]
    facts = {
        "machine": machine_name(),
        "fingerprint": fingerprint(),
        "cpu": cpu_model(),
        "cores": len(cores),
        "numa_nodes": machine.numa_nodes(cores),
        "memory_bytes": psutil.virtual_memory().total,
        "memory_available_bytes": _memory_available_bytes(memory),
        "swap_used_bytes": memory.get("SwapTotal", 0) - memory.get("SwapFree", 0),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": packages() | packages(BYSTANDERS),
        "governor": machine.governor(cores[0]),
        "frequency_range_mhz": machine.frequency_range_mhz(cores[0]),
        "turbo": machine.turbo(),
        "smt": machine.smt(),
        "virtual": machine.is_virtual(),
        "container": machine.container(),
        "cgroup_cpu_limit": cgroups.tightest_cpu_limit(),
        "cgroup_memory_limit_bytes": cgroups.tightest_memory_limit_bytes(),
        "load_1min": round(load, 2),
        "busy_cores": _busy_cores() if is_loaded(load, len(cores)) else None,
        "on_battery": _on_battery(),
        "transparent_huge_pages": machine.transparent_huge_pages(),
        "clock_source": machine.clock_source(),
        "clock_step_ns": clock_step_ns(),
        "simd": simd_level() or "none",
        **_gpus(),
    }
    return facts | {"disturbances": [vars(d) for d in disturbances(facts)]}


def _gpus() -> dict[str, Any]:
    """By NVML where it can be asked; else what nvidia-smi and the driver's files tell, and why NVML did not where they tell
    any."""
    found, why = gpu_facts()
    if found:
        return {"gpus": [{**vars(gpu), "missing": dict(gpu.missing)} for gpu in found], "nvml": ""}
    others = [vars(gpu) for gpu in machine.gpus()]
    return {"gpus": others, "nvml": why if others else ""}


def _busy_cores() -> float:
    """In a fifth of a second, while this process sleeps: the load of the last minute is often the run before this one."""
    return round(psutil.cpu_percent(0.2) / 100 * (psutil.cpu_count() or 1), 2)


def machine_name() -> str:
    """Host name as a folder name."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", platform.node().split(".")[0]).strip("-.") or "machine"


def fingerprint() -> str:
    """Twelve hex digits that change when results stop being comparable: hardware, share of it, clock policy, runtimes."""
    return hashlib.sha256(repr(sorted(comparable_facts().items())).encode()).hexdigest()[:12]


def comparable_facts() -> dict[str, Any]:
    """What the fingerprint is of: facts that shift timings and that nothing but a person changes.

    Left out, because they move while a run goes on and would split a history (or refuse --resume) for nothing: load,
    free memory, swap, clocks of the moment, and the range of clocks, which thermal daemons narrow. Left out, because
    they do not shift timings by themselves: the kind of container, the memory limit, the clock source. The kernel's
    release is left out because a patch a week would leave no history; a step that it causes is the history's to find.
    """
    cores = usable_cores()
    return {
        "cpu": cpu_model(),
        "cores": len(cores),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "architecture": platform.machine(),
        "system": sys.platform,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": sorted(packages().items()),
        "simd": simd_level() or "none",
        "governor": machine.governor(cores[0]),
        "turbo": machine.turbo(),
        "smt": machine.smt(),
        "numa_nodes": machine.numa_nodes(cores),
        "cgroup_cpu_limit": cgroups.tightest_cpu_limit(),
        "transparent_huge_pages": machine.transparent_huge_pages(),
        "gpus": [(gpu.name, gpu.driver) for gpu in machine.gpus()],
    }


def usable_cores() -> list[int]:
    """Cores that this process may run on."""
    return sorted(os.sched_getaffinity(0))


def peak_memory_bytes() -> int:
    """Most memory that this process ever held resident. The kernel's ru_maxrss would include the parent's before exec."""
    match = re.search(r"VmHWM:\s+(\d+) kB", machine.read("proc/self/status"))
    return int(match[1]) * 1024 if match else int(psutil.Process().memory_info().rss)


def _memory_available_bytes(memory: dict[str, int]) -> int:
    on_machine = memory.get("MemAvailable", psutil.virtual_memory().available)
    in_group = cgroups.least_memory_left_bytes()
    return on_machine if in_group is None else min(on_machine, in_group)


def _on_battery() -> bool:
    battery = psutil.sensors_battery()
    return battery is not None and battery.power_plugged is False
