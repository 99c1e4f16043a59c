"""Writes a folder of taps: a file an image as they come, taps.json at the end, or for what is there where something fails.

For: our own pipelines' taps. Not for: other programs, which write the same by docs/taps.md.
"""

from __future__ import annotations

import contextlib
import io
import re
import time
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from seatrial.errors import ResultsError, count_of, did_you_mean, option, printable
from seatrial.history.files import why_not_written, write_atomic
from seatrial.pipeline.results import Result
from seatrial.taps.manifest import FILE, OUTPUT, PICTURES, RESULTS, STAGES, TappedImage, TapsManifest
from seatrial.taps.shown import Array, ImageTaps
from seatrial.taps.values import KIND, NONE

Color = Literal["bgr", "rgb", "gray"]
# So much work at most is lost where the process is killed; each time costs a file as long as the images' names.
SAFE_EVERY_S = 5.0


class TapsWriter:
    """stages: of manifest.STAGES those that each image has. color: of its pictures. precision, backend: the model's. total: of
    so many images, where that is known, a note says that the folder is a part.

    Within its `with` block; where that fails, what was written stays readable, with a note. ResultsError where the folder has
    something in it already, or can't be written.
    """

    def __init__(
        self,
        path: Path,
        producer: str,
        stages: Collection[str],
        *,
        color: Mapping[Literal["decoded", "resized"], Color] | None = None,
        batch: int | None = None,
        precision: str = "",
        backend: str = "",
        total: int | None = None,
    ) -> None:
        for stage in stages:
            if stage not in STAGES:
                raise ValueError(f"no stage is called {stage!r}{did_you_mean(stage, list(STAGES))}")
        self._path = path
        self._producer = producer
        self._stages = [s for s in STAGES if s in stages]
        self._color = {k: v for k, v in (color or {}).items() if k in self._stages}
        self._batch = batch
        self._precision, self._backend = precision, backend
        self._total = total
        self._images: list[TappedImage] = []
        self._outputs: tuple[str, ...] | None = None
        self._safe_until = time.monotonic() + SAFE_EVERY_S

    def __enter__(self) -> Self:
        check_empty(self._path)
        try:
            self._path.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise ResultsError(f"{self._path}: cannot be written: {why_not_written(e, 'out')}") from e
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._images:
            if error is None:
                raise ValueError("expected at least one image")
            return
        # The first error says more than that the disk takes no manifest either.
        with contextlib.suppress(ResultsError) if error else contextlib.nullcontext():
            self._write_manifest(self._broken_off(str(error) or type(error).__name__) if error else "")

    def add(self, name: str, taps: ImageTaps, sha256: str = "") -> None:
        """The next image's; all its stages. A result may be None, which is no answer. ValueError where another one is missing,
        or the outputs are others than before."""
        outputs = tuple(taps.outputs)
        if "outputs" in self._stages and self._outputs not in (None, outputs):
            raise ValueError(f"{name}: expected the outputs {self._outputs}, as of the images before, got {outputs}")
        arrays: dict[str, Array] = {}
        for stage in self._stages:
            arrays |= _arrays_of(name, stage, taps)
        image = TappedImage(name=name, sha256=sha256, file=_file_name(len(self._images), name))
        write_atomic(self._path / image.file, _npz_bytes(arrays), "out")
        self._outputs = outputs
        self._images.append(image)
        if time.monotonic() >= self._safe_until:
            self._write_manifest(self._broken_off("what wrote it was ended, or writes it still"))
            self._safe_until = time.monotonic() + SAFE_EVERY_S

    def _write_manifest(self, note: str) -> None:
        found = [OUTPUT + name for name in self._outputs or ()]
        stages = [s for stage in self._stages for s in (found if stage == "outputs" else [stage])]
        manifest = TapsManifest(
            producer=self._producer,
            stages=tuple(stages),
            color=self._color,
            batch=self._batch,
            precision=self._precision,
            backend=self._backend,
            images=tuple(self._images),
            note=note,
        )
        write_atomic(self._path / FILE, manifest.json_bytes(), "out")

    def _broken_off(self, why: str) -> str:
        of = f" of {self._total}" if self._total is not None else ""
        return f"broken off after {count_of(len(self._images), 'image')}{of}: {printable(why)}"


def check_empty(path: Path) -> None:
    """ResultsError where a folder of taps cannot be written there, since something is there already."""
    if path.exists() and not path.is_dir():
        raise ResultsError(f"is a file; give {option('out')} a folder", subject=path)
    try:
        occupied = min(path.iterdir(), default=None) if path.exists() else None
    except OSError as e:
        raise ResultsError(
            f"cannot be read: {e.strerror or e}; give {option('out')} another folder", subject=path
        ) from None
    if occupied is not None:
        cure = f"expected an empty folder; delete it, or give {option('out')} another"
        raise ResultsError(f"has {printable(occupied.name)} in it; {cure}", subject=path)


def _arrays_of(name: str, stage: str, taps: ImageTaps) -> dict[str, Array]:
    """By key. ValueError where the image does not have the stage."""
    if stage in RESULTS:
        found: Result = taps.results if stage == "results" else taps.candidates
        fields: dict[str, Any] = {KIND: NONE} if found is None else {KIND: type(found).__name__, **vars(found)}
        arrays = {f"{stage}.{field}": np.asarray(value) for field, value in fields.items()}
        for key in (f"{stage}.scores", f"{stage}.score"):
            if (scores := arrays.get(key)) is not None and scores.size and np.isnan(scores).all():
                del arrays[key]  # nobody knows them
    elif stage == "outputs":
        arrays = {OUTPUT + key: np.asarray(array) for key, array in taps.outputs.items()}
    else:
        array = {"decoded": taps.decoded, "resized": taps.resized, "input": taps.input}[stage]
        arrays = {} if array is None else {stage: array}
    if not arrays:
        raise ValueError(f"{name}: expected its {stage}, which every image is to have")
    if stage in PICTURES and arrays[stage].dtype != np.uint8:
        raise ValueError(f"{name}: expected {stage} as uint8, got {arrays[stage].dtype}")
    return arrays


def _npz_bytes(arrays: Mapping[str, Array]) -> bytes:
    """Stored, not packed: reading is to be faster than the pipeline. Little-endian and in C order, as any program can read."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for key, array in arrays.items():
            if array.dtype.kind not in "fiubU":
                raise ValueError(f"{key}: expected numbers, got {array.dtype}")
            plain = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
            with archive.open(f"{key}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, plain, allow_pickle=False)
    return stream.getvalue()


def _file_name(number: int, name: str) -> str:
    """Names may hold folders, or lead out of them: a number tells files apart, and letters tell people which is which."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(name).stem).strip("-.")[:60]
    return f"{number:05d}{'-' if stem else ''}{stem}.npz"
