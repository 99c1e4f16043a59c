"""A GPU's clocks held while a bench runs, where that was asked for and is permitted; else they are observed, and that is said.

For: bench's option. Not for: how a lock is let go again (machine/gpu_clocks.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from seatrial.errors import UsageError
from seatrial.jobs.noise_fields import runs_on_gpu
from seatrial.machine.gpu_clocks import locked_clocks
from seatrial.machine.nvml import Nvml, NvmlUnavailableError
from seatrial.runtimes.choice import BackendChoice
from seatrial.warning import Warning

BASE = "base"


@contextlib.contextmanager
def held_clocks(asked: str, backend: BackendChoice) -> Iterator[Warning | None]:
    """asked: '' for none, a number of MHz, or BASE. Gives what the record has to say of it.

    UsageError where it is no such text, or the backend runs on no GPU of NVIDIA's.
    """
    if not asked:
        yield None
        return
    if asked != BASE and not (asked.isdecimal() and int(asked)):
        raise UsageError(f"expected MHz, such as 1410, or {BASE}, got {asked!r}", option="lock_clocks")
    if not runs_on_gpu(backend.backend):
        raise UsageError(f"{backend.label} runs on no GPU of NVIDIA's; leave it out", option="lock_clocks")
    with contextlib.ExitStack() as stack:
        try:
            device = stack.enter_context(Nvml()).used_device(ordinal=backend.device_ordinal)
        except NvmlUnavailableError as e:
            yield _not_held(asked, str(e))
            return
        mhz = device.base_clock_mhz() if asked == BASE else int(asked)
        if not mhz:
            why = device.missing.get("base_clock_mhz", "the driver says 0")
            yield _not_held(asked, f"its base clock is not told ({why}); give it in MHz")
            return
        lock = stack.enter_context(locked_clocks(device, mhz))
        if not lock.held:
            yield _not_held(f"{mhz} MHz", lock.why)
            return
        note = f"; {lock.note}" if lock.note else ""
        yield Warning("gpu-clock-lock", f"the GPU's clocks were held at {mhz} MHz while this was measured{note}")


def _not_held(asked: str, why: str) -> Warning:
    return Warning("gpu-clock-lock", f"the GPU's clocks were not held at {asked}, and only observed: {why}")
