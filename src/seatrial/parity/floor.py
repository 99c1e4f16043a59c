"""The measured floor: how far the reference is from itself, part by part. For: reading and writing what a worker measured.

Not for: measuring (trial) or what follows from it (tolerance.py).
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


def usable(floor: Floor) -> bool:
    """A reference that is NaN now and then is no yardstick: its own cell fails for that."""
    return not floor.problem and not any(t.nan_mismatch for t in floor.tensors)
