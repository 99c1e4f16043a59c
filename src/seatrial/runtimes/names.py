"""The names of backends: those of seatrial, and those that installed packages add by an entry point."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from seatrial.errors import did_you_mean

# A package adds a backend under this group: its name = the class, as docs/backends.md has it.
GROUP = "seatrial.backends"

OWN = (
    "onnxruntime-cpu",
    "onnxruntime-cuda",
    "onnxruntime-tensorrt",
    "onnxruntime-tensorrt-rtx",
    "onnxruntime-openvino",
    "openvino-cpu",
    "openvino-gpu",
    "tensorrt",
    "tensorrt-rtx",
    "fake",
)


@cache
def third_party() -> dict[str, EntryPoint]:
    """Of installed packages, by name; one that takes a name of seatrial's own, or two of one name, are left out here: clashes()
    names them. Nothing of them is imported."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, []).append(point)
    return {name: points[0] for name, points in sorted(found.items()) if name not in OWN and len(points) == 1}


@cache
def clashes() -> tuple[str, ...]:
    """What is wrong with entry points that are left out, for people."""
    found: dict[str, list[str]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, []).append(point.dist.name if point.dist else point.value)
    return tuple(
        f"{name}: {' and '.join(sorted(packages))} {'register' if len(packages) > 1 else 'registers'} it"
        + (", and it is a name of seatrial's own" if name in OWN else "")
        for name, packages in sorted(found.items())
        if name in OWN or len(packages) > 1
    )


def known_names() -> tuple[str, ...]:
    return (*OWN, *third_party())


def problem_of(name: str) -> str:
    """Why nothing is called so, for people; empty where a backend is."""
    if name in OWN or name in third_party():
        return ""
    left_out = next((f"; left out: {said}" for said in clashes() if said.startswith(f"{name}:")), "")
    known = list(known_names())
    return f"expected one of {', '.join(known)}, got {name!r}{did_you_mean(name, known)}{left_out}"


def is_label(text: str) -> bool:
    """Whether it may stand in a cell's id, which names files too."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", text) is not None
