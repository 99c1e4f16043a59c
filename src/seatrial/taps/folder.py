"""A folder of taps, read image by image as they are asked for: nothing of it stays in memory.

For: taps.json with the files beside it, neither of which is trusted. Not for: finding all that is wrong at once (check.py).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Self

from seatrial.errors import DataError, did_you_mean
from seatrial.pipeline.results import Result
from seatrial.taps import values
from seatrial.taps.manifest import FILE, OUTPUT, PICTURES, RESULTS, STAGES, TappedImage, TapsManifest, read_manifest
from seatrial.taps.npz import Npz
from seatrial.taps.shown import Array, ImageTaps


class TapsFolder:
    """names: of its images, in order. stages: those of manifest.STAGES that every image has."""

    def __init__(self, path: Path, manifest: TapsManifest, read: Collection[str] = STAGES) -> None:
        """read: of manifest.STAGES those that are read where an image has them."""
        self.path = path
        self._read = read
        # A user's code may change the working folder.
        self._root = path.resolve()
        self.manifest = manifest
        self._images = {image.name: image for image in manifest.images}

    @classmethod
    def open(cls, path: Path) -> Self:
        """DataError where there is no sound taps.json, or where it names no image."""
        if not path.is_dir():
            raise DataError(
                "no such folder; expected a folder of taps with taps.json in it, see docs/taps.md", subject=path
            )
        _check_within(path.resolve(), FILE, path / FILE)
        manifest = read_manifest(path / FILE)
        if not manifest.images:
            note = f"; it says: {manifest.note}" if manifest.note else ""
            raise DataError(f"lists no image{note}; record at least one", subject=path / FILE)
        return cls(path, manifest)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._images)

    @property
    def stages(self) -> frozenset[str]:
        return frozenset(map(_kind_of, self.manifest.stages))

    def image(self, name: str) -> TappedImage:
        """DataError where there is none of that name."""
        if name not in self._images:
            raise DataError(
                f"no image called {name!r}{did_you_mean(name, list(self._images))}", subject=self.path / FILE
            )
        return self._images[name]

    def file(self, name: str) -> Npz:
        """An image's arrays as they lie there, to be used in a `with` block. DataError where its path leads out of here."""
        image = self.image(name)
        shown = self.path / image.file
        _check_within(self._root, image.file, shown)
        return Npz(self._root / image.file, f"{shown}: image {name}")

    def of_stages(self, stages: Collection[str]) -> Self:
        """The same, of which no others are read."""
        return type(self)(self.path, self.manifest, stages)

    def load(self, name: str) -> ImageTaps:
        """All stages that taps.json lists, or those asked for. DataError names the image, the file and the key of what is
        missing or not sound."""
        with self.file(name) as file:
            stages = [s for s in self.manifest.stages if _kind_of(s) in self._read]
            arrays = {s: array_of(file, s) for s in stages if s not in RESULTS}
            results = {s: result_of(file, s) for s in stages if s in RESULTS}
            return ImageTaps(
                decoded=arrays.pop("decoded", None),
                resized=arrays.pop("resized", None),
                input=arrays.pop("input", None),
                outputs={s.removeprefix(OUTPUT): array for s, array in arrays.items()},
                candidates=results.get("candidates"),
                results=results.get("results"),
                unread=file.unread,
            )


def _kind_of(stage: str) -> str:
    return "outputs" if stage.startswith(OUTPUT) else stage


def array_of(file: Npz, stage: str) -> Array:
    """A stage of an image that is one array. DataError where it is missing or not sound."""
    if stage not in file.keys:
        raise _missing(file, stage)
    return values.picture(file, stage) if stage in PICTURES else values.tensor(file, stage)


def result_of(file: Npz, stage: str) -> Result:
    """As array_of, of a stage that has several."""
    if not any(key.startswith(f"{stage}.") for key in file.keys):
        raise _missing(file, stage)
    return values.result(file, stage)


def _missing(file: Npz, stage: str) -> DataError:
    return file.error(
        stage, f"is one of the 'stages' of {FILE}, and not in the file", "write it, or take it out of 'stages'"
    )


def _check_within(root: Path, file: str, shown: Path) -> None:
    try:
        within = (root / file).resolve().is_relative_to(root)
    except (OSError, RuntimeError, ValueError):  # links in a circle, or a name that is none
        within = False
    if not within:
        raise DataError("leads out of the folder of taps; put the file itself into the folder", subject=shown)
