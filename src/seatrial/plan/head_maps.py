"""Which map an output is: a class a pixel, one object's mask, or a value such as a depth. Always to be checked but for labels.

For: maps of one channel, and several maps of which one is to be read. Not for: heads of boxes (head_lists.py and beside it).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.plan.head_finding import NOT_RUN, Finding, Hw, Shape, shape_of
from seatrial.plan.seen import Seen

_VALUE = re.compile(r"depth|disp|height_?map")
LEAST_SIDE = 16


def is_one_channel(shape: Shape, hw: Hw) -> bool:
    """A map without a dimension for classes, or with one of 1. Of three dimensions its sides are like the input's."""
    if len(shape) == 4:
        return shape[1] == 1
    rows, columns = shape[1:3] if len(shape) == 3 else (None, None)
    if not isinstance(rows, int) or not isinstance(columns, int) or hw is None or min(rows, columns) < LEAST_SIDE:
        return False
    return rows * hw[1] == columns * hw[0]


def find_one_channel(info: ModelInfo, output: TensorInfo, shape: Shape, seen: Seen | None) -> Finding:
    said = " × ".join("?" if d is None else str(d) for d in shape)
    if _VALUE.search(output.name.lower()):
        return Finding("dense", f"an output called {output.name}, {said}")
    if seen is None or seen.span[0] > seen.span[1]:
        whole = output.dtype.startswith(("int", "uint"))
        return Finding("class_map" if whole else "one_channel", f"{said}, {NOT_RUN}")
    low, high = seen.span
    there = f"{said}, on a picture from {low:.3g} to {high:.3g}"
    if seen.whole and low >= 0:
        labels = len(info.labels() or [])
        a_map = len(shape) >= 3 and min(d for d in shape[-2:] if isinstance(d, int)) >= LEAST_SIDE
        sure = bool(labels) and not seen.dtype.startswith("float") and high < labels and a_map
        return Finding("class_map", f"{there}, all whole numbers", sure)
    if low >= -0.01 and high <= 1.01:
        said = f"{there}, which may be probabilities: of an object, or of text (then set task: text, format: db)"
        return Finding("one_channel", said, activation="none")
    if low < 0 < high:
        return Finding("one_channel", f"{there}, which may be logits", activation="sigmoid")
    return Finding("dense", f"{there}, which are no probabilities")


def find_in_maps(info: ModelInfo, seen: Mapping[str, Seen], hw: Hw) -> Finding | None:
    """Of several outputs, where one is surely the map to read: by its name, or as the first of a mask and its side outputs."""
    shapes = [shape_of(o, seen) for o in info.outputs]
    named = [k for k, o in enumerate(info.outputs) if _VALUE.search(o.name.lower()) and is_one_channel(shapes[k], hw)]
    if len(named) == 1:
        output = info.outputs[named[0]]
        return Finding("dense", f"of {len(shapes)} outputs the one called {output.name}", False, (output.name,))
    if any(len(s) != 4 for s in shapes) or len({tuple(s[1:]) for s in shapes}) != 1:
        return None
    first, said = info.outputs[0], f"{len(shapes)} maps, all as large"
    if shapes[0][1] == 1:
        found = find_one_channel(info, first, shapes[0], seen.get(first.name))
        because = f"{said}: a mask and its side outputs? the first is read; {found.because}"
        return Finding(found.key, because, False, (first.name,), found.activation)
    if _torchvision(info.outputs):
        return Finding("segment", f"{said}: 'out', and 'aux' that only training needs", False, ("out",))
    return None


def _torchvision(outputs: Sequence[TensorInfo]) -> bool:
    return {o.name for o in outputs} == {"out", "aux"}
