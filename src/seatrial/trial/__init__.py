"""Runs a plan: every cell in a fresh process, records as they come, a verdict at the end.

Names are loaded on first use: a process that only takes its turns in a comparison starts without pydantic and scipy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seatrial.trial.conclude import Outcome
    from seatrial.trial.run import run_trial
    from seatrial.trial.watch import Watcher

_HOMES = {"Outcome": "conclude", "Watcher": "watch", "run_trial": "run"}
__all__ = ["Outcome", "Watcher", "run_trial"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"seatrial.trial.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'seatrial.trial' has no attribute {name!r}")
