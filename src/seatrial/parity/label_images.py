"""Truth of a segmentation as a folder of label images: a number a pixel, the class; 255 is not judged.

For: which file is which image's, and what is wrong with one. Not for: COCO masks (coco.py), scoring (pixels.py).
"""

from __future__ import annotations

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
from seatrial.parity.names import class_at, is_index
from seatrial.warning import Warning

NOT_JUDGED = 255
U8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class LabelImages:
    """files: by the name of each image of the trial. sizes_hw: of each. values: in how many of the files each number is.
    not_judged: numbers that are no class, beside 255."""

    files: Mapping[str, Path]
    sizes_hw: Mapping[str, tuple[int, int]]
    values: Mapping[int, int]
    not_judged: tuple[int, ...] = ()

    @property
    def judged(self) -> list[int]:
        """Numbers that stand for a class, in order."""
        return sorted(v for v in self.values if v not in (NOT_JUDGED, *self.not_judged))


def label_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() == ".png" and p.is_file())


def read_label_images(folder: Path, images: Sequence[ImageFile]) -> tuple[LabelImages, list[Warning]]:
    """Each image's PNG: of the same path without the suffix below the folder, else of the same stem where no folder says that
    it is another image's (file_names.py); never the image itself.

    DataError where an image has none, or two; where a file is no grey PNG of 8 or 16 bits or palette PNG.
    """
    pictures = {image.path.resolve() for image in images}
    found = [p for p in label_files(folder) if p.resolve() not in pictures]
    if not found:
        raise DataError(
            f"{folder}: the annotations cannot be read (a folder without a PNG); expected a file, or a folder of label images"
        )
    by_path = _by_key(found, lambda p: p.relative_to(folder).with_suffix("").as_posix())
    by_stem = _by_key(found, lambda p: p.stem)
    files: dict[str, Path] = {}
    for image in images:
        own = by_path.get(Path(image.name).with_suffix("").as_posix()) or [
            folder / e for e in own_by_base(image, _below(folder, by_stem.get(image.path.stem, [])))
        ]
        if len(own) > 1:
            raise DataError(
                f"{folder}: {image.name} has several label images: {short_list([str(p) for p in own])}; keep one"
            )
        if own:
            files[image.name] = own[0]
    without = [i for i in images if i.name not in files]
    if without:
        missing = [i.name for i in without]
        other = elsewhere(without[0], _below(folder, by_stem.get(without[0].path.stem, [])))
        others = [p.name for p in found if p not in set(files.values())]
        raise DataError(
            f"{folder}: no label image (a PNG of the same name) for {len(missing)} of {count_of(len(images), 'image')}: "
            f"{not_annotated(missing, [] if other else others)}{other}; add one for each, or {ONLY_THOSE}"
        )
    taken = Counter(files.values())
    shared = [str(p) for p, count in taken.items() if count > 1]
    if shared:
        raise DataError(
            f"{folder}: {shared[0]} is the label image of several images; give each its own, in the same folders"
        )
    values: Counter[int] = Counter()
    sizes: dict[str, tuple[int, int]] = {}
    for name, file in files.items():
        label = label_image(file)
        sizes[name] = (label.shape[0], label.shape[1])
        values.update(np.flatnonzero(np.bincount(label.ravel(), minlength=256)).tolist())
    spare = len(found) - len(taken)
    said = f"{count_of(spare, 'label image')} of no image of the trial" if spare else ""
    warnings = [Warning("unknown-images", f"{said} are left out").of(folder.name)] if spare else []
    entries = {name: file.relative_to(folder).as_posix() for name, file in files.items()}
    return LabelImages(files, sizes, dict(values)), warnings + by_name_alone(entries, images, "label images")


def _below(folder: Path, files: Sequence[Path]) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in files]


def _by_key(files: Sequence[Path], key: Any) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in files:
        found.setdefault(key(file), []).append(file)
    return found


def label_image(path: Path) -> U8:
    """(H, W): the numbers as they stand in the file, of a palette its indices. DataError where there are none."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            # Pillow stretches grey of fewer bits to 0 to 255, which makes other numbers of them.
            if image.mode == "P" or (image.mode == "L" and _bits(path) == 8):
                return np.asarray(image, np.uint8)
            if image.mode.startswith("I"):  # grey of 16 bits
                return _of_16_bits(path, np.asarray(image))
            mode = image.mode if image.mode != "L" else f"L with {_bits(path)} bits"
    except (OSError, ValueError, SyntaxError) as e:
        raise DataError(
            f"{path}: the label image cannot be read ({e}); expected a palette PNG, or a grey one of 8 or 16 bits"
        ) from None
    raise DataError(
        f"{path}: expected a palette PNG or a grey one of 8 or 16 bits, whose numbers are classes, got mode {mode}; "
        "write class numbers, not colours"
    )


def _of_16_bits(path: Path, numbers: npt.NDArray[Any]) -> U8:
    beyond = np.unique(numbers[numbers > NOT_JUDGED]).tolist()
    if beyond:
        raise DataError(
            f"{path}: the label image of 16 bits holds {_listed(beyond)}; expected classes from 0 to {NOT_JUDGED - 1}, and "
            f"{NOT_JUDGED} for what is not judged"
        )
    return numbers.astype(np.uint8)


def _bits(path: Path) -> int:
    """Of a sample, as the PNG's header says: the ninth byte of IHDR's data, behind 8 of the signature and 8 of the chunk."""
    with path.open("rb") as file:
        return file.read(25)[24]


def check_sizes(truth: LabelImages, images: Sequence[ImageFile], sizes_hw: Sequence[tuple[int, int]]) -> None:
    """DataError where a label image is not as large as its image is decoded."""
    for image, hw in zip(images, sizes_hw, strict=True):
        own = truth.sizes_hw[image.name]
        if own != tuple(hw):
            raise DataError(
                f"{truth.files[image.name]}: the label image is {own[0]} × {own[1]} (height × width), but {image.name} decodes "
                f"to {hw[0]} × {hw[1]}; if EXIF turns it, set decode.exif: ignore"
            )


def map_numbers(
    path: Path,
    truth: LabelImages,
    labels: Sequence[str] | None,
    class_ids: str | Mapping[str, str | int | None] | None,
    head: int | None,
) -> tuple[list[int | None], str, list[Warning]]:
    """The number of each class of the model, how that is known, and warnings. By default class k is number k.

    DataError where numbers are no classes of the model, and nothing in the plan says what they mean.
    """
    count = head or (len(labels) if labels else None)
    judged = truth.judged
    if judged == [0] and NOT_JUDGED in truth.values:
        raise DataError(
            f"{path}: the label images hold 0 and 255 alone, and 255 is what is not judged: nothing would be found or missed; "
            "write the object's class number, such as 1"
        )
    if isinstance(class_ids, str):
        raise DataError(
            f"{path}: postprocess.class_ids is {class_ids}, which reads category ids, and label images hold numbers; give "
            "order where class k is number k, or a mapping {label or index: number}"
        )
    if class_ids is None:
        return _as_they_are(path, judged, count)
    ids: list[int | None] = [None] * (count or 1 + max((int(k) for k in class_ids if is_index(k)), default=-1))
    for key, value in class_ids.items():
        if value is None:
            continue
        if not is_index(str(value)) or int(value) >= NOT_JUDGED:
            raise DataError(f"{path}: postprocess.class_ids gives {value!r} to {key!r}; expected one of 0 to 254")
        if int(value) in ids:
            raise DataError(f"{path}: postprocess.class_ids gives number {value} to two classes; give it to one")
        ids[class_at(path, key, labels, len(ids))] = int(value)
    lost = [v for v in judged if v not in ids]
    if judged and len(lost) == len(judged):
        raise DataError(
            f"{path}: no number of the label images ({_listed(judged)}) is a class in postprocess.class_ids"
        )
    said = f"numbers {_listed(lost)} of the label images are no class of the model: no result can match these"
    cure = "map them with postprocess.class_ids if they are, or set images.not_judged where they are not to be judged"
    return ids, "plan", [Warning("lost-categories", said, cure)] if lost else []


def _as_they_are(path: Path, judged: list[int], count: int | None) -> tuple[list[int | None], str, list[Warning]]:
    size = count if count is not None else max(judged, default=-1) + 1
    beyond = [v for v in judged if v >= size]
    if beyond:
        from_one = "; do they count from 1?" if 0 not in judged and beyond == [size] else ""
        raise DataError(
            f"{path}: the label images hold {_listed(beyond)}, but the model has {count_of(size, 'class', 'classes')}, 0 "
            f"to {size - 1}{from_one}; write 255 for what is not judged, or say with postprocess.class_ids: "
            "{label or index: number} which number is which class, and with images.not_judged: [number] which is none"
        )
    return list(range(size)), "index", []


def _listed(values: Sequence[int]) -> str:
    return short_list([str(v) for v in values])
