"""What a finding of a parity says, in words that terminal and page share: its title, evidence, effect and cure.

Not for: the record around it (parity_words.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.errors import count_of
from seatrial.faults.catalogue import FAULTS
from seatrial.faults.fault import Fault
from seatrial.history.records.diagnosis import Diagnosis, FaultEffect, OtherFault


def share_said(explained: float) -> str:
    """'97.3 %', and 'none' of what makes it no smaller. Rounded down: 99.96 % is not all of it."""
    if explained <= 0:
        return "none"
    return f"{int(1000 * explained) / 10:.1f} %"


def known(d: Diagnosis) -> Fault | None:
    """What the catalogue says of it; None of one that a later version found."""
    fault = FAULTS.get(d.fault)
    return fault.twin or fault if fault and d.twin else fault


def title_of(d: Diagnosis) -> str:
    """'BGR and RGB swapped'; the name itself where nobody knows it."""
    fault = known(d)
    return fault.title if fault else d.fault


def explained_said(d: Diagnosis) -> str:
    """How well it explains the difference, on how many images, and what comes next; or what shows it otherwise."""
    if d.evidence or d.explained is None:
        return d.evidence
    confirmed = _confirmed_said(d)
    if d.exact:
        how = f"made in the reference, it gives exactly what the candidate gave; {confirmed}"
    else:
        # Both add up to all of it.
        left = f"{(1000 - int(1000 * d.explained)) / 10:.1f} %" if 1 - d.explained >= 0.001 else "less than 0.1 %"
        how = f"made in the reference, it explains {share_said(d.explained)} of the difference and leaves {left}; {confirmed}"
    if d.open_between is not None:
        low, high = d.open_between
        how += f"; any value from {low:.3g} to {high:.3g} does the same to these images" if low < high else ""
    if d.runner_up is None:
        return how
    return f"{how}; the next best, {other_said(d.runner_up)}, {_explains(d.runner_up)}"


def _confirmed_said(d: Diagnosis) -> str:
    """Of few images that differ there are no others than those that it was found on."""
    if not d.again:
        return f"confirmed on {count_of(d.confirmed, 'image')}"
    if d.again >= d.confirmed:
        where = "the image that it was found on" if d.again == 1 else f"the {d.again} images that it was found on"
        return f"seen on {where} alone, as no others differ: more images would confirm it"
    fresh = count_of(d.confirmed - d.again, "other image")
    where = "the one that it was found on" if d.again == 1 else f"the {d.again} that it was found on"
    return f"confirmed on {fresh} and on {where} (so few differ that these had to serve twice)"


def other_said(other: OtherFault) -> str:
    return f"{other.fault} ({other.what})"


def _explains(other: OtherFault) -> str:
    return "explains none of it" if other.explained <= 0 else f"explains {share_said(other.explained)}"


def alike_said(d: Diagnosis) -> str:
    """'' where the images tell it from all others."""
    if not d.alike:
        return ""
    same = [other_said(o) for o in d.alike if o.same]
    others = [other_said(o) for o in d.alike if not o.same]
    said = (
        [f"{' and '.join(same)} {'does' if len(same) == 1 else 'do'} the very same: no picture tells"] if same else []
    )
    if others:
        would = f"a picture with {d.telling} would" if d.telling else "none that ships would"
        said.append(f"these images cannot tell it from {' or '.join(others)}; {would}")
    return "; ".join(said)


def effects_said(d: Diagnosis) -> str:
    """Its own, and of a pair both's."""
    own = effect_said(d.effect) if d.effect else ""
    both = f"with the other mistake too, {effect_said(d.together)}" if d.together else ""
    return "; ".join(filter(None, (own, both)))


def effect_said(e: FaultEffect) -> str:
    low, high = e.interval or (None, None)
    between = "" if low is None or high is None else f" (95 % interval {low:.3f} to {high:.3f})"
    between += f", on {count_of(e.images, 'image')}" if e.images else ""
    said = f"{e.metric}: {e.without:.3f} without it, {e.within:.3f} with it{between}"
    if e.moved_px is None:
        return said
    none = "; no box is lost or gained" if e.within == e.without else ""
    moved = f"; matched boxes move by at most {e.moved_px:.2g} pixels" if e.moved_px else ""
    return f"{said}{none}{moved}"


def fix_said(d: Diagnosis) -> str:
    """The record's own, or else the catalogue's."""
    fault = known(d)
    return d.fix or (fault.cure if fault else "")


def near_said(near: Sequence[OtherFault]) -> str:
    return "; ".join(f"{other_said(n)} {_explains(n)}" for n in near)
