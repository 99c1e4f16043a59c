"""Rules for boxes and scores in a tensor each, and which of the two holds the boxes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from seatrial.model.file import TensorInfo
from seatrial.plan.head_finding import MOST_QUERIES, NOT_RUN, Finding, in_numbers, shape_of
from seatrial.plan.seen import Seen

# In logarithms of sizes, or in sizes of an anchor.
MOST_OFFSET = 30
_BOXES = re.compile(r"box|dets|loc|coord", re.I)
_SCORES = re.compile(r"logit|label|score|conf|cls|class|prob", re.I)


def find_in_pair(first: TensorInfo, second: TensorInfo, seen: Mapping[str, Seen]) -> Finding:
    chosen = which_is_boxes(first, second, seen)
    if chosen is None:
        wide = [t for t in (first, second) if shape_of(t, seen)[2] == 4]
        return Finding("pair_alike" if len(wide) == 2 else "unknown", f"outputs are {first}, {second}")
    boxes, scores = (first, second) if chosen == 0 else (second, first)
    names = (boxes.name, scores.name)
    rows = shape_of(boxes, seen)[1]
    queries = isinstance(rows, int) and rows <= MOST_QUERIES
    b, s = seen.get(boxes.name), seen.get(scores.name)
    deep, across = shape_of(scores, seen)[1:]
    if isinstance(rows, int) and across == rows and deep != rows:
        unit = f"; boxes up to {b.columns.most:.3g}" if b is not None and b.columns is not None else ""
        pixels = b is None or b.columns is None or b.columns.most > 4
        said = f"{rows} boxes, and scores {deep} × {across}{unit}"
        return Finding("ppyoloe" if pixels else "unknown", said, False, names if pixels else ())
    if b is None or s is None or b.columns is None or s.columns is None:
        sigmoid = queries and ("dets" in boxes.name.lower() or (rows or 0) > 200)  # type: ignore[operator]
        key = ("rtdetr" if sigmoid else "detr") if queries else "ssd"
        return Finding(key, f"{rows} boxes, {shape_of(scores, seen)[2]} columns of scores; {NOT_RUN}", False, names)
    numbers = f"{in_numbers(b.columns, s.columns)}"
    if not queries and _are_offsets(b):
        if not s.columns.probabilities:
            return Finding("pair_logits", numbers)
        return Finding("pair_offsets_softmax" if s.sums[0] >= 0.98 and s.sums[1] <= 1.02 else "pair_offsets", numbers)
    if b.columns.most > 4:
        if not s.columns.probabilities:
            return Finding("pair_pixels_logits", numbers)
        corners = b.share("corners") > 0.5
        return Finding("pair_pixels" if corners else "pair_sizes", numbers, False, names if corners else ())
    if s.columns.probabilities:
        background = s.share("first") > 0.5
        sums_to_one = s.sums[0] >= 0.98 and s.sums[1] <= 1.02
        if (sums_to_one and not queries) or (background and b.share("corners") > 0.9 and s.columns.high.size > 1):
            return Finding(
                "ssd", f"{numbers}; class 0 is the greatest in {s.share('first'):.0%} of the rows", False, names
            )
        return Finding("pair_no_background", numbers)
    if not queries or b.columns.least < -0.5:
        return Finding("pair_logits", numbers)
    return Finding(*_softmax_or_sigmoid(s, numbers), False, names)


def _are_offsets(boxes: Seen) -> bool:
    """Logarithms of sizes go as far below 0 as above; sizes do not, and second corners lie behind the first."""
    values = boxes.columns
    if values is None or not values.within(-MOST_OFFSET, MOST_OFFSET) or boxes.share("corners") > 0.9:
        return False
    return float(values.low[2:].min()) < -0.1 * values.most


def _softmax_or_sigmoid(scores: Seen, numbers: str) -> tuple[str, str]:
    """DETR's queries mostly answer 'no object', by a high last logit; with a sigmoid each, they answer by low ones."""
    last, negative = scores.share("last"), scores.share("negative")
    why = f"{numbers}; the last column is the greatest in {last:.0%} of the queries, and {negative:.0%} have only negative ones"
    return ("detr" if last > 0.5 and negative < 0.5 else "rtdetr"), why


def which_is_boxes(first: TensorInfo, second: TensorInfo, seen: Mapping[str, Seen]) -> int | None:
    """0 or 1 by width, by names, by numbers; None where none of them tells."""
    widths = [shape_of(t, seen)[2] for t in (first, second)]
    # A width that the file leaves open may be four too.
    four = [not isinstance(w, int) or w == 4 for w in widths]
    if sum(four) < 2:
        return four.index(True) if any(four) else None
    named = [bool(_BOXES.search(t.name)) and not _SCORES.search(t.name) for t in (first, second)]
    if sum(named) == 1:
        return named.index(True)
    if widths.count(4) == 1:
        return widths.index(4)
    ranges = [seen[t.name].columns if t.name in seen else None for t in (first, second)]
    fractions = [r is not None and r.within(-0.5, 2) and not r.blank for r in ranges]
    return fractions.index(True) if sum(fractions) == 1 and None not in ranges else None
