"""What the backends of a record's cells stand for, in words: names that a plan gave, and what each run pays for.

For: saying it once under a table. Not for: what a backend found out itself (its details).
"""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.history.records import CellRecord


def named_backends(cells: Sequence[CellRecord]) -> list[str]:
    """'ov-fast = openvino-cpu:hint=throughput', of each name that is not the backend's own alone."""
    return list(dict.fromkeys(f"{c.backend} = {c.backend_words}" for c in cells if c.backend_words))


def io_policies(cells: Sequence[CellRecord]) -> list[str]:
    """Each policy once; where there are several, with the backends that have it: their times are not of one kind."""
    backends: dict[str, list[str]] = {}
    for cell in cells:
        own = backends.setdefault(cell.measured.io_policy, [])
        if cell.backend not in own:
            own.append(cell.backend)
    if len(backends) < 2:
        return list(backends)
    return [f"{policy} ({', '.join(names)})" for policy, names in backends.items()]
