"""What a service records of its own stages: taps.json and an .npz an image, as docs/taps.md has the format.

For: candidates as folders. Written with NumPy and json alone, as a user's writer is. Not for: reading.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from faulty.way import Trace

STAGES = ("decoded", "resized", "input", "outputs", "results")


def write_taps(
    folder: Path, traces: Iterable[Trace], files: dict[str, bytes], batch: int = 1, stages: tuple[str, ...] = STAGES
) -> None:
    """files: the encoded images by name. stages: those that are recorded; outputs stand for all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    images, listed = [], []
    for trace in traces:
        values = arrays(trace, stages)
        file = trace.name.rsplit(".", 1)[0] + ".npz"
        np.savez(folder / file, **values)
        images.append({"name": trace.name, "sha256": hashlib.sha256(files[trace.name]).hexdigest(), "file": file})
        listed = list(dict.fromkeys("results" if k.startswith("results.") else k for k in values))
    manifest = {
        "schema": "seatrial.taps/1",
        "producer": "tools/faulty",
        "stages": listed,
        "color": {stage: "bgr" for stage in ("decoded", "resized") if stage in listed},
        "batch": batch,
        "images": images,
    }
    (folder / "taps.json").write_text(json.dumps(manifest, indent=1))


def arrays(trace: Trace, stages: tuple[str, ...]) -> dict[str, np.ndarray]:
    """By the format's keys; an image of levels between whole ones is none of its stages."""
    if trace.resized.dtype != np.uint8:
        stages = tuple(s for s in stages if s != "resized")
    pictures = {"decoded": trace.decoded, "resized": trace.resized, "input": trace.tensor}
    found = {key: value for key, value in pictures.items() if key in stages}
    if "outputs" in stages:
        found |= {f"output.{name}": value for name, value in trace.outputs.items()}
    if "results" in stages:
        found |= {f"results.{name}": value for name, value in trace.results.items()}
    return found
