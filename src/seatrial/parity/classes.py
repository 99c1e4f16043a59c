"""Which class of a model is which class of the ground truth, and how that is known: the one place that decides it.

For: a map by names, by names folded (with a warning), by the plan's `class_ids`, or by order where
the counts agree (with a warning).
Not for: reading the truth (truth.py) or scoring (accuracy.py). What cannot be known is an error that shows both lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seatrial.errors import short_list
from seatrial.parity.coco_classes import BACKGROUND, map_categories
from seatrial.parity.csv_classes import map_texts
from seatrial.parity.label_images import map_numbers
from seatrial.parity.truth import Truth
from seatrial.warning import Warning


@dataclass(frozen=True)
class ClassMap:
    """Made by map_classes.

    ids: COCO truth: the category's id of each model class, None for a class that the truth does not have.
    index: truth in a CSV: the model's class of each class text of the trial's images.
    how: 'names', 'names, folded', 'index', 'order', 'coco91', 'coco80' or 'plan'.
    background: the model class that stands for pixels without an annotation, by its label; None where there is none.
    """

    ids: tuple[int | None, ...] = ()
    index: Mapping[str, int] = field(default_factory=dict)
    how: str = "names"
    warnings: tuple[Warning, ...] = ()
    background: int | None = None


def map_classes(
    truth: Truth,
    labels: Sequence[str] | None,
    class_ids: str | Mapping[str, str | int | None] | None,
    head_classes: int | None,
) -> ClassMap:
    """The map of a pipeline's classes onto the truth's.

    `class_ids` is the plan's value: None, 'coco91', 'coco80', 'order' or pairs. `head_classes` is how many classes the
    model's head has, None where its file leaves that open.

    DataError where nothing says which class is which, where counts or names contradict each other, or where the plan's
    pairs name what is not there.
    """
    names = list(labels) if labels else None
    if truth.maps is not None:
        return ClassMap(how="none")
    if truth.masks is not None:
        # Class k is number k either way; the plan may confirm it.
        given = None if class_ids == "order" else class_ids
        numbers, how, warnings = map_numbers(truth.path, truth.masks, names, given, head_classes)
        if how == "index" and class_ids is None:
            warnings += _unchecked_names(names, truth.masks.judged)
        return ClassMap(tuple(numbers), how=how, warnings=tuple(warnings))
    if truth.classes is not None or truth.label_sets is not None:
        index, how, warnings = map_texts(truth, names, class_ids, head_classes)
        return ClassMap(index=index, how=how, warnings=tuple(warnings))
    ids, how, warnings = map_categories(truth, names, class_ids, head_classes)
    background = next((k for k, name in enumerate(labels or []) if name.lower() in BACKGROUND), None)
    return ClassMap(tuple(ids), how=how, warnings=tuple(warnings), background=background)


def _unchecked_names(labels: Sequence[str] | None, numbers: Sequence[int]) -> list[Warning]:
    """Labels in another order than the numbers cost no accuracy, and call each class by another's name."""
    if not labels or numbers == [0]:
        return []
    taken = short_list([f"{k} = {labels[k]}" for k in numbers if k < len(labels)])
    said = f"the label images' numbers are taken for the labels in their order ({taken}): no name is checked"
    return [Warning("label-numbers", said, "confirm with postprocess.class_ids: order, or map {label: number}")]
