"""The class of each image, or several, from a CSV with columns image,class. Not for: a model's classes (csv_classes.py)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seatrial.errors import DataError, count_of, short_list
from seatrial.images.files import ImageFile
from seatrial.parity.coco import ONLY_THOSE, not_annotated
from seatrial.parity.csv_rows import repeated_rows, rows_of
from seatrial.warning import Warning


def read_classes(path: Path, text: str, images: Sequence[ImageFile]) -> tuple[dict[str, str], list[Warning]]:
    """The class text of each image of the trial. DataError where one has none, an empty one, or two that differ."""
    classes: dict[str, str] = {}
    repeated = 0
    for name, text_of_class in rows_of(path, text, ("image", "class")):
        if name in classes and classes[name] != text_of_class:
            raise DataError(
                f"{path}: {name} is of class {classes[name]!r} in one row and of {text_of_class!r} in another; keep one"
            )
        repeated += name in classes
        classes[name] = text_of_class
    names = {i.name for i in images}
    others = [name for name in classes if name not in names]
    missing = [i.name for i in images if not classes.get(i.name)]
    if missing:
        raise DataError(
            f"{path}: no class for {len(missing)} of {count_of(len(images), 'image')}: {not_annotated(missing, others)}"
            f"; add a row for each, or {ONLY_THOSE}"
        )
    warnings = repeated_rows(repeated)
    if others:
        what = f"classes of {count_of(len(others), 'image')} that the trial does not have"
        warnings.append(Warning("unknown-images", f"{what} are left out: {short_list(others)}"))
    return {i.name: classes[i.name] for i in images}, [w.of(path.name) for w in warnings]


def read_label_sets(
    path: Path, text: str, images: Sequence[ImageFile]
) -> tuple[dict[str, tuple[str, ...]], list[Warning]]:
    """All class texts of each image of the trial: several rows of it, or several in one, with ';' between them. An image of
    which nothing is true has a row with an empty class. DataError where one has no row."""
    found: dict[str, dict[str, None]] = {}
    repeated = 0
    for name, joined in rows_of(path, text, ("image", "class")):
        own = found.setdefault(name, {})
        for label in filter(None, map(str.strip, joined.split(";"))):
            repeated += label in own
            own[label] = None
    names = {i.name for i in images}
    others = [name for name in found if name not in names]
    missing = [i.name for i in images if i.name not in found]
    if missing:
        raise DataError(
            f"{path}: no row for {len(missing)} of {count_of(len(images), 'image')}: {not_annotated(missing, others)}; add one "
            f"for each, with an empty class where there is none, or {ONLY_THOSE}"
        )
    warnings = []
    if repeated:
        warnings.append(Warning("repeated-rows", f"{count_of(repeated, 'label')} said of an image more than once"))
    if others:
        what = f"classes of {count_of(len(others), 'image')} that the trial does not have"
        warnings.append(Warning("unknown-images", f"{what} are left out: {short_list(others)}"))
    return {i.name: tuple(found[i.name]) for i in images}, [w.of(path.name) for w in warnings]
