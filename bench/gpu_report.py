"""What does seatrial do on this NVIDIA card? Every check of gpu_steps.py, within a budget; prints a table, keeps a JSON file.

    python bench/gpu_report.py [--output gpu-report.json] [--budget 480] [--steps copies,requests]

A step is a process of its own with a time limit: one that fails, hangs or crashes costs its own rows alone. The file is whole
after every step, whatever ends this process. Each step of what a machine cannot do says why. Exit status: 0 where the card was
found and nothing is off, failed or left out; 1 otherwise; 128 and the signal's number where one ended it.

Answers the open questions about cards too, by number: see QUESTIONS.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

STEPS_FILE = Path(__file__).with_name("gpu_steps.py")
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
QUESTIONS = {
    1: "Does TensorRT-RTX load and run an engine on this card?",
    2: "Does onnxruntime-gpu run its CUDA provider with the CUDA libraries of Python wheels?",
    3: "Does pycuda build here, and share the primary context?",
    4: "Event resolution, cost of a graph's launch, bandwidth of copies?",
    5: "What does NVML let this process read, and how often does the energy counter move?",
    6: "Is NVIDIA's own index, with the datacentre's TensorRT, within reach?",
}


@dataclass(frozen=True)
class Step:
    """least_s: what is to be left of the budget for it to begin. limit_s: it is ended then."""

    name: str
    least_s: float
    limit_s: float


STEPS = (
    Step("driver", 2, 20), Step("copies", 3, 30), Step("events", 5, 45), Step("graph", 2, 20), Step("requests", 3, 30),
    Step("preprocess", 10, 60), Step("onnxruntime-cuda", 15, 75), Step("onnxruntime-tensorrt", 20, 75),
    Step("onnxruntime-tensorrt-rtx", 20, 75), Step("tensorrt", 20, 90), Step("tensorrt-rtx", 20, 90),
    Step("energy", 26, 50), Step("torch", 5, 30), Step("cupy", 5, 30), Step("pycuda", 5, 30), Step("index", 3, 20),
    Step("tests", 30, 300),
)  # fmt: skip


@dataclass
class Row:
    """verdict: ok, off (the figure is outside its limit), failed, not possible here, not run. figure: or the reason."""

    step: str
    shows: str
    figure: str
    limit: str = ""
    verdict: str = "ok"
    seconds: float = 0.0
    question: int | None = None


@dataclass
class Report:
    output: Path
    budget_s: float
    begun: str
    state: str = "running"
    finished: str = ""
    rows: list[Row] = field(default_factory=list)

    @property
    def answers(self) -> dict[int, list[str]]:
        said = {n: [r for r in self.rows if r.question == n] for n in QUESTIONS}
        return {n: [f"{r.shows}: {r.verdict}; {r.figure}" for r in rows] or ["not asked"] for n, rows in said.items()}

    def write(self) -> None:
        """Whole, or as it was before."""
        questions = {n: {"question": QUESTIONS[n], "answers": said} for n, said in self.answers.items()}
        content = {"version": 1, **asdict(self), "output": str(self.output), "questions": questions}
        own = self.output.with_name(f".{self.output.name}.{os.getpid()}")
        own.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        own.replace(self.output)

    @property
    def is_sound(self) -> bool:
        return all(r.verdict in ("ok", "not possible here") for r in self.rows) and any(
            r.step == "driver" and r.verdict == "ok" for r in self.rows
        )


class EndedError(Exception):
    """By a signal. rows: what the step that was running had said."""

    def __init__(self, number: int, rows: Sequence[Row] = ()) -> None:
        super().__init__(number)
        self.number, self.rows = number, rows


# Signals that asked for the end. It is looked at where nothing is half done, such as a process started that nobody knows of.
asked_to_end: list[int] = []


def command_of(step: Step, given: Sequence[str]) -> list[str]:
    return [sys.executable, str(STEPS_FILE), step.name, *given]


def run_step(step: Step, command: Sequence[str], limit_s: float) -> list[Row]:
    """What the process said until it ended, or was ended; and a row more where it did not end well."""
    with tempfile.TemporaryDirectory(prefix="seatrial-gpu-") as folder:
        rows, errors = Path(folder) / "rows.jsonl", Path(folder) / "errors.txt"
        begun = time.monotonic()
        with errors.open("w") as log:
            process = subprocess.Popen(
                [*command, "--rows", str(rows)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            try:
                code = _wait(process, begun + limit_s)
            finally:
                # With whatever it started.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        seconds = time.monotonic() - begun
        said = [Row(step.name, **each) for each in _whole_lines(rows)]
        last = ([line.strip() for line in errors.read_text(errors="replace").splitlines() if line.strip()] or [""])[-1]
    if asked_to_end:
        raise EndedError(asked_to_end[0], said)
    if why := _bad_end(code, said, limit_s):
        where = f"; its last line: {last[:300]}" if last else ""
        after = f" after {said[-1].shows!r}" if said else ""
        said.append(Row(step.name, "ends", f"{why}{after}{where}", f"{limit_s:.0f} s", "failed"))
    # Starting, and whatever came after the last row.
    rest = 0 if code == 0 else -1
    said[rest].seconds = round(said[rest].seconds + seconds - sum(r.seconds for r in said), 1)
    return said


def _wait(process: subprocess.Popen, end: float) -> int | None:
    """Its exit status; None where it has not ended by then, or somebody asked for the end."""
    while not asked_to_end and (left := end - time.monotonic()) > 0:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(min(0.1, left))
    return None


def _whole_lines(path: Path) -> list[dict]:
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _bad_end(code: int | None, said: Sequence[Row], limit_s: float) -> str:
    if code is None:
        return f"had not ended after {limit_s:.1f} s"
    if code < 0:
        return f"crashed: {signal.Signals(-code).name}"
    if code:
        return f"ended with status {code}"
    return "" if said else "said nothing"


def run(report: Report, steps: Sequence[Step], given: Sequence[str] = (), command=command_of) -> None:
    """All that fit into the budget, in order; written after each."""
    end = time.monotonic() + report.budget_s
    for step in steps:
        if asked_to_end:
            raise EndedError(asked_to_end[0])
        left = end - time.monotonic()
        if left < step.least_s:
            why = f"{max(0, left):.0f} s of the budget of {report.budget_s:.0f} were left, and it takes {step.least_s:.0f}"
            report.rows.append(Row(step.name, "", why, "", "not run"))
        else:
            limit_s = min(step.limit_s, left)
            print(f"{step.name} …", file=sys.stderr, flush=True)
            report.rows.append(Row(step.name, "", "it was running when the report ended", "", "not run"))
            report.write()
            said = run_step(step, command(step, given), limit_s)
            report.rows[-1:] = said
        report.write()


def table(report: Report) -> str:
    def cell(text: str) -> str:
        return " ".join(text.replace("|", "/").split())

    lines = ["| step | what it shows | figure | limit | verdict | s |", "|---|---|---|---|---|---|"]
    for r in report.rows:
        lines.append(
            f"| {r.step} | {cell(r.shows)} | {cell(r.figure)} | {cell(r.limit)} | {r.verdict} | {r.seconds:.1f} |"
        )
    lines.append("")
    for number, said in report.answers.items():
        lines.append(f"{number}. {QUESTIONS[number]}")
        lines.extend(f"   - {cell(each)}" for each in said)
    counted = Counter(r.verdict for r in report.rows)
    lines += [
        "",
        f"{', '.join(f'{count} {verdict}' for verdict, count in counted.items())}; {report.state}; {report.output}",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("gpu-report.json"))
    parser.add_argument("--budget", type=float, default=480, help="seconds for all of it")
    parser.add_argument("--steps", default="", help=f"of {', '.join(s.name for s in STEPS)}; all")
    parser.add_argument("--copy-mib", type=int, default=256, help="size of the copies whose bandwidth is told")
    parser.add_argument("--requests", type=int, default=200, help="requests behind each latency")
    parser.add_argument(
        "--lock-clocks", action="store_true", help="try to hold them; lets go of another's lock behind it"
    )
    given = parser.parse_args()
    asked = [name.strip() for name in given.steps.split(",") if name.strip()]
    if unknown := [name for name in asked if name not in {s.name for s in STEPS}]:
        parser.error(f"--steps: no {', '.join(unknown)}; expected some of {', '.join(s.name for s in STEPS)}")
    for name in ("budget", "copy_mib", "requests"):
        if not getattr(given, name) > 0:
            parser.error(f"--{name.replace('_', '-')}: expected more than 0, got {getattr(given, name)}")
    steps = [s for s in STEPS if not asked or s.name in asked]
    report = Report(given.output, given.budget, datetime.now(UTC).isoformat(timespec="seconds"))
    try:
        report.write()
    except OSError as e:
        parser.error(f"--output {given.output}: {e.strerror}")
    for number in ENDS:
        signal.signal(number, lambda number, _: asked_to_end.append(number))
    code = 0
    try:
        words = ["--copy-mib", str(given.copy_mib), "--requests", str(given.requests)]
        run(report, steps, [*words, "--lock-clocks"] if given.lock_clocks else words)
        report.state = "finished"
    except EndedError as e:
        report.rows[-1:-1] = e.rows  # before what says that it was running
        begun = {r.step for r in report.rows}
        report.rows += [
            Row(s.name, "", "the report was ended before it", "", "not run") for s in steps if s.name not in begun
        ]
        report.state, code = f"ended by {signal.Signals(e.number).name}", 128 + e.number
    report.finished = datetime.now(UTC).isoformat(timespec="seconds")
    report.write()
    print(table(report))
    return code or (0 if report.is_sound else 1)


if __name__ == "__main__":
    sys.exit(main())
