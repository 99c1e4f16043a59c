"""What people and machines read of stored runs, to the letter: text at 128 columns, and tables as JSON and CSV.

A change of words or figures shows as a change of these files. Where it is meant, write them anew and look at the difference:

    SEATRIAL_GOLDEN=write python -m pytest -n 0 tests/golden && git diff tests/golden

Not for: whether the figures are right (report, stats).
"""

import io
import os
from pathlib import Path

import pytest
from parity_records import RECORDS as PARITY
from rich.console import Console
from typer.testing import CliRunner

from seatrial.cli import trials
from seatrial.cli.shell import app
from seatrial.history.find import list_runs, load_record
from seatrial.history.frame import load_results
from seatrial.report.bench_text import print_bench
from seatrial.report.comparison_text import print_comparison, print_verdict
from seatrial.report.parity_text import print_parity
from seatrial.report.tables import print_record, verdict_line

HERE = Path(__file__).parent
RECORDS = HERE.parent / "history" / "records"
WIDTH = 128
ANEW = os.environ.get("SEATRIAL_GOLDEN") == "write"
# What a terminal, a shell or a place may say. Of the first nothing is set.
SURROUNDINGS = (
    "COLUMNS",
    "LINES",
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "FORCE_COLOR",
    "TTY_COMPATIBLE",
    "TZ",
    "LANG",
    "LC_ALL",
)
ELSEWHERE = {"LINES": "5", "TERM": "xterm-256color", "COLORTERM": "truecolor", "TZ": "Asia/Kathmandu"}


def stored(name):
    (run,) = list_runs(RECORDS / name)
    return load_record(run)


def page(tell):
    out = Console(file=io.StringIO(), width=WIDTH, highlight=False, color_system=None, force_terminal=False)
    tell(out)
    return out.file.getvalue()


def as_record(name):
    """As `seatrial report` prints it."""
    record = stored(name)

    def tell(out):
        print_record(out, record)
        if record.kind != "bench":
            out.print()
            out.print(verdict_line(record))

    return page(tell)


def as_bench(name):
    """As `seatrial bench` prints it."""
    return page(lambda out: print_bench(out, stored(name)))


def as_comparison(name):
    """As `seatrial compare` prints it."""
    record = stored(name)

    def tell(out):
        for c in record.comparisons:
            print_comparison(out, c)
        print_verdict(out, record)

    return page(tell)


def as_parity(name):
    """As `seatrial parity` prints it."""
    return page(lambda out: print_parity(out, PARITY[name]))


def as_list(name, *words):
    assert trials, "importing it registers the command"
    done = CliRunner().invoke(app, ["results", "--results", str(RECORDS / name), *words], prog_name="seatrial")
    assert done.exit_code == 0, done.output
    return done.stdout


def as_json(name):
    return as_list(name, "--json", "-", "--quiet")


def as_table(name):
    return load_results(RECORDS / name).to_csv(index=False, lineterminator="\n")


PAGES = {
    **{f"{name}.record.txt": (as_record, name) for name in ("trial", "bench", "compare", "single", "search", "mix", "stored")},
    **{f"{name}.bench.txt": (as_bench, name) for name in ("bench", "single", "search", "mix")},
    **{f"{name}.comparison.txt": (as_comparison, name) for name in ("trial", "compare", "stored")},
    **{f"{name}.results.txt": (as_list, name) for name in ("trial", "bench", "compare", "interrupted")},
    **{f"{name}.parity.txt": (as_parity, name) for name in PARITY},
    "trial.results.json": (as_json, "trial"),
    "trial.frame.csv": (as_table, "trial"),
}  # fmt: skip


def shown(file):
    """Without the blanks behind a table's lines, which no reader sees and editors take away."""
    make, name = PAGES[file]
    return "".join(f"{line.rstrip()}\n" for line in make(name).splitlines())


@pytest.fixture
def nowhere(monkeypatch):
    for name in SURROUNDINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("file", PAGES)
def test_it_reads_as_it_did(file, nowhere):
    path = HERE / file
    text = shown(file)
    if ANEW:
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8"), f"{file}: see the top of this test on writing it anew"


@pytest.mark.parametrize("file", PAGES)
def test_it_reads_the_same_anywhere(file, nowhere, monkeypatch):
    for name, value in ELSEWHERE.items():
        monkeypatch.setenv(name, value)
    assert shown(file) == (HERE / file).read_text("utf-8")


def test_no_file_is_left_of_a_page_that_is_gone():
    assert {p.name for p in HERE.iterdir() if p.suffix in (".txt", ".json", ".csv")} == set(PAGES)


@pytest.mark.parametrize("file", [f for f in PAGES if f.endswith(".txt")])
def test_tables_fit_the_width(file):
    assert max(len(line) for line in (HERE / file).read_text("utf-8").splitlines()) <= WIDTH
