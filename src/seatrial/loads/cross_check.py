"""A model's native loop against its runtime's Python binding: the same bits, and what the binding adds.

For: a second opinion behind a load. Not for: anything that the load's own results would depend on.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seatrial._native.timing import NO_DEADLINE_NS, StageSamples, closed_loop
from seatrial.errors import SeatrialError
from seatrial.history.records import Measured, PythonPath
from seatrial.jobs.summarise import record_of
from seatrial.jobs.workload import ModelWorkload
from seatrial.loads.task import LoadTask
from seatrial.machine.cgroups import least_memory_left_bytes
from seatrial.runtimes.options import model_stages
from seatrial.stats.sample import percentile_estimate

if TYPE_CHECKING:
    from seatrial.loads.clients import Opened

F64 = npt.NDArray[np.float64]
# The binding adds microseconds: nothing to a request of seconds.
SLOW_S = 1.0
LONGEST_S = 2.0


def cross_check(task: LoadTask, opened: Opened, peak_bytes: int) -> tuple[PythonPath | None, str]:
    """What was found, and what kept it from being found; neither where there is nothing to check.

    A second session may want as much memory as the first: where that may not be there, nobody looks.
    """
    w = task.workload
    if not task.load.cross_check or not isinstance(w, ModelWorkload) or not opened.feeds:
        return None, ""
    # A device's own stages are no calls of Python's.
    if (
        opened.called != "native"
        or len(model_stages(w.backend)) > 1
        or opened.first_s > SLOW_S
        or 1.2 * peak_bytes > _available_bytes()
    ):
        return None, ""
    try:
        return _in_turns(w, opened, opened.feeds), ""
    # The load's own measurement stands.
    except SeatrialError as e:
        return None, e.for_command_line()
    except (MemoryError, RuntimeError) as e:
        return None, str(e) or type(e).__name__


def _in_turns(w: ModelWorkload, opened: Opened, feeds: dict[str, npt.NDArray[Any]]) -> PythonPath:
    from seatrial.backends import OpenOptions, open_backend

    options = OpenOptions.for_shapes(w.model_info, w.threads, w.input_shapes)
    with open_backend(w.backend, Path(w.model), options) as other:
        same = all(
            np.array_equal(x, y, equal_nan=x.dtype.kind == "f")
            for x, y in zip(opened.backend.run(feeds), other.run(feeds), strict=True)
        )
        works = {"native": opened.works[0], "python": other.work(feeds)}
        samples = {name: StageSamples(4096, 1) for name in works}
        turns = 0
        in_a_row = 5 if opened.first_s < SLOW_S / 10 else 1
        began = time.monotonic()
        while len(samples["python"]) < 500 and (not len(samples["python"]) or time.monotonic() - began < LONGEST_S):
            for name, work in works.items():
                closed_loop(work, samples[name], deadline_ns=NO_DEADLINE_NS, most=in_a_row)
            turns += 1
    seconds = {name: table.to_array()[:, -1] / 1e9 for name, table in samples.items()}
    return PythonPath(
        same_outputs=bool(same),
        native_p50_s=float(np.median(seconds["native"])),
        python_p50_s=float(np.median(seconds["python"])),
        difference=_difference(seconds["native"], seconds["python"], turns),
    )


def _difference(native_s: F64, python_s: F64, turns: int) -> Measured:
    """Turn by turn: what slows the machine for a while slows both. Turns are no stream of requests, so that each counts."""
    per_turn = [np.median(s.reshape(turns, -1), axis=1) for s in (native_s, python_s)]
    return record_of(percentile_estimate(per_turn[1] - per_turn[0], 0.5, longest_run=1), "s")


def _available_bytes() -> float:
    import psutil

    left = least_memory_left_bytes()
    available = float(psutil.virtual_memory().available)
    return available if left is None else min(available, left)
