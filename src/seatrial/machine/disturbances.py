"""What on a machine makes timings less certain, each with its cure, from the facts in its environment.

For: warnings before a run. Not for: what happened while it ran (noise), or finding the facts (facts.py).
"""

from __future__ import annotations

import os
from typing import Any

from seatrial._native.kernels import simd_level, simd_levels
from seatrial.warning import Warning

# Read in user space, a few dozen nanoseconds. Every other source needs a system call, or reads a device for a microsecond.
FAST_CLOCKS = (
    "tsc",
    "kvm-clock",
    "hyperv_clocksource_tsc_page",
    "arch_sys_counter",
    "timebase",
    "tod",
    "riscv_clocksource",
)


def is_loaded(load_1min: float, cores: int) -> bool:
    """Whether so much work may be in the way."""
    return load_1min > 0.5 * cores


def disturbances(facts: dict[str, Any]) -> list[Warning]:
    """What on the machine with these facts would disturb a measurement."""
    return [*_of_the_cpu(facts), *_of_its_share(facts), *_of_memory(facts)]


def _of_the_cpu(facts: dict[str, Any]) -> list[Warning]:
    found = []
    if facts["governor"] not in ("unknown", "performance"):
        found.append(
            Warning(
                "governor",
                f"the CPU governor is '{facts['governor']}': clocks follow the load",
                "cpupower frequency-set -g performance",
            )
        )
    if facts["turbo"] == "on":
        found.append(
            Warning(
                "turbo",
                "turbo is on: clocks depend on heat and on how many cores are busy",
                "turn it off (intel_pstate/no_turbo, cpufreq/boost or the firmware), or compare only interleaved runs",
            )
        )
    if facts["smt"] == "on":
        found.append(
            Warning(
                "smt",
                "hyper-threading is on: a neighbour on the same core slows a run",
                "pin with threads <= physical cores",
            )
        )
    if (facts["numa_nodes"] or 1) > 1:
        found.append(
            Warning(
                "numa",
                f"the cores belong to {facts['numa_nodes']} NUMA nodes: memory may be on the far one",
                "start it under numactl --cpunodebind=0 --membind=0",
            )
        )
    if facts["clock_source"] not in ("unknown", *FAST_CLOCKS):
        found.append(
            Warning(
                "clock-source",
                f"the clock source is '{facts['clock_source']}': each reading is slow, and is charged to the stage",
                "boot with clocksource=tsc where the CPU has constant_tsc; on a virtual machine, kvm-clock or Hyper-V's",
            )
        )
    best = simd_levels()[-1]
    if facts["simd"] != best:
        level = os.environ.get("SEATRIAL_SIMD", facts["simd"])
        # None: the name is unknown here, and no native kernel runs.
        lost = f"kernels do without this machine's {best}" if simd_level() else "native kernels refuse to run"
        found.append(Warning("simd", f"SEATRIAL_SIMD={level}: {lost}", "unset SEATRIAL_SIMD"))
    if any(gpu.get("persistence") is False for gpu in facts.get("gpus", ())):
        said = "the GPU's persistence mode is off: the driver unloads between runs, and its clocks start anew"
        found.append(
            Warning("gpu-persistence", said, "nvidia-smi --persistence-mode=1, or the nvidia-persistenced service")
        )
    if facts["on_battery"]:
        found.append(Warning("battery", "running on battery: clocks are reduced", "plug the machine in"))
    return found


def _of_its_share(facts: dict[str, Any]) -> list[Warning]:
    found = []
    load, cores = facts["load_1min"], facts["cores"]
    busy = facts["busy_cores"]
    if load is not None and is_loaded(load, cores) and (busy is None or busy > 0.25 * cores):
        now = "" if busy is None else f", {busy:g} of them busy"
        said = f"other work is running (load {load} on {cores} cores{now})"
        found.append(Warning("other-load", said, "stop it, or wait until it ends"))
    if facts["virtual"]:
        found.append(
            Warning(
                "virtual-machine",
                "this is a virtual machine: other guests can take its cores",
                "compare only within one run, interleaved",
            )
        )
    if cores < 2:
        found.append(
            Warning(
                "one-core", "one core: the harness and the system share it with the model", "use at least two cores"
            )
        )
    limit = facts["cgroup_cpu_limit"]
    if limit is not None and limit < cores:
        found.append(
            Warning(
                "cpu-limit",
                f"a container limit of {limit:g} CPUs throttles {cores} cores in bursts",
                "raise the limit, or use fewer threads",
            )
        )
    return found


def _of_memory(facts: dict[str, Any]) -> list[Warning]:
    found = []
    # A little swap is only what nobody touched for days; a tenth of the memory says that it was too small.
    if facts["swap_used_bytes"] > 0.1 * facts["memory_bytes"]:
        found.append(
            Warning(
                "swap",
                f"{facts['swap_used_bytes'] / 2**30:.1f} GiB are swapped out: reading them back stops a run for milliseconds",
                "close other programs, then swapoff -a && swapon -a",
            )
        )
    if facts["memory_available_bytes"] < 1 << 30:
        cure = "raise the container's memory limit" if facts["cgroup_memory_limit_bytes"] else "close other programs"
        found.append(Warning("little-memory", "less than 1 GiB of memory is free: cells may be killed", cure))
    return found
