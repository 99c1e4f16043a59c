"""Texts beside each other: whether they are the same, and how many characters apart they are.

For: agreement of two pipelines, and accuracy against a truth. Not for: reading a truth (text_truth.py).

Two texts are the same where their characters are, in Unicode's composed form (NFC): how an accent is encoded is no
difference; capitals, spaces and full-width forms are.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seatrial.errors import DataError, count_of
from seatrial.images.files import ImageFile
from seatrial.kernels.results import Text
from seatrial.parity.evaluation import MeanEvaluation
from seatrial.parity.truth import Truth
from seatrial.pipeline.results import Result


def normal(text: str) -> str:
    """In the form in which texts are compared."""
    return unicodedata.normalize("NFC", text)


def same_text(reference: Text, candidate: Text) -> float:
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


@dataclass(frozen=True)
class Characters:
    """How many characters a truth has in all, and how many edits lead there from what was read."""

    edits: int
    count: int

    @property
    def accuracy(self) -> float | None:
        """1 - character error rate; below 0 where more is wrong than is there. None where nothing is there."""
        return 1 - self.edits / self.count if self.count else None


def characters(pairs: Sequence[tuple[str, str]]) -> Characters:
    """Over pairs of a truth and what was read, pooled."""
    normals = [(normal(a), normal(b)) for a, b in pairs]
    return Characters(sum(edit_distance(a, b) for a, b in normals), sum(len(a) for a, _ in normals))


def similarity_said(pairs: Sequence[tuple[Any, Any]]) -> str:
    """'2 of 93 characters differ' of results of both sides, of the longer one of each pair; '' where none does."""
    texts = [(normal(r.text), normal(c.text)) for r, c in pairs if isinstance(r, Text) and isinstance(c, Text)]
    edits = sum(edit_distance(a, b) for a, b in texts)
    return f"{edits} of {sum(max(len(a), len(b)) for a, b in texts)} characters differ" if edits else ""


@dataclass(frozen=True)
class WordEvaluation(MeanEvaluation):
    """Word accuracy: the share of images whose text is right as a whole. beside: what characters say, in words."""

    beside: str = ""


def check_texts(truth: Truth) -> None:
    """DataError where the truth has no texts."""
    if truth.texts is None:
        raise DataError(
            f"{truth.path}: a pipeline of task 'text', format 'ctc', is judged by texts: a CSV with columns image,text, or a "
            "label file whose lines are a name, a tab and a text; give that, or leave images.annotations out"
        )


def evaluate_texts(texts: dict[str, str], images: Sequence[ImageFile], results: Sequence[Result]) -> WordEvaluation:
    """texts: by image's name. results: texts, or None, which is right nowhere and has no character."""
    pairs = [(texts[i.name], r.text if isinstance(r, Text) else None) for i, r in zip(images, results, strict=True)]
    right = [read is not None and normal(true) == normal(read) for true, read in pairs]
    found = characters([(true, read or "") for true, read in pairs])
    accuracy = "undefined" if found.accuracy is None else f"{found.accuracy:.3f}"
    beside = (
        f"character accuracy {accuracy} (1 - {count_of(found.edits, 'edit')} / {count_of(found.count, 'character')})"
    )
    return WordEvaluation("word accuracy", np.array(right, np.float64), beside)
