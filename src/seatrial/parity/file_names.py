"""Which file or row of a truth is an image's where its path below the folder is not the same: the base name, with care.

For: not taking train/00.png for the truth of val/00.png. Not for: what is in it, or a path that is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from seatrial.errors import count_of
from seatrial.images.files import ImageFile
from seatrial.warning import Warning

CURE = "name these images' own truth in images.annotations, or give both sides the same folders"


def own_by_base(image: ImageFile, entries: Iterable[str]) -> list[str]:
    """entries: paths that have the image's base name, with or without folders. Those whose folders are the image's as far as
    they are named; where none are, those beside which one side names no folder at all."""
    entries, name = list(entries), PurePosixPath(image.name).parent.parts
    sure = [e for e in entries if _is_within(image, e)]
    return sure or [e for e in entries if not name or not PurePosixPath(e).parent.parts]


def by_name_alone(taken: Mapping[str, str], images: Sequence[ImageFile], what: str) -> list[Warning]:
    """taken: entry by image's name. A warning about those whose folder the image's does not confirm."""
    loose = [(i.name, taken[i.name]) for i in images if PurePosixPath(taken[i.name]).parent.parts]
    by_image = {i.name: i for i in images}
    loose = [(name, entry) for name, entry in loose if not _is_within(by_image[name], entry)]
    if not loose:
        return []
    name, entry = loose[0]
    said = f"{what} of {count_of(len(loose), 'image')} are taken by the file's name alone, though they lie in another folder"
    return [Warning("other-folder", f"{said}: {name} has {entry}", CURE)]


def elsewhere(image: ImageFile, entries: Iterable[str]) -> str:
    """' (train/00.png lies in another folder; …)' for an error, of the first that has the image's base name; '' without one."""
    first = next(iter(entries), None)
    return f" ({first} has the name of {image.name}, but lies in another folder: {CURE})" if first else ""


def _is_within(image: ImageFile, entry: str) -> bool:
    """Whether one side's folders are the end of the other's; of the image those of its whole path."""
    theirs, named = PurePosixPath(entry).parent.parts, PurePosixPath(image.name).parent.parts
    return _ends(image.path.parts[:-1], theirs) or _ends(theirs, named)


def _ends(whole: tuple[str, ...], end: tuple[str, ...]) -> bool:
    return bool(end) and whole[-len(end) :] == end
