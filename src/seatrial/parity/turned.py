"""Images that EXIF turns so that no size shows it: upside down, mirrored, or square. For: a warning where there is a truth.

Not for: sizes that do not agree, which odd_truth.py, label_images.py and value_maps.py tell.
"""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.errors import count_of
from seatrial.images.check import CheckedImage
from seatrial.images.files import ImageFile
from seatrial.parity.coco import image_ids
from seatrial.parity.truth import Truth
from seatrial.warning import Warning


def turned_notes(truth: Truth, images: Sequence[ImageFile], checked: Sequence[CheckedImage]) -> list[Warning]:
    """checked: of each image. Of a truth without places nothing is to be said."""
    if truth.coco is None and truth.masks is None and truth.maps is None and truth.regions is None:
        return []
    rows = zip(images, checked, _says_sizes(truth, images), strict=True)
    untold = [i.name for i, c, sized in rows if c.turned and not (sized and c.source_hw != c.stored_hw)]
    if not untold:
        return []
    said = (
        f"{count_of(len(untold), 'image')} {'is' if len(untold) == 1 else 'are'} turned by EXIF without a size in the truth "
        f"that would show it, first {untold[0]}: the truth must be of the turned picture"
    )
    return [Warning("turned-images", said, "set decode.exif: ignore where it is of the stored one")]


def _says_sizes(truth: Truth, images: Sequence[ImageFile]) -> list[bool]:
    """Whether each image's own size stands in the truth."""
    if truth.coco is None:
        return [truth.regions is None] * len(images)
    # A folder of labels has no sizes: those in its rows are the images'.
    sized = {row["id"]: bool(row.get("height") and row.get("width")) for row in truth.coco["images"]}
    return [sized[i] and not truth.path.is_dir() for i in image_ids(truth.coco, images)]
