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
from seatrial.history.records.diagnosis import Diagnosis, ParityRecord, StageDifference
from seatrial.report.error_plot import error_plot
from seatrial.report.finding_words import alike_said, effects_said, explained_said, fix_said, known, near_said, title_of
from seatrial.report.localise_text import ERRORS_SAID, MOST_JUMPS, error_words, said_of_files
from seatrial.report.page_environment import page_environment, style
from seatrial.report.parity_words import (
    STAGES,
    alone_said,
    beside_said,
    head_said,
    images_said,
    inside_how,
    inside_said,
    invariants_said,
    is_first,
    is_unexplained,
    nothing_said,
    number_said,
    stage_said,
    summary_said,
    task_said,
    tried_said,
)
from seatrial.units import format_seconds

if TYPE_CHECKING:
    import jinja2

MOST_IMAGES = 6
_CLASSES = {"EQUAL": "pass", "DIFFER": "fail", "INCONCLUSIVE": "inconclusive"}


@dataclass(frozen=True)
class StagePicture:
    """One stage of one image: pictures (PNG, WebP or JPEG) of both sides and of the difference, `factor` times as large. note:
    said below them. same: both sides are equal, so that the reference's picture stands for both. A side that has no picture has
    no bytes."""

    image: str
    stage: str
    reference_picture: bytes
    candidate_picture: bytes
    difference_picture: bytes
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
        task=[(f.metric, task_said(f)) for f in record.task],
        flow=_flow(record),
        findings=[_finding(d) for d in record.diagnosis],
        nothing=nothing_said(record) if is_unexplained(record) else [],
        invariants=invariants_said(record.invariants),
        near=near_said(record.near) if record.diagnosis and record.near else "",
        rest=[] if is_unexplained(record) else beside_said(record),
        tried=tried_said(record),
        alone=alone_said(record),
        inside=_inside(record),
        inside_how=inside_how(record),
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
    state = "differs" if s.images else "agrees"
    said = f"differs {images_said(s)}" if s.images else f"agrees in {count_of(s.of, 'image')}"
    return {"name": stage_said(stage), "state": state, "said": said, "first": is_first(record, s)}


def _finding(d: Diagnosis) -> dict[str, Any]:
    fault = known(d)
    return {
        "fault": d.fault,
        "title": title_of(d),
        "what": d.what,
        "stage": stage_said(d.stage),
        "is_": fault.is_ if fault else "",
        "shows": fault.shows if fault else "",
        "evidence": explained_said(d),
        "alike": alike_said(d),
        "effect": effects_said(d),
        "reported": fault.reported if fault else "",
        "fix": fix_said(d),
        "at": d.at,
    }


def _inside(record: ParityRecord) -> dict[str, Any] | None:
    inside = record.inside
    if inside is None:
        return None
    return {
        "said": inside_said(inside),
        "sides": [("A", inside.a), ("B", inside.b)],
        "plot": error_plot(inside.errors, inside.jumps),
        "jumps": [
            {
                "node": j.said,
                "figures": [error_words(e) for e in (j.error_in, j.error_out)],
                "own": error_words(j.own_error) if j.confirmed else "not run alone",
                "tolerance": error_words(j.tolerance),
                "files": said_of_files(j),
            }
            for j in inside.jumps[:MOST_JUMPS]
        ],
        "left_out": max(0, len(inside.jumps) - MOST_JUMPS),
        "errors_said": ERRORS_SAID,
        "notes": inside.notes,
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
                "sides": [
                    (caption, _source(picture))
                    for caption, picture in (
                        ("reference", p.reference_picture),
                        ("candidate", p.candidate_picture),
                        (f"difference × {p.factor}" if p.factor > 1 else "difference", p.difference_picture),
                    )
                ],
            }
            for p in own
            if not p.same
        ],
        "same": [(stage_said(p.stage), _source(p.reference_picture), p.note) for p in own if p.same],
    }


def _source(picture: bytes) -> str:
    """'' of a side that has no picture."""
    return f"data:{_media_type(picture)};base64,{base64.b64encode(picture).decode()}" if picture else ""


def _media_type(picture: bytes) -> str:
    if picture.startswith(b"\x89PNG"):
        return "image/png"
    return "image/jpeg" if picture.startswith(b"\xff\xd8") else "image/webp"
