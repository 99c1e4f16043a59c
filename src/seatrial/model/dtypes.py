"""Names and packed sizes of the dtypes that an ONNX file can hold. Not for: what NumPy can hold (file.py)."""

from __future__ import annotations

import re

_NAMES = {"FLOAT": "float32", "DOUBLE": "float64", "STRING": "text"}
_BITS = {"bool": 8}


def dtype_name(data_type: int) -> str:
    """'float32' of FLOAT, 'float8e4m3fn' of FLOAT8E4M3FN; 'unknown' of a number that this onnx does not know."""
    import onnx

    try:
        name: str = onnx.TensorProto.DataType.Name(data_type)
    except ValueError:
        return "unknown"
    return _NAMES.get(name, name.lower())


def packed_bytes(dtype: str, values: int) -> int | None:
    """As packed as the format packs them: two values of four bits in a byte, one value of bool in one. None of text and of
    what is not known."""
    digits = re.search(r"\d+", dtype)
    bits = int(digits[0]) if digits else _BITS.get(dtype)
    return None if bits is None else -(-values * bits // 8)


def family(dtype: str) -> str:
    """Signed and unsigned alike, and every format of as many bits: 'int8' of uint8, 'float8' of float8e4m3fn."""
    return re.sub(r"^u|(?<=\d)[a-z].*$", "", dtype)
