"""The catalogue of known mistakes in the terminal. Not for: faults that were found in a pipeline (parity_text.py)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from rich.text import Text

from seatrial.faults.fault import Fault
from seatrial.faults.pictures import TellingPicture
from seatrial.report.half_blocks import half_blocks
from seatrial.report.hanging import hanging

U8 = npt.NDArray[np.uint8]
# Columns of one picture at most: more is slow to print, and shows no more.
MOST_COLUMNS = 60
GAP = 2
# Columns of what stands before a sentence.
LABEL = 15


def print_faults(out: Console, faults: Sequence[Fault]) -> None:
    """A line each, by the stage at which it is first seen."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("fault", "what it is", "first seen in"):
        table.add_column(name, no_wrap=name != "what it is", overflow="fold")
    for f in faults:
        table.add_row(Text(f.name, "bold"), f.title, f.stage)
    out.print(table)


def print_fault(out: Console, fault: Fault) -> None:
    out.print(Text.assemble((fault.name, "bold"), f"  {fault.title}"))
    rows = (
        ("what it is", fault.is_),
        ("how it shows", fault.shows),
        ("cure", fault.cure),
        ("reported", fault.reported),
        ("first seen in", fault.stage),
        ("seen with", fault.telling),
    )
    for name, said in rows:
        if said:
            labelled(out, name, said)
    if fault.twin is not None:
        out.print(Text.assemble("\nby the same name: ", (fault.twin.title, "bold")))
        for name, said in (
            ("what it is", fault.twin.is_),
            ("how it shows", fault.twin.shows),
            ("cure", fault.twin.cure),
        ):
            labelled(out, name, said)


def labelled(out: Console, name: str, said: str) -> None:
    hanging(out, (name.ljust(LABEL), "dim"), said)


def print_sides(out: Console, images: Sequence[tuple[str, U8]]) -> None:
    """(caption, (H, W, 3) BGR) beside each other, as wide as the terminal has room for."""
    width = min(MOST_COLUMNS, (out.width - GAP * (len(images) - 1)) // len(images))
    if width < 1:
        return
    columns = [half_blocks(_at_width(pixels, width)) for _, pixels in images]
    heads = [Text(caption[:width].ljust(width), "dim") for caption, _ in images]
    empty, gap = Text(" " * width), Text(" " * GAP)
    out.print(gap.join(heads), no_wrap=True, overflow="crop")
    for row in range(max(map(len, columns))):
        parts = [column[row] if row < len(column) else empty for column in columns]
        out.print(gap.join(parts), no_wrap=True, overflow="crop")


def _at_width(pixels: U8, width: int) -> U8:
    height = max(1, round(pixels.shape[0] * width / pixels.shape[1]))
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def print_pictures(out: Console, pictures: Sequence[TellingPicture]) -> None:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("picture", "has", "shows"):
        table.add_column(name, no_wrap=name == "picture", overflow="fold")
    for p in pictures:
        table.add_row(p.file, p.has, ", ".join(p.tells) or "nothing: what it hides, others show")
    out.print(table)
