"""A parity record as one self-contained page: a paragraph for whoever has a minute, then the evidence, then the pictures.

Not for: making pictures of stages (drawing/stages.py), or figures of its own: all of them stand in the record.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seatrial.errors import count_of, printable
from seatrial.faults.catalogue import FAULTS
from seatrial.history.records.diagnosis import Diagnosis, ParityRecord, StageDifference
from seatrial.report.page_environment import page_environment, style
from seatrial.report.parity_words import (
    STAGES,
    alike_said,
    effect_said,
    explained_said,
    fix_said,
    head_said,
    images_said,
    invariants_said,
    is_first,
    is_unexplained,
    near_said,
    nothing_said,
    number_said,
    stage_said,
    summary_said,
    title_of,
)
from seatrial.units import format_seconds

if TYPE_CHECKING:
    import jinja2

MOST_IMAGES = 6
_CLASSES = {"EQUAL": "pass", "DIFFER": "fail", "INCONCLUSIVE": "inconclusive"}


@dataclass(frozen=True)
class StagePicture:
    """One stage of one image, as PNG of both sides and of the difference, `factor` times as large. note: said below them. same:
    both sides are equal, so that the reference's picture stands for both. A side that has no picture has no bytes."""

    image: str
    stage: str
    reference_png: bytes
    candidate_png: bytes
    difference_png: bytes
    factor: int = 1
    note: str = ""
    same: bool = False


def parity_page(record: ParityRecord, pictures: Sequence[StagePicture] = ()) -> str:
    """pictures: of the worst images, the worst first; of more than MOST_IMAGES the rest is left out, and said."""
    names = list(dict.fromkeys(p.image for p in pictures))
    return _template().render(
        record=record,
        css=style("parity.css"),
        verdict_class=_CLASSES[record.verdict],
        head=head_said(record),
        summary=summary_said(record),
        flow=_flow(record),
        findings=[_finding(d) for d in record.diagnosis],
        nothing=nothing_said(record) if is_unexplained(record) else [],
        invariants=invariants_said(record.invariants),
        near=near_said(record.near) if record.diagnosis and record.near else "",
        images=[_image(name, record, pictures) for name in names[:MOST_IMAGES]],
        left_out=max(0, len(names) - MOST_IMAGES),
    )


@functools.cache
def _template() -> jinja2.Template:
    environment = page_environment()
    # A name out of a file may turn a line round, or hold what a browser draws as a box.
    environment.finalize = lambda value: printable(value) if type(value) is str else value
    environment.filters.update(seconds=format_seconds, number=number_said, stage=stage_said, images=images_said)
    return environment.get_template("parity.html.j2")


def _flow(record: ParityRecord) -> list[dict[str, Any]]:
    """The stages in order, from the encoded file on; each that was compared knows whether it agrees, and is where they part."""
    by_stage = {s.stage: s for s in record.stages}
    first = [{"name": stage_said("encoded"), "state": "begin", "said": "the same for both", "first": False}]
    return first + [_stop(record, s, by_stage.get(s)) for s in STAGES if s in by_stage or s in _ALWAYS]


# Stages that every pipeline has, whether or not the candidate shows them.
_ALWAYS = ("decoded", "resized", "input", "outputs", "results")


def _stop(record: ParityRecord, stage: str, s: StageDifference | None) -> dict[str, Any]:
    if s is None:
        return {"name": stage_said(stage), "state": "unseen", "said": "not shown", "first": False}
    if not s.of:
        return {"name": stage_said(stage), "state": "unseen", "said": "not compared", "first": False}
    state = "differs" if s.images else "agrees"
    said = f"differs {images_said(s)}" if s.images else f"the same in {count_of(s.of, 'image')}"
    return {"name": stage_said(stage), "state": state, "said": said, "first": is_first(record, s)}


def _finding(d: Diagnosis) -> dict[str, Any]:
    known = FAULTS.get(d.fault)
    return {
        "fault": d.fault,
        "title": title_of(d.fault),
        "what": d.what,
        "stage": stage_said(d.stage),
        "is_": known.is_ if known else "",
        "shows": known.shows if known else "",
        "evidence": explained_said(d),
        "alike": alike_said(d),
        "effect": effect_said(d.effect) if d.effect else "",
        "reported": known.reported if known else "",
        "fix": fix_said(d),
        "at": d.at,
        "known": known is not None,
    }


def _image(name: str, record: ParityRecord, pictures: Sequence[StagePicture]) -> dict[str, Any]:
    own = [p for p in pictures if p.image == name]
    worst = next((w for w in record.worst_images if w.name == name), None)
    first = record.first_divergence
    return {
        "name": name,
        "worst": f"{stage_said(worst.stage)}: {number_said(worst.value)}" if worst else "",
        "rows": [
            {
                "stage": stage_said(p.stage),
                "first": first is not None and p.stage == first.stage,
                "note": p.note,
                "same": p.same,
                "sides": [
                    (caption, _source(png))
                    for caption, png in (
                        ("reference", p.reference_png),
                        ("candidate", p.candidate_png),
                        (f"difference × {p.factor}" if p.factor > 1 else "difference", p.difference_png),
                    )
                ],
            }
            for p in own
        ],
    }


def _source(png: bytes) -> str:
    """'' of a side that has no picture."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}" if png else ""
