"""The picture's size that a model's metadata names. Not for: sizes that are fixed in the model's own shapes."""

from __future__ import annotations

import ast
from collections.abc import Mapping

LARGEST_SIDE = 1 << 14


def size_in_metadata(metadata: Mapping[str, str]) -> tuple[int, int] | None:
    """Height and width in pixels of 'imgsz', as Ultralytics writes it; None where there is none that can be read."""
    try:
        given = ast.literal_eval(metadata.get("imgsz", ""))
        size = (int(given[0]), int(given[1])) if isinstance(given, list | tuple) else (int(given), int(given))
    except (ValueError, SyntaxError, TypeError, IndexError, MemoryError, RecursionError, OverflowError):
        return None
    return size if min(size) >= 1 and max(size) <= LARGEST_SIDE else None
