"""The images of a trial: found, ordered, identified by digest, kept in memory. Not for: decoding or checking them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seatrial.digests import HashedFile, hash_file
from seatrial.errors import NOT_UTF8, DataError, count_of, is_utf8, printable, short_list
from seatrial.images.decode import read_bytes
from seatrial.plan.load import PlanFile
from seatrial.warning import Warning

SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".mpo",
    ".png",
    ".apng",
    ".webp",
    ".bmp",
    ".tif",
    ".tiff",
    ".gif",
    ".avif",
    ".jp2",
    ".j2k",
    ".jpf",
    ".jpx",
    ".ppm",
    ".pgm",
    ".pbm",
    ".pnm",
)
# Encoded bytes are read before timing starts, so that a slow disk is not taken for a slow decoder.
MEMORY_LIMIT_BYTES = 1 << 28
MOST_NAMED = 20


@dataclass(frozen=True)
class ImageFile:
    """name is the path below the images' folder: what annotations and reports call the image."""

    path: Path
    name: str


def find_images(plan: PlanFile) -> tuple[list[ImageFile], list[Warning]]:
    """The plan's images in order of name (a folder) or as listed, and what is to be said about files left out.

    DataError where a path is missing or has none, or where two names are one file.
    """
    spec = plan.plan.images
    warnings: list[Warning] = []
    if isinstance(spec.path, str):
        folder = plan.resolve(spec.path)
        if folder.is_file():
            found = [ImageFile(folder, folder.name)]
        else:
            found, warnings = _in_folder(folder, _files_of(plan))
    else:
        found = [ImageFile(plan.resolve(p), p) for p in spec.path]
        for image in found:
            if not image.path.is_file():
                raise DataError(f"{image.path}: no such image (listed in images.path of {plan.path})")
    if not found:
        raise DataError(f"{plan.path}: images.path lists no image; expected at least one")
    _refuse_unnameable(found)
    _refuse_twice(plan, found)
    return found[: spec.limit], warnings


def _refuse_unnameable(found: list[ImageFile]) -> None:
    names = [printable(str(image.path)) for image in found if not is_utf8(image.path)]
    if names:
        raise DataError("\n".join(f"{name}: {NOT_UTF8}" for name in names[:MOST_NAMED]))


def _refuse_twice(plan: PlanFile, found: list[ImageFile]) -> None:
    """An image that counts twice weighs twice, in accuracies and in times."""
    seen: dict[tuple[int, int], str] = {}
    for image in found:
        status = image.path.stat()
        key = status.st_dev, status.st_ino
        if key in seen:
            again = (
                f"{seen[key]} stands there twice"
                if seen[key] == image.name
                else f"{seen[key]} and {image.name} are one file"
            )
            raise DataError(f"{plan.path}: images.path: {again}; leave one out")
        seen[key] = image.name


def _files_of(plan: PlanFile) -> set[Path]:
    """What the plan itself names: such a file beside the images is no file left out."""
    spec = plan.plan.images
    named_files = [spec.annotations, spec.tags]
    for pipeline in plan.plan.pipelines.values():
        labels = pipeline.postprocess.labels
        named_files += [pipeline.model, labels if isinstance(labels, str) else None]
    paths = [plan.resolve(f).resolve() for f in named_files if f is not None]
    # Of a folder of annotations all texts.
    return {plan.path.resolve(), *paths, *(text for p in paths if p.is_dir() for text in p.rglob("*.txt"))}


def _in_folder(folder: Path, expected: set[Path]) -> tuple[list[ImageFile], list[Warning]]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of images; images.path is relative to the plan's folder")
    images: list[ImageFile] = []
    others: list[str] = []
    hidden: list[str] = []
    links: list[str] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        # Of what is left out, a warning speaks, which a record keeps.
        shown = printable(name)
        image = path.suffix.lower() in SUFFIXES
        if path.is_symlink() and (not path.exists() or path.is_dir()):
            links.append(shown)
        elif not path.is_file():
            continue
        elif any(part.startswith(".") for part in path.relative_to(folder).parts):
            hidden += [shown] if image else []
        elif image:
            images.append(ImageFile(path, name))
        elif path.resolve() not in expected:
            others.append(shown)
    if not images:
        also = f", got {count_of(len(others), 'other file')}: {short_list(others)}" if others else ""
        raise DataError(f"{folder}: no images in this folder; expected files ending in {', '.join(SUFFIXES)}{also}")
    warnings = []
    where = f"in {folder.name}/ left out"
    if others:
        said = f"{count_of(len(others), 'file')} {where}, being no images that are read: {short_list(others)}"
        warnings.append(Warning("other-files", said))
    if hidden:
        said = f"{count_of(len(hidden), 'image')} {where}, being hidden: {short_list(hidden)}"
        warnings.append(Warning("hidden-images", said))
    if links:
        said = f"{count_of(len(links), 'link')} {where}, leading nowhere or to a folder: {short_list(links)}"
        warnings.append(Warning("links", said))
    return images, warnings


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
