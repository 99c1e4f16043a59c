"""seatrial doctor and backends: what this machine can run, and what would disturb a measurement."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from seatrial.cli.shell import DebugOption, JsonOption, QuietOption, command, console, write_json
from seatrial.errors import ExitCode

if TYPE_CHECKING:
    from seatrial.compare.harness import Harness


@command(examples=["seatrial doctor", "seatrial doctor --measure", "seatrial doctor --json doctor.json"])
def doctor(
    measure: Annotated[
        bool, typer.Option("--measure", help="Also measure the harness itself here: about half a minute.")
    ] = False,
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Print what this machine can run and what would disturb a measurement, each with its cure."""
    from seatrial.backends import availability
    from seatrial.backends.catalogue import NAMES
    from seatrial.machine.environment import environment
    from seatrial.units import format_bytes, format_seconds

    out = console(quiet, json)
    facts = environment()
    out.print(
        f"[bold]{facts['machine']}[/]  {facts['cpu']}, {facts['cores']} usable core(s), {format_bytes(facts['memory_bytes'])}"
    )
    clock_step = format_seconds(facts["clock_step_ns"] / 1e9)
    out.print(
        f"{facts['kernel']}, Python {facts['python']}, clock {facts['clock_source']}, step {clock_step}", style="dim"
    )
    out.print(f"clocks and memory: {_settings(facts)}", style="dim")
    out.print(f"container: {_share(facts)}", style="dim")
    for gpu in facts["gpus"]:
        out.print(f"GPU: {_gpu(gpu)}", style="dim")
    out.print(f"kernels: {_levels(facts['simd'])}", style="dim")
    out.print(", ".join(f"{n} {v}" for n, v in facts["packages"].items()), style="dim")
    out.print("\n[bold]Backends[/]")
    backends = [availability(n) for n in NAMES if n != "fake"]
    for b in backends:
        if b.ok:
            out.print(f"  [green]✓[/] {b.name:<22} {b.version}")
        else:
            out.print(f"  [dim]–[/] {b.name:<22} {b.reason}; [dim]{b.cure.replace('[', chr(92) + '[')}[/]")
    out.print("\n[bold]What would disturb a measurement[/]")
    for d in facts["disturbances"]:
        out.print(f"  [yellow]![/] {d['text']}; [dim]{d['cure']}[/]")
    if not facts["disturbances"]:
        out.print("  [green]✓[/] nothing found")
    harness = _measure(out) if measure else None
    facts_of = {"environment": facts, "backends": [vars(b) for b in backends]}
    write_json(json, facts_of | ({"harness": harness.to_dict()} if harness else {}))
    return ExitCode.PASS if any(b.ok for b in backends) else ExitCode.ENVIRONMENT


def _settings(facts: dict[str, Any]) -> str:
    """Settings of the machine that shift timings, as far as they can be read."""
    span = facts["frequency_range_mhz"]
    known = [
        *(f"{name} {facts[name]}" for name in ("governor", "turbo", "smt") if facts[name] != "unknown"),
        *([f"{span[0]} to {span[1]} MHz"] if span else []),
        *([f"{facts['numa_nodes']} NUMA node(s)"] if facts["numa_nodes"] else []),
        f"transparent huge pages {facts['transparent_huge_pages']}",
    ]
    return ", ".join(known)


def _share(facts: dict[str, Any]) -> str:
    """What of the machine is ours."""
    from seatrial.units import format_bytes

    cpus, memory = facts["cgroup_cpu_limit"], facts["cgroup_memory_limit_bytes"]
    limits = [*([f"{cpus:g} CPUs"] if cpus else []), *([format_bytes(memory)] if memory else [])]
    free = f"{format_bytes(facts['memory_available_bytes'])} of memory free"
    return f"{facts['container']}, {'limited to ' + ' and '.join(limits) if limits else 'no limits'}, {free}"


def _gpu(gpu: dict[str, Any]) -> str:
    clocks = f", {gpu['sm_clock_mhz']} of {gpu['max_sm_clock_mhz']} MHz" if gpu["sm_clock_mhz"] else ""
    return f"{gpu['name']}, driver {gpu['driver']}{clocks}"


def _measure(out: Console) -> Harness:
    """What the harness costs and sees here."""
    from seatrial.compare.harness import measure_harness
    from seatrial.demo import MODEL
    from seatrial.units import format_seconds

    out.print("\n[bold]The harness itself[/]")
    with out.status("measuring") as status:
        h = measure_harness(MODEL, lambda step, share: status.update(f"{step} {share:.0%}"), "doctor --measure")
    c = h.comparison
    out.print(f"  clock         step {h.clock_step_ns} ns, a reading {h.clock_read_ns:.0f} ns")
    out.print(
        f"  loop          {h.native_loop_ns:.0f} ns a request that does nothing; {h.python_loop_ns:.0f} ns through Python"
    )
    late = " and ".join(format_seconds(ns / 1e9) for ns in h.wake_late_ns)
    out.print(f"  timers        a request in an open loop begins {late} late (p50 and p99), which counts as queueing")
    low, high = c.change.interval or (None, None)
    span = f"{low:+.2%} to {high:+.2%}" if low is not None and high is not None else "?"
    out.print(
        f"  A against A   {c.change.value:+.2%}, interval {span}, pairs' sd {c.pairs_sd or 0:.2%}, {len(c.pairs)} rounds"
    )
    if c.noise_floor is not None:
        out.print(f"  noise floor   {c.noise_floor:.2%}: 'seatrial compare' can judge no smaller margin here today")
    for warning in c.warnings:
        out.print(Text.assemble("  ", ("!", "yellow"), f" {warning}"))
    return h


def _levels(active: str) -> str:
    """The SIMD level in use, and the others that SEATRIAL_SIMD may name."""
    from seatrial._native.kernels import simd_levels

    others = [level for level in simd_levels() if level != active]
    if active == "none":
        return f"none: SEATRIAL_SIMD={os.environ.get('SEATRIAL_SIMD')} is not one of {', '.join(others)}"
    return active + (f" (SEATRIAL_SIMD: also {', '.join(others)})" if others else "")


@command(examples=["seatrial backends", "seatrial backends --json backends.json"])
def backends(json: JsonOption = None, quiet: QuietOption = False, debug: DebugOption = False) -> ExitCode:
    """List the backends, and for those that cannot run here, why and the cure."""
    from seatrial.backends import availability
    from seatrial.backends.catalogue import NAMES

    out = console(quiet, json)
    found = [availability(n) for n in NAMES]
    for b in found:
        mark = "[green]✓[/]" if b.ok else "[dim]–[/]"
        text = b.version if b.ok else f"{b.reason}; {b.cure}".replace("[", "\\[")
        out.print(f"{mark} {b.name:<22} {text}")
    write_json(json, [vars(b) for b in found])
    return ExitCode.PASS
