"""The model's class of each class text, for truth in a CSV. For: parity/classes.py. Not for: COCO truth."""

from __future__ import annotations

from collections.abc import Mapping

from seatrial.errors import DataError, count_of, did_you_mean, short_list
from seatrial.parity.names import class_at, folded_note, is_index, is_number, labels_text, pair_names, quoted_list
from seatrial.parity.truth import Truth
from seatrial.warning import Warning


def map_texts(
    truth: Truth, labels: list[str] | None, class_ids: str | Mapping[str, str | int | None] | None, head: int | None
) -> tuple[dict[str, int], str, list[Warning]]:
    """The model's class of each class text, how that is known, and what is to be said. DataError where it is not."""
    texts = list(dict.fromkeys(text for _, text in _given(truth)))
    count = head or (len(labels) if labels else None)
    if isinstance(class_ids, str):
        raise DataError(
            f"{truth.path}: postprocess.class_ids is {class_ids}, which reads category ids, and a CSV has none; give "
            "postprocess.labels, or a mapping {label or index: text in the CSV}"
        )
    index = _by_plan(truth, labels, class_ids, count) if class_ids is not None else {}
    rest = [t for t in texts if t not in index]
    warnings: list[Warning] = []
    how = "plan"
    if rest and all(is_number(t) and t not in (labels or []) for t in rest):
        index |= _by_index(truth, rest, labels, count)
        how = "index"
    elif rest:
        found, folded = _by_label(truth, rest, labels)
        index |= found
        warnings += folded
        how = "names, folded" if folded else "names"
    return {t: index[t] for t in texts}, how if class_ids is None else "plan", warnings


def _given(truth: Truth) -> list[tuple[str, str]]:
    """Each image with its class, or with each of its labels."""
    if truth.label_sets is not None:
        return [(name, text) for name, texts in truth.label_sets.items() for text in texts]
    return list((truth.classes or {}).items())


def _by_plan(
    truth: Truth, labels: list[str] | None, class_ids: Mapping[str, str | int | None], count: int | None
) -> dict[str, int]:
    size = count or 1 + max((int(k) for k in class_ids if is_index(k)), default=-1)
    index: dict[str, int] = {}
    for key, value in class_ids.items():
        if value is None:
            continue
        if str(value) in index:
            raise DataError(
                f"{truth.path}: postprocess.class_ids gives the text {str(value)!r} to two classes; give it to one"
            )
        index[str(value)] = class_at(truth.path, key, labels, size)
    return index


def _by_index(truth: Truth, texts: list[str], labels: list[str] | None, count: int | None) -> dict[str, int]:
    odd = [t for t in texts if not is_index(t)]
    if odd:
        raise DataError(
            f"{truth.path}: expected classes as labels or as whole numbers counted from 0, got {quoted_list(odd)}; write "
            f"{str(int(float(odd[0]))) if float(odd[0]).is_integer() and float(odd[0]) >= 0 else 'a label'!r} for {odd[0]!r}"
        )
    if labels and all(is_number(name) for name in labels if name):
        raise DataError(
            f"{truth.path}: {quoted_list(texts)} may be an index, but the labels are numbers too and have no such one: the "
            f"model has {labels_text(labels)}; write labels, or map with postprocess.class_ids"
        )
    beyond = [t for t in texts if count is not None and int(t) >= count]
    if beyond:
        numbers = {int(t) for t in texts}
        from_one = "; do they count from 1? they count from 0" if 0 not in numbers and max(numbers) == count else ""
        raise DataError(
            f"{truth.path}: class {quoted_list(beyond)} is beyond the model's {count_of(count or 0, 'class', 'classes')} (0 to "
            f"{(count or 0) - 1}){from_one}; correct the file, or say with postprocess.class_ids which class it means"
            f"{'' if labels else '; names such as these need postprocess.labels'}"
        )
    return {t: int(t) for t in texts}


def _by_label(truth: Truth, texts: list[str], labels: list[str] | None) -> tuple[dict[str, int], list[Warning]]:
    if not labels:
        raise DataError(
            f"{truth.path}: classes are given by name ({quoted_list(texts)}), but the model has no labels: nothing says which "
            "class is which; set postprocess.labels, or postprocess.class_ids: {0: name, …}"
        )
    pairs = pair_names(labels, texts)
    if pairs.unclear:
        raise DataError(
            f"{truth.path}: {short_list(pairs.unclear)} stand(s) for several labels or classes of the file; the model has "
            f"{labels_text(labels)}; make names distinct, or map by index with postprocess.class_ids: {{0: name, …}}"
        )
    found = {texts[at]: k for k, at in pairs.by_first.items()}
    unknown = [t for t in texts if t not in found]
    if unknown:
        image = next(name for name, text in _given(truth) if text == unknown[0])
        mixed = ": a file has labels or indices, not both" if is_number(unknown[0]) else ""
        raise DataError(
            f"{truth.path}: {image} is of class {unknown[0]!r}, which is no label{did_you_mean(unknown[0], labels)}{mixed}; "
            f"{len(unknown)} of the file's {len(texts)} classes are none; the model has {labels_text(labels)}; correct one "
            "side, or map with postprocess.class_ids"
        )
    return found, folded_note(pairs.folded)
