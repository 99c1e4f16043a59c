"""What the steps of gpu_report.py have in common: rows, as they become known, and what a machine lacks. Not for: any step."""

import contextlib
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from seatrial import cuda
from seatrial._native.timing import NO_DEADLINE_NS, StageSamples, closed_loop, now_ns, open_loop
from seatrial.machine.nvml import NvmlUnavailableError

ROOT = Path(__file__).parents[1]


class NotPossibleError(Exception):
    """Here; the text says why."""


# No driver, no device, no package. What is there and does not work is a failure.
LACKS = (NotPossibleError, cuda.CudaUnavailableError, NvmlUnavailableError)


@dataclass
class Say:
    """Where rows go; and what was asked for."""

    rows: Path | None
    copy_mib: int
    requests: int
    begun: float = 0.0
    lock_clocks: bool = False

    def row(self, shows: str, figure: str, limit: str = "", verdict: str = "ok", question: int | None = None) -> None:
        now = time.monotonic()
        row = {"shows": shows, "figure": figure, "limit": limit, "verdict": verdict, "question": question}
        line = json.dumps(row | {"seconds": round(now - self.begun, 1)}, ensure_ascii=False)
        self.begun = now
        if self.rows is None:
            print(line)
        else:
            with self.rows.open("a") as file:
                file.write(line + "\n")

    def held(self, shows: str, figure: str, limit: str, ok: bool, question: int | None = None) -> None:
        self.row(shows, figure, limit, "ok" if ok else "off", question)

    @contextlib.contextmanager
    def part(
        self, shows: str, question: int | None = None, lacks: tuple[type[Exception], ...] = LACKS
    ) -> Iterator[None]:
        """What fails in here is a row, and the next part goes on. lacks: what says that it is not possible here; all else is a
        failure."""
        try:
            yield
        except lacks as e:
            self.row(shows, _one_line(e), "", "not possible here", question)
        except Exception as e:
            at = traceback.extract_tb(e.__traceback__)[-1]
            where = f"{Path(at.filename).name}:{at.lineno}"
            self.row(shows, f"{type(e).__name__}: {_one_line(e)} ({where})", "", "failed", question)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:600]


def package(name: str, cure: str = "") -> object:
    """NotPossibleError where it is not installed, or does not import."""
    if find_spec(name.partition(".")[0]) is None:
        raise NotPossibleError(f"{name.partition('.')[0]} is not installed" + (f"; {cure}" if cure else ""))
    try:
        return import_module(name)
    except (ImportError, OSError) as e:
        raise NotPossibleError(f"{name} does not import: {_one_line(e)}") from e


def torch_on_device():
    torch = package("torch")
    if not torch.cuda.is_available():
        raise NotPossibleError(f"torch {torch.__version__} sees no device")
    torch.zeros(1, device="cuda")
    return torch


def intervals_ns(stream: cuda.Stream, enqueue: Callable[[], object], intervals: int, calls: int = 1) -> np.ndarray:
    """By the device's events, of one call each, after a warm-up."""
    enqueue()
    timer = cuda.EventTimer(stream, intervals)
    timer.start()
    for _ in range(intervals):
        for _ in range(calls):
            enqueue()
        timer.mark()
    return timer.intervals_ns() / calls


def rows_of(request: cuda.Request, count: int) -> dict[str, np.ndarray]:
    """Nanoseconds by stage, and start and all; the clocks were held against each other."""
    samples = StageSamples(count, len(request.stage_names))
    closed_loop(request, samples, deadline_ns=NO_DEADLINE_NS, most=count)
    if request.checked != count or len(samples) != count:
        raise RuntimeError(f"expected {count} requests, got {len(samples)}, {request.checked} of them checked")
    return dict(zip(("start", *request.stage_names, "all"), samples.to_array().T, strict=True))


def paced_rows_of(request: cuda.Request, count: int, gap_ns: int = 5_000_000) -> dict[str, np.ndarray]:
    """As rows_of, of requests that are due so often, whatever became of the one before."""
    samples = StageSamples(count, 1 + len(request.stage_names))
    due = np.arange(count, dtype=np.int64) * gap_ns
    open_loop([request], [samples], due, first_ns=now_ns() + gap_ns, deadline_ns=NO_DEADLINE_NS)
    if request.checked != count or len(samples) != count:
        raise RuntimeError(f"expected {count} requests, got {len(samples)}, {request.checked} of them checked")
    return dict(zip(("start", "queue", *request.stage_names, "all"), samples.to_array().T, strict=True))


def us(times_ns: np.ndarray) -> str:
    return f"{np.median(times_ns) / 1e3:.1f} µs"


def lines_of(words: list) -> Iterator[str]:
    """What a command prints, as it does, and here too, so that the last line tells where it hangs. RuntimeError where it
    fails."""
    process = subprocess.Popen(
        [*map(str, words)],
        cwd=ROOT, env=os.environ | {"PYTHONUNBUFFERED": "1"}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    line = ""
    with process:
        for each in process.stdout:
            line = each.strip() or line
            print(each, end="", file=sys.stderr, flush=True)
            yield each
    if process.returncode:
        what = " ".join(map(str, words[1:3]))
        raise RuntimeError(f"{what} ended with status {process.returncode}: {line[:400]}")
