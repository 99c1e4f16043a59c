"""The machine, its backends and what the harness costs on it, for a terminal. Not for: finding any of it out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from seatrial.history.records import Harness
from seatrial.report.hanging import hanging, sentence
from seatrial.runtimes.settings import Setting
from seatrial.units import format_bytes, format_seconds

_NAME = 24


def print_machine(out: Console, facts: Mapping[str, Any], simd_levels: Sequence[str]) -> None:
    """facts: as machine.environment gives them. simd_levels: all that the kernels have here."""
    has = f"  {facts['cpu']}, {facts['cores']} usable core(s), {format_bytes(facts['memory_bytes'])}"
    sentence(out, Text.assemble((str(facts["machine"]), "bold"), has))
    clock_step = format_seconds(facts["clock_step_ns"] / 1e9)
    lines = [
        f"{facts['kernel']}, Python {facts['python']}, clock {facts['clock_source']}, step {clock_step}",
        f"clocks and memory: {_settings(facts)}",
        f"container: {_share(facts)}",
        *(f"GPU: {_gpu(gpu)}" for gpu in facts["gpus"]),
        *([f"GPU's clocks, power and energy are not read: {facts['nvml']}"] if facts.get("nvml") else []),
        f"kernels: {_levels(facts['simd'], simd_levels)}",
        ", ".join(f"{n} {v}" for n, v in facts["packages"].items()),
    ]
    for line in lines:
        sentence(out, line, "dim")


def print_backends(out: Console, backends: Iterable[Mapping[str, Any]], indent: str = "") -> None:
    """backends: the fields of an Availability each."""
    for b in backends:
        if b["ok"]:
            hanging(out, (f"{indent}✓ ", "green"), f"{b['name']:<{_NAME}} {b['version']}")
        else:
            hanging(
                out, (f"{indent}– {b['name']:<{_NAME}} ", "dim"), Text.assemble(f"{b['reason']}; ", (b["cure"], "dim"))
            )


def print_settings(out: Console, settings: Sequence[Setting]) -> None:
    """The options of one backend, each with what it takes."""
    for s in settings:
        hanging(
            out,
            (f"  {s.name:<{_NAME}} ", "bold"),
            Text.assemble(
                s.expected(), (f"; {s.help}{f'; by itself {s.by_itself()}' if s.by_itself() else ''}", "dim")
            ),
        )
    if not settings:
        hanging(out, ("  ", ""), "it takes no options")


def print_clashes(out: Console, clashes: Sequence[str]) -> None:
    for said in clashes:
        hanging(out, ("! ", "yellow"), f"left out: {said}")


def print_disturbances(out: Console, disturbances: Sequence[Mapping[str, str]]) -> None:
    """disturbances: warnings, as in environment()."""
    out.print("\nWhat would disturb a measurement", style="bold")
    for d in disturbances:
        hanging(out, ("  ! ", "yellow"), Text.assemble(f"{d['text']}; ", (d["cure"], "dim")))
    if not disturbances:
        hanging(out, ("  ✓ ", "green"), "nothing found")


def print_harness(out: Console, h: Harness) -> None:
    c = h.comparison
    _line(out, "clock", f"step {h.clock_step_ns} ns, a reading {h.clock_read_ns:.0f} ns")
    _line(
        out, "loop", f"{h.native_loop_ns:.0f} ns a request that does nothing; {h.python_loop_ns:.0f} ns through Python"
    )
    late = " and ".join(format_seconds(ns / 1e9) for ns in h.wake_late_ns)
    _line(out, "timers", f"a request in an open loop begins {late} late (p50 and p99), which counts as queueing")
    low, high = c.change.interval or (None, None)
    span = f"{low:+.2%} to {high:+.2%}" if low is not None and high is not None else "?"
    _line(
        out,
        "A against A",
        f"{c.change.value:+.2%}, interval {span}, pairs' sd {c.pairs_sd or 0:.2%}, {len(c.pairs)} rounds",
    )
    if c.noise_floor is not None:
        _line(out, "noise floor", f"{c.noise_floor:.2%}: 'seatrial compare' can judge no smaller margin here today")
    for warning in c.warnings:
        hanging(out, ("  ! ", "yellow"), str(warning))


def _line(out: Console, label: str, said: str) -> None:
    hanging(out, (f"  {label:<13} ", ""), said)


def _settings(facts: Mapping[str, Any]) -> str:
    """Settings of the machine that shift timings, as far as they can be read."""
    span = facts["frequency_range_mhz"]
    known = [
        *(f"{name} {facts[name]}" for name in ("governor", "turbo", "smt") if facts[name] != "unknown"),
        *([f"{span[0]} to {span[1]} MHz"] if span else []),
        *([f"{facts['numa_nodes']} NUMA node(s)"] if facts["numa_nodes"] else []),
        f"transparent huge pages {facts['transparent_huge_pages']}",
    ]
    return ", ".join(known)


def _share(facts: Mapping[str, Any]) -> str:
    """What of the machine is ours."""
    cpus, memory = facts["cgroup_cpu_limit"], facts["cgroup_memory_limit_bytes"]
    limits = [*([f"{cpus:g} CPUs"] if cpus else []), *([format_bytes(memory)] if memory else [])]
    free = f"{format_bytes(facts['memory_available_bytes'])} of memory free"
    return f"{facts['container']}, {'limited to ' + ' and '.join(limits) if limits else 'no limits'}, {free}"


def _gpu(gpu: Mapping[str, Any]) -> str:
    """And what NVML tells of it, where it could be asked; what was not told is left out here, and stands in the JSON."""
    told = [f"{gpu['name']}, driver {gpu['driver']}"]
    if gpu.get("sm_clock_mhz"):
        told.append(f"{gpu['sm_clock_mhz']} of {gpu['max_sm_clock_mhz']} MHz")
    if gpu.get("memory_bytes"):
        told.append(format_bytes(gpu["memory_bytes"]))
    if gpu.get("power_limit_w"):
        told.append(f"power limit {gpu['power_limit_w']:g} W")
    for key, name in (("persistence", "persistence mode"), ("ecc", "ECC"), ("mig", "MIG")):
        if gpu.get(key) is not None:
            told.append(f"{name} {'on' if gpu[key] else 'off'}")
    return ", ".join(told)


def _levels(active: str, known: Sequence[str]) -> str:
    """The SIMD level in use, and the others that SEATRIAL_SIMD may name."""
    others = [level for level in known if level != active]
    if active == "none":
        return f"none: SEATRIAL_SIMD={os.environ.get('SEATRIAL_SIMD')} is not one of {', '.join(others)}"
    return active + (f" (SEATRIAL_SIMD: also {', '.join(others)})" if others else "")
