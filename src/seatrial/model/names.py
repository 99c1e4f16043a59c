"""The class names in a model's metadata, as exporters spell them. Not for: which classes a plan means (parity/classes.py)."""

from __future__ import annotations

import ast
import json

from seatrial.errors import count_of, short_list
from seatrial.warning import Warning

MOST_NAMES = 100_000


def read_names(text: str) -> tuple[list[str] | None, list[Warning]]:
    """Metadata 'names' as a list or a dict of number to name, in Python's or JSON's spelling; and what is odd about it."""
    unread = Warning(
        "unread-names",
        "the model's metadata 'names' is no list and no dict of number to name: the model counts as one without labels",
    )
    value = None
    for read in (ast.literal_eval, json.loads):
        try:
            value = read(text)
            break
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    if isinstance(value, list | tuple):
        return [str(v) for v in value], []
    try:
        numbered = {int(k): str(v) for k, v in value.items() if not isinstance(k, bool | float)}  # type: ignore[union-attr]
    except (AttributeError, TypeError, ValueError):
        return None, [unread]
    if not numbered or len(numbered) != len(value) or min(numbered) < 0 or max(numbered) >= MOST_NAMES:  # type: ignore[arg-type]
        return None, [unread]
    names = [numbered.get(k, "") for k in range(max(numbered) + 1)]
    gaps = [k for k in range(len(names)) if k not in numbered]
    if not gaps:
        return names, []
    what = f"{count_of(len(gaps), 'class', 'classes')}: {short_list([str(k) for k in gaps])}"
    return names, [Warning("nameless-classes", f"the model's names leave out {what}")]
