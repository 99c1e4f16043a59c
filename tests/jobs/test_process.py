"""Processes: what a worker started is ended with it, and nobody measures for a parent that is gone."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from processes import descriptors
from workloads import model_workload

from seatrial.errors import Failure
from seatrial.jobs import glimpse, process
from seatrial.jobs.child import STARTER, descends_from
from seatrial.jobs.process import Ended, run_job
from seatrial.jobs.process_tree import ProcessTree

# A process that starts a helper in one of the ways in which programs do, writes its number, and goes on or ends.
STARTS = {
    "in its own session": "start(subprocess.Popen(words, start_new_session=True).pid)",
    "with a clean environment": "start(subprocess.Popen(words, start_new_session=True, env={}).pid)",
    "as a daemon": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        start(os.getpid())
        time.sleep(600)
    os._exit(0)
os.wait()
""",
}
PROGRAM = """
import os, pathlib, subprocess, sys, time
words = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
def start(number):
    pathlib.Path("new").write_text(str(number))
    pathlib.Path("new").rename("helper")
{how}
while not os.path.exists("helper"):
    time.sleep(0.01)
time.sleep({then})
"""


@pytest.mark.parametrize(
    ("how", "then"),
    [(how, 600) for how in STARTS] + [("in its own session", 0), ("as a daemon", 0)],
    ids=lambda value: {600: "while it runs", 0: "when it has ended"}.get(value, value),
)
def test_helpers_end_with_the_process_that_started_them(tmp_path, monkeypatch, how, then):
    monkeypatch.chdir(tmp_path)
    with Path("log").open("wb") as log:
        tree = ProcessTree(
            [sys.executable, "-S", "-c", PROGRAM.format(how=STARTS[how], then=then)],
            stdout=log,
            stderr=log,
            env=os.environ,
        )
        try:
            deadline = time.monotonic() + 60
            while not Path("helper").exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            helper = psutil.Process(int(Path("helper").read_text()))
            assert helper.pid != tree.pid
            if not then:
                tree.wait(60)
        finally:
            tree.end()
    assert tree.returncode is not None
    assert not helper.is_running() or helper.status() == psutil.STATUS_ZOMBIE


def test_processes_of_another_worker_are_left_alone(tmp_path):
    words = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
    with (tmp_path / "log").open("wb") as log:
        one, other = (ProcessTree(words, stdout=log, stderr=log, env=os.environ) for _ in range(2))
        try:
            one.end()
            assert other.poll() is None
        finally:
            other.end()


def test_an_error_between_start_and_watch_ends_the_worker(tmp_path, monkeypatch, workspace):
    started = []

    def no_watch(pid, **_):
        started.append(psutil.Process(pid))
        raise ZeroDivisionError

    monkeypatch.setattr(process, "NoiseWatch", no_watch)
    task = glimpse.GlimpseTask(model_workload(workspace.folder / "model.fake.json"), {}, ())
    monkeypatch.setattr(glimpse, "JOB", replace(glimpse.JOB, timed=True))
    open_before = descriptors()
    with pytest.raises(ZeroDivisionError):
        run_job(glimpse.JOB, task, tmp_path / "answer", 60, lambda step, share: None)
    (worker,) = started
    assert not worker.is_running()
    assert descriptors() == open_before


@pytest.mark.parametrize(
    ("pid", "descends"),
    [
        (lambda: os.getppid(), True),
        (lambda: psutil.Process(os.getppid()).ppid() or os.getppid(), True),
        (lambda: os.getpid(), False),
        (lambda: 4_194_400, False),
    ],
    ids=["parent", "above a wrapper", "itself", "nobody"],
)
def test_who_started_this_process(pid, descends):
    assert descends_from(pid()) is descends


@pytest.mark.parametrize(("starter", "lives"), [("{own}-ab", True), ("4194400-ab", False), ("", True)])
def test_a_process_whose_starter_went_before_it_looked_ends_at_once(starter, lives):
    """The kernel tells only of deaths that come after one has asked."""
    code = "from seatrial.jobs.child import die_with_parent; die_with_parent(); print('measures')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, STARTER: starter.format(own=os.getpid())},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout == "measures\n", done.returncode == 0) == (lives, lives), done.stderr
    assert ("has ended" in done.stderr) is not lives


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (Ended(object(), last_output=""), []),
        (Ended(object(), last_output=" \n"), []),
        (Ended(object(), last_output="a\nRuntimeWarning: overflow\n"), ["2 lines, at last: RuntimeWarning: overflow"]),
        # Of one that failed, its last words are in the reason.
        (Ended(None, Failure.of_text("it died"), last_output="a\n"), []),
    ],
)
def test_what_a_process_printed_while_it_worked_is_a_warning(ended, said):
    assert [w.code for w in ended.printed] == ["printed"] * len(said)
    assert [w.text for w in ended.printed] == [f"its process printed {words}" for words in said]


def test_of_a_traceback_the_line_that_names_the_error_is_told(tmp_path):
    """Its message may go on, and the log's end may begin within it."""
    log = tmp_path / "output.log"
    log.write_text(
        '  File "a.py", line 3, in f\n    g()\nx.Invalid: 2 errors\nkey.x\n  Input\n    For more see a page\n'
    )
    assert process.last_words(1, log) == "ended with exit status 1: x.Invalid: 2 errors"
    log.write_text("one\nno such option\n")
    assert process.last_words(2, log) == "ended with exit status 2: no such option"
