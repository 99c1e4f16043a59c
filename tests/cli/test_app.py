"""Signals that commands heed, and those that whoever started them has had ignored."""

import os
import signal
import subprocess
import time

import pytest
from processes import SEATRIAL, end_with_all_below

from seatrial.cli.shell import exit_politely


@pytest.fixture
def disposition():
    """Sets a signal's; all are put back afterwards."""
    before = {}

    def set_to(number, handler):
        before.setdefault(number, signal.signal(number, handler))

    yield set_to
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda s: s.name)
def test_a_cancelled_job_and_a_closed_terminal_end_like_ctrl_c(disposition, number):
    disposition(number, signal.SIG_DFL)
    with pytest.raises(KeyboardInterrupt), exit_politely():
        signal.raise_signal(number)
    assert signal.getsignal(number) == signal.SIG_DFL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda s: s.name)
def test_what_was_ignored_before_stays_ignored(disposition, number):
    """nohup would be for nothing."""
    disposition(number, signal.SIG_IGN)
    with exit_politely():
        signal.raise_signal(number)
    assert signal.getsignal(number) == signal.SIG_IGN


@pytest.mark.slow
def test_a_trial_in_the_background_of_a_script_does_not_hear_the_ctrl_c_of_others(workspace, disposition):
    disposition(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen(
        [*SEATRIAL, "run", str(workspace.plan())], cwd=workspace.folder, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    with child:
        try:
            while not list(workspace.folder.glob("results/*/*/run.json")):
                assert child.poll() is None, child.communicate()
                time.sleep(0.01)
            os.kill(child.pid, signal.SIGINT)
            said, _ = child.communicate(timeout=120)
        finally:
            end_with_all_below(child)
    assert child.returncode == 0, said
    assert "PASS" in said
