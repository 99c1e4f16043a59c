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
    """Of installed packages, by name; one that takes a name of seatrial's own, two of one name, and one that no cell could be
    called are left out here: clashes() names them. Nothing of them is imported."""
    return {name: points[0] for name, points in _registered().items() if not _clash(name, len(points))}


@cache
def clashes() -> tuple[str, ...]:
    """What is wrong with entry points that are left out, for people."""
    found = []
    for name, points in _registered().items():
        packages = sorted(p.dist.name if p.dist else p.value for p in points)
        if why := _clash(name, len(points)):
            found.append(f"{name}: {' and '.join(packages)} register{'s' if len(packages) == 1 else ''} it{why}")
    return tuple(found)


def _registered() -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, []).append(point)
    return dict(sorted(found.items()))


def _clash(name: str, count: int) -> str:
    """Why a name that so many packages register is nobody's; '' where it is one's."""
    if name in OWN:
        return ", and it is a name of seatrial's own; uninstall it"
    if not is_label(name):
        return ", and a backend is called by at most 64 letters, digits, '_' and '-'; uninstall it"
    return "; uninstall one" if count > 1 else ""


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
