"""Rows of a truth's CSV by the names of its columns. For: a file that is malformed, named. Not for: what the rows mean."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from seatrial.errors import DataError, count_of
from seatrial.warning import Warning


def header_of(text: str) -> list[str]:
    """Names of the columns; none where the file is empty or no CSV."""
    try:
        return [name.strip() for name in next(csv.reader(io.StringIO(text)), [])]
    except csv.Error:
        return []


def rows_of(path: Path, text: str, wanted: Sequence[str], optional: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """Of each row the wanted columns, then the optional ones ('' where there are none). DataError names what is wrong."""
    reader = csv.DictReader(io.StringIO(text))
    columns = ",".join(wanted)
    try:
        rows, header = list(reader), reader.fieldnames or []
    except csv.Error as e:
        raise DataError(f"{path}: expected a CSV with columns {columns}, but it is malformed ({e})") from None
    if not set(wanted) <= set(header):
        got = ", ".join(header) if header else "an empty file"
        raise DataError(f"{path}: expected a header line with columns {columns}, got {got}")
    return [tuple((r.get(name) or "").strip() for name in (*wanted, *optional)) for r in rows]


def repeated_rows(count: int) -> list[Warning]:
    return [Warning("repeated-rows", f"{count_of(count, 'row')} say what another row says already")] if count else []
