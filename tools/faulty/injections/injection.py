"""What an injection is. For: the families beside it. Not for: any of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from faulty.tasks import Task
from faulty.way import Steps

ALL = ("detect", "classify", "text", "segment")
BOXES = ("detect", "text")
LEVELS = ("taps", "code", "answers")


@dataclass(frozen=True)
class Setting:
    """folder: where the task's plan, model and pictures are, and where other models are written to."""

    task: Task
    folder: Path


@dataclass(frozen=True)
class Injection:
    """fault: its stable name, also of what else would be right; tasks and levels: where it can be given, and seen in principle.

    Whether these pictures show it, a run tells: a candidate that nothing tells from the right one is no candidate.
    """

    fault: str
    variant: str
    change: Callable[[Steps, Setting], Steps]
    tasks: tuple[str, ...] = ALL
    levels: tuple[str, ...] = LEVELS
    also: tuple[str, ...] = ()
    needs: str = ""

    @property
    def name(self) -> str:
        return f"{self.fault}/{self.variant}"

    @property
    def faults(self) -> tuple[str, ...]:
        """All that were injected: one, or two of a pair."""
        return tuple(self.fault.split("+"))

    def is_there(self) -> bool:
        """Whether the library that it is made with is installed."""
        return not self.needs or find_spec(self.needs) is not None


def together(first: Injection, second: Injection) -> Injection:
    def both(steps: Steps, setting: Setting) -> Steps:
        return second.change(first.change(steps, setting), setting)

    levels = tuple(level for level in first.levels if level in second.levels)
    tasks = tuple(t for t in first.tasks if t in second.tasks)
    return Injection(
        f"{first.fault}+{second.fault}",
        f"{first.variant}+{second.variant}",
        both,
        tasks,
        levels,
        first.also + second.also,
    )


def step(name: str, make: Callable[[Setting], object]) -> Callable[[Steps, Setting], Steps]:
    """A change that puts another function in the place of one step."""

    def change(steps: Steps, setting: Setting) -> Steps:
        return replace(steps, **{name: make(setting)})

    return change


def after(name: str, function: Callable) -> Callable[[Steps, Setting], Steps]:
    """A change that does something more to what a step gives."""

    def change(steps: Steps, _setting: Setting) -> Steps:
        before = getattr(steps, name)
        return replace(steps, **{name: lambda *given: function(before(*given))})

    return change
