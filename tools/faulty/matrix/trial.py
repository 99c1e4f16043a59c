"""One cell: the candidate is written, `seatrial parity` is asked, and what it says is taken down.

For: rows as plain data. Not for: which cells (cells.py), or rates (rates.py).
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faulty.answers import write_answers
from faulty.injections import Setting
from faulty.matrix.cells import Cell
from faulty.pipelines import right_steps
from faulty.taps import write_taps
from faulty.tasks import REPOSITORY, TASKS, put_plan
from faulty.user_code import write_module
from faulty.way import Trace, alike, run

CLI = "import sys; from seatrial.cli import main; sys.exit(main())"
# What a cell came to, beside what was named.
ASKED, NO_EFFECT, SAYS_NOTHING, BROKE = "asked", "no effect", "says nothing", "broke"


@dataclass(frozen=True)
class Bench:
    """Where plans, models and pictures are made, once for all cells; images: so many of the sixteen; timeout_s: of a diagnosis;
    max_time: what seatrial itself is told."""

    folder: Path
    images: int = 16
    timeout_s: float = 300
    max_time: str = "5 min"

    def files(self, task: str, first: int) -> dict[str, bytes]:
        put_plan(TASKS[task], self.folder / task, first)
        paths = sorted((self.folder / task / f"images-{first}").iterdir())[: self.images]
        return {p.name: p.read_bytes() for p in paths}

    def plan(self, task: str, first: int) -> Path:
        """With as many images as are tried."""
        path = put_plan(TASKS[task], self.folder / task, first)
        text = path.read_text().replace("images: images-", f"images: {{limit: {self.images}, path: images-", 1)
        limited = path.with_name(f"trial-{first}-of-{self.images}.yaml")
        limited.write_text("\n".join(x + "}" if x.startswith("images: {") else x for x in text.splitlines()) + "\n")
        return limited


def row_of(cell: Cell, bench: Bench) -> dict[str, Any]:
    """What is written down of a cell; never raises for what the tool does wrong."""
    row: dict[str, Any] = {
        "key": cell.key, "kind": cell.kind, "level": cell.level, "task": cell.task, "injected": list(cell.injection.faults),
        "variant": cell.injection.variant, "also": list(cell.injection.also), "images": bench.images,
    }  # fmt: skip
    scratch = Path(tempfile.mkdtemp(prefix="fault-"))
    try:
        state, traces = candidate(cell, bench)
        if state != ASKED:
            return row | {"state": state}
        arguments = written(cell, bench, traces, scratch)
        return row | asked(
            [str(bench.plan(cell.task, cell.first)), "--reference", "baseline", *arguments], scratch, bench
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def candidate(cell: Cell, bench: Bench) -> tuple[str, list[Trace]]:
    """Its traces, and whether anything can be seen of it: what nothing tells from the right one is no candidate."""
    task, files = TASKS[cell.task], bench.files(cell.task, cell.first)
    right = right_steps(task, bench.folder / cell.task)
    steps = cell.injection.change(right, Setting(task, bench.folder / cell.task))
    wrong = list(run(steps, files.items()))
    if cell.kind == "equal":
        return ASKED, wrong
    known = list(run(right, files.items()))
    results_only = cell.level != "taps"
    if all(alike(a, b, results_only) for a, b in zip(known, wrong)):
        return NO_EFFECT, wrong
    same_before = all(_alike_but_results(a, b) for a, b in zip(known, wrong))
    if (results_only or same_before) and cell.task != "segment" and not any(len(w.results["class_ids"]) for w in wrong):
        return SAYS_NOTHING, wrong
    return ASKED, wrong


def _alike_but_results(a: Trace, b: Trace) -> bool:
    return alike(a, Trace(a.name, b.decoded, b.resized, b.tensor, b.outputs, a.results))


def written(cell: Cell, bench: Bench, traces: list[Trace], scratch: Path) -> list[str]:
    """The candidate on disk, and the options that name it."""
    task, files = TASKS[cell.task], bench.files(cell.task, cell.first)
    if cell.level == "code":
        write_module(scratch / "service.py", cell.task, bench.folder / cell.task, cell.injection.name)
        return ["--candidate", "service:candidate", "--allow-code"]
    if cell.level == "answers":
        return ["--answers", str(write_answers(scratch / "answers", cell.task, traces, task.labels))]
    steps = cell.injection.change(right_steps(task, bench.folder / cell.task), Setting(task, bench.folder / cell.task))
    write_taps(scratch / "taps", traces, files, steps.batch)
    return ["--taps", str(scratch / "taps")]


def asked(arguments: list[str], scratch: Path, bench: Bench) -> dict[str, Any]:
    out = scratch / "parity.json"
    paths = [str(scratch), str(REPOSITORY / "tools"), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, "-c", CLI, "parity", *arguments, "--json", str(out), "--max-time", bench.max_time]
    began, cpu_s = time.monotonic(), _cpu_s()
    try:
        done = subprocess.run(
            command, cwd=scratch, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, timeout=bench.timeout_s,
            capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        took = {"seconds": time.monotonic() - began, "cpu_seconds": _cpu_s() - cpu_s}
        if not out.is_file():
            said = (done.stderr or done.stdout).strip()[-600:]
            return {"state": BROKE, **took, "exit": done.returncode, "said": said}
        return {"state": ASKED, **took, "exit": done.returncode, **said_in(json.loads(out.read_text()))}
    except subprocess.TimeoutExpired:
        return {"state": BROKE, "seconds": bench.timeout_s, "exit": None, "said": "timed out"}


def _cpu_s() -> float:
    """Of all processes that were begun here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def said_in(record: dict[str, Any]) -> dict[str, Any]:
    """Of seatrial.parity/1: the verdict, and the faults in order with what speaks for them."""
    found = record.get("diagnosis") or []
    keys = ("fault", "stage", "explained", "runner_up", "confirmed", "effect")
    return {
        "verdict": record.get("verdict"),
        "first_divergence": (record.get("first_divergence") or {}).get("stage"),
        "named": [d.get("fault") for d in found],
        "diagnosis": [{k: d.get(k) for k in keys} for d in found[:4]],
    }
