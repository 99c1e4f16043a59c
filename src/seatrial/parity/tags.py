"""Tags of images from a CSV: slices for the report. Not for: truth (truth.py)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seatrial.errors import DataError, count_of, short_list
from seatrial.images.files import ImageFile
from seatrial.parity.csv_rows import repeated_rows, rows_of
from seatrial.warning import Warning


def read_tags(path: Path, images: Sequence[ImageFile]) -> tuple[dict[str, list[str]], list[Warning]]:
    """Tags by image name, from a CSV with columns image,tag; and warnings about rows that tag nothing."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"{path}: the tags cannot be read ({e}); expected a CSV with columns image,tag") from None
    names = {i.name for i in images}
    tags: dict[str, list[str]] = {}
    unknown: dict[str, None] = {}
    empty = repeated = 0
    for name, tag in rows_of(path, text, ("image", "tag")):
        if name not in names:
            unknown[name] = None
        elif not tag:
            empty += 1
        elif tag in tags.get(name, []):
            repeated += 1
        else:
            tags.setdefault(name, []).append(tag)
    warnings = []
    if unknown:
        said = f"tags {count_of(len(unknown), 'image')} that the trial does not have: {short_list(list(unknown))}"
        warnings.append(Warning("unknown-images", said))
    if empty:
        warnings.append(Warning("untagged-rows", f"{count_of(empty, 'row')} without a tag are left out"))
    warnings += repeated_rows(repeated)
    if images and not tags:
        warnings.append(Warning("no-tags", "no image of the trial has a tag"))
    return tags, [w.of(path.name) for w in warnings]
