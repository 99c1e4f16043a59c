"""Facts about this machine as Linux tells them in /proc and /sys, and NVIDIA's driver about its GPUs.

For: environment's record and the noise watch. Not for: judging the facts (disturbances), or limits (cgroups). Every
reader takes the root of the tree, and answers None, 'unknown' or nothing where a part is missing, as in containers.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path("/")
_CPU = "sys/devices/system/cpu"
PATIENCE_S = 5.0
_GPU_FIELDS = ("name", "driver_version", "clocks.current.sm", "clocks.max.sm", "clocks.current.memory")


@dataclass(frozen=True)
class Gpu:
    """A GPU that its driver shows to this process. Clocks are those at the first look, None where they are not told."""

    name: str
    driver: str
    sm_clock_mhz: int | None = None
    max_sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None


def read(path: str | Path, root: Path = ROOT) -> str:
    """Stripped text of a file under the root; empty where it can't be read."""
    try:
        return (root / path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def cpu_model(root: Path = ROOT) -> str:
    for line in read("proc/cpuinfo", root).splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def is_virtual(root: Path = ROOT) -> bool:
    return "hypervisor" in read("proc/cpuinfo", root)


def governor(core: int = 0, root: Path = ROOT) -> str:
    return read(f"{_CPU}/cpu{core}/cpufreq/scaling_governor", root) or "unknown"


def smt(root: Path = ROOT) -> str:
    return {"1": "on", "0": "off"}.get(read(f"{_CPU}/smt/active", root), "unknown")


def turbo(root: Path = ROOT) -> str:
    """'on', 'off' or 'unknown': whether cores may run above their base clock while heat and neighbours let them."""
    forbidden = {"0": "on", "1": "off"}.get(read(f"{_CPU}/intel_pstate/no_turbo", root))
    return forbidden or {"1": "on", "0": "off"}.get(read(f"{_CPU}/cpufreq/boost", root), "unknown")


def frequency_range_mhz(core: int = 0, root: Path = ROOT) -> tuple[int, int] | None:
    """Lowest and highest clock that the policy in force lets this core have."""
    low, high = (read(f"{_CPU}/cpu{core}/cpufreq/scaling_{end}_freq", root) for end in ("min", "max"))
    return (int(low) // 1000, int(high) // 1000) if low.isdigit() and high.isdigit() else None


def numa_nodes(cores: Collection[int], root: Path = ROOT) -> int | None:
    """Memory nodes that these cores are spread over."""
    lists = [read(path, root) for path in sorted(root.glob("sys/devices/system/node/node[0-9]*/cpulist"))]
    return sum(bool(parse_cores(text) & set(cores)) for text in lists) or None


def parse_cores(text: str) -> set[int]:
    """{0, 1, 2, 8} from the kernel's '0-2,8'."""
    found: set[int] = set()
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", text):
        found.update(range(int(first), int(last or first) + 1))
    return found


def transparent_huge_pages(root: Path = ROOT) -> str:
    chosen = re.search(r"\[(\w+)\]", read("sys/kernel/mm/transparent_hugepage/enabled", root))
    return chosen[1] if chosen else "unknown"


def clock_source(root: Path = ROOT) -> str:
    return read("sys/devices/system/clocksource/clocksource0/current_clocksource", root) or "unknown"


def memory_info(root: Path = ROOT) -> dict[str, int]:
    """/proc/meminfo in bytes."""
    return {name: int(kb) * 1024 for name, kb in re.findall(r"(\w+):\s+(\d+) kB", read("proc/meminfo", root))}


def container(root: Path = ROOT, variables: Mapping[str, str] = os.environ) -> str:
    """'kubernetes', 'podman', 'docker', 'lxc' or 'none'. A pod is also a docker or podman container: it comes first."""
    cgroup = read("proc/1/cgroup", root)
    if "KUBERNETES_SERVICE_HOST" in variables or "kubepods" in cgroup:
        return "kubernetes"
    if (root / "run/.containerenv").exists() or "libpod" in cgroup:
        return "podman"
    if (root / ".dockerenv").exists() or "docker" in cgroup:
        return "docker"
    # With cgroup v2 an LXC guest sees '0::/'; the first process's own variables, readable by its owner, still tell.
    if "lxc" in cgroup or "container=lxc" in read("proc/1/environ", root):
        return "lxc"
    return "none"


def gpus(root: Path = ROOT, path: str | None = None) -> tuple[Gpu, ...]:
    """NVIDIA GPUs by nvidia-smi where it is on the path and answers, else by the driver's files, which tell no clocks."""
    tool = shutil.which("nvidia-smi", path=path)
    return (_ask_nvidia_smi(tool) if tool else ()) or _driver_files(root)


@cache
def _ask_nvidia_smi(tool: str) -> tuple[Gpu, ...]:
    """Asked once a process: it takes 0.05 to 2 s, and on a driver in trouble minutes, which nobody waits for."""
    command = [tool, f"--query-gpu={','.join(_GPU_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, errors="replace"
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    rows = [[field.strip() for field in line.split(",")] for line in done.stdout.splitlines()]
    # A failure ("No devices were found") is one sentence on the same stream.
    return tuple(Gpu(r[0], r[1], *map(_number, r[2:])) for r in rows if done.returncode == 0 and len(r) == 5)


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _driver_files(root: Path) -> tuple[Gpu, ...]:
    version = re.search(r"Kernel Module\s+(?:for \S+\s+)?(\d[\d.]*)", read("proc/driver/nvidia/version", root))
    names = [
        re.search(r"Model:\s+(.+)", read(path, root))
        for path in sorted(root.glob("proc/driver/nvidia/gpus/*/information"))
    ]
    return tuple(Gpu(name[1].strip(), version[1] if version else "unknown") for name in names if name)
