"""What disturbed a cell while it was measured, as fields of its record. Not for: watching (timing/noise)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.history.records import Spike
from seatrial.timing.noise import NoiseReport, attribute_spikes

I64 = npt.NDArray[np.int64]
MOST_SPIKES = 20
# Fewer requests have no usual latency to be far from.
LEAST_FOR_SPIKES = 20


def noise_fields(watched: NoiseReport | None, table_ns: I64, warnings: tuple[str, ...]) -> dict[str, Any]:
    """noise, spikes and the warnings with what was noticed, of the time from the first request to the last."""
    if watched is None or not len(table_ns):
        return {}
    starts, durations = table_ns[:, 0], table_ns[:, -1]
    noise = watched.between(int(starts[0]), int((starts + durations).max()))
    more = tuple(f"{d.what}; {d.cure}" for d in noise.disturbances)
    return {"noise": noise.to_dict(), "spikes": _spikes(starts, durations, noise), "warnings": (*warnings, *more)}


def _spikes(starts: I64, durations: I64, noise: NoiseReport) -> tuple[Spike, ...]:
    if len(starts) < LEAST_FOR_SPIKES:
        return ()
    found = attribute_spikes(starts, durations, noise.timeline, MOST_SPIKES)
    return tuple(
        Spike(
            at_s=(s.start_ns - int(starts[0])) / 1e9, duration_s=s.duration_s, times_median=s.times_median, causes=s.causes
        )
        for s in found
    )  # fmt: skip
