"""What a control group lets a process use: CPU time and memory, cgroup v2 and v1.

For: limits of a container or a service, for the record and the noise watch. Not for: setting them. A limit holds for
everything below it, so the tightest on the way from the process's group up to the visible root counts.
"""

from __future__ import annotations

from pathlib import Path

from seatrial.machine.facts import ROOT, read

# v1 writes "no limit" as the largest multiple of a page in an int64; no machine has an exbibyte.
_NO_LIMIT = 1 << 60


def groups(controller: str, pid: int | str = "self", root: Path = ROOT) -> list[Path]:
    """Folders of the groups that hold a process for 'cpu' or 'memory', its own first; empty where none is mounted."""
    paths: dict[str, tuple[str, str]] = {}
    for line in read(f"proc/{pid}/cgroup", root).splitlines():
        _, names, path = line.split(":", 2)
        paths |= dict.fromkeys(names.split(","), (names, path))
    mounts = root / "sys/fs/cgroup"
    if controller in paths:  # v1: a hierarchy a controller, or one for several ("cpu,cpuacct")
        names, path = paths[controller]
        candidates = [mounts / names, mounts / controller]
    elif "" in paths:
        path = paths[""][1]
        candidates = [mounts / "unified", mounts]
    else:
        return []
    mount = next((m for m in candidates if (m / "cgroup.procs").exists()), None)
    if mount is None:
        return []
    own = mount / path.lstrip("/")
    # Inside a container without a cgroup namespace the path is the host's, while the mount is the container's own group.
    if not own.is_dir() or ".." in own.parts:
        return [mount]
    return [own, *(p for p in own.parents if p.is_relative_to(mount))]


def cpu_limit(group: Path) -> float | None:
    """CPUs' worth of time that this group may use; None: no limit of its own."""
    quota, _, period = read(group / "cpu.max").partition(" ")
    if not quota:
        quota, period = read(group / "cpu.cfs_quota_us"), read(group / "cpu.cfs_period_us")
    # Without a limit the quota is 'max' (v2) or -1 (v1): no digits either.
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def memory_limit_bytes(group: Path) -> int | None:
    limit = read(group / "memory.max") or read(group / "memory.limit_in_bytes")
    return int(limit) if limit.isdigit() and int(limit) < _NO_LIMIT else None


def memory_left_bytes(group: Path) -> int | None:
    """Bytes to the group's limit. Cached files that were not used lately count as free: the kernel drops them first."""
    limit = memory_limit_bytes(group)
    used = read(group / "memory.current") or read(group / "memory.usage_in_bytes")
    if limit is None or not used.isdigit():
        return limit
    counts = dict(line.split(" ", 1) for line in read(group / "memory.stat").splitlines() if " " in line)
    droppable = int(counts.get("total_inactive_file") or counts.get("inactive_file") or 0)
    return max(0, limit - max(0, int(used) - droppable))


def tightest_cpu_limit(root: Path = ROOT) -> float | None:
    return min((limit for g in groups("cpu", root=root) if (limit := cpu_limit(g)) is not None), default=None)


def tightest_memory_limit_bytes(root: Path = ROOT) -> int | None:
    return min(
        (limit for g in groups("memory", root=root) if (limit := memory_limit_bytes(g)) is not None), default=None
    )


def least_memory_left_bytes(root: Path = ROOT) -> int | None:
    return min((left for g in groups("memory", root=root) if (left := memory_left_bytes(g)) is not None), default=None)
