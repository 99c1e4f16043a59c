"""Answers in a CSV with a header: image,class[,score], a box's corners beside it, or image,text[,score].

For: rows of one image as ranked classes, labels, objects or a text. Not for: truth in a CSV (csv_labels.py, text_truth.py).
What a mistake could have made of a box, a class or a score stays as it is: it is what parity looks for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seatrial.errors import DataError, count_of, did_you_mean, printable, short_list
from seatrial.images.files import ImageFile
from seatrial.kernels.results import Classification, Detections, Labels, Text
from seatrial.parity.answer_names import Found, images_called
from seatrial.parity.csv_rows import header_of, repeated_rows, rows_of
from seatrial.parity.names import folded_note, labels_text, pair_names, quoted_list
from seatrial.pipeline.results import Result
from seatrial.warning import Warning

_NUMBER = r"-?[0-9]{1,9}"
# What columns of a box are called, and whether the last two are its far corner.
_CORNERS = ("x1", "y1", "x2", "y2")
_BOXES: dict[tuple[str, ...], bool] = {
    _CORNERS: True,
    ("xmin", "ymin", "xmax", "ymax"): True,
    ("x", "y", "width", "height"): False,
    ("x", "y", "w", "h"): False,
}


@dataclass(frozen=True)
class _Row:
    number: int
    image: str
    word: str
    score: float
    box: tuple[float, ...] = ()


def read_csv_answers(
    path: Path, text: str, images: Sequence[ImageFile], kind: type | None, labels: Sequence[str] | None
) -> Found:
    """DataError names the row that is not sound, or the columns that results of this kind need."""
    header = header_of(text)
    box = next((columns for columns in _BOXES if set(columns) <= set(header)), ())
    form = Detections if box else Text if "text" in header and "class" not in header else Classification
    _check_kind(path, header, form, kind)
    word = "text" if form is Text else "class"
    scored = "score" in header
    rows = [
        _row(path, n, cells, scored, box, form)
        for n, cells in enumerate(rows_of(path, text, ("image", word, *box), ("score",)), 2)
    ]
    if not rows:
        raise DataError("has no row below its header; expected one or more an image", subject=path)
    called = images_called((row.image for row in rows), images)
    by_image: dict[str, list[_Row]] = {}
    for row in rows:
        if row.image in called:
            by_image.setdefault(called[row.image], []).append(row)
    strangers = list(dict.fromkeys(row.image for row in rows if row.image not in called))
    warnings = [] if scored else [_without_scores("texts" if form is Text else "order and classes")]
    if form is Text:
        return Found({name: _text(path, own) for name, own in by_image.items()}, strangers, warnings)
    classes, notes = _classes(path, [row for own in by_image.values() for row in own if row.word], labels)
    warnings += notes
    if form is Detections:
        return Found({name: _objects(own, classes) for name, own in by_image.items()}, strangers, warnings)
    ranked: dict[str, Result] = {}
    again = 0
    for name, own in by_image.items():
        ranked[name], twice = _ranked(path, own, classes, kind or Classification)
        again += twice
    return Found(ranked, strangers, [*warnings, *repeated_rows(again)])


def _check_kind(path: Path, header: Sequence[str], form: type, kind: type | None) -> None:
    fits = kind is None or (issubclass(kind, form) if form is not Classification else kind in (Classification, Labels))
    if fits and (kind is None or kind.__name__ != "TextRegions" or form is Detections):
        return
    assert kind is not None
    wanted = "image,class,score" if kind in (Classification, Labels) else "image,text" if kind is Text else ""
    if issubclass(kind, Detections):
        wanted = f"image,class,score,{','.join(_CORNERS)}"
    cure = f"expected the columns {wanted}" if wanted else "write a folder of taps with its results, see docs/taps.md"
    raise DataError(
        f"has the columns {', '.join(header)}, and the reference gives {kind.__name__}: {cure}", subject=path
    )


def _row(path: Path, number: int, cells: Sequence[str], scored: bool, box: Sequence[str], form: type) -> _Row:
    image, word, *numbers, score = cells
    if not image:
        raise DataError("no image; name one in each row", subject=path, key=f"line {number}")
    empty = not word and not any(numbers)
    if form is Detections and empty:
        return _Row(number, image, "", math.nan)
    values = [_number(n) for n in numbers]
    if not all(map(math.isfinite, values)):
        raise DataError(
            f"expected {','.join(box)} as finite numbers, or all empty where there is no object, got {quoted_list(numbers)}",
            subject=path,
            key=f"line {number}",
        )
    if form is Detections and not word:
        raise DataError("no class; name one for each box", subject=path, key=f"line {number}")
    own = _number(score) if scored else math.nan
    if scored and (word or form is Text) and not math.isfinite(own):
        raise DataError(
            f"expected score as a finite number, got {score!r}; leave the whole column out where there is none",
            subject=path,
            key=f"line {number}",
        )
    if values and not _BOXES[tuple(box)]:
        values[2:] = [values[0] + values[2], values[1] + values[3]]
    return _Row(number, image, word, own, tuple(values))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _without_scores(compared: str) -> Warning:
    return Warning(
        "scores-unknown", f"the answers have no scores: their {compared} alone are compared", "log a column score"
    )


def _classes(path: Path, rows: Sequence[_Row], labels: Sequence[str] | None) -> tuple[Mapping[str, int], list[Warning]]:
    """The model's class of each text: a label, or a number counted from 0. What is neither stays a class of its own, behind the
    model's, where others are known; a number is taken as it is, however far beyond."""
    texts = list(dict.fromkeys(row.word for row in rows))
    names = list(labels or [])
    if all(re.fullmatch(_NUMBER, t) for t in texts) and not set(texts) <= set(names):
        beyond = [t for t in texts if names and not 0 <= int(t) < len(names)]
        said = f"of the classes, given as numbers, {quoted_list(beyond)} are none of the model's {len(names)}"
        return {t: int(t) for t in texts}, [Warning("unknown-classes", said)] if beyond else []
    if not names:
        raise DataError(
            f"classes are given by name ({quoted_list(texts)}), but the model has no labels: set postprocess.labels",
            subject=path,
        )
    pairs = pair_names(names, texts)
    found = {texts[at]: k for k, at in pairs.by_first.items()}
    unknown = [t for t in texts if t not in found]
    if texts and not found:
        near = did_you_mean(texts[0], names)
        said = f"no class is one of the model's: {quoted_list(texts)}{near}, where it has {labels_text(names)}"
        raise DataError(f"{said}; write labels as the model has them, or numbers counted from 0", subject=path)
    notes = folded_note(pairs.folded)
    if unknown:
        count = sum(row.word not in found for row in rows)
        what = f"{count_of(count, 'answer')} are of a class that the model does not have"
        notes.append(Warning("unknown-classes", f"{what}: {short_list([printable(t) for t in unknown])}"))
    # A log that has no name for a class writes its number.
    return found | {t: int(t) if re.fullmatch(_NUMBER, t) else len(names) + n for n, t in enumerate(unknown)}, notes


def _ordered(rows: Sequence[_Row]) -> list[_Row]:
    """By descending score; as they come where there are none."""
    return sorted(rows, key=lambda row: 0.0 if math.isnan(row.score) else -row.score)


def _ranked(path: Path, rows: Sequence[_Row], classes: Mapping[str, int], kind: type) -> tuple[Result, int]:
    """And how many rows say a class again: a class is found once."""
    named = [row for row in _ordered(rows) if row.word]
    if kind is Classification and not named:
        raise DataError("no class; name one for each image", subject=path, key=f"line {rows[0].number}")
    first: dict[int, _Row] = {}
    for row in named:
        first.setdefault(classes[row.word], row)
    once = list(first.values())
    ids = np.array([classes[row.word] for row in once], np.int64)
    scores = np.array([row.score for row in once], np.float32)
    own: Result = Labels(ids, scores) if kind is Labels else Classification(ids, scores)
    return own, len(named) - len(once)


def _objects(rows: Sequence[_Row], classes: Mapping[str, int]) -> Result:
    own = [row for row in _ordered(rows) if row.box]
    return Detections(
        np.array([row.box for row in own], np.float32).reshape(-1, 4),
        np.array([row.score for row in own], np.float32),
        np.array([classes[row.word] for row in own], np.int64),
    )


def _text(path: Path, rows: Sequence[_Row]) -> Result:
    if len(rows) > 1:
        raise DataError(
            "another text of an image that has one; keep one row an image", subject=path, key=f"line {rows[1].number}"
        )
    try:
        return Text.of(rows[0].word, rows[0].score)
    except ValueError as e:
        raise DataError(f"no text ({e})", subject=path, key=f"line {rows[0].number}") from None
