"""The images of a trial: found, ordered, identified by digest, kept in memory. Not for: decoding or checking them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seatrial.errors import DataError
from seatrial.pipeline.decode import read_bytes
from seatrial.plan.files import HashedFile, hash_file
from seatrial.plan.load import PlanFile

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
# Encoded bytes are read before timing starts, so that a slow disk is not taken for a slow decoder.
MEMORY_LIMIT_BYTES = 1 << 28


@dataclass(frozen=True)
class ImageFile:
    """name is the path below the images' folder: what annotations and reports call the image."""

    path: Path
    name: str


def find_images(plan: PlanFile) -> list[ImageFile]:
    """The plan's images in order of name (a folder) or as listed. DataError where a path is missing or has none."""
    spec = plan.plan.images
    if isinstance(spec.path, str):
        folder = plan.resolve(spec.path)
        if folder.is_file():
            found = [ImageFile(folder, folder.name)]
        else:
            found = _in_folder(folder)
    else:
        found = [ImageFile(plan.resolve(p), p) for p in spec.path]
        for image in found:
            if not image.path.is_file():
                raise DataError(f"{image.path}: no such image (listed in images.path of {plan.path})")
    if not found:
        raise DataError(f"{plan.path}: images.path lists no image; expected at least one")
    return found[: spec.limit]


def _in_folder(folder: Path) -> list[ImageFile]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of images; images.path is relative to the plan's folder")
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    visible = [p for p in files if not any(part.startswith(".") for part in p.relative_to(folder).parts)]
    if not visible:
        raise DataError(f"{folder}: no images in this folder; expected files ending in {', '.join(SUFFIXES)}")
    return [ImageFile(p, p.relative_to(folder).as_posix()) for p in visible]


class ImageBytes:
    """Encoded bytes by index: all in memory where they fit, else read from disk each time."""

    def __init__(self, images: list[ImageFile]) -> None:
        self.images = images
        self.in_memory = sum(i.path.stat().st_size for i in images) <= MEMORY_LIMIT_BYTES
        self._kept = [read_bytes(i.path) for i in images] if self.in_memory else []

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> bytes:
        return self._kept[index] if self.in_memory else read_bytes(self.images[index].path)

    def __iter__(self) -> Iterator[bytes]:
        return (self[i] for i in range(len(self)))


def hash_images(images: list[ImageFile]) -> tuple[str, list[HashedFile]]:
    """sha256 over names and contents, and each file's own: the same images give the same digest wherever they lie.

    DataError where one can't be read.
    """
    total, hashed = hashlib.sha256(), []
    for image in images:
        try:
            hashed.append(hash_file(image.path))
        except OSError as e:
            raise DataError(f"{image.path}: the image cannot be read: {e.strerror or e}") from None
        total.update(image.name.encode("utf-8", "surrogateescape") + b"\0" + bytes.fromhex(hashed[-1].sha256))
    return "sha256:" + total.hexdigest(), hashed
