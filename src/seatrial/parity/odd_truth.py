"""What looks wrong in a COCO truth, though it can be read: of another size, fractions for pixels, radians for degrees.

For: warnings, each with the likely cause, before anything runs. Not for: what cannot be judged at all, which truth.py refuses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import count_of
from seatrial.images.files import ImageFile
from seatrial.parity.coco import image_ids
from seatrial.parity.oriented import annotated_corners
from seatrial.warning import Warning

Sizes = Sequence[tuple[int, int]]
# Of a smaller image a polygon within one pixel may be meant.
LEAST_SIDE = 8


def unlike_sizes(
    coco: dict[str, Any], images: Sequence[ImageFile], sizes_hw: Sequence[tuple[int, int]]
) -> list[Warning]:
    """Images that are not what was annotated: turned, or of another resolution; boxes then lie elsewhere."""
    annotated_hw = {row["id"]: (row.get("height"), row.get("width")) for row in coco["images"]}
    rows = zip(images, map(tuple, sizes_hw), (annotated_hw[i] for i in image_ids(coco, images)), strict=True)
    unlike = [(image, hw, row) for image, hw, row in rows if row[0] and row[1] and row != hw]
    if not unlike:
        return []
    image, hw, row = unlike[0]
    said = (
        f"{len(unlike)} of {count_of(len(images), 'image')} have another size than the annotations say, first {image.name} "
        f"({hw[0]} × {hw[1]}, annotated {row[0]} × {row[1]}, height × width)"
    )
    if all(row == hw[::-1] for _, hw, row in unlike):
        return [Warning("image-sizes", f"{said}: is EXIF orientation applied on both sides?")]
    misfit = "boxes and masks made at another size do not fit these files"
    return [Warning("image-sizes", f"{said}: {misfit}", "use the files that were annotated")]


def _boxes(coco: dict[str, Any], sizes_hw: Sizes) -> list[Warning]:
    """Boxes that are no boxes of their images: empty, or reaching far outside, as corners or fractions read as x, y, w, h."""
    empty = outside = tiny = 0
    for a in coco["annotations"]:
        x, y, width, height = _upright(a)
        image_h, image_w = sizes_hw[a["image_id"] - 1]
        empty += width <= 0 or height <= 0
        tiny += 0 < width <= 1 and 0 < height <= 1
        outside += x + width > 1.1 * image_w or y + height > 1.1 * image_h
    total = len(coco["annotations"])
    warnings = []
    boxes = f"of {count_of(total, 'box', 'boxes')} in the truth"
    if empty:
        warnings.append(Warning("empty-boxes", f"{empty} {boxes} have no area: nothing can match them"))
    if tiny and 2 * tiny > total:
        said = f"{tiny} {boxes} are at most one pixel large: expected x, y, width, height in pixels"
        warnings.append(Warning("tiny-boxes", said))
    elif outside and 4 * outside > total:
        said = f"{outside} {boxes} reach outside their image: expected x, y, width, height, not two corners"
        warnings.append(Warning("outside-boxes", said))
    return warnings


def _corners(coco: dict[str, Any], sizes_hw: Sizes) -> list[Warning]:
    return _boxes(coco, sizes_hw) + _radians(coco)


def _radians(coco: dict[str, Any]) -> list[Warning]:
    """Boxes of five numbers none of which is turned by more than half a circle in radians, read as degrees: nearly upright."""
    angles = [float(a["bbox"][4]) for a in coco["annotations"] if len(a.get("bbox", ())) == 5]
    if not angles or max(map(abs, angles)) > math.pi + 1e-3 or all(angle.is_integer() for angle in angles):
        return []
    said = (
        f"the truth's {count_of(len(angles), 'box', 'boxes')} of five numbers {'is' if len(angles) == 1 else 'are'} turned by "
        f"{max(map(abs, angles)):.3g}° at the most, which looks like radians: expected degrees, counter-clockwise to the eye"
    )
    return [Warning("small-angles", said, "if they are radians, write each angle × 180 / π")]


def _masks(coco: dict[str, Any], sizes_hw: Sizes) -> list[Warning]:
    return in_fractions(_polygons(coco, sizes_hw), "polygon")


def _keypoints(coco: dict[str, Any], sizes_hw: Sizes) -> list[Warning]:
    poses = (
        (np.array([a["keypoints"][0::3], a["keypoints"][1::3]], np.float64).T, sizes_hw[a["image_id"] - 1])
        for a in coco["annotations"]
        if any(a["keypoints"][2::3])
    )
    return in_fractions(poses, "pose") + _miscounted(coco)


def _miscounted(coco: dict[str, Any]) -> list[Warning]:
    """Some tools write num_keypoints: 0 for all, which COCO's own evaluation takes for nothing to be found."""
    given = [a for a in coco["annotations"] if "num_keypoints" in a]
    wrong = sum(a["num_keypoints"] != sum(v > 0 for v in a["keypoints"][2::3]) for a in given)
    if not wrong:
        return []
    said = f"{wrong} of {count_of(len(given), 'annotation')} say another num_keypoints than they have visible keypoints"
    return [Warning("miscounted-keypoints", f"{said}: the visible ones count")]


# By what a task's annotations must have.
ODD: dict[str, Callable[[dict[str, Any], Sizes], list[Warning]]] = {
    "bbox": _boxes,
    "corners": _corners,
    "segmentation": _masks,
    "keypoints": _keypoints,
}


def _polygons(coco: dict[str, Any], sizes_hw: Sizes) -> Iterable[tuple[Any, tuple[int, int]]]:
    """Each polygon, and the size of its image. Runs are in pixels by their nature."""
    for a in coco["annotations"]:
        parts = a["segmentation"]
        for part in parts if isinstance(parts, list) else ():
            yield np.array(part, np.float64).reshape(-1, 2), sizes_hw[a["image_id"] - 1]


def in_fractions(shapes: Iterable[tuple[npt.NDArray[np.float64], tuple[int, int]]], called: str) -> list[Warning]:
    """shapes: points (P, 2) of each, and its image's size (height, width). A warning where most lie within the first pixel."""
    total = tiny = 0
    for points, hw in shapes:
        total += 1
        tiny += min(hw) > LEAST_SIDE and float(np.abs(points).max(initial=0)) <= 1
    if not tiny or 2 * tiny <= total:
        return []
    said = (
        f"{tiny} of {count_of(total, called)} in the truth have no coordinate above 1: expected pixels, not fractions"
    )
    return [Warning("tiny-shapes", said, "multiply each x by its image's width and each y by its height")]


def no_masks(coco: dict[str, Any]) -> list[Warning]:
    """Images without a single mask: seldom is nothing on a picture, often nobody has annotated it yet."""
    annotated = {a["image_id"] for a in coco["annotations"]}
    bare = [row["file_name"] for row in coco["images"] if row["id"] not in annotated]
    if not bare or not annotated:
        return []
    said = (
        f"{len(bare)} of {count_of(len(coco['images']), 'image')} have no mask in the truth, first {bare[0]}: all of each "
        "counts as background, or is not judged where no class is a background"
    )
    return [Warning("no-masks", said, "annotate these, or leave them out of images.path")]


def _upright(a: dict[str, Any]) -> tuple[float, float, float, float]:
    """x, y, width, height; of an oriented box those of the box around it."""
    corners = annotated_corners(a)
    if corners is None or len(a.get("bbox", ())) == 4:
        x, y, width, height = map(float, a["bbox"])
        return x, y, width, height
    (x, y), (width, height) = corners.min(axis=0).tolist(), np.ptp(corners, axis=0).tolist()
    return x, y, width, height
