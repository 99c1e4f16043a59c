"""How far a build is, and its end by Ctrl-C: TensorRT asks between steps whether to go on.

For: one object that the library calls. Not for: what is printed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from seatrial.backends.tensorrt.library import Library

Tell = Callable[[str, float], None]


def monitor_of(library: Library, tell: Tell, stopped: Sequence[object]) -> Any:
    """An IProgressMonitor that tells the outermost phase's share, and stops the build once `stopped` holds anything.

    What is raised in a call is printed and swallowed by the library, a KeyboardInterrupt too: so a Ctrl-C is not raised in
    there but noted by whoever holds it (interrupts_held), and asked for here.
    """

    class Monitor(library.trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self._outermost, self._steps = "", 1

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            if parent is None:
                self._outermost, self._steps = name, max(1, steps)
            tell(name[:1].lower() + name[1:], 0.0)

        def step_complete(self, name: str, step: int) -> bool:
            if name == self._outermost:
                tell("building the engine", min(1.0, (step + 1) / self._steps))
            return not stopped

        def phase_finish(self, name: str) -> None:
            # Its last step has no call of its own.
            if name == self._outermost and not stopped:
                tell("building the engine", 1.0)

    return Monitor()
