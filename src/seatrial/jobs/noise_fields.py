"""What disturbed a cell while it was measured, as fields of its record. Not for: watching (noise/)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.history.records import Spike
from seatrial.noise.watch import NoiseReport, attribute_spikes

I64 = npt.NDArray[np.int64]
MOST_SPIKES = 20
# Fewer requests have no usual latency to be far from.
LEAST_FOR_SPIKES = 20


def noise_fields(
    watched: NoiseReport | None, table_ns: I64, warnings: tuple[str, ...], queued: bool = False
) -> dict[str, Any]:
    """noise, spikes and the warnings with what was noticed, of the time from the first request to the last.

    queued: the first stage is a wait for others; a request is then looked at from its end on, since what hit the request
    before it explains the wait, and not what happened to itself.
    """
    if watched is None or not len(table_ns):
        return {}
    wait = table_ns[:, 1] if queued else 0
    starts, durations = table_ns[:, 0] + wait, table_ns[:, -1] - wait
    noise = watched.between(int(starts.min()), int((starts + durations).max()))
    more = tuple(f"{d.what}; {d.cure}" for d in noise.disturbances)
    return {"noise": noise.to_dict(), "spikes": _spikes(starts, durations, noise), "warnings": (*warnings, *more)}


def _spikes(starts: I64, durations: I64, noise: NoiseReport) -> tuple[Spike, ...]:
    if len(starts) < LEAST_FOR_SPIKES:
        return ()
    found = attribute_spikes(starts, durations, noise.timeline, MOST_SPIKES)
    return tuple(
        Spike(
            at_s=(s.start_ns - int(starts.min())) / 1e9, duration_s=s.duration_s, times_median=s.times_median, causes=s.causes
        )
        for s in found
    )  # fmt: skip
