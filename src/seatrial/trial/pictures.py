"""The pictures of a trial's report: the reference's answer, and beside it the cell that differs most from it, or the truth.

For: eyes. Not for: numbers, which images these are (telling.py), or how a result is drawn (drawing/results.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np

from seatrial.cells.preflight import Ready
from seatrial.drawing.heat import Scale, scale_of
from seatrial.drawing.results import PALETTE, U8, Colour, Look, Names, draw, is_left, name_of, point_colours, shrunk
from seatrial.errors import count_of, printable
from seatrial.history.files import write_atomic
from seatrial.history.records import CellRecord, ClassColour, Picture
from seatrial.history.run_folder import RunFolder
from seatrial.images.decode import DecodeSettings, decode, read_bytes
from seatrial.kernels.results import (
    Classification,
    DenseMap,
    Detections,
    Labels,
    Poses,
    SemanticMask,
    Text,
    TextRegions,
)
from seatrial.parity.overlaps import OVERLAPS
from seatrial.pipeline.results import Result
from seatrial.pipeline.stored import StoredResults, load_results_file
from seatrial.trial.telling import Evaluations, View, most_telling

# Classes of one picture that are named below it, at most.
MOST_NAMED = 12
# Characters of a text in a caption.
MOST_CHARACTERS = 100


@dataclass(frozen=True)
class _Panel:
    """What one picture shows of an image; result: None of the bare image."""

    shows: Literal["result", "truth", "image"]
    cell: CellRecord
    result: Result
    names: Names
    alone: frozenset[int] = frozenset()


def draw_pictures(
    ready: Ready, run: RunFolder, cells: Sequence[CellRecord], evaluations: Evaluations = lambda _: None
) -> list[Picture]:
    """Writes pictures/*.jpg. Empty for raw and embed tasks.

    DataError where the images are not those that were measured.
    """

    # A cell's results, and those of the one that it is compared with.
    @lru_cache(maxsize=2)
    def results_of(cell_id: str) -> StoredResults:
        return load_results_file(run.work / cell_id / "results.npz")[0]

    views = most_telling(ready, cells, lambda c: results_of(c.id), evaluations)
    if not views:
        return []
    ready.inputs.check()
    (run.path / "pictures").mkdir(exist_ok=True)
    by_view = [(view, _panels(ready, view)) for view in views]
    colours = _colours(panels for _, panels in by_view)
    scale = scale_of(p.result for _, panels in by_view for p in panels)
    return [_drawn(ready, run, view, panel, colours, scale) for view, panels in by_view for panel in panels]


def _panels(ready: Ready, view: View) -> list[_Panel]:
    """A map hides the image that it is of, which stands before it."""
    panels = [
        _Panel("result", side.cell, side.result, ready.labels[side.cell.pipeline], side.alone)
        for side in view.sides
        if side.result is not None
    ]
    first = view.sides[0].cell
    if view.expected is not None:
        panels.append(_Panel("truth", first, view.expected.result, view.expected.names))
    if not panels or any(isinstance(p.result, DenseMap) for p in panels):
        panels.insert(0, _Panel("image", first, None, None))
    return panels


def _drawn(
    ready: Ready, run: RunFolder, view: View, panel: _Panel, colours: Mapping[str, Colour], scale: Scale
) -> Picture:
    image, name = ready.images[view.image], panel.cell.pipeline
    spec = ready.plan.plan.pipelines[name]
    pixels = decode(read_bytes(image.path), DecodeSettings(exif=spec.decode.exif), image.name)
    look = Look(panel.names, colours, scale, panel.alone)
    drawn = shrunk(pixels) if panel.result is None else draw(pixels, panel.result, look)
    shown = "" if panel.shows == "result" else f"-{panel.shows}"
    file = f"pictures/{view.image:04d}-{panel.cell.id}{shown}.jpg"
    write_atomic(run.path / file, _jpeg(drawn))
    return Picture(
        image=image.name,
        pipeline=name,
        cell=panel.cell.id,
        shows=panel.shows,
        file=file,
        caption=_caption(panel),
        why=view.why,
        note=view.note,
        legend=_legend(panel.result, panel.names, colours),
    )


def _jpeg(drawn: U8) -> bytes:
    """Of colours as they are, also along thin lines, which the usual half as many colours would wash out."""
    how = [cv2.IMWRITE_JPEG_QUALITY, 85, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return bytes(cv2.imencode(".jpg", drawn, how)[1].tobytes())


def _classes(result: Result) -> list[int]:
    """Those of boxes or of a mask, of the most boxes or pixels first."""
    if not isinstance(result, Detections | SemanticMask):
        return []
    ids, counts = np.unique(result.class_ids, return_counts=True)
    nothing = np.iinfo(result.class_ids.dtype).max
    return [int(ids[k]) for k in np.argsort(-counts, kind="stable") if ids[k] != nothing]


def _colours(views: Iterable[Sequence[_Panel]]) -> dict[str, Colour]:
    """By the classes' names, the same in all pictures of the run: each its own by its id, or another where a class beside which
    it is seen has that."""
    first_id: dict[str, int] = {}
    beside: dict[str, set[str]] = {}
    for panels in views:
        ids = {name_of(k, p.names): k for p in panels for k in _classes(p.result)}
        for name, class_id in ids.items():
            first_id.setdefault(name, class_id)
            beside.setdefault(name, set()).update(ids)
    colours: dict[str, Colour] = {}
    for name in sorted(first_id, key=lambda n: (first_id[n], n)):
        own = PALETTE[first_id[name] % len(PALETTE)]
        taken = {colours[other] for other in beside[name] if other in colours}
        colours[name] = next((c for c in (own, *PALETTE) if c not in taken), own)
    return colours


def _legend(result: Result, names: Names, colours: Mapping[str, Colour]) -> tuple[ClassColour, ...]:
    """Of the most boxes or pixels, in the order of the classes; then the keypoints."""
    if isinstance(result, TextRegions):
        # All are text: the caption counts them.
        return ()
    named = dict.fromkeys(name_of(k, names) for k in sorted(_classes(result)[:MOST_NAMED]))
    keys = [ClassColour(colour="" if is_left(result, name) else _hex(colours[name]), name=name) for name in named]
    if isinstance(result, Poses):
        points = dict.fromkeys(point_colours(result.keypoints.shape[1])[:MOST_NAMED])
        keys += [ClassColour(colour=_hex(colour), name=name) for colour, name in points]
    return tuple(keys)


def _hex(colour: Colour) -> str:
    return "#{2:02x}{1:02x}{0:02x}".format(*colour)


def _objects(result: Detections) -> tuple[str, str]:
    return OVERLAPS[type(result)].objects


def _best(result: Labels) -> list[tuple[int, float]]:
    return list(zip(result.class_ids.tolist()[:MOST_NAMED], result.scores.tolist()[:MOST_NAMED], strict=True))


def _caption(panel: _Panel) -> str:
    result, names = panel.result, panel.names
    if isinstance(result, Detections):
        plain = type(result) is Detections and panel.shows == "result"
        return count_of(len(result), "detection") if plain else count_of(len(result), *_objects(result))
    if isinstance(result, Text):
        return f"“{printable(result.text[:MOST_CHARACTERS])}” ({float(result.score):.0%})"
    if isinstance(result, Classification):
        best = int(result.class_ids[0])
        return f"{name_of(best, names)} ({result.scores[0]:.0%})"
    if isinstance(result, Labels):
        return ", ".join(f"{name_of(k, names)} ({s:.0%})" for k, s in _best(result)) or "no label"
    if isinstance(result, DenseMap):
        return _span(result.values)
    if (count := len(_classes(result))) > MOST_NAMED:
        return f"{count} classes, the largest {MOST_NAMED}"
    left_out = float(result.without_class.mean()) if isinstance(result, SemanticMask) else 0.0
    return f"{left_out:.0%} not judged" if panel.shows == "truth" and left_out else ""


def _span(values: Any) -> str:
    """Of what has a value, '2.45 to 7.39'."""
    there = values[np.isfinite(values)]
    return f"{there.min():.3g} to {there.max():.3g}" if there.size else "no value"
