"""The measured floor: how far the reference is from itself, part by part. For: reading and writing what a worker measured.

Not for: measuring (cells/floor.py) or what follows from it (tolerance.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter

from seatrial.history.records import Floor

FILE = "floor.json"
_FLOORS: TypeAdapter[tuple[Floor, ...]] = TypeAdapter(tuple[Floor, ...])


def save_floors(folder: Path, floors: Sequence[Floor]) -> None:
    (folder / FILE).write_bytes(_FLOORS.dump_json(tuple(floors)))


def load_floors(folder: Path) -> tuple[Floor, ...]:
    """Empty where none was measured."""
    path = folder / FILE
    return _FLOORS.validate_json(path.read_bytes()) if path.is_file() else ()


def usable(floors: Sequence[Floor]) -> tuple[Floor, ...]:
    """Those that were measured. A reference that is NaN in one of two runs is no yardstick."""
    return tuple(f for f in floors if not f.problem)


def unmeasured(floors: Sequence[Floor]) -> str:
    """What could not be measured and why, as a clause; empty where all was."""
    return "".join(f"; the floor at {f.what} was not measured: {f.problem}" for f in floors if f.problem)
