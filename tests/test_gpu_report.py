"""The report on a card, without one: what it says where nothing is there, what hangs or crashes in it, and that it is never lost."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
from processes import all_gone, ran, started
from simulated_cuda import build

BENCH = Path(__file__).parents[1] / "bench"
REPORT = [sys.executable, BENCH / "gpu_report.py"]
# A driver's library that is none, so that a card at hand does not matter.
SCRIPT = "copy_ns 2000000; kernel_ns 100000"


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(BENCH)
    import gpu_report

    return gpu_report


def made(report, tmp_path, steps, budget_s=60.0):
    """A report of steps that are given as (name, what they do in Python, least seconds, limit)."""
    code = {name: text for name, text, _, _ in steps}
    found = report.Report(tmp_path / "report.json", budget_s, "now")
    words = 'import os, sys, time\ndef row(shows): open(sys.argv[-1], \'a\').write(\'{"shows": "%s", "figure": "1"}\\n\' % shows)\n'
    report.run(
        found,
        [report.Step(name, least_s, limit_s) for name, _, least_s, limit_s in steps],
        command=lambda step, given: [sys.executable, "-S", "-c", words + code[step.name]],
    )
    assert json.loads(found.output.read_text())["rows"] == [vars(r) for r in found.rows]
    return found


def test_a_step_that_hangs_or_crashes_costs_its_own_rows_alone(report, tmp_path):
    found = made(
        report,
        tmp_path,
        [
            ("driver", "row('card')", 0, 60),
            ("hangs", "row('first'); print('at the second', flush=True); time.sleep(1000)", 0, 0.5),
            ("crashes", "row('before'); os.kill(os.getpid(), 11)", 0, 60),
            ("fails", "raise ValueError('no such thing')", 0, 60),
            ("silent", "", 0, 60),
            ("greedy", "row('never')", 61, 99),
            ("last", "row('there'); open(sys.argv[-1], 'a').write('{\"half')", 0, 60),
        ],
    )
    assert [(r.step, r.shows, r.verdict) for r in found.rows] == [
        ("driver", "card", "ok"),
        ("hangs", "first", "ok"), ("hangs", "ends", "failed"),
        ("crashes", "before", "ok"), ("crashes", "ends", "failed"),
        ("fails", "ends", "failed"),
        ("silent", "ends", "failed"),
        ("greedy", "", "not run"),
        ("last", "there", "ok"),
    ]  # fmt: skip
    said = {r.step: r.figure for r in found.rows if r.verdict != "ok"}
    assert said["hangs"] == "had not ended after 0.5 s after 'first'; its last line: at the second"
    assert said["crashes"] == "crashed: SIGSEGV after 'before'"
    assert said["fails"] == "ended with status 1; its last line: ValueError: no such thing"
    assert said["silent"] == "said nothing"
    assert "of the budget of 60 were left, and it takes 61" in said["greedy"]
    assert not found.is_sound
    found.rows = [r for r in found.rows if r.verdict == "ok"]
    assert found.is_sound
    found.rows = [r for r in found.rows if r.step != "driver"]
    assert not found.is_sound, "nobody saw a card"


def test_tables_have_a_row_each_and_every_question(report, tmp_path):
    found = report.Report(tmp_path / "r.json", 1, "now")
    found.rows = [
        report.Row("copies", "H2D | D2H", "1\nGB/s", question=4),
        report.Row("tests", "", "no time", verdict="not run"),
    ]
    text = report.table(found)
    assert "| copies | H2D / D2H | 1 GB/s |  | ok | 0.0 |" in text
    assert all(question in text for question in report.QUESTIONS.values())
    assert "   - H2D / D2H: ok; 1 GB/s" in text
    assert "1 ok, 1 not run; running" in text


def test_steps_have_a_time_and_fit_into_the_budget(report, monkeypatch):
    import gpu_steps

    assert [s.name for s in report.STEPS] == list(gpu_steps.STEPS)
    assert sum(s.least_s for s in report.STEPS) < 480


def environment(folder: Path | None, script: str = SCRIPT) -> dict[str, str]:
    return os.environ | {"LD_LIBRARY_PATH": str(folder or ""), "SEATRIAL_SIMULATED_CUDA": script}


def no_driver(folder: Path) -> Path:
    """A card at hand does not matter then."""
    (folder / "none").mkdir()
    (folder / "none" / "libcuda.so.1").write_text("no library")
    return folder / "none"


def test_without_a_driver_it_says_so_and_fails(tmp_path):
    words = [*REPORT, "--output", "r.json", "--steps", "driver"]
    done = ran(words, cwd=tmp_path, env=environment(no_driver(tmp_path)))
    assert done.returncode == 1, done.stderr
    rows = _read(tmp_path / "r.json")
    assert {r["verdict"] for r in rows} == {"not possible here"}
    assert "libcuda.so.1" in rows[0]["figure"]


@pytest.mark.slow
def test_without_a_driver_every_step_says_why_not(tmp_path, report):
    done = ran([*REPORT, "--output", "r.json"], cwd=tmp_path, env=environment(no_driver(tmp_path)))
    assert done.returncode == 1, done.stderr
    rows = _read(tmp_path / "r.json")
    assert [s.name for s in report.STEPS] == list(dict.fromkeys(r["step"] for r in rows))
    assert {r["verdict"] for r in rows} == {"not possible here"}, rows
    assert all("libcuda.so.1" in r["figure"] or "nvidia-ml-py" in r["figure"] or "NVML" in r["figure"] for r in rows)
    answers = json.loads((tmp_path / "r.json").read_text())["questions"]
    assert all(said["answers"] != ["not asked"] for said in answers.values())


@pytest.mark.slow
def test_a_card_that_computes_nothing_is_off(tmp_path):
    """The simulated one knows no kernel of preprocessing; its answers for those that it knows are right."""
    words = [*REPORT, "--output", "r.json", "--steps", "driver,events,graph,requests,preprocess", "--copy-mib", "1",
             "--requests", "20", "--budget", "20"]  # fmt: skip
    done = ran(words, cwd=tmp_path, env=environment(build().parent))
    assert done.returncode == 1, done.stderr
    rows = {r["shows"]: r for r in _read(tmp_path / "r.json")}
    for name in (
        "50 empty kernels, plain and as a graph",
        "synchronous",
        "pipelined, 2 slots",
        "paced",
        "held",
        "L2 flushed",
    ):
        assert rows[name]["verdict"] == "ok", rows[name]
    assert rows["bits of the CPU's kernels"]["verdict"] == "off"


def test_what_a_driver_can_serve_is_measured(tmp_path):
    words = [*REPORT, "--output", "r.json", "--steps", "driver,copies", "--copy-mib", "1"]
    done = ran(words, cwd=tmp_path, env=environment(build().parent))
    rows = {r["shows"]: r for r in _read(tmp_path / "r.json")}
    assert done.returncode == 0, done.stdout + done.stderr
    assert rows["device"]["figure"].startswith("Simulated GPU 0, sm_89")
    # A mebibyte in two milliseconds, or less where the machine is busy: no time of the device is.
    assert rows["D2D"]["figure"] == "1.0 GB/s (1 MiB, read and written ones)"
    assert (rows["bytes that came back"]["verdict"], rows["D2D"]["question"]) == ("ok", 4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--steps", "copies,cpoies"], "--steps: no cpoies; expected some of driver, copies"),
        (["--budget", "0"], "--budget: expected more than 0, got 0.0"),
        (["--output", "gone/r.json"], "--output gone/r.json: No such file or directory"),
    ],
)
def test_words_that_are_none_are_told(tmp_path, report, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["gpu_report.py", *words])
    with pytest.raises(SystemExit, match="2"):
        report.main()
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("number", [
    signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow), pytest.param(signal.SIGKILL, marks=pytest.mark.slow),
])  # fmt: skip
def test_whoever_ends_it_has_what_was_known(tmp_path, number):
    """The second step waits for a kernel that takes a day."""
    words = [*REPORT, "--output", "r.json", "--steps", "driver,graph,requests"]
    script = "kernel_ns 86400000000000"
    with started(words, cwd=tmp_path, env=environment(build().parent, script)) as process:
        deadline = time.monotonic() + 120
        while [r["step"] for r in _read(tmp_path / "r.json")][-1:] != ["graph"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        # The step itself, which may just be starting.
        steps = psutil.Process(process.pid).children(recursive=True)
        if number == signal.SIGKILL:
            while "libcuda" not in "".join(m.path for p in steps for m in p.memory_maps()):
                steps = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
        assert all_gone(steps)
    rows = _read(tmp_path / "r.json")
    assert (rows[0]["shows"], rows[0]["verdict"]) == ("device", "ok")
    assert ("graph", "not run", "it was running when the report ended") in {
        (r["step"], r["verdict"], r["figure"]) for r in rows
    }
    state = json.loads((tmp_path / "r.json").read_text())["state"]
    if number == signal.SIGKILL:
        assert (process.returncode, state) == (-number, "running")
    else:
        assert (process.returncode, state) == (128 + number, f"ended by {number.name}")
        assert "| driver | device |" in out
        assert (rows[-1]["step"], rows[-1]["figure"]) == ("requests", "the report was ended before it")


def _read(path: Path) -> list[dict]:
    return json.loads(path.read_text())["rows"] if path.exists() else []


def junit(tmp_path, *cases: str) -> Path:
    path = tmp_path / "junit.xml"
    path.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    return path


PASSED, SKIPPED = (
    '<testcase classname="t" name="a"/>',
    '<testcase classname="t" name="b"><skipped message="no cupy"/></testcase>',
)
FAILED = '<testcase classname="t" name="c"><failure message="x"/></testcase>'


@pytest.mark.parametrize(
    ("cases", "figure", "ok"),
    [
        ([PASSED, SKIPPED, SKIPPED], "1 passed, 0 failed, 2 skipped (no cupy)", True),
        ([PASSED, FAILED], "1 passed, 1 failed (t::c), 0 skipped", False),
        ([SKIPPED], "0 passed, 0 failed, 1 skipped (no cupy)", False),
        ([], "0 passed, 0 failed, 0 skipped", False),
    ],
)
def test_tests_are_counted_and_none_that_passed_is_no_pass(report, tmp_path, cases, figure, ok):
    from gpu_steps import counts_of

    assert counts_of(junit(tmp_path, *cases))[::2] == (figure, ok)
