"""Rules for heads of text: a map of where it stands (DB), and a row of characters' scores a step (CTC).

For: PaddleOCR's and RapidOCR's exports, docTR's, CRNNs. Not for: other maps and lists (head_rules.py, head_lists.py).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.model.image_size import Size, layout_of
from seatrial.plan.head_finding import Finding, Shape
from seatrial.plan.seen import Seen

# What PaddleOCR's recognisers are trained with, since its third version: rec_image_shape 3, 48, 320.
LINE: Size = (48, 320)
# Heights of one line of text in usual recognisers; pictures of scenes are not so much wider than high.
_LINE_HEIGHTS, _LEAST_ASPECT = (32, 48, 64), 2
_OF_REGIONS = re.compile(r"ocr|dbnet|db_(resnet|mobilenet)|text[-_]?det|det[-_]infer", re.IGNORECASE)
_OF_PADDLE = "p2o."
_KEYS_OF_REGIONS = (("threshold", "0.3"), ("confidence", "0.6"), ("unclip_ratio", "1.5"))


def characters_count(info: ModelInfo) -> int:
    """Lines of the metadata's `character`, as RapidOCR and PaddleX write it; 0 where there is none."""
    text = info.metadata.get("character", "")
    return text.removesuffix("\n").count("\n") + 1 if text else 0


def open_size(info: ModelInfo) -> Size | None:
    """What to take for a recogniser of text that leaves its size open; None of other models."""
    return LINE if characters_count(info) else None


def find_text(info: ModelInfo, output: TensorInfo, shape: Shape, seen: Seen | None) -> Finding | None:
    """Of an output of three dimensions; None where nothing says that it is one of text."""
    count, classes = characters_count(info), shape[2]
    values = seen and (seen.rows or seen.columns)
    activation = "softmax" if values and not values.blank and not values.probabilities else "none"
    if _steps_first(info, output.shape):
        return Finding("ctc_steps_first", f"its output {output} has the batch of the input in its second place")
    if count and shape[1] in (count + 1, count + 2) and classes not in (count + 1, count + 2):
        return Finding(
            "ctc_classes_first", f"{count} characters in the metadata, and {shape[1]} classes before the steps"
        )
    span = f"; on a picture, values from {values.least:.3g} to {values.most:.3g}" if values else ""
    if count and classes in (count + 1, count + 2):
        space = classes == count + 2
        said = f"{count} characters in the metadata, and {classes} classes: a blank{' and a space' if space else ''} more{span}"
        # Of a picture that shows little text most steps are blank.
        first, last = (seen.share(side) if seen else 0.0 for side in ("first", "last"))
        said += (
            f"; {max(first, last):.0%} of the steps are of the {'last' if last > first else 'first'} class"
            if seen
            else ""
        )
        keys = (("blank", "last" if last > first else "first"), ("space", "true" if space else "false"))
        # PaddleOCR's recognisers of such letters give them in the order in which they are seen.
        turned = any(unicodedata.bidirectional(c) in ("R", "AL") for c in info.metadata.get("character", ""))
        said += "; letters written from right to left: is the text that it reads backwards?" if turned else ""
        # That the blank comes first is how who writes `character` has it.
        sure = values is not None and first > max(last, 0.3) and not turned
        return Finding("ctc", said, sure, activation=activation, keys=keys)
    if count and not isinstance(classes, int):
        keys = (("blank", "first"), ("space", "true"))
        said = (
            f"{count} characters in the metadata; the file does not say how many classes there are: is there a space?"
        )
        return Finding("ctc", said, activation=activation, keys=keys)
    if count:
        said = f"{count} characters in the metadata, but {classes} classes, where one or two more are expected"
        return Finding("ctc_nameless", said)
    if not _is_line(info) or not output.dtype.startswith("float") or not isinstance(classes, int) or classes < 3:
        return None
    if shape[1] == 1 and shape[0] != 1 and isinstance(shape[0], int):
        return Finding("ctc_steps_first", f"the input is one line of text, and the output {output}{span}")
    return Finding("ctc_nameless", f"the input is one line of text, and the output has {classes} classes a step{span}")


def find_regions(info: ModelInfo, shape: Shape, seen: Seen | None) -> Finding | None:
    """Of a map with one channel; None where nothing says that it is one of text."""
    dims = [d for t in info.inputs for d in t.shape]
    paddle = sum(isinstance(d, str) and d.startswith(_OF_PADDLE) for d in dims[1:]) >= 2
    named = _OF_REGIONS.search(info.path.stem)
    if shape[1] != 1 or (not paddle and not named):
        return None
    why = f"its file is called {info.path.name}" if named else "its dimensions are named as Paddle's exports name them"
    low, high = seen.span if seen else (0.0, 1.0)
    logits = seen is not None and low <= high and not (low >= -0.01 and high <= 1.01)
    span = f", from {low:.3g} to {high:.3g} on a picture" if seen and low <= high else ""
    keys = (*_KEYS_OF_REGIONS, *((("activation", "sigmoid"),) if logits else ()))
    said = f"a map of one channel{span}, and {why}; mattes, masks and depths are such maps too"
    return Finding("db", said, keys=keys)


def _steps_first(info: ModelInfo, shape: Sequence[int | str | None]) -> bool:
    batch = info.inputs[0].shape[0] if info.inputs and info.inputs[0].shape else None
    said = characters_count(info) or _is_line(info)
    return (
        bool(said)
        and isinstance(shape[0], int)
        and shape[0] != 1
        and shape[1] is not None
        and shape[1] == batch != shape[0]
    )


def _is_line(info: ModelInfo) -> bool:
    """Whether the input is as high as one line of text, and far wider, or as wide as one likes."""
    image = info.inputs[0] if info.inputs else None
    if image is None or len(image.shape) != 4:
        return False
    high, wide = (image.shape[axis] for axis in layout_of(image)[2])
    return high in _LINE_HEIGHTS and (not isinstance(wide, int) or wide >= _LEAST_ASPECT * int(high or 0))
