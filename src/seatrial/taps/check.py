"""All that is wrong with a folder of taps, each with its cure; and what is to be known of it where nothing is.

For: `seatrial tap check`, and whoever is about to compare. Not for: whether the values are right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seatrial.digests import hash_file
from seatrial.errors import DataError, count_of, did_you_mean, short_list
from seatrial.images.files import SUFFIXES
from seatrial.kernels.results import Detections
from seatrial.pipeline.results import Result
from seatrial.runtimes.names import OWN, third_party
from seatrial.taps.folder import TapsFolder, array_of, result_of
from seatrial.taps.manifest import CANDIDATES, FILE, RESULTS
from seatrial.taps.npz import Npz
from seatrial.taps.shown import Array
from seatrial.taps.values import NONE


@dataclass(frozen=True)
class TapsProblem:
    """subject: the file and its image, or taps.json. key: in the file; '' where it is about the whole."""

    subject: str
    key: str
    text: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.subject, self.key, self.text)))


@dataclass(frozen=True)
class TapsCheck:
    """problems: what cannot be read, or is of another image; notes: what can be read and may surprise. sound: so many images of
    all are without a problem. seen: of each stage the kinds of values that there are, such as 'float32 (1, 3, 320, 320)'."""

    problems: tuple[TapsProblem, ...]
    notes: tuple[str, ...]
    images: int
    sound: int
    seen: Mapping[str, tuple[str, ...]]


def check_taps(
    folder: TapsFolder,
    images: Mapping[str, Path] | None = None,
    tell: Callable[[float], None] = lambda _share: None,
) -> TapsCheck:
    """Reads every file once. images: paths of the encoded images by name, whose names and digests taps.json has to have."""
    problems = _unlike_names(folder, images) if images is not None else []
    counted = _Counts()
    for number, name in enumerate(folder.names):
        tell(number / len(folder.names))
        found = _of_image(folder, name, counted)
        if images is not None and name in images:
            found += _digest(folder, name, images[name])
        problems += found
        counted.sound += not found
    notes = [*counted.notes(folder), *_untapped(folder, images or {})]
    seen = {stage: tuple(values) for stage, values in counted.seen.items()}
    return TapsCheck(tuple(problems), tuple(notes), len(folder.names), counted.sound, seen)


def images_in(folder: Path) -> dict[str, Path]:
    """A folder's images by their path below it, as plans call them."""
    if not folder.is_dir():
        raise DataError("no such folder; expected the images that were tapped", subject=folder)
    found = (p for p in sorted(folder.rglob("*")) if p.suffix.lower() in SUFFIXES and p.is_file())
    return {p.relative_to(folder).as_posix(): p for p in found}


class _Counts:
    """What is said once, of all images."""

    def __init__(self) -> None:
        self.sound = 0
        self.unread: Counter[str] = Counter()
        self.special: dict[str, list[str]] = {}
        self.seen: dict[str, dict[str, None]] = {}
        self.objects: dict[tuple[str, str], int] = {}
        self.without_boxes: list[str] = []

    def result(self, name: str, stage: str, result: Result) -> None:
        if isinstance(result, Detections):
            self.objects[name, stage] = len(result)
        elif stage == CANDIDATES and result is not None:
            self.without_boxes.append(name)
        scores = np.asarray(getattr(result, "scores", getattr(result, "score", ())))
        bare = " without scores" if scores.size and np.isnan(scores).all() else ""
        self.seen.setdefault(stage, {})[NONE if result is None else f"{type(result).__name__}{bare}"] = None

    def array(self, name: str, stage: str, array: Array) -> None:
        self.seen.setdefault(stage, {})[f"{array.dtype} {array.shape}"] = None
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            self.special.setdefault(stage, []).append(name)

    def notes(self, folder: TapsFolder) -> Iterable[str]:
        manifest, total = folder.manifest, len(folder.names)
        if manifest.note:
            yield f"taps.json says: {manifest.note}"
        known = [*OWN, *third_party()]
        if manifest.backend and manifest.backend not in known:
            near = did_you_mean(manifest.backend, known)
            yield f"backend {manifest.backend!r} is none that seatrial knows{near}: it is taken for another than the plan's"
        bare = sum(not image.sha256 for image in manifest.images)
        if bare:
            yield f"no sha256 for {bare} of {count_of(total, 'image')}: nothing tells whether they are the plan's own; add it"
        for stage, names in self.special.items():
            where = f"NaN or infinity in {len(names)} of {count_of(total, 'image')}: {short_list(names)}"
            yield f"{stage} has {where}; where the pipeline has none there, the writer is at fault"
        yield from self._of_candidates(total)
        if self.unread:
            keys = short_list([f"{key} in {count_of(count, 'image')}" for key, count in self.unread.most_common()])
            yield f"{count_of(len(self.unread), 'key')} of no stage that taps.json lists, which are not read: {keys}"

    def _of_candidates(self, total: int) -> Iterable[str]:
        """NMS chooses among them: none of its results can be missing there."""
        if self.without_boxes:
            where = f"{len(self.without_boxes)} of {count_of(total, 'image')}: {short_list(self.without_boxes)}"
            yield f"{CANDIDATES} are no boxes in {where}; write what NMS is given, with the fields of Detections"
        fewer = [
            n
            for (n, stage), k in self.objects.items()
            if stage == CANDIDATES and k < self.objects.get((n, "results"), 0)
        ]
        if fewer:
            where = f"{len(fewer)} of {count_of(total, 'image')}: {short_list(fewer)}"
            yield f"{CANDIDATES} has fewer boxes than results in {where}; write them in front of NMS"


def _of_image(folder: TapsFolder, name: str, counted: _Counts) -> list[TapsProblem]:
    """Every stage for itself, so that one fault does not hide another."""
    found: list[DataError] = []
    try:
        with folder.file(name) as file:
            for stage in folder.manifest.stages:
                try:
                    _stage(file, name, stage, counted)
                except DataError as e:
                    found.append(e)
            counted.unread.update(file.unread)
    except DataError as e:
        found.append(e)
    return [TapsProblem(e.subject, e.key, e.text) for e in found]


def _stage(file: Npz, name: str, stage: str, counted: _Counts) -> None:
    if stage in RESULTS:
        counted.result(name, stage, result_of(file, stage))
    else:
        counted.array(name, stage, array_of(file, stage))


def _unlike_names(folder: TapsFolder, images: Mapping[str, Path]) -> list[TapsProblem]:
    missing = [n for n in folder.names if n not in images]
    if not missing:
        return []
    near = did_you_mean(missing[0], [n for n in images if n not in folder.names])
    said = f"{len(missing)} of {count_of(len(folder.names), 'image')} are not among the {len(images)} images given"
    cure = "name each as its path below the images' folder"
    return [TapsProblem(str(folder.path / FILE), "images", f"{said}: {short_list(missing)}{near}; {cure}")]


def _untapped(folder: TapsFolder, images: Mapping[str, Path]) -> list[str]:
    others = [n for n in images if n not in folder.names]
    return [f"{len(others)} of the {len(images)} images given have no taps: {short_list(others)}"] if others else []


def _digest(folder: TapsFolder, name: str, path: Path) -> list[TapsProblem]:
    image = folder.image(name)
    try:
        digest = hash_file(path).sha256
    except OSError as e:
        return [TapsProblem(str(path), "", f"the image cannot be read ({e.strerror or e}); copy it again")]
    if not image.sha256 or digest == image.sha256:
        return []
    said = f"taps are of another file than {path}: its sha256 is {digest[:12]}…, theirs {image.sha256[:12]}…"
    return [
        TapsProblem(
            f"{folder.path / image.file}: image {name}", "sha256", f"{said}; tap that very file, or give theirs"
        )
    ]
