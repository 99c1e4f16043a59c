"""seatrial.run: a plan to a record, with its report beside it. What `seatrial run` does, as a function."""

from __future__ import annotations

from pathlib import Path

from seatrial.history.records import Record
from seatrial.plan.load import load_plan
from seatrial.report.html import write_report
from seatrial.standard_streams import open_standard_streams
from seatrial.trial.run import run_trial

DEFAULT_RESULTS = Path("results")


def run(
    plan: str | Path, *, results: str | Path = DEFAULT_RESULTS, allow_code: bool = False, resume: bool = False
) -> Record:
    """Runs a trial plan and returns its record; also writes results/<machine>/<date>-<id>/ with the report.

    Args:
        plan: the plan's path.
        results: folder for results, made where it is missing.
        allow_code: let the plan name Python functions as stages; they run.
        resume: carry on the newest interrupted run of the same trial.

    Raises:
        SeatrialError: the plan, its files or this machine are not fit to run it, or results cannot be written.
        KeyboardInterrupt: Ctrl-C; the cells done so far are kept for `resume`.
    """
    open_standard_streams()
    outcome = run_trial(load_plan(plan), Path(results), allow_code=allow_code, resume=resume)
    if outcome.record.status == "interrupted":
        raise KeyboardInterrupt
    write_report(outcome.run)
    return outcome.record
