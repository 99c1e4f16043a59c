"""What init makes of a model, for a terminal. Not for: the guess itself (plan/guess.py) or the plan (plan/init.py)."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from seatrial.errors import printable
from seatrial.model.file import ModelInfo
from seatrial.report.hanging import hanging, sentence
from seatrial.units import format_bytes


def print_guess(out: Console, name: str, info: ModelInfo, certain: Iterable[str], unsure: Iterable[str]) -> None:
    """The model's tensors and labels; what is certain of its pipeline, and what is to be checked."""
    sentence(out, Text.assemble((printable(name), "bold"), f"  {format_bytes(info.size_bytes)}, opset {info.opset}"))
    for tensor in info.inputs:
        hanging(out, ("  input   ", ""), str(tensor))
    for tensor in info.outputs:
        hanging(out, ("  output  ", ""), str(tensor))
    labels = info.labels()
    if labels:
        first = ", ".join(map(printable, labels[:8]))
        hanging(out, ("  labels  ", ""), f"{first}{' …' if len(labels) > 8 else ''}")
    for reason in certain:
        hanging(out, ("  ✓ ", "green"), reason)
    for doubt in unsure:
        hanging(out, ("  ? ", "yellow"), doubt)
