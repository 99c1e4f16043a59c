"""How each image goes into each pipeline's input: which cannot, and of which hardly anything is left. Before any cell runs."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.errors import DataError, SeatrialError, count_of, short_list
from seatrial.images.check import CheckedImage
from seatrial.images.files import ImageFile
from seatrial.pipeline.build import preprocess_kernel
from seatrial.plan import pipelines
from seatrial.plan.load import PlanFile
from seatrial.warning import Warning


def check_geometry(plan: PlanFile, images: Sequence[ImageFile], checked: Sequence[CheckedImage]) -> list[Warning]:
    """DataError where an image can't be fitted; a warning where fitting leaves next to nothing of it."""
    problems, warnings = [], []
    for name, spec in plan.plan.pipelines.items():
        if isinstance(spec.preprocess, pipelines.UserCode):
            continue
        kernel = preprocess_kernel(spec)
        reduced, enlarged = [], []
        for image, size in zip(images, checked, strict=True):
            source_hw = size.source_hw if spec.decode.exif == "apply" else size.stored_hw
            try:
                geometry = kernel.geometry(source_hw)
            except SeatrialError as e:
                problems.append(f"{image.path}: {e.raw}")
                continue
            scale = max(geometry.resized_hw[0] / source_hw[0], geometry.resized_hw[1] / source_hw[1])
            if min(geometry.resized_hw) <= 2 and max(source_hw) > 4 * max(kernel.size):
                sizes = (f"{hw[0]} × {hw[1]}" for hw in (source_hw, geometry.resized_hw))
                reduced.append(f"{image.name} ({' to '.join(sizes)} pixels)")
            elif scale > 64:
                enlarged.append(f"{image.name} ({scale:.0f} times)")
        if reduced:
            what = f"reduces {count_of(len(reduced), 'image')} so far that little of it is left"
            warnings.append(Warning("reduced-images", f"pipeline {name} {what}: {short_list(reduced)}"))
        if enlarged:
            what = f"enlarges {count_of(len(enlarged), 'image')} over 64 times"
            warnings.append(Warning("enlarged-images", f"pipeline {name} {what}: {short_list(enlarged)}"))
    if problems:
        raise DataError("\n".join(dict.fromkeys(problems)))
    return warnings
