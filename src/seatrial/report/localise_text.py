"""What was found inside two models, for a terminal. Not for: finding it (localise)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seatrial.errors import count_of, printable
from seatrial.report.hanging import hanging, sentence

MOST_JUMPS = 10
ERRORS_SAID = (
    "Errors are the root mean square of the difference over the tensor's spread; on equal inputs: the other side's node, run "
    "on the very tensors that this one read"
)
STYLES = {"equal": "bold green", "differ": "bold red", "not enough": "bold yellow"}


class JumpLine(Protocol):
    """A node that answers otherwise on equal inputs, as localise/result.py has it."""

    @property
    def said(self) -> str: ...
    @property
    def error_in(self) -> float: ...
    @property
    def error_out(self) -> float: ...
    @property
    def own_error(self) -> float: ...
    @property
    def tolerance(self) -> float: ...
    @property
    def judged(self) -> str: ...
    @property
    def among(self) -> tuple[str, ...]: ...
    @property
    def confirmed(self) -> bool: ...
    @property
    def how(self) -> str: ...


class Inside(Protocol):
    @property
    def verdict(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def jumps(self) -> Sequence[JumpLine]: ...
    @property
    def matched(self) -> int: ...
    @property
    def unmatched_a(self) -> int: ...
    @property
    def unmatched_b(self) -> int: ...
    @property
    def images(self) -> int: ...
    @property
    def notes(self) -> tuple[str, ...]: ...


class RecipeLine(Protocol):
    @property
    def precision(self) -> str: ...
    @property
    def nodes(self) -> tuple[str, ...]: ...
    @property
    def restores(self) -> bool: ...
    @property
    def minimal(self) -> bool: ...
    @property
    def before(self) -> float: ...
    @property
    def after(self) -> float: ...
    @property
    def candidates(self) -> int: ...
    @property
    def tried(self) -> int: ...


def print_inside(out: Console, sides: tuple[str, str], made_up: bool, found: Inside) -> None:
    """sides: what A and B are, in words. The verdict stands last, above the prompt."""
    for letter, words in zip("AB", sides, strict=True):
        hanging(out, (f"{letter}  ", "bold"), words)
    if found.jumps:
        print_jumps(out, found.jumps)
    what = "made-up input" if made_up else "image"
    count = count_of(found.images, what)
    said = f"{count_of(found.matched, 'tensor')} matched, {found.unmatched_a} of A and {found.unmatched_b} of B not; {count}"
    sentence(out, said, "dim")
    for note in found.notes:
        hanging(out, ("note: ", "dim"), note, "dim")
    first = f"; first at {found.jumps[0].said}" if found.jumps else ""
    mark = found.verdict.upper()
    hanging(out, (f"{mark}  ", STYLES[found.verdict]), f"{found.reason}{first}")


def print_jumps(out: Console, jumps: Sequence[JumpLine], most: int = MOST_JUMPS) -> None:
    out.print(_table(jumps[:most]))
    if len(jumps) > most:
        sentence(out, f"and {len(jumps) - most} nodes more, in the JSON")
    sentence(out, f"{ERRORS_SAID[0].lower()}{ERRORS_SAID[1:]}", "dim")


def _table(jumps: Sequence[JumpLine]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("node", "error in", "out", "on equal inputs", "allowed", "in what the files differ"):
        right = name not in ("node", "in what the files differ")
        table.add_column(name, justify="right" if right else "left", no_wrap=right, overflow="fold")
    for jump in jumps:
        own = error_words(jump.own_error) if jump.confirmed else "not run alone"
        table.add_row(
            Text(printable(jump.said)),
            error_words(jump.error_in),
            error_words(jump.error_out),
            Text(own, "bold" if jump.confirmed else "yellow"),
            error_words(jump.tolerance),
            Text(printable(said_of_files(jump))),
        )
    return table


def said_of_files(jump: JumpLine) -> str:
    """In what they differ there, and what else it may be."""
    return "; ".join(filter(None, [jump.how, _doubt(jump)]))


def _doubt(jump: JumpLine) -> str:
    """What else it may be."""
    said = []
    if jump.among:
        others = ", ".join(jump.among[:3]) + (", …" if len(jump.among) > 3 else "")
        said.append(f"or one of {count_of(len(jump.among), 'node')} before it without a partner: {others}")
    if jump.judged == "A":
        said.append("A, held against ONNX Runtime on the CPU")
    return "; ".join(said)


def error_words(error: float) -> str:
    return "not finite" if math.isinf(error) else f"{error:.2g}"


def print_recipe(out: Console, found: RecipeLine, path: str) -> None:
    """path: of the recipe's file; '' where none was written."""
    change = f"the outputs' error goes from {error_words(found.before)} to {error_words(found.after)}"
    if not found.restores:
        said = f"no set of nodes in fp32 brings {found.precision} back: not even all {found.candidates} of them do"
        hanging(out, ("recipe: ", "bold yellow"), said)
        return
    if not found.nodes:
        hanging(out, ("recipe: ", "bold"), f"none is needed: {found.precision} made anew from A answers as A does")
        return
    doubt = "" if found.minimal else "; perhaps fewer would do: the tries ran out"
    kept = f"{count_of(len(found.nodes), 'node')} of {found.candidates} in fp32: {change} ({found.tried} tries{doubt})"
    hanging(out, ("recipe: ", "bold"), kept)
    for name in found.nodes[:MOST_JUMPS]:
        hanging(out, ("  ", ""), name)
    if len(found.nodes) > MOST_JUMPS:
        sentence(out, f"and {len(found.nodes) - MOST_JUMPS} more, in {path or 'the JSON'}")
