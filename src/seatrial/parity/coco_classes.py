"""The category of each class of a model, for COCO truth. For: parity/classes.py. Not for: truth in a CSV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from seatrial.errors import DataError, count_of, did_you_mean, short_list
from seatrial.parity.names import class_at, folded_note, is_index, labels_text, pair_names
from seatrial.parity.truth import Truth
from seatrial.warning import Warning

BACKGROUND = ("background", "__background__", "_background_")
# Ids of the 80 object classes of COCO 2017, in order: 1 to 90 with ten gaps.
COCO80 = tuple(i for i in range(1, 91) if i not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83))
Ids = list[int | None]


def coco_numbers(scheme: str, count: int | None) -> tuple[int, ...]:
    """COCO's category of each class of a head, by class_ids coco80 or coco91. count: of the head's classes, where it is known.
    Of coco91 a head of 90 has none for COCO's 0, which is no category."""
    if scheme == "coco80":
        return COCO80
    return tuple(range(1, 91)) if count == 90 else tuple(range(91))


@dataclass(frozen=True)
class _Categories:
    """Ids and names in order of id; a placeholder (see truth.py) is left out."""

    ids: list[int]
    names: list[str]

    def text(self) -> str:
        return f"{count_of(len(self.ids), 'category', 'categories')}: {short_list(_called(self.ids, self.names))}"


def _called(ids: Iterable[int], names: Iterable[str]) -> list[str]:
    return [f"{name} (id {i})" for i, name in zip(ids, names, strict=True)]


def map_categories(
    truth: Truth, labels: list[str] | None, class_ids: str | Mapping[str, str | int | None] | None, head: int | None
) -> tuple[Ids, str, list[Warning]]:
    """Category id of each class of the model, how that is known, and warnings. DataError where it is not known."""
    count = head or (len(labels) if labels else None)
    if not _rows(truth):
        # A folder of labels that are all empty, which names no class.
        return [None] * (count or 0), "none", []
    categories = _categories(truth, with_placeholders=not labels and _has_as_many(truth, count))
    warnings: list[Warning] = []
    if isinstance(class_ids, Mapping):
        ids, how = _by_plan(truth, categories, labels, class_ids, count), "plan"
    elif class_ids is not None:
        ids, how = _by_numbers(truth, categories, class_ids, count, warnings), class_ids
    elif truth.numbered:
        ids, how = _by_index(truth, categories, count), "index"
    elif labels:
        ids, how = _by_names(truth, categories, labels, warnings)
    else:
        ids, how = _by_order(truth, categories, head, warnings), "order"
    ids += [None] * ((count or 0) - len(ids))
    warnings += _leftovers(truth, categories, labels, ids, how)
    if labels and class_ids is not None:
        warnings += _contradictions(categories, labels, ids)
    left_out = truth.placeholders - set(categories.ids)
    names = [str(c["name"]) for c in _rows(truth) if c["id"] in left_out and str(c["name"]).lower() not in BACKGROUND]
    if names:
        said = f"category {short_list(names)} (id 0) has no annotation and only groups the others: it is taken for no class"
        warnings.append(Warning("placeholder", said))
    return ids, how, warnings


def _rows(truth: Truth) -> list[dict[str, Any]]:
    assert truth.coco is not None
    rows: list[dict[str, Any]] = truth.coco["categories"]
    return rows


def _has_as_many(truth: Truth, count: int | None) -> bool:
    """A head with a class for the placeholder too, as some trainers make one of every category."""
    return count == len(_rows(truth))


def _categories(truth: Truth, with_placeholders: bool) -> _Categories:
    rows = [c for c in _rows(truth) if with_placeholders or c["id"] not in truth.placeholders]
    return _Categories([int(c["id"]) for c in rows], [str(c["name"]) for c in rows])


def _by_names(truth: Truth, categories: _Categories, labels: list[str], warnings: list[Warning]) -> tuple[Ids, str]:
    pairs = pair_names(labels, categories.names)
    if pairs.unclear:
        raise DataError(
            f"{truth.path}: {short_list(pairs.unclear)} stand(s) for several labels or categories, so that names do not say "
            f"which is which; the model has {labels_text(labels)}; the truth has {categories.text()}; rename one, or map by id "
            "with postprocess.class_ids: {label or index: category id}"
        )
    if not pairs.by_first:
        raise DataError(
            f"{truth.path}: no category is called like any of the model's labels; the model has {labels_text(labels)}; the "
            f"truth has {categories.text()}; rename one side, or set postprocess.class_ids ({_likely(categories, len(labels))})"
        )
    warnings += folded_note(pairs.folded)
    ids: Ids = [None] * len(labels)
    for k, at in pairs.by_first.items():
        ids[k] = categories.ids[at]
    return ids, "names, folded" if pairs.folded else "names"


def _by_index(truth: Truth, categories: _Categories, count: int | None) -> Ids:
    """Labels of a training tool, which number classes as the model does."""
    most = max(categories.ids)
    if count is not None and most >= count:
        raise DataError(
            f"{truth.path}: the labels name class {most}, but the model has {count_of(count, 'class', 'classes')}; set "
            "postprocess.class_ids: {label or index: class number}"
        )
    return [k if k in categories.ids else None for k in range(count or most + 1)]


def _by_order(truth: Truth, categories: _Categories, head: int | None, warnings: list[Warning]) -> Ids:
    """Without names order is all there is: taken where the counts agree, and said; refused where they do not."""
    if head != len(categories.ids):
        classes = count_of(head, "class", "classes") if head else "a number of classes that its file leaves open"
        raise DataError(
            f"{truth.path}: nothing says which of the model's classes is which category: it has no labels and "
            f"{classes}; the truth has {categories.text()}; set postprocess.labels, or postprocess.class_ids "
            f"({_likely(categories, head)})"
        )
    taken = ", ".join(f"{k} = {name}" for k, name in enumerate(categories.names[:3])) + (", …" if head > 3 else "")
    warnings.append(
        Warning(
            "class-order",
            f"the model has no labels: its {count_of(head, 'class is', 'classes are')} taken for the categories in order of id "
            f"({taken})",
            "set postprocess.labels, or confirm with postprocess.class_ids: order",
        )
    )
    return list(categories.ids)


def _by_numbers(truth: Truth, categories: _Categories, scheme: str, count: int | None, warnings: list[Warning]) -> Ids:
    """The three schemes that a plan may name."""
    at = f"{truth.path}: postprocess.class_ids is {scheme}"
    classes = count_of(count, "class", "classes") if count else ""
    if scheme == "order":
        if count is not None and count != len(categories.ids):
            raise DataError(
                f"{at}, which needs as many classes as categories, but the model has {classes} and the truth "
                f"{categories.text()}; {_likely(categories, count)}"
            )
        if count is None:
            said = "class_ids: order: the model's file leaves its number of classes open"
            warnings.append(Warning("class-count", f"{said}; {categories.text()} are taken as they come"))
        return list(categories.ids)
    if scheme == "coco80":
        if count not in (None, 80):
            raise DataError(
                f"{at}, which is for heads of 80 classes, but the model has {classes}; {_likely(categories, count)}"
            )
    else:
        if count not in (None, 90, 91):
            raise DataError(
                f"{at}, which is for heads of 91 classes (index = category id) or 90 (index + 1 = category id), but the model "
                f"has {classes}; {_likely(categories, count)}"
            )
    strange = sorted(i for i in _annotated(truth) if i not in COCO80 and i in categories.ids)
    if strange:
        raise DataError(
            f"{at}, but COCO's numbering has no object class {', '.join(map(str, strange[:5]))}, which has annotations here: "
            f"these categories are numbered otherwise; {_likely(categories, count)}"
        )
    return [i if i in categories.ids else None for i in coco_numbers(scheme, count)]


def _by_plan(
    truth: Truth,
    categories: _Categories,
    labels: list[str] | None,
    class_ids: Mapping[str, str | int | None],
    count: int | None,
) -> Ids:
    """The plan's pairs; classes that it leaves out go by their names, where the model has names."""
    ids: Ids = [None] * (count or 1 + max((int(k) for k in class_ids if is_index(k)), default=-1))
    key_of: dict[int, str] = {}
    taken: dict[int, str] = {}
    for key, value in class_ids.items():
        k = class_at(truth.path, key, labels, len(ids))
        if k in key_of:
            raise DataError(
                f"{truth.path}: postprocess.class_ids gives class {k} twice, as {key_of[k]!r} and {key!r}; keep one"
            )
        key_of[k] = key
        if value is None:
            continue
        ids[k] = chosen = _category_of(truth, value, categories)
        if chosen in taken:
            raise DataError(
                f"{truth.path}: postprocess.class_ids gives category {value!r} to {taken[chosen]!r} and to {key!r}; give it to "
                "one class"
            )
        taken[chosen] = key
    if labels:
        rest = ["" if k in key_of else name for k, name in enumerate(labels)]
        others = ["" if i in taken else name for i, name in zip(categories.ids, categories.names, strict=True)]
        for k, at in pair_names(rest, others).by_first.items():
            ids[k] = categories.ids[at]
    return ids


def _category_of(truth: Truth, value: str | int, categories: _Categories) -> int:
    where = f"{truth.path}: postprocess.class_ids names category {value!r}"
    if isinstance(value, str) and value in categories.names:
        if categories.names.count(value) > 1:
            raise DataError(
                f"{where}, which {categories.names.count(value)} categories are called; give its id instead"
            )
        return categories.ids[categories.names.index(value)]
    if (isinstance(value, int) or is_index(value)) and int(value) in categories.ids:
        return int(value)
    raise DataError(
        f"{where}, but the truth has {categories.text()}{did_you_mean(str(value), categories.names)}; give a name or an id"
    )


def _leftovers(truth: Truth, categories: _Categories, labels: list[str] | None, ids: Ids, how: str) -> list[Warning]:
    """What has no partner, on both sides. DataError where no category that is annotated here has one."""
    in_truth = _annotated(truth)
    name_of = dict(zip(categories.ids, categories.names, strict=True))
    lost = {i: n for i, n in in_truth.items() if i in name_of and i not in ids}
    if lost and len(lost) == len([i for i in in_truth if i in name_of]):
        raise DataError(
            f"{truth.path}: no category that is annotated on the trial's images is a class of the model: "
            f"{short_list(_called(lost, (name_of[i] for i in lost)))}; the model has "
            f"{labels_text(labels) if labels else count_of(len(ids), 'class', 'classes')}; set postprocess.labels or class_ids"
        )
    warnings = []
    free = [name for k, name in enumerate(labels or []) if ids[k] is None and name and name.lower() not in BACKGROUND]
    if lost:
        counted = [
            f"{name_of[i]} ({count_of(n, 'annotation')}){did_you_mean(name_of[i], free)}" for i, n in lost.items()
        ]
        warnings.append(
            Warning(
                "lost-categories",
                f"{len(lost)} of the truth's {len(categories.ids)} categories are no class of the model: "
                f"{short_list(counted)}; no result can match these",
                "map them with postprocess.class_ids if they are",
            )
        )
    unused = [name for i, name in name_of.items() if i not in ids and i not in in_truth]
    if unused:
        what = count_of(len(unused), "category", "categories")
        said = f"{what} without annotations here and without a class: {short_list(unused)}"
        warnings.append(Warning("unused-categories", said))
    extra = f"of the model's {len(ids)} classes are no category of the truth"
    if free:
        said = f"{len(free)} {extra}: {short_list(free)}; nothing in the truth can match them"
        warnings.append(Warning("extra-classes", said))
    # COCO's numbering has gaps, which are no classes.
    gaps = [k for k in range(len(ids)) if k + (len(ids) == 90) not in COCO80] if how == "coco91" else []
    unnamed = [k for k, i in enumerate(ids) if i is None and k not in gaps and not labels]
    if unnamed:
        warnings.append(Warning("extra-classes", f"{len(unnamed)} {extra}"))
    return warnings


def _contradictions(categories: _Categories, labels: list[str], ids: Ids) -> list[Warning]:
    """Pairs of the plan against which the names speak."""
    by_name = {labels_at: categories.ids[at] for labels_at, at in pair_names(labels, categories.names).by_first.items()}
    name_of = dict(zip(categories.ids, categories.names, strict=True))
    against = [
        f"{labels[k]} is judged as {name_of[chosen]}"
        for k, i in by_name.items()
        if (chosen := ids[k]) is not None and chosen != i
    ]
    said = f"class_ids goes against {count_of(len(against), 'name')} that agree: {short_list(against)}"
    return [Warning("class-conflict", said)] if against else []


def _annotated(truth: Truth) -> Counter[int]:
    """Annotations of the trial's images by category id."""
    assert truth.coco is not None
    return Counter(int(a["category_id"]) for a in truth.coco["annotations"])


def _likely(categories: _Categories, classes: int | None) -> str:
    """The cure that the counts suggest."""
    if classes in (90, 91) and max(categories.ids) <= 90:
        return "coco91 where a class's index is its COCO category id"
    if classes == 80 and set(categories.ids) <= set(COCO80):
        return "coco80 where the classes are COCO's 80 in their order"
    if classes == len(categories.ids):
        return "order where the k-th class is the k-th category by id"
    if classes == len(categories.ids) + 1:
        return "{0: name, …}: one class more than categories, often a background class"
    return "a mapping such as {0: name}"
