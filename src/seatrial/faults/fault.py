"""What is known of one mistake. Not for: which there are (names.py, catalogue.py)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """name: one of names.NAMES. stage: at whose value it is first seen. is_: what it is, in one sentence. shows: what a person
    sees. cure: the line of code or the plan's key to change. reported: what others measured, or ''.
    telling: what a picture must have to show it. twin: the mistake that goes by the same name and is another one, such as the
    same the other way round, in its own words."""

    name: str
    title: str
    stage: str
    is_: str
    shows: str
    cure: str
    reported: str
    telling: str
    twin: Fault | None = None
