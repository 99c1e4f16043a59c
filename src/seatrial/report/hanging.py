"""Sentences on a terminal: broken between words, and what a line has no room for stands under its beginning.

Not for: tables, nor commands and paths that people copy, which stay whole.
"""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from seatrial.errors import printable

# With less room than this beside its mark a sentence goes on at the margin.
LEAST_COLUMNS = 20
# Of sentences without a mark.
INDENT = 2
Mark = tuple[str, str]


def hanging(out: Console, mark: Mark, said: str | Text, style: str = "") -> None:
    """mark: with its style; '' for none."""
    text = said if isinstance(said, Text) else Text(printable(said), style)
    indent = len(mark[0]) or INDENT
    if out.width - indent < LEAST_COLUMNS:
        out.print(Text.assemble(mark, text))
        return
    for number, part in enumerate(text.wrap(out, out.width - indent)):
        part.rstrip()
        out.print(Text.assemble(mark if number == 0 else " " * indent, part))


def sentence(out: Console, said: str | Text, style: str = "") -> None:
    """Without a mark."""
    hanging(out, ("", ""), said, style)
