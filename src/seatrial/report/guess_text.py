"""What init makes of a model, for a terminal. Not for: the guess itself (plan/guess.py) or the plan (plan/init.py)."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from seatrial.errors import printable
from seatrial.model.file import ModelInfo
from seatrial.units import format_bytes


def print_guess(out: Console, name: str, info: ModelInfo, certain: Iterable[str], unsure: Iterable[str]) -> None:
    """The model's tensors and labels; what is certain of its pipeline, and what is to be checked."""
    out.print(Text.assemble((name, "bold"), f"  {format_bytes(info.size_bytes)}, opset {info.opset}"))
    for tensor in info.inputs:
        out.print(f"  input   {tensor}", markup=False)
    for tensor in info.outputs:
        out.print(f"  output  {tensor}", markup=False)
    labels = info.labels()
    if labels:
        first = ", ".join(map(printable, labels[:8]))
        out.print(f"  labels  {first}{' …' if len(labels) > 8 else ''}", markup=False)
    for reason in certain:
        out.print(Text.assemble(("  ✓ ", "green"), printable(reason)))
    for doubt in unsure:
        out.print(Text.assemble(("  ? ", "yellow"), printable(doubt)))
