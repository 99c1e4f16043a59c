"""What a contest is: one piece of work, done by us and by others. Not for: running them (table.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Work = Callable[[], object]


@dataclass(frozen=True)
class Contest:
    """`ours` against groups of contenders; of a group the fastest counts. A floor is what no code can do without."""

    name: str
    ours: Work
    groups: dict[str, dict[str, Work]] = field(default_factory=dict)
    floor: Work | None = None
