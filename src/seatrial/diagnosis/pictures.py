"""Pictures of the images that differ most, both sides at each stage: made by the diagnosis, read by who writes the page.

For: the file between the two processes. Not for: drawing (drawing/stages.py).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seatrial.diagnosis.diagnose import Comparison, Part
from seatrial.diagnosis.stages import DECODED, INPUT, OF_RESULTS, OUTPUTS, RESIZED
from seatrial.diagnosis.way import Way
from seatrial.drawing.results import Names
from seatrial.drawing.stages import image_picture, input_picture, outputs_picture, results_picture
from seatrial.errors import SeatrialError
from seatrial.history.files import write_atomic
from seatrial.images.decode import DecodeSettings, decode
from seatrial.report.parity_page import MOST_IMAGES, StagePicture

FILE = "pictures.json"
_PICTURES = ("reference_picture", "candidate_picture", "difference_picture")


def worst_pictures(compared: Comparison, way: Way, encoded: Any, names: Names) -> Iterator[StagePicture]:
    """Of the images that differ most where the pipelines part. encoded: an image's bytes, by name. names: of classes."""
    first = next((part for part in compared.parts if part.diverges), None)
    for i in first.differing[:MOST_IMAGES] if first else ():
        for part in compared.parts:
            try:
                yield _picture(part, way, i, compared.names[i], encoded, names)
            except (SeatrialError, ValueError, AssertionError):
                # What cannot be run or drawn stands in the record with its figures.
                continue


def _picture(part: Part, way: Way, i: int, name: str, encoded: Any, names: Names) -> StagePicture:
    stage = part.stretch.end
    reference, candidate = part.stretch.made(way, i).value, part.stretch.candidate(i)
    if stage in (DECODED, RESIZED):
        return image_picture(name, stage, reference, candidate, way.spec.decode.color)
    if stage == INPUT:
        return input_picture(name, reference, candidate, getattr(way.spec.preprocess, "color", "rgb"))
    if stage == OUTPUTS:
        return outputs_picture(name, reference, candidate)
    assert stage in OF_RESULTS
    pixels = decode(encoded(name), DecodeSettings(exif=way.spec.decode.exif))
    return results_picture(name, pixels, reference, candidate, names, stage)


def write_pictures(folder: Path, pictures: Sequence[StagePicture]) -> None:
    rows = [asdict(p) | {k: base64.b64encode(getattr(p, k)).decode() for k in _PICTURES} for p in pictures]
    write_atomic(folder / FILE, json.dumps(rows).encode())


def read_pictures(folder: Path) -> list[StagePicture]:
    rows = json.loads((folder / FILE).read_text("utf-8"))
    return [StagePicture(**(row | {k: base64.b64decode(row[k]) for k in _PICTURES})) for row in rows]
