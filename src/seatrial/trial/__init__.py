"""Runs a plan: every cell in a fresh process, records as they come, a verdict at the end."""

from seatrial.trial.conclude import Outcome
from seatrial.trial.run import run_trial
from seatrial.trial.watch import Watcher

__all__ = ["Outcome", "Watcher", "run_trial"]
