"""Ctrl-C is never lost: neither where it has to wait, nor where a library makes something else of it."""

import os
import signal
import threading

import pytest
from pydantic import BaseModel, field_serializer

from seatrial.cells.watch import Watcher
from seatrial.errors import ExitCode, ResultsError
from seatrial.history.find import load_record
from seatrial.history.run_folder import RunFolder
from seatrial.interrupts import ENDING, interrupted, interrupts_held, interrupts_noted, raise_swallowed
from seatrial.trial import agreement as compare
from seatrial.trial.run import run_trial


@pytest.fixture(autouse=True)
def handlers():
    """As in a command, whoever started the tests: all that end it raise the same."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def ctrl_c(number=signal.SIGINT):
    os.kill(os.getpid(), number)


def swallowed(number):
    try:
        ctrl_c(number)
    except KeyboardInterrupt:
        return


@pytest.mark.parametrize("number", ENDING, ids=lambda s: s.name)
def test_one_that_is_swallowed_is_raised_where_somebody_waits(number):
    raise_swallowed()
    with interrupts_noted():
        assert not interrupted()
        swallowed(number)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            raise_swallowed()
    assert not interrupted(), "it is of that run alone"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("number", ENDING, ids=lambda s: s.name)
def test_one_that_waits_comes_behind_the_block_and_not_in_place_of_its_error(number):
    reached = []

    def block(error=None):
        with interrupts_noted(), interrupts_held():
            ctrl_c(number)
            reached.append(True)
            if error:
                raise error

    with pytest.raises(KeyboardInterrupt):
        block()
    with pytest.raises(ResultsError):
        block(ResultsError("the disk is full"))
    assert len(reached) == 2
    assert signal.getsignal(number) is signal.default_int_handler


def test_an_ignored_signal_stays_ignored_and_other_threads_have_none():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupts_noted():
        ctrl_c()
        assert not interrupted()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ran = []

    def elsewhere():
        with interrupts_noted(), interrupts_held():
            ran.append(True)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert ran


def test_a_signal_that_ends_the_process_at_once_still_does(handlers):
    """As in a program that calls seatrial.run, which has a say of its own."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with interrupts_noted(), interrupts_held():
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


class Model(BaseModel):
    field: int = 1

    @field_serializer("field")
    def _interrupted(self, value: int) -> int:
        ctrl_c()
        return value


class StopsLater(Watcher):
    """Ctrl-C inside of a library's callback, behind the first cell."""

    def cell_ends(self, record):
        Model().model_dump_json()


@pytest.mark.slow
def test_what_a_library_makes_of_it_is_no_bug(workspace):
    """pydantic's serialiser turns a KeyboardInterrupt into an error of its own."""
    outcome = run_trial(workspace.load(parity=""), workspace.folder / "results", watcher=StopsLater())
    assert outcome.exit_code == ExitCode.INTERRUPTED
    assert [c.status for c in outcome.record.cells] == ["ok"]
    resumed = run_trial(workspace.load(parity=""), workspace.folder / "results", resume=True)
    assert load_record(RunFolder(resumed.run.path)).status == "complete"


def test_one_that_is_taken_for_bad_results_still_ends_the_run(workspace, monkeypatch):
    """A comparison takes whatever it raises for a fault of the results."""

    def agreement(*_):
        Model().model_dump_json()

    monkeypatch.setattr(compare, "seen", agreement)
    outcome = run_trial(workspace.load(parity=""), workspace.folder / "results")
    assert outcome.exit_code == ExitCode.INTERRUPTED
