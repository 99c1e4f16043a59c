"""Texts beside each other: whether they are the same, and how many characters apart they are.

For: agreement of two pipelines, and accuracy against a truth. Not for: reading a truth (text_truth.py).

Two texts are the same where their characters are, in Unicode's composed form (NFC): how an accent is encoded is no
difference; capitals, spaces and full-width forms are.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import DataError, count_of, short_list
from seatrial.images.files import ImageFile
from seatrial.kernels.results import Text
from seatrial.parity.evaluation import NOTHING_NOTED, MeanEvaluation, Noted
from seatrial.parity.odd_results import alike_but_for
from seatrial.parity.truth import Truth
from seatrial.pipeline.results import Result
from seatrial.warning import Warning

F64 = npt.NDArray[np.float64]


def normal(text: str) -> str:
    """In the form in which texts are compared."""
    return unicodedata.normalize("NFC", text)


def same_text(reference: Text, candidate: Text) -> float:
    """1 or 0; NaN where neither has a character, on which nothing agrees."""
    if not len(reference.code_points) and not len(candidate.code_points):
        return float("nan")
    return float(normal(reference.text) == normal(candidate.text))


def edit_distance(a: str, b: str) -> int:
    """Characters to be put in, taken out or replaced, at least (Levenshtein, 1966)."""
    if a == b:
        return 0
    ours, theirs = (np.array([ord(c) for c in text], np.int64) for text in (a, b))
    places = np.arange(len(theirs) + 1)
    row = places.copy()
    for k, character in enumerate(ours, start=1):
        # Without putting in, which goes along the row: the least so far, one more a place.
        best = np.append(k, np.minimum(row[1:] + 1, row[:-1] + (theirs != character)))
        row = np.minimum.accumulate(best - places) + places
    return int(row[-1])


def similarity_said(pairs: Sequence[tuple[Any, Any]]) -> str:
    """'2 of 93 characters differ' of results of both sides, of the longer one of each pair; '' where none does."""
    texts = [(normal(r.text), normal(c.text)) for r, c in pairs if isinstance(r, Text) and isinstance(c, Text)]
    edits = sum(edit_distance(a, b) for a, b in texts)
    return f"{edits} of {sum(max(len(a), len(b)) for a, b in texts)} characters differ" if edits else ""


@dataclass(frozen=True)
class WordEvaluation(MeanEvaluation):
    """Word accuracy: the share of images whose text is right as a whole. edits, characters (images,): how many edits lead from
    what was read to the truth, and how many characters the truth has."""

    edits: F64
    characters: F64
    noted: Noted = NOTHING_NOTED

    @property
    def character_accuracy(self) -> float | None:
        """1 - character error rate, pooled; below 0 where more is wrong than is there. None where nothing is there."""
        count = float(self.characters.sum())
        return 1 - float(self.edits.sum()) / count if count else None

    @property
    def beside(self) -> str:
        accuracy = "undefined" if self.character_accuracy is None else f"{self.character_accuracy:.3f}"
        edits, count = count_of(int(self.edits.sum()), "edit"), count_of(int(self.characters.sum()), "character")
        return f"character accuracy {accuracy} (1 - {edits} / {count})"

    def weighted(self, weights: F64) -> F64:
        """NaN where no character is there to be read: an empty text alone is right for a model that reads nothing."""
        return np.where(weights @ self.characters > 0, super().weighted(weights), np.nan)

    def with_copy(self, image: int, found: bool) -> MeanEvaluation:
        """Of words alone."""
        return MeanEvaluation(self.metric, self.values).with_copy(image, found)

    def with_perfect(self, image: int) -> MeanEvaluation:
        """Of words alone."""
        return MeanEvaluation(self.metric, self.values).with_perfect(image)

    def columns(self, names: Sequence[str]) -> dict[str, Any]:
        return {**super().columns(names), "edits": self.edits, "characters": self.characters}


def check_texts(truth: Truth) -> None:
    """DataError where the truth has no texts."""
    if truth.texts is None:
        raise DataError(
            f"{truth.path}: a pipeline of task 'text', format 'ctc', is judged by texts: a CSV with columns image,text, or a "
            "label file whose lines are a name, a tab and a text; give that, or leave images.annotations out"
        )


def unreadable(truth: Truth, characters: Sequence[str], space: bool) -> list[Warning]:
    """Texts with characters that no class stands for: the model can never be right of these. characters: of the dictionary."""
    known = set(normal("".join(characters))) | ({" "} if space else set())
    lacking = Counter(c for text in (truth.texts or {}).values() for c in set(normal(text)) - known)
    if not lacking:
        return []
    texts = [t for t in (truth.texts or {}).values() if set(normal(t)) - known]
    said = (
        f"{len(texts)} of {count_of(len(truth.texts or {}), 'text')} in the truth have characters that no class of the "
        f"dictionary stands for, and can never be read: {short_list([f'{c!r} (in {n})' for c, n in lacking.most_common()])}"
    )
    cure = "set space: true where the model was trained with one" if " " in lacking else ""
    return [Warning("unreadable-texts", said, cure or "is postprocess.labels the model's own dictionary?")]


def evaluate_texts(texts: dict[str, str], images: Sequence[ImageFile], results: Sequence[Result]) -> WordEvaluation:
    """texts: by image's name. results: texts, or None, which is right nowhere and has no character."""
    truth = [normal(texts[i.name]) for i in images]
    read = [normal(r.text) if isinstance(r, Text) else None for r in results]
    rows = [(a == b, edit_distance(a, b or ""), len(a)) for a, b in zip(truth, read, strict=True)]
    wrong = [(a, b) for a, b in zip(truth, read, strict=True) if b and a != b]
    values, edits, characters = np.array(rows, np.float64).reshape(-1, 3).T
    return WordEvaluation("word accuracy", values, edits, characters, Noted(warnings=alike_but_for(wrong)))
