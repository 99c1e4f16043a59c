"""What disturbed a cell while it was measured, as its record has it. Not for: watching (noise/)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from seatrial.history.records import Noise, Spike
from seatrial.noise.watch import NoiseReport, attribute_spikes

I64 = npt.NDArray[np.int64]
MOST_SPIKES = 20
# Fewer requests have no usual latency to be far from.
LEAST_FOR_SPIKES = 20


def noise_of(watched: NoiseReport | None, table_ns: I64, queued: bool = False, spikes: bool = True) -> Noise | None:
    """Of the time from the first request to the last; None where nobody watched, or nothing ran.

    queued: the first stage is a wait for others; a request is then looked at from its end on, since what hit the request
    before it explains the wait, and not what happened to itself. spikes: whether requests are alike, so that a slow one is one.
    """
    if watched is None or not len(table_ns):
        return None
    wait = table_ns[:, 1] if queued else 0
    starts, durations = table_ns[:, 0] + wait, table_ns[:, -1] - wait
    noise = watched.between(int(starts.min()), int((starts + durations).max()))
    found = _spikes(starts, durations, noise) if spikes else ()
    return Noise.model_validate({**noise.to_dict(), "spikes": found})


def _spikes(starts: I64, durations: I64, noise: NoiseReport) -> tuple[Spike, ...]:
    if len(starts) < LEAST_FOR_SPIKES:
        return ()
    found = attribute_spikes(starts, durations, noise.timeline, MOST_SPIKES)
    return tuple(
        Spike(
            at_s=(s.start_ns - int(starts.min())) / 1e9,
            duration_s=s.duration_s,
            times_median=s.times_median,
            causes=s.causes,
        )
        for s in found
    )
