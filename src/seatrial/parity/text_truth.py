"""A truth about text, as label files have it: where it stands in each image, or what each image says.

For: a CSV with columns image,text, and PaddleOCR's label files, a line an image, with a tab behind its name. Not for: COCO
JSON (coco.py), or scoring (regions.py, texts.py).
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import DataError, count_of, short_list
from seatrial.images.files import ImageFile
from seatrial.parity.coco import ONLY_THOSE, not_annotated
from seatrial.parity.file_names import by_name_alone, elsewhere, own_by_base
from seatrial.warning import Warning

F64 = npt.NDArray[np.float64]
# What annotators write where nobody can read it: neither a miss nor a find counts (ICDAR, PaddleOCR).
NOT_JUDGED = ("###", "*")
FORMS = (
    "a line an image: its name, a tab, and its text, or the list of its regions "
    '[{"transcription": "…", "points": [[x, y], …]}, …]'
)


@dataclass(frozen=True, eq=False)
class Region:
    """points (P, 2) float64 in source pixels: a polygon, either way round. judged: whether it counts, and is a simple one."""

    points: F64
    judged: bool = True


@dataclass(frozen=True)
class TextTruth:
    """By name of each image of the trial: its text, or its regions."""

    texts: dict[str, str] | None = None
    regions: dict[str, tuple[Region, ...]] | None = None
    warnings: tuple[Warning, ...] = ()


def region_of_points(where: str, points: Any, judged: bool) -> Region:
    """DataError where these are no polygon. One that crosses itself or has no area has no inside: it is not judged."""
    try:
        array = np.array(points, np.float64)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.ndim != 2 or array.shape[1] != 2 or len(array) < 3 or not np.isfinite(array).all():
        raise DataError(f"{where}: expected three points [x, y] or more of finite numbers, got {str(points)[:60]}")
    return Region(array, judged and is_simple(array))


def is_simple(points: F64) -> bool:
    """Whether a polygon (P, 2) has an area and no two of its sides cross each other."""
    ends = np.roll(points, -1, axis=0)
    beside = points - points[0]
    doubled = beside[:, 0] * (ends - points[0])[:, 1] - beside[:, 1] * (ends - points[0])[:, 0]
    if not abs(doubled.sum()) > 0:
        return False

    def side(a: F64, b: F64, c: F64) -> F64:
        """On which side of the line from a to b the point c lies."""
        return np.asarray(
            np.sign(
                (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
            )
        )

    first, last = points[:, None], ends[:, None]
    apart = side(first, last, points[None]) * side(first, last, ends[None])
    return not bool(((apart < 0) & (apart.T < 0)).any())


def read_texts(path: Path, text: str, images: Sequence[ImageFile]) -> TextTruth:
    """Of a CSV with columns image,text, each text as it stands. DataError where an image has none, or two that differ."""
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error as e:
        raise DataError(f"{path}: expected a CSV with columns image,text, but it is malformed ({e})") from None
    columns = list(rows[0]) if rows else ["image", "text"]
    if not {"image", "text"} <= set(columns):
        named = ", ".join(repr(c) for c in columns)
        raise DataError(f"{path}: expected a header line image,text without spaces, got {named}")
    bare = next((r["image"] for r in rows if r["text"] is None), None)
    if bare is not None:
        raise DataError(
            f"{path}: {bare} has no column text; a text with a comma in it needs quotes, an empty one a comma"
        )
    # What is behind a comma too many has no column: the text would be cut off there.
    cut = next((r["image"] for r in rows if None in r), None)
    if cut is not None:
        raise DataError(f"{path}: {cut} has more columns than the header; a text with a comma in it needs quotes")
    listed = _once(path, [((r["image"] or "").strip(), r["text"]) for r in rows])
    texts, warnings = _of_images(path, listed, images)
    return TextTruth(texts=texts, warnings=warnings)


def read_label_file(path: Path, text: str, images: Sequence[ImageFile]) -> TextTruth:
    """DataError, with the line, where it is none, or an image is missing or has two lines that differ."""
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        name, tab, rest = line.partition("\t")
        if line and not tab:
            raise DataError(f"{path}:{number}: expected {FORMS}, got a line without a tab")
        if line:
            rows.append((number, name.strip(), rest))
    if not rows:
        raise DataError(f"{path}: expected {FORMS}, got an empty file")
    lists = {number: _list(rest) for number, _, rest in rows}
    if not any(lists.values()) and any(found is None for found in lists.values()):
        listed = _once(path, [(name, rest) for _, name, rest in rows])
        texts, warnings = _of_images(path, listed, images)
        return TextTruth(texts=texts, warnings=warnings)
    for number, _, rest in rows:
        if lists[number] is None:
            raise DataError(f"{path}:{number}: expected a list of regions, as on other lines, got {rest[:40]!r}")
    wanted, warnings = _of_images(path, _once(path, [(name, f"{n}") for n, name, _ in _unlike(rows)]), images)
    regions = {name: _regions(f"{path}:{n}", lists[int(n)] or []) for name, n in wanted.items()}
    return TextTruth(regions=regions, warnings=warnings + _crossed(regions, lists, wanted))


def _unlike(rows: Sequence[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """Lines that say what another line says already stand for that one."""
    first: dict[tuple[str, str], int] = {}
    return [(first.setdefault((name, rest), number), name, rest) for number, name, rest in rows]


def _list(text: str) -> list[dict[str, Any]] | None:
    """Regions, where the text is a list of them."""
    if not text.lstrip().startswith("["):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_list = isinstance(found, list) and all(isinstance(r, dict) and "points" in r for r in found)
    return found if is_list else None


def _regions(where: str, rows: Sequence[dict[str, Any]]) -> tuple[Region, ...]:
    judged = [str(r.get("transcription", "")) not in NOT_JUDGED for r in rows]
    return tuple(region_of_points(where, r["points"], j) for r, j in zip(rows, judged, strict=True))


def _crossed(
    regions: Mapping[str, Sequence[Region]], lists: Mapping[int, list[dict[str, Any]] | None], wanted: Mapping[str, str]
) -> tuple[Warning, ...]:
    """What was to be judged, and cannot be."""
    bad = [
        name
        for name, own in regions.items()
        for region, row in zip(own, lists[int(wanted[name])] or [], strict=True)
        if not region.judged and str(row.get("transcription", "")) not in NOT_JUDGED
    ]
    return crossed_note(bad)


def crossed_note(names: Sequence[str]) -> tuple[Warning, ...]:
    """names: of the image of each region whose sides cross, or which has no area."""
    if not names:
        return ()
    said = f"{count_of(len(names), 'region')} of text with crossing sides or no area, first in {names[0]}: not judged"
    return (Warning("crossed-regions", said, "write their points in order around them"),)


def _once(path: Path, rows: Sequence[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, text in rows:
        if found.setdefault(name, text) != text:
            raise DataError(f"{path}: {name} stands twice, and the two rows differ; keep one")
    return found


def _of_images(
    path: Path, listed: Mapping[str, str], images: Sequence[ImageFile]
) -> tuple[dict[str, str], tuple[Warning, ...]]:
    """What is listed for each image: by its name, else by the base name, where no other has it, and no folder says that it is
    another image's (file_names.py)."""
    bases = Counter(i.path.name for i in images)
    named = Counter(Path(name).name for name in listed)
    by_base = {Path(name).name: name for name in listed if named[Path(name).name] == 1}
    found: dict[str, str] = {}
    missing, other = [], ""
    for image in images:
        base = [by_base[image.path.name]] if bases[image.path.name] == 1 and image.path.name in by_base else []
        name = image.name if image.name in listed else next(iter(own_by_base(image, base)), None)
        if name is None:
            other = other or elsewhere(image, base)
            missing.append(image.name)
        else:
            found[image.name] = name
    others = [name for name in listed if name not in found.values()]
    if missing:
        raise DataError(
            f"{path}: no row for {len(missing)} of {count_of(len(images), 'image')}: "
            f"{not_annotated(missing, [] if other else others)}{other}; add one for each, or {ONLY_THOSE}"
        )
    warnings = by_name_alone(found, images, "rows")
    if others:
        what = f"rows of {count_of(len(others), 'image')} that the trial does not have"
        warnings.append(Warning("unknown-images", f"{what} are left out: {short_list(others)}").of(path.name))
    return {image: listed[name] for image, name in found.items()}, tuple(warnings)
