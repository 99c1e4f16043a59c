"""Which runs there are below a results folder, and what they say. Not for: what lies in a run's folder (run_folder.py)."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seatrial.errors import ResultsError, count_of, flag, option
from seatrial.history.evidence import Evidence
from seatrial.history.files import read_json
from seatrial.history.reading import check_schema, read_record
from seatrial.history.records import Record
from seatrial.history.run_folder import RunFolder, check_nameable

PARITY_FILE = "parity.json"
NAMES = {"bench": "bench", "compare": "comparison"}
WORST_FIRST = ("REGRESSION", "INCONCLUSIVE", "EQUIVALENT", "IMPROVED")


def list_runs(results: Path) -> list[RunFolder]:
    """Runs below a results folder, oldest first; `results` may also be one run."""
    if (results / "run.json").is_file() or (results / "record.json").is_file():
        return [RunFolder(results)]
    if not results.is_dir():
        raise ResultsError(f"{results}: no such results folder; 'seatrial run PLAN' makes one")
    return _in_order(_below(results, "run.json"))


def list_parities(results: Path) -> list[RunFolder]:
    """Comparisons of two pipelines, which have no run.json: what reads records does not meet them."""
    if not results.is_dir() or (results / "run.json").is_file():
        return []
    found = {p for p in _below(results, PARITY_FILE) if not p.with_name("run.json").is_file()}
    return _in_order(found | ({results / PARITY_FILE} if (results / PARITY_FILE).is_file() else set()))


def list_all(results: Path) -> list[RunFolder]:
    """Runs and comparisons of pipelines, oldest first."""
    return _in_order({_start(r) for r in (*list_runs(results), *list_parities(results))})


def _below(results: Path, name: str) -> set[Path]:
    return {*results.glob(f"*/*/{name}"), *results.glob(f"*/{name}")}


def _in_order(starts: Collection[Path]) -> list[RunFolder]:
    return [RunFolder(p.parent) for p in sorted(starts, key=lambda p: (_began(p), p.parent.name, p))]


def _start(run: RunFolder) -> Path:
    return run.path / (PARITY_FILE if is_parity(run) else "run.json")


def is_parity(run: RunFolder) -> bool:
    return (run.path / PARITY_FILE).is_file() and not (run.path / "run.json").is_file()


def _began(start: Path) -> float:
    """Seconds since 1970, as the run's own run.json has it: its name is in local time, which may be set back."""
    for path in (start, start.with_name("record.json")):
        # Whatever is wrong with it, another file may be sound.
        with contextlib.suppress(ResultsError, KeyError, TypeError, ValueError):
            began = datetime.fromisoformat(read_json(path)["created"])
            return (began if began.tzinfo else began.replace(tzinfo=UTC)).timestamp()
    try:
        return start.stat().st_mtime
    except OSError:
        return 0.0


def latest_interrupted(results: Path, machine: str, identity: dict[str, Any]) -> RunFolder:
    """The newest unfinished run of the same trial on this machine. ResultsError where there is none to resume."""
    check_nameable(results)
    runs = [
        r for r in (list_runs(results) if results.is_dir() else []) if r.path.parent.name == machine and not r.complete
    ]
    other = ""
    for run in reversed(runs):
        try:
            start = run.start()
        except ResultsError:  # somebody else's damage is no reason not to find ours
            continue
        differs = [key for key, value in identity.items() if start.identity.get(key) != value]
        if not differs:
            return run
        other = other or f" ({run.path.name} is unfinished, but its {' and '.join(differs).replace('_', ' ')} differ)"
    raise ResultsError(
        f"{results / machine}: no interrupted run of this trial to resume{other}; run without {option('resume')}"
    )


def find_run(text: str, results: Path, but: str = "") -> RunFolder:
    """A run by its folder, its record.json, its name or a unique part of it, or 'latest', which is of no kind `but`."""
    path = Path(text)
    if path.is_file():
        path = path.parent
    if (path / "run.json").is_file() or (path / "record.json").is_file():
        return RunFolder(path)
    runs = list_runs(results)
    if text == "latest" and runs:
        wanted = [r for r in runs if not but or _kind(r) != but] or runs
        return next((r for r in reversed(wanted) if r.complete), wanted[-1])
    matches = [r for r in runs if r.path.name == text] or [r for r in runs if text in r.path.name]
    if len(matches) == 1:
        return matches[0]
    if (path / PARITY_FILE).is_file() or any(text == r.path.name for r in list_parities(results)):
        raise ResultsError(f"{text} is a comparison of two pipelines, not a run; it is told by its own report.html")
    names = ", ".join(r.path.name for r in (matches or runs)[-5:]) or "none"
    what = "several runs match" if matches else "no run matches"
    raise ResultsError(f"{what} {text!r} in {results}; expected a run's folder, 'latest', or one of {names}")


def _kind(run: RunFolder) -> str:
    """'trial', 'bench' or 'compare', without reading the record of a damaged run."""
    try:
        return heading(run).kind
    except ResultsError:
        return ""


@dataclass(frozen=True)
class Heading:
    """What a list of runs says of one. state: a verdict (of a comparison its worst), 'measured', 'interrupted' or 'running';
    cells: that ran; subject: a plan's or a model's path, or what was compared. wall_s: None where it has not ended."""

    kind: str
    state: str
    cells: int
    wall_s: float | None
    subject: str


def heading(run: RunFolder) -> Heading:
    """From what its JSON says, unchecked: a list may be of thousands. ResultsError where it can't be read."""
    if is_parity(run):
        return _heading_of_parity(run.path / PARITY_FILE)
    if run.complete:
        path = run.path / "record.json"
        data = read_json(path)
        check_schema(path, data)
        try:
            return _heading_of(data)
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration, IndexError):
            raise ResultsError(f"{path}: the record is damaged; restore it or delete the run's folder") from None
    start = run.start()
    state = "running" if run.running else "interrupted"
    return Heading(start.kind, state, len(run.finished_cells()), None, " and ".join(start.subject))


def _heading_of_parity(path: Path) -> Heading:
    data = read_json(path)
    try:
        subject = f"{data['candidate']} against {data['reference']}"
        return Heading("parity", str(data["verdict"]), 0, float(data["wall_s"]), subject)
    except (KeyError, TypeError, ValueError):
        raise ResultsError(f"{path}: the comparison is damaged; delete its folder and make it again") from None


def _heading_of(record: dict[str, Any]) -> Heading:
    kind = record.get("kind", "trial")
    state = "interrupted" if record.get("status") == "interrupted" else record["verdict"]
    # A bench judges nothing; what it could not show is INCONCLUSIVE.
    if kind == "bench" and state == "PASS":
        state = "measured"
    ran = sum(c["status"] == "ok" for c in record["cells"])
    subject = record["plan"].get("path") or next((m.get("path", "") for m in record["models"].values()), "")
    if kind == "compare" and record["comparisons"]:
        # It has no cells of its own.
        first = record["comparisons"][0]
        subject = f"{first['b']} against {first['a'] if first['a'] != first['b'] else 'itself'}"
        if state != "interrupted":
            state = min((c["verdict"] for c in record["comparisons"]), key=WORST_FIRST.index)
    return Heading(kind, state, ran, float(record["wall_s"]), str(subject))


def load_record(run: RunFolder, check: bool = True) -> Record:
    """The record of a complete run. ResultsError where it is missing, damaged or of an unknown schema.

    check: whether its decisions still follow from its files, which takes reading all samples.
    """
    check_nameable(run.path)
    path = run.path / "record.json"
    if not path.is_file():
        why = "is still going on; wait for it" if run.running else f"is not complete; {_what_is_left(run)}"
        raise ResultsError(f"{run.path}: this run {why}")
    record, data = read_record(path)
    if check:
        try:
            Evidence(run.path).check(data)
        except RecursionError:
            raise ResultsError(f"{path}: the record is damaged; restore it or delete the run's folder") from None
    return record


def _what_is_left(run: RunFolder) -> str:
    """To do with a run that was killed, for its kind."""
    kind = _kind(run)
    if kind == "trial":
        return f"carry on with 'seatrial run PLAN {flag('resume')}'"
    cells = sorted(run.finished_cells())
    kept = f"; what its {count_of(len(cells), 'load')} measured is in {run.cells}" if cells else ""
    return f"a {NAMES.get(kind, 'run')} that was killed cannot be carried on: run it again{kept}"
