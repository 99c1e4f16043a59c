"""Which of the plan's images an answer is of: by COCO's id, by name, or by the name's stem. Not for: truth (file_names.py)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.errors import DataError
from seatrial.images.files import ImageFile
from seatrial.parity.coco import id_text, rows_by_name, rows_of
from seatrial.parity.file_names import own_by_base
from seatrial.pipeline.results import Result
from seatrial.warning import Warning


@dataclass(frozen=True, eq=False)
class Found:
    """results: by the name of each answered image of the plan. strangers: answered images that the plan does not have."""

    results: Mapping[str, Result]
    strangers: Sequence[str]
    warnings: list[Warning] = field(default_factory=list)


def images_called(given: Iterable[str], images: Sequence[ImageFile], annotations: Path | None = None) -> dict[str, str]:
    """The plan's image of each of the given names or ids, of all in one way: that in which most are found.

    By annotations' ids where there are any; by name below the images' folder, then by base name, then by its stem, of which '7'
    and '000007' are one. DataError where annotations cannot be read.
    """
    names = list(dict.fromkeys(given))
    ways: list[Callable[[str], str | None]] = [_by_keys(images)]
    if annotations is not None and annotations.suffix.lower() == ".json":
        ways.insert(0, _ids(annotations, images).get)
    tried = [{n: image for n in names if (image := way(n)) is not None} for way in ways]
    # Of two ways that find as many the first: ids that somebody wrote down come before names that look like numbers.
    return max(tried, key=len)


def _ids(path: Path, images: Sequence[ImageFile]) -> dict[str, str]:
    try:
        data = json.loads(path.read_text("utf-8-sig"))
        rows = rows_of(path, rows_by_name(path, data["images"]), images)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
        raise DataError(f"{path}: the annotations' ids cannot be read ({e})") from None
    return {id_text(row["id"]): image.name for row, image in zip(rows, images, strict=True)}


def _by_keys(images: Sequence[ImageFile]) -> Callable[[str], str | None]:
    """What two images share tells neither; nor does a base name that lies in another folder."""
    exact = {i.name for i in images}
    bases = _grouped((i.path.name, i) for i in images)
    stems = _grouped((i.path.stem, i) for i in images)
    numbers = _grouped((str(int(i.path.stem)), i) for i in images if _is_number(i.path.stem))

    def found(given: str) -> str | None:
        if given in exact:
            return given
        number = str(int(given)) if _is_number(given) else ""
        for alike in (bases.get(Path(given).name, []), stems.get(given, []), numbers.get(number, [])):
            own = [i for i in alike if "/" not in given or own_by_base(i, [given])]
            if len(own) == 1:
                return own[0].name
        return None

    return found


def _grouped(pairs: Iterable[tuple[str, ImageFile]]) -> dict[str, list[ImageFile]]:
    groups: dict[str, list[ImageFile]] = {}
    for key, image in pairs:
        groups.setdefault(key, []).append(image)
    return groups


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19
