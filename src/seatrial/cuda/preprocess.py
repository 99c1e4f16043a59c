"""A Preprocess on a card: from images in device memory to the launches that write their tensor.

For: which kernel, with which tables and arguments. Not for: settings (kernels/preprocess.py), the driver (_native.cuda), or
arithmetic (csrc/cuda/preprocess). The tensor has the CPU kernels' bits. Every configuration is covered but engine="reference".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from seatrial._native import device_preprocess as native
from seatrial.cuda.device_images import LONGEST, DeviceImage
from seatrial.cuda.layouts import FROM_TABLE, IMAGE, KINDS, METHODS, SETTINGS, TYPES
from seatrial.errors import DataError
from seatrial.kernels import native_preprocess, reference
from seatrial.kernels.arguments import ArgumentError
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.images import CHANNELS, YUV, yuv_coefficients
from seatrial.kernels.preprocess import Preprocess

# The driver's limit of a grid's second and third dimension.
_GRID_LIMIT = 65535
_SIZES_KEPT = 64


class Buffer(Protocol):
    """Device memory that lives as long as this does, as _native.cuda's DeviceBuffer."""

    @property
    def pointer(self) -> int: ...


# Bytes to device memory: done when it returns, or before any later work of the stream that launches.
Upload = Callable[[bytes], Buffer]


@dataclass(frozen=True)
class Launch:
    """One kernel launch. It may be repeated, and captured in a graph. Keep it, images and tensor until the kernel has run."""

    function: str  # its name in preprocess.ptx
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    arguments: tuple[bytes, ...]  # one a kernel parameter: the value's bytes
    kept: tuple[Buffer, ...]  # memory that the arguments point into


@dataclass(frozen=True)
class _SizeTables:
    """What depends on an image's size alone: the method, and Image's fields with the tables' addresses."""

    method: str
    fields: npt.NDArray[np.void]
    buffer: Buffer | None


class DevicePreprocess:
    """Launches for one Preprocess on one card. Tables are uploaded once: for the values, and for each size of image.

    Args:
        preprocess: what to compute.
        upload: puts bytes into device memory, at an address that is a multiple of 16.

    Raises:
        ArgumentError: engine is "reference", which is the CPU's.
    """

    def __init__(self, preprocess: Preprocess, upload: Upload) -> None:
        if preprocess.engine != "native":
            raise ArgumentError(
                "engine",
                f"expected 'native' for preprocessing on a card, got {preprocess.engine!r}; the reference runs on the CPU only",
            )
        self._preprocess = preprocess
        self._upload = _aligned(upload)
        self._sizes: OrderedDict[tuple[int, int], _SizeTables] = OrderedDict()
        tables, self._settings = _settings(preprocess)
        self._values = self._upload(tables)
        self._settings["tables"] = self._values.pointer

    def launches(self, images: Sequence[DeviceImage], out: int, shape: tuple[int, ...]) -> tuple[Launch, ...]:
        """What writes the tensor of `shape` at address `out`, without gaps: one launch for each resize method among the images.

        The shape is (len(images), *preprocess.shape_of(input size)). ArgumentError where an image or the shape can't be so;
        DataError where an image can't be fitted.
        """
        geometries = self._geometries(images)
        settings = self._settings_of(geometries, out, shape)
        slot_bytes = int(np.prod(shape[1:], dtype=np.int64)) * np.dtype(self._preprocess.dtype).itemsize
        _check_apart(images, self._preprocess.input_color, out, len(images) * slot_bytes)
        groups: dict[str, list[tuple[int, _SizeTables]]] = {}
        for i, geometry in enumerate(geometries):
            tables = self._tables(geometry)
            groups.setdefault(tables.method, []).append((i, tables))
        made = []
        for method, members in groups.items():
            for begin in range(0, len(members), _GRID_LIMIT):
                some = members[begin : begin + _GRID_LIMIT]
                records = np.zeros(len(some), IMAGE)
                for at, (i, tables) in enumerate(some):
                    records[at] = tables.fields
                    self._place(records[at], images[i], i * slot_bytes)
                made.append(self._launch(method, records, [t for _, t in some], settings, out))
        return tuple(made)

    def _geometries(self, images: Sequence[DeviceImage]) -> list[Geometry]:
        geometries = []
        for i, image in enumerate(images):
            try:
                image.check(self._preprocess.input_color)
                geometries.append(self._preprocess.geometry((image.height, image.width)))
            except ArgumentError as e:
                raise ArgumentError(f"image {i} of the batch: {e.argument}", e.text) from None
            except DataError as e:
                if len(images) == 1:
                    raise
                raise DataError(e.text, subject=f"image {i} of the batch") from None
        return geometries

    def _settings_of(self, geometries: list[Geometry], out: int, shape: tuple[int, ...]) -> npt.NDArray[np.void]:
        p = self._preprocess
        sizes = list(dict.fromkeys(g.input_hw for g in geometries))
        if len(sizes) != 1:
            found = " and ".join(f"{h} × {w}" for h, w in sizes[:2]) or "no image"
            raise ArgumentError(
                "images", f"expected at least one, all of one input size, got {found}; give them one by one"
            )
        height, width = sizes[0]
        expected = (len(geometries), *p.shape_of(sizes[0]))
        if tuple(shape) != expected:
            raise ArgumentError("shape", f"expected {expected} for these images, got {tuple(shape)}")
        most = native.BLOCK[1] * native.THREAD_ROWS * _GRID_LIMIT, LONGEST // 4
        if height > most[0] or width * p.channels > most[1]:
            raise ArgumentError(
                "size", f"expected at most {most[0]} rows of {most[1]} values on a card, got {height} × {width}"
            )
        item = np.dtype(p.dtype).itemsize
        if not out or out % item:
            raise ArgumentError("out", f"expected an address that is a multiple of {item}, got {out:#x}")
        settings = self._settings.copy()
        settings["out_height"], settings["out_width"] = height, width
        settings["row_stride"] = width * item * (1 if p.layout == "nchw" else p.channels)
        settings["channel_stride"] = height * width * item if p.layout == "nchw" else item
        return settings

    def _tables(self, geometry: Geometry) -> _SizeTables:
        """The tables of that size of image: uploaded at first sight; the sizes seen last are kept."""
        size = geometry.source_hw
        if size not in self._sizes:
            self._sizes[size] = _size_tables(geometry, self._preprocess.interpolation, self._upload)
            if len(self._sizes) > _SIZES_KEPT:
                self._sizes.popitem(last=False)
        self._sizes.move_to_end(size)
        return self._sizes[size]

    def _place(self, record: npt.NDArray[np.void], image: DeviceImage, slot: int) -> None:
        record["pixels"], record["row_stride"] = image.pixels, image.row_stride
        record["u"], record["v"] = image.u, image.v
        record["chroma_stride"], record["chroma_step"] = image.chroma_stride, image.chroma_step
        record["channels"] = CHANNELS.get(self._preprocess.input_color, 1)
        record["slot"] = slot

    def _launch(
        self,
        method: str,
        records: npt.NDArray[np.void],
        tables: list[_SizeTables],
        settings: npt.NDArray[np.void],
        out: int,
    ) -> Launch:
        input_color = self._preprocess.input_color
        kind = "gray" if input_color == "gray" else "planes" if input_color in YUV else "color"
        mine = settings.copy()
        mine["images"] = len(records)
        across, down = native.BLOCK
        width, height = int(mine["out_width"]), int(mine["out_height"])
        images = self._upload(records.tobytes())
        kept = {id(t.buffer): t.buffer for t in tables if t.buffer is not None}
        return Launch(
            function=f"seatrial_preprocess_{method}_{kind}",
            grid=(-(-width // across), -(-height // (down * native.THREAD_ROWS)), len(records)),
            block=(across, down, 1),
            arguments=(images.pointer.to_bytes(8, "little"), out.to_bytes(8, "little"), mine.tobytes()),
            kept=(images, self._values, *kept.values()),
        )


def _aligned(upload: Upload) -> Upload:
    """Checks where the memory lies: a load of 16 bytes traps elsewhere."""

    def checked(content: bytes) -> Buffer:
        buffer = upload(content)
        if buffer.pointer % 16:
            raise ArgumentError(
                "upload", f"expected memory at a multiple of 16, got {buffer.pointer:#x}; DeviceBuffer gives such"
            )
        return buffer

    return checked


def kernel_of(function: str) -> tuple[int, int]:
    """(method, kind) of a launch's function, as numbers of body.hpp's enums."""
    method, _, kind = function.removeprefix("seatrial_preprocess_").rpartition("_")
    return METHODS.index(method), KINDS.index(kind)


def _settings(p: Preprocess) -> tuple[bytes, npt.NDArray[np.void]]:
    """The tables of values, and Settings but for addresses and sizes."""
    n = reference.Normalisation(p.scale, p.mean, p.std, p.dtype, p.quant_scale, p.zero_point)
    makes_gray = p.color == "gray" and p.input_color != "gray"
    runs_rgb = p.input_color in ("rgb", "rgba")
    reversed = runs_rgb if p.color == "gray" else runs_rgb != (p.color == "rgb")
    levels = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], p.channels, axis=2)
    tables = np.ascontiguousarray(reference.to_values(levels, n)[:, 0].T)
    # One a channel, in the source's order.
    order = slice(None, None, -1) if reversed and p.color != "gray" else slice(None)
    tables = np.ascontiguousarray(tables[order])
    values = native_preprocess.values_for(n, p.layout == "nchw", makes_gray, reversed)
    s = np.zeros((), SETTINGS)
    s["type"] = TYPES[p.dtype]
    # A NaN's bits are the processor's own: no arithmetic on a card repeats them.
    s["form"] = FROM_TABLE if np.isnan(tables).any() else values.form
    s["planar"], s["makes_gray"], s["reversed"] = p.layout == "nchw", makes_gray, reversed
    s["channels"], s["pad"] = p.channels, p.pad_value
    s["yuv"] = yuv_coefficients(p.yuv_matrix, p.yuv_range)
    c, std = p.channels, np.asarray(p.std[order], np.float32)
    if s["type"] == TYPES["uint8"]:
        s["added"][:c] = tables.view(np.uint8)[:, 0]
    s["scale"] = np.float32(p.scale)
    s["mean"][:c] = np.asarray(p.mean[order], np.float32)
    s["std"][:c] = std
    with np.errstate(over="ignore"):
        s["reciprocal"][:c] = np.float32(1) / std
    return tables.tobytes(), s


def _size_tables(geometry: Geometry, interpolation: str, upload: Upload) -> _SizeTables:
    number = native_preprocess.INTERPOLATIONS.index(interpolation)
    method, across, down, columns, rows, box = native.tables(geometry, number)
    arrays = [*columns[:3], *rows[:3]]
    joined = np.concatenate(arrays)
    buffer = upload(joined.tobytes()) if joined.size else None
    fields = np.zeros((), IMAGE)
    at = 0 if buffer is None else buffer.pointer
    for axis, table in (("columns", columns), ("rows", rows)):
        for name, values in zip(("first", "length", "weights"), table[:3], strict=True):
            fields[axis][name] = at if values.size else 0
            at += values.nbytes
        fields[axis]["stride"] = table[3]
    fields["height"], fields["width"] = geometry.source_hw
    (fields["begin_x"], fields["shown_width"]), (fields["begin_y"], fields["shown_height"]) = across, down
    fields["left"], fields["top"] = across[0] + geometry.offset_x, down[0] + geometry.offset_y
    fields["box_width"], fields["box_height"], fields["box_scale"] = box
    return _SizeTables(METHODS[method], fields, buffer)


def _check_apart(images: Sequence[DeviceImage], input_color: str, out: int, out_bytes: int) -> None:
    """ArgumentError where the tensor overlaps an image: threads would read what others have written."""
    channels = CHANNELS.get(input_color, 1)
    for i, image in enumerate(images):
        half_rows, half_bytes = (image.height + 1) // 2, (image.width - 1) // 2 * image.chroma_step + 1
        areas = [(image.pixels, image.row_stride, image.height, image.width * channels)]
        if image.u:
            areas += [(plane, image.chroma_stride, half_rows, half_bytes) for plane in (image.u, image.v)]
        for start, stride, rows, row_bytes in areas:
            ends = start, start + (rows - 1) * stride
            if min(ends) < out + out_bytes and out < max(ends) + row_bytes:
                raise ArgumentError(
                    "out", f"expected memory of its own, got an address whose tensor overlaps image {i}"
                )
