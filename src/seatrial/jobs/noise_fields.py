"""What disturbed a cell while it was measured, as its record has it. Not for: watching (noise/)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from seatrial.history.records import GpuClocks, Noise, Spike
from seatrial.noise.gpu import lower_clocks
from seatrial.noise.watch import NoiseReport, attribute_spikes
from seatrial.warning import Warning

I64 = npt.NDArray[np.int64]
MOST_SPIKES = 20
MOST_SPANS = 50
# Fewer requests have no usual latency to be far from.
LEAST_FOR_SPIKES = 20


def runs_on_gpu(backend: str) -> bool:
    """Whether the clocks and memory of NVIDIA's GPU are those of the load: by the backend's name. OpenVINO's GPU is Intel's."""
    return "openvino" not in backend and any(word in backend for word in ("cuda", "tensorrt", "gpu"))


def noise_of(
    watched: NoiseReport | None, table_ns: I64, queued: bool = False, spikes: bool = True, backend: str = ""
) -> Noise | None:
    """Of the time from the first request to the last; None where nobody watched, or nothing ran.

    queued: the first stage is a wait for others; a request is then looked at from its end on, since what hit the request
    before it explains the wait, and not what happened to itself. spikes: whether requests are alike, so that a slow one is one.
    backend: where it runs on a GPU, requests in a lower clock state of that are marked.
    """
    if watched is None or not len(table_ns):
        return None
    wait = table_ns[:, 1] if queued else 0
    starts, durations = table_ns[:, 0] + wait, table_ns[:, -1] - wait
    noise = watched.between(int(starts.min()), int((starts + durations).max()))
    found = _spikes(starts, durations, noise) if spikes else ()
    own = noise.to_dict() | {"spikes": found}
    clocks = _gpu_clocks(noise, starts, durations) if runs_on_gpu(backend) else None
    if clocks:
        own["gpu_clocks"] = clocks
        if clocks.lower_requests:
            own["disturbances"] = [*own["disturbances"], vars(_lower_clock(clocks, len(starts)))]
    return Noise.model_validate(own)


def _gpu_clocks(noise: NoiseReport, starts: I64, durations: I64) -> GpuClocks | None:
    t = noise.timeline
    if (clock := t.column("gpu_clock_mhz")) is None:
        return None
    found = lower_clocks(t.time_ns, clock, t.column("gpu_clock_reasons"), starts, durations)
    if found is None:
        return None
    return GpuClocks(
        mhz=found.clock_mhz,
        lower_share=found.share,
        lower_requests=int(found.requests.sum()),
        lower_spans_s=_spans_s(found.requests, starts, durations),
        reasons=found.reasons,
    )


def _spans_s(marked: npt.NDArray[np.bool_], starts: I64, durations: I64) -> tuple[tuple[float, float], ...]:
    """Runs of marked requests, from the first one's start to the last one's end: the longest, in the order of time."""
    order = np.argsort(starts, kind="stable")
    marked, starts, durations = marked[order], starts[order], durations[order]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(np.int8), [0]])))
    first_ns = int(starts[0])
    spans = [
        ((int(starts[a]) - first_ns) / 1e9, (int((starts + durations)[a:b].max()) - first_ns) / 1e9)
        for a, b in edges.reshape(-1, 2)
    ]
    return tuple(sorted(sorted(spans, key=lambda s: s[0] - s[1])[:MOST_SPANS]))


def _lower_clock(c: GpuClocks, requests: int) -> Warning:
    said = f"{c.lower_requests:,} of {requests:,} requests ran in a lower clock state of the GPU"
    said += (
        f" ({c.mhz[0]:.0f} to {c.mhz[2]:.0f} MHz{': ' + ', '.join(c.reasons) if c.reasons else ''}); they are marked"
    )
    return Warning(
        "gpu-clock", said, "cool it, raise its power limit, or lock its clocks (nvidia-smi --lock-gpu-clocks)"
    )


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
