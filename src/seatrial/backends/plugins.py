"""Backends that other installed packages bring, by an entry point of the group `seatrial.backends`.

For: loading one, and saying what is wrong with it. Not for: seatrial's own (catalogue.py). docs/backends.md shows one.
"""

from __future__ import annotations

from typing import Any

from seatrial.backends.base import Availability, Backend, Closing
from seatrial.errors import BackendUnavailableError
from seatrial.runtimes.names import third_party
from seatrial.runtimes.settings import Setting

# What seatrial calls of an opened one.
_NEEDS = ("open", "inputs", "outputs", "run", "work", "another", "details", "computed_in", "io_policy", "close")


def load(name: str) -> type[Backend]:
    """The class. BackendUnavailableError where its package does not import, or it is no backend."""
    point = third_party()[name]
    try:
        kind = point.load()
    except Exception as e:  # another's code: whatever it raises
        raise BackendUnavailableError(f"backend {name}: {point.value} does not import: {_said(e)}; {_ask(name)}") from e
    lacks = [method for method in _NEEDS if not callable(getattr(kind, method, None))]
    if lacks:
        brought = [m for m in lacks if hasattr(Closing, m) and m not in Closing.__abstractmethods__]
        inherit = f"inherit seatrial.backends.base.Closing, which brings {', '.join(brought)}" if brought else ""
        raise BackendUnavailableError(
            f"backend {name}: expected a class with all of a backend's methods, and {point.value} lacks {', '.join(lacks)}; "
            f"{inherit or 'docs/backends.md says what each answers'}"
        )
    return kind  # type: ignore[no-any-return]


def availability(name: str) -> Availability:
    """Whether it imports, and what it says of itself where its class has an `availability`."""
    version = _version(name)
    try:
        kind: Any = load(name)
    except BackendUnavailableError as e:
        reason, _, cure = e.raw.removeprefix(f"backend {name}: ").rpartition("; ")
        return Availability(name, False, version, reason, cure)
    if not hasattr(kind, "availability"):
        return Availability(name, True, version)
    try:
        found = kind.availability()
    except Exception as e:  # another's code
        return Availability(name, False, version, f"its own check failed: {_said(e)}", _ask(name))
    if not isinstance(found, Availability):
        return Availability(name, False, version, f"its own check answers {found!r}, no Availability", _ask(name))
    return found


def settings(name: str) -> tuple[Setting, ...]:
    """Which options it takes: its class's `settings`. None where it does not import."""
    try:
        return tuple(getattr(load(name), "settings", ()))
    except BackendUnavailableError:
        return ()


def _said(e: Exception) -> str:
    return f"{type(e).__name__}: {e}".splitlines()[0]


def _version(name: str) -> str:
    package = third_party()[name].dist
    return f"{package.name} {package.version}" if package else ""


def _ask(name: str) -> str:
    package = third_party()[name].dist
    return f"ask who makes {package.name}, or uninstall it" if package else "ask who makes it"
