"""What the numbers of a run say against boxes and scores in a tensor each, of the formats that C++ reads: ssd, detr, rtdetr.

For: plausibility.py. Not for: other layouts (plausible_layouts.py).
"""

from __future__ import annotations

from seatrial.pipeline.plausible_layouts import images_of, span
from seatrial.plan.seen import Seen

# Sigmoids give 0 to 1; boxes that are refined further, or a corner outside the picture, a little more.
FRACTIONS = (-0.5, 2.0)
# SSD's offsets from anchors may lead out of the picture; pixels lead much further.
LOOSE_FRACTIONS = (-16.0, 16.0)


def read_as(form: str, boxes: Seen, scores: Seen) -> str:
    """Why the two cannot be what the format reads; '' where nothing shows that."""
    b, s = boxes.columns, scores.columns
    if b is None or s is None:
        return ""
    low, high = LOOSE_FRACTIONS if form == "ssd" else FRACTIONS
    if not b.within(low, high):
        swapped = " (boxes and scores swapped? name them in outputs: [boxes, scores])" if s.high.size == 4 else ""
        return f"expects boxes as fractions of the input, but they go from {span(b)} over {images_of(boxes)}{swapped}"
    if form == "ssd":
        if not s.probabilities:
            return f"expects probabilities, but its scores go from {span(s)} over {images_of(scores)}"
        if not b.blank and boxes.share("corners") < 0.5:
            turned = 1 - boxes.share("corners")
            return f"expects boxes as two corners, but in {turned:.0%} of them the second lies before the first"
        return ""
    if s.probabilities and not s.blank:
        return f"expects logits, but all scores are probabilities already ({span(s)} over {images_of(scores)})"
    last, negative = scores.share("last"), scores.share("negative")
    if form == "detr" and last < 0.5 and negative > 0.9:
        return (
            f"expects a last column 'no object' that wins where nothing is, but it wins in {last:.0%} of the queries and "
            f"{negative:.0%} have no logit above 0"
        )
    if form == "rtdetr" and last > 0.5 and negative < 0.5:
        return (
            f"expects a sigmoid a class, but the last column wins in {last:.0%} of the queries with logits above 0: a "
            "'no object' would be read as a class"
        )
    return ""
