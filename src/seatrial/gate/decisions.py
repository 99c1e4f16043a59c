"""How a decision is written down. For: one shape for all checks. Not for: coming to it."""

from __future__ import annotations

from typing import Any

from seatrial.history.records import Decision, Verdict


def decision(check: str, verdict: Verdict, reason: str, cell: str = "", **more: Any) -> Decision:
    """cell: its id. more: other fields of Decision. Tables group it with those of the same check, unless `group` is given."""
    return Decision(check=check, verdict=verdict, reason=reason, cell=cell, **{"group": check} | more)
