"""A truth in which nothing is there to be found, of whatever kind: said before anything runs, and no figure is made of it.

For: warnings. Not for: the figures, each of which is undefined where its truth is empty (evaluation.py and the others).
"""

from __future__ import annotations

from seatrial.errors import count_of
from seatrial.parity.left_out import left_out
from seatrial.parity.truth import Truth
from seatrial.warning import Warning


def nothing_to_find(truth: Truth, task: str = "") -> list[Warning]:
    """What is to be said of a truth without a single object, label, region or text, and of texts that are partly empty."""
    found = _counted(truth, task)
    if found is None:
        return []
    images, count, one = found
    if not count:
        said = f"none of the trial's {count_of(images, 'image')} has {one} in the truth: no accuracy{_why(truth, task)}"
        return [Warning("no-objects", said, "annotate them, or take others")]
    empty = [name for name, text in (truth.texts or {}).items() if not text]
    if not empty:
        return []
    said = (
        f"{len(empty)} of {count_of(images, 'text')} in the truth are empty, first of {empty[0]}: there a model is right that "
        "reads nothing"
    )
    return [Warning("empty-texts", said)]


def _why(truth: Truth, task: str) -> str:
    """', 13 of 13 annotations not judged (iscrowd)'."""
    found = str(left_out(truth.coco["annotations"], task == "pose")) if truth.coco is not None else ""
    return f", {found}" if found else ""


def _counted(truth: Truth, task: str) -> tuple[int, int, str] | None:
    """How many images it is about, how many things there are to be found, and what one of them is."""
    if truth.coco is not None:
        rows = truth.coco["annotations"]
        # A segmentation's crowds are pixels like others.
        judged = len(rows) - (0 if task == "segment" else left_out(rows, task == "pose").count)
        one = (
            "an object with a visible keypoint"
            if task == "pose"
            else "an object that is judged"
            if rows
            else "an object"
        )
        return len(truth.coco["images"]), judged, one
    if truth.label_sets is not None:
        return len(truth.label_sets), sum(map(len, truth.label_sets.values())), "a label"
    if truth.texts is not None:
        return len(truth.texts), sum(map(len, truth.texts.values())), "a character"
    if truth.regions is not None:
        regions = [r for own in truth.regions.values() for r in own if r.judged]
        return len(truth.regions), len(regions), "a region of text that is judged"
    if truth.masks is not None:
        # 0 is the background, as label images have it.
        return (
            len(truth.masks.files),
            len(set(truth.masks.judged) - {0}),
            "a pixel of another class than 0 that is judged",
        )
    return None
