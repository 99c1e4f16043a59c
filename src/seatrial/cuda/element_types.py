"""Element types between NumPy, `__cuda_array_interface__` and DLPack. Not for: layouts and devices (interop)."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

# DLPack's DLDataTypeCode.
_INT, _UINT, _FLOAT, _BFLOAT, _COMPLEX, _BOOL = 0, 1, 2, 4, 5, 6
_KINDS = {"i": _INT, "u": _UINT, "f": _FLOAT, "c": _COMPLEX, "b": _BOOL}
# Types that NumPy does not have by itself, by the names of ml_dtypes, which onnx brings.
_MORE = {
    "bfloat16": (_BFLOAT, 16),
    "float8_e4m3fn": (10, 8),
    "float8_e4m3fnuz": (11, 8),
    "float8_e5m2": (12, 8),
    "float8_e5m2fnuz": (13, 8),
}

_NATIVE = "<" if sys.byteorder == "little" else ">"


def of_dlpack(code: int, bits: int, lanes: int) -> np.dtype[Any]:
    """ValueError where NumPy has no such type, even with ml_dtypes."""
    if lanes == 1:
        for kind, known in _KINDS.items():
            if code == known and bits % 8 == 0 and bits >= 8:
                try:
                    return np.dtype(f"{kind}{bits // 8}" if kind != "b" else "?")
                except TypeError:
                    break
        for name, pair in _MORE.items():
            if (code, bits) == pair:
                return _named(name)
    raise ValueError(
        f"expected elements of a type that NumPy or ml_dtypes knows, got DLPack's code {code} of {bits} bits in {lanes} lanes; "
        "convert it before, or view it as unsigned integers"
    )


def to_dlpack(dtype: np.dtype[Any]) -> tuple[int, int]:
    """(code, bits). ValueError where DLPack has no such type."""
    if dtype.name in _MORE:
        return _MORE[dtype.name]
    if dtype.kind in _KINDS and dtype.isnative:
        return _KINDS[dtype.kind], 8 * dtype.itemsize
    raise ValueError(f"expected an element type that DLPack knows, got {dtype}")


def of_typestr(typestr: str) -> np.dtype[Any]:
    """Of `__cuda_array_interface__`. ValueError where it is of the other byte order, or no type of numbers."""
    order, kind = typestr[:1], typestr[1:2]
    if order not in ("|", "=", _NATIVE):
        raise ValueError(
            f"expected elements in this machine's byte order ({_NATIVE}), got {typestr!r}; swap their bytes before"
        )
    if kind not in _KINDS:
        raise ValueError(
            f"expected elements that are numbers, got {typestr!r}; hand bfloat16 and float8 over by DLPack, which names them"
        )
    return np.dtype(typestr)


def to_typestr(dtype: np.dtype[Any]) -> str | None:
    """None where `__cuda_array_interface__` has no name for it."""
    return dtype.str if dtype.kind in _KINDS and dtype.name not in _MORE else None


def as_dtype(given: npt.DTypeLike) -> np.dtype[Any]:
    """A NumPy type, or one of ml_dtypes by its name."""
    return _named(given) if isinstance(given, str) and given in _MORE else np.dtype(given)


def _named(name: str) -> np.dtype[Any]:
    import ml_dtypes

    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return dtype
