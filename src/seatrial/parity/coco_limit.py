"""COCO's limit of detections of a class on an image: its figure is of the best 100, or of the best 20 poses.

For: keeping to it, so that figures are COCO's own, but where the truth itself has more: there no answer could find all, and a
model that gives up the rest would lose nothing. Not for: matching (objects.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from seatrial.errors import count_of

Row = dict[str, Any]


def within_limit(found: Sequence[Row], objects: Iterable[Row], most: int) -> tuple[list[Row], str]:
    """Rows of which the limit leaves something, in their order; and what is to be said: where it is lifted, where it binds.

    objects: all that is there to be found. It alone decides, so that each pipeline is judged alike.
    """
    there = Counter((a["image_id"], a["category_id"]) for a in objects)
    lifted = {key for key, count in there.items() if count > most}
    rows: dict[tuple[Any, Any], list[int]] = {}
    for at, row in enumerate(found):
        rows.setdefault((row["image_id"], row["category_id"]), []).append(at)
    over = {key: own for key, own in rows.items() if len(own) > most and key not in lifted}
    beyond: set[int] = set()
    for own in over.values():
        # As COCOeval has it: of equal scores the first.
        best = np.argsort([-found[at]["score"] for at in own], kind="mergesort")
        beyond.update(own[k] for k in best[most:].tolist())
    said = [
        f"COCO's limit of {most} of a class lifted on {_images(lifted)} with more objects" if lifted else "",
        f"the best {most} of a class judged on {_images(over)}, as COCO has it" if over else "",
    ]
    return [row for at, row in enumerate(found) if at not in beyond], ", ".join(filter(None, said))


def _images(keys: Iterable[tuple[Any, Any]]) -> str:
    return count_of(len({image for image, _ in keys}), "image")
