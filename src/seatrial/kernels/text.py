"""What text stands in an image, from a row of characters' probabilities a step: CTC's best path. Public as
seatrial.TextDecoder.

For: PaddleOCR's rec models, RapidOCR, CRNN. Not for: where the text stands (text_regions.py), decoders with attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import count_of
from seatrial.kernels.arguments import one_of
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.postprocess import Outputs, checked_outputs
from seatrial.kernels.results import Text

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
BLANKS = ("first", "last")


@dataclass(frozen=True)
class TextDecoder:
    """One output (B, steps, classes) to Text: of each step the best class, repeats merged, blanks dropped (Graves et al.,
    Connectionist Temporal Classification, 2006: best path).

    The score is the mean of the kept steps' probabilities, each the first step of its repeats, as in PaddleOCR's
    CTCLabelDecode; 0 for an empty text. Ties go to the lower class. A NaN is never the best, and a step of nothing else is a
    blank.

    Args:
        characters: what each class stands for, mostly one character, without the blank.
        blank: whether the blank is the first class (PaddleOCR, EasyOCR) or the last (docTR, Keras).
        space: whether a space stands behind the last of `characters`, as PaddleOCR's use_space_char adds it.
        activation: softmax where the output holds logits; none where it holds probabilities.

    Raises:
        ValueError: an argument or an output's shape is not as expected.
    """

    characters: tuple[str, ...]
    blank: str = "first"
    space: bool = False
    activation: str = "none"

    def __post_init__(self) -> None:
        one_of("blank", self.blank, BLANKS)
        one_of("activation", self.activation, ["none", "softmax"])
        if not self.characters or not all(isinstance(c, str) for c in self.characters):
            raise ValueError("characters: expected a text for each class but the blank, got none")

    @cached_property
    def alphabet(self) -> tuple[str, ...]:
        """By class; '' for the blank."""
        own = (*self.characters, " ") if self.space else self.characters
        return ("", *own) if self.blank == "first" else (*own, "")

    def __call__(self, outputs: Outputs, geometries: Sequence[Geometry]) -> list[Text]:
        steps = self._steps(checked_outputs(outputs, geometries))
        best, scores = _best(steps)
        blank = 0 if self.blank == "first" else steps.shape[2] - 1
        best = np.where(np.isneginf(scores), blank, best)
        kept = best != blank
        kept[:, 1:] &= best[:, 1:] != best[:, :-1]
        return [self._text(s[k], b[k], v[k]) for s, b, v, k in zip(steps, best, scores, kept, strict=True)]

    def _steps(self, outputs: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        if len(outputs) != 1 or outputs[0].ndim != 3 or 0 in outputs[0].shape or outputs[0].dtype.kind != "f":
            shapes = ", ".join(f"{tuple(o.shape)} {o.dtype}" for o in outputs) or "none"
            raise ValueError(f"text: expected one output (B, steps, classes) of floats, got {shapes}")
        problem = alphabet_problem(outputs[0].shape[2], len(self.characters), self.space, self.blank)
        if problem:
            raise ValueError(f"text: output of shape {tuple(outputs[0].shape)} {problem}")
        return outputs[0]

    def _text(self, steps: npt.NDArray[Any], best: I64, scores: npt.NDArray[Any]) -> Text:
        """Of the kept steps (L, classes), the best class and its value of each."""
        if not len(best):
            return Text.of("", 0.0)
        chances = scores.astype(np.float32)
        if self.activation == "softmax":
            with np.errstate(invalid="ignore"):
                apart = np.exp(steps.astype(np.float32) - chances[:, None])
            # The greatest has its own share of 1; of infinities nothing else is left.
            chances = 1 / np.maximum(np.nansum(apart, axis=1), 1)
        return Text.of("".join(self.alphabet[k] for k in best.tolist()), float(chances.mean(dtype=np.float64)))


def _best(steps: npt.NDArray[Any]) -> tuple[I64, npt.NDArray[Any]]:
    """The best class of each step and its value; -infinity where there is none."""
    best = steps.argmax(axis=2)
    scores = np.take_along_axis(steps, best[..., None], axis=2)[..., 0]
    broken = np.isnan(scores)
    if broken.any():  # NumPy takes a NaN for the greatest
        whole = np.nan_to_num(steps[broken], nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        best[broken], scores[broken] = whole.argmax(axis=1), whole.max(axis=1)
    return best, scores


def alphabet_problem(classes: int, characters: int, space: bool, blank: str) -> str:
    """Why so many classes are not so many characters, a blank and perhaps a space; '' where they are.

    A phrase that continues 'the output …'.
    """
    spaces = 1 if space else 0
    if classes == characters + 1 + spaces:
        return ""
    said = (
        f"has {count_of(classes, 'class', 'classes')}: a blank ({blank}){', a space' if space else ''} and "
        f"{count_of(max(0, classes - 1 - spaces), 'character')}, but the dictionary has {characters}"
    )
    if classes == characters + 2 and not space:
        return (
            f"{said}; one class is left: either the dictionary lacks a line, and each character behind it is read as "
            "its neighbour, or the class is a space behind the last, as PaddleOCR's exports have it; compare the "
            "dictionary with that of the training, and set space: true only where it is whole"
        )
    if classes == characters + 1 and space:
        return f"{said}; no class is left for a space: set space: false"
    if classes == characters:
        beside = " or the space" if space else ""
        return f"{said}, as many as classes: take the blank{beside} out of the dictionary, which names characters alone"
    return f"{said}; give the dictionary that the model was trained with, one character a line"
