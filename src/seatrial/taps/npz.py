"""An image's .npz, array by array, as nobody would trust it: no pickles, no sizes but those that its bytes have.

For: one file as plain native arrays in C order. Not for: what a key means (values.py).
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from seatrial.errors import DataError, printable
from seatrial.units import format_bytes

Array = npt.NDArray[Any]
# More than raw scores of 150 classes on 4 megapixels have; of one array, and of a whole file.
MOST_BYTES = 1 << 31
_AGAIN = "write the file again"
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Npz:
    """Open while its `with` block lasts. subject: the file and its image, for messages. DataError for all that is wrong."""

    def __init__(self, path: Path, subject: str) -> None:
        self._path = path
        self._subject = subject
        self._read: set[str] = set()

    def __enter__(self) -> Self:
        if not self._path.is_file():
            raise self.error("", "no such file", "copy it into the folder, or take its image out of taps.json")
        with self._telling(""):
            self._archive = zipfile.ZipFile(self._path)
        try:
            self._check_entries(self._archive.infolist())
        except BaseException:
            self._archive.close()
            raise
        return self

    def _check_entries(self, entries: Sequence[zipfile.ZipInfo]) -> None:
        self.keys = tuple(e.filename.removesuffix(".npy") for e in entries)
        twice = [key for key, count in Counter(self.keys).items() if count > 1]
        if twice:
            raise self.error(twice[0], "stands in the file twice", "write each key once")
        total = sum(e.file_size for e in entries)
        if total > MOST_BYTES:
            most = f"expected at most {format_bytes(MOST_BYTES)} an image"
            raise self.error("", f"unpacks to {format_bytes(total)}", most)

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        self._archive.close()

    @property
    def unread(self) -> tuple[str, ...]:
        """Keys that nobody asked for so far."""
        return tuple(k for k in self.keys if k not in self._read)

    def array(self, key: str) -> Array:
        """Numbers in the machine's byte order, or one text; contiguous in C order whatever order they were written in."""
        self._read.add(key)
        with self._telling(key):
            entry = self._archive.NameToInfo.get(f"{key}.npy") or self._archive.getinfo(key)
            with self._archive.open(entry) as stream:
                shape, fortran, dtype = self._header(stream, key)
                self._check_size(key, shape, dtype, entry.file_size - stream.tell())
                flat = np.frombuffer(stream.read(), dtype)
        array = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
        return np.array(array, dtype.newbyteorder("="), order="C")

    def _header(self, stream: IO[bytes], key: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
        try:
            version = np.lib.format.read_magic(stream)
            shape, fortran, dtype = _HEADERS[version](stream)
        except (ValueError, SyntaxError, TypeError, KeyError):
            known = "expected an .npy header of version 1.0 or 2.0"
            raise self.error(key, f"is no array: {known}", "write it as docs/taps.md shows") from None
        if dtype.hasobject:
            raise self.error(key, "holds Python objects, which are never unpickled", "write an array of numbers")
        if dtype.kind not in "fiubU":
            raise self.error(
                key, f"is of dtype {dtype.str}", "expected floats, integers or bools; write bfloat16 as float32"
            )
        return shape, fortran, dtype

    def _check_size(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any], there: int) -> None:
        needed = math.prod(shape) * dtype.itemsize
        if needed != there or any(n < 0 for n in shape):
            said = f"has a header of {dtype.name} {shape}, which are {needed} bytes, and {there} bytes behind it"
            raise self.error(key, said, _AGAIN)

    def error(self, key: str, said: str, cure: str) -> DataError:
        """What is wrong with a key, or with the file where it is '', and the cure."""
        return DataError(f"{said}; {cure}", subject=self._subject, key=printable(key))

    @contextmanager
    def _telling(self, key: str) -> Iterator[None]:
        try:
            yield
        except KeyError:
            raise self.error(key, "is not in the file", _AGAIN) from None
        except OSError as e:
            raise self.error(key, f"cannot be read ({e.strerror or e})", _AGAIN) from None
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError) as e:
            raise self.error(key, f"is damaged, or no .npz ({str(e) or type(e).__name__})", _AGAIN) from None
