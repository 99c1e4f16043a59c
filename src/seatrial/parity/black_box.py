"""Final results that a black box logged, as a candidate shows them: COCO results JSON, or a CSV of images and classes.

For: which image each answer is of, and what is missing. Not for: the two forms (coco_answers.py, csv_answers.py), or truth.
They lie here and not in seatrial.taps since images, ids and class names are told as a truth's are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seatrial.errors import DataError, count_of, did_you_mean, option, short_list
from seatrial.images.files import ImageFile
from seatrial.kernels.results import Detections
from seatrial.parity.coco_answers import read_coco_answers
from seatrial.parity.csv_answers import read_csv_answers
from seatrial.pipeline.results import Result
from seatrial.taps.shown import ImageTaps
from seatrial.warning import Warning


@dataclass(frozen=True)
class Asked:
    """What the plan knows of the question. kind: of the reference's results, None where only its code knows. sizes_hw: of each
    image. labels: names of the model's classes. categories: COCO's category of each class, where the plan or its truth tells.
    annotations: COCO truth whose image ids the answers may use."""

    kind: type | None
    images: Sequence[ImageFile]
    sizes_hw: Sequence[tuple[int, int]]
    labels: Sequence[str] | None = None
    categories: Sequence[int | None] = ()
    annotations: Path | None = None


@dataclass(frozen=True, eq=False)
class Answers:
    """Shown, with results alone. Scores that nobody logged are NaN."""

    results: Mapping[str, Result]
    warnings: tuple[Warning, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.results)

    @property
    def stages(self) -> frozenset[str]:
        return frozenset({"results"})

    def load(self, name: str) -> ImageTaps:
        if name not in self.results:
            raise DataError(f"no answer for an image called {name!r}{did_you_mean(name, list(self.results))}")
        return ImageTaps(results=self.results[name])


def read_answers(path: Path, asked: Asked, rowless_are_empty: bool = False) -> Answers:
    """rowless_are_empty: whether an image without a row of COCO JSON has no objects; else it was not asked.

    DataError where the file is malformed, is of another kind than the reference's results, or lacks images of the plan.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        why = getattr(e, "strerror", None) or e
        raise DataError(
            f"cannot be read ({why}); expected COCO results JSON, or a CSV with a header", subject=path
        ) from None
    is_json = text.lstrip()[:1] in ("[", "{")
    found = (
        read_coco_answers(path, text, asked.images, asked.sizes_hw, asked.kind, asked.categories, asked.annotations)
        if is_json
        else read_csv_answers(path, text, asked.images, asked.kind, asked.labels)
    )
    missing = [i.name for i in asked.images if i.name not in found.results]
    warnings = list(found.warnings)
    results = dict(found.results)
    if missing:
        if not (is_json and rowless_are_empty) or len(missing) == len(asked.images):
            raise DataError(_uncovered(missing, len(asked.images), found.strangers, is_json), subject=path)
        results |= dict.fromkeys(missing, _nothing())
        said = f"{len(missing)} of {count_of(len(asked.images), 'image')} have no row and are taken to have no objects"
        warnings.append(Warning("rowless-answers", f"{said}: {short_list(missing)}"))
    if found.strangers:
        said = f"answers for {count_of(len(found.strangers), 'image')} that the plan does not have are left out"
        warnings.append(Warning("unknown-images", f"{said}: {short_list(found.strangers)}"))
    ordered = {i.name: results[i.name] for i in asked.images}
    return Answers(ordered, tuple(w.of(path.name) for w in warnings))


def _nothing() -> Detections:
    return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


def _uncovered(missing: Sequence[str], images: int, strangers: Sequence[str], is_json: bool) -> str:
    also = (
        f", and {count_of(len(strangers), 'other')} that the plan does not have: {short_list(strangers)}"
        if strangers
        else ""
    )
    said = f"no answer for {len(missing)} of the plan's {count_of(images, 'image')}: {short_list(missing)}{also}"
    if len(missing) == images:
        return f"{said}; name images as the plan does, by file name or its stem, or by the ids of images.annotations"
    empty = f", or give {option('rowless_are_empty')} where an image without a row has no objects" if is_json else ""
    return f"{said}; name only the answered ones in images.path{empty}"
