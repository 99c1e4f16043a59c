"""The search inside the models of two sides of a plan, as a parity's record has it.

Not for: when it is made, and on which images (diagnosis/inside.py), or the search (search.py).
"""

from __future__ import annotations

from pathlib import Path

from seatrial.history.records.inside import InsideOfPlan
from seatrial.jobs.job import Tell
from seatrial.jobs.workload import PipelineWorkload
from seatrial.localise.as_json import inside_json
from seatrial.localise.job import models


def look_inside(a: PipelineWorkload, b: PipelineWorkload, timeout_s: float, tell: Tell) -> InsideOfPlan:
    """a: the reference, whose pictures and preprocessing feed both."""
    found = models(
        Path(a.model),
        Path(b.model),
        backends=(a.backend, b.backend),
        pipeline=a,
        count=len(a.images),
        threads=a.threads,
        timeout_s=timeout_s,
        tell=tell,
    )
    sides = {"a": _words(a), "b": _words(b)}
    data = inside_json(found)["inside"]
    return InsideOfPlan.model_validate({**data, **sides, "verdict": found.verdict, "reason": found.reason})


def _words(w: PipelineWorkload) -> str:
    """The file as a user in the working folder would type it, and what it runs as."""
    path, here = Path(w.model_info.path), Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return f"{shown} in {w.precision} on {w.backend.words()}"
