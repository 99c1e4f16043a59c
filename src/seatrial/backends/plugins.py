"""Backends that other installed packages bring, by an entry point of the group `seatrial.backends`.

For: loading one, and saying what is wrong with it. Not for: seatrial's own (catalogue.py). docs/backends.md shows one.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seatrial.backends.base import Availability, Backend, Closing, OpenOptions
from seatrial.errors import BackendUnavailableError, CellError, count_of
from seatrial.runtimes.names import third_party
from seatrial.runtimes.settings import Setting

# What seatrial calls of an opened one.
_NEEDS = ("open", "inputs", "outputs", "run", "work", "another", "details", "computed_in", "io_policy", "close")


def load(name: str) -> type[Backend]:
    """The class. BackendUnavailableError where its package does not import, or it is no backend."""
    point = third_party()[name]
    try:
        kind = point.load()
    except (Exception, SystemExit) as e:  # another's code: whatever it raises
        raise BackendUnavailableError(f"backend {name}: {point.value} does not import: {_said(e)}; {_ask(name)}") from e
    lacks = [method for method in _NEEDS if not callable(getattr(kind, method, None))]
    if lacks:
        brought = [m for m in lacks if hasattr(Closing, m) and m not in Closing.__abstractmethods__]
        inherit = f"inherit seatrial.backends.base.Closing, which brings {', '.join(brought)}" if brought else ""
        raise BackendUnavailableError(
            f"backend {name}: expected a class with all of a backend's methods, and {point.value} lacks {', '.join(lacks)}; "
            f"{inherit or 'docs/backends.md says what each answers'}"
        )
    given = getattr(kind, "settings", ())
    if not isinstance(given, tuple | list) or not all(isinstance(s, Setting) for s in given):
        raise BackendUnavailableError(
            f"backend {name}: expected settings as a tuple of seatrial.runtimes.settings.Setting, and {point.value} has "
            f"{given!r}; {_ask(name)}"
        )
    return kind  # type: ignore[no-any-return]


def open_plugin(name: str, model: Path, options: OpenOptions) -> Backend:
    """Opened, and watched in its first run.

    Raises:
        BackendUnavailableError: it cannot run here.
        CellError: what it says of itself is not what a record holds; and in its first run, where that is no answer to it.
    """
    backend = load(name).open(model, options)
    said = {"details()": backend.details(), "io_policy()": {"io_policy": backend.io_policy()}}
    for method, texts in said.items():
        if not isinstance(texts, dict) or not all(isinstance(t, str) for pair in texts.items() for t in pair):
            backend.close()
            raise CellError(f"{name}: expected texts of its {method}, got {texts!r}; {_ask(name)}")
    _watch_first_run(name, backend)
    return backend


def _watch_first_run(name: str, backend: Any) -> None:
    """Its first answer is held against its own outputs(), and its feeds against what they were. Later runs are its own alone:
    nothing of this is in a measurement."""
    run = backend.run

    def first(feeds: Mapping[str, Any]) -> Any:
        del backend.run
        before = {n: zlib.crc32(np.ascontiguousarray(a).data) for n, a in feeds.items()}
        outputs = run(feeds)
        changed = [n for n, a in feeds.items() if zlib.crc32(np.ascontiguousarray(a).data) != before[n]]
        if changed:
            raise CellError(f"{name} changes the values of input {', '.join(changed)} in its run; {_ask(name)}")
        if problem := _no_answer(backend, outputs):
            raise CellError(f"{name} answers {problem}; {_ask(name)}")
        return outputs

    backend.run = first


def _no_answer(backend: Backend, outputs: Any) -> str:
    """What is odd about an answer, for people. What outputs() leaves open is not looked at."""
    expected = backend.outputs()
    if not isinstance(outputs, list | tuple):
        return f"with {type(outputs).__name__}, and expected was a list of arrays"
    if len(outputs) != len(expected):
        return f"with {count_of(len(outputs), 'output')}, and by its outputs() it has {len(expected)}"
    for spec, array in zip(expected, outputs, strict=True):
        if not isinstance(array, np.ndarray):
            return f"with {type(array).__name__} for output {spec.name}, and expected was an array"
        fits = len(spec.shape) == array.ndim and all(
            d in (None, n) for d, n in zip(spec.shape, array.shape, strict=True)
        )
        if not _is_called(array.dtype, spec.dtype) or (spec.shape and not fits):
            got = f"{array.dtype.name}{list(array.shape)}"
            return f"output {spec.name} as {got}, and by its outputs() it is {spec.dtype}{list(spec.shape) or ''}"
    return ""


def _is_called(dtype: np.dtype[Any], said: str) -> bool:
    try:
        return np.dtype(said) == dtype
    except TypeError:
        # NumPy has no such type by itself, such as bfloat16.
        return dtype.name == said


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
    except (Exception, SystemExit) as e:  # another's code
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


def _said(e: BaseException) -> str:
    return f"{type(e).__name__}: {e}".splitlines()[0]


def _version(name: str) -> str:
    package = third_party()[name].dist
    return f"{package.name} {package.version}" if package else ""


def _ask(name: str) -> str:
    package = third_party()[name].dist
    return f"ask who makes {package.name}, or uninstall it" if package else "ask who makes it"
