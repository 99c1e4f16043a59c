"""The search inside both models of a plan's parity. For: the command `parity`. Not for: when it is made (diagnosis)."""

from __future__ import annotations

from pathlib import Path

from seatrial.cli.output import shown
from seatrial.history.records.inside import InsideOfPlan
from seatrial.jobs.job import Tell
from seatrial.jobs.workload import PipelineWorkload


def look_inside(a: PipelineWorkload, b: PipelineWorkload, timeout_s: float, tell: Tell) -> InsideOfPlan:
    """a: the reference, whose pictures and preprocessing feed both."""
    from seatrial.localise import models
    from seatrial.localise.as_json import inside_json

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
    return f"{shown(Path(w.model_info.path))} in {w.precision} on {w.backend.words()}"
