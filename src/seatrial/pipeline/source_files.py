"""The source files that a user's own stage consists of, found as the import system finds them, without importing any.

Of the named module: the file, or its whole package. Of what these import: modules and packages beside the plan. For: digests.
Not followed: modules elsewhere, imports that are made up while the code runs, and data files that it reads.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ModuleSpec, PathFinder
from pathlib import Path

from seatrial.errors import PlanError

_CODE_SUFFIXES = (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES, *BYTECODE_SUFFIXES)


def source_files(reference: str, folder: Path, stage: str) -> dict[str, Path]:
    """Files by their place below the folder that the import system found their module in, sorted.

    reference: 'module:function'; folder: the plan's. Modules of Python itself have none: its version says which they are.

    Raises:
        PlanError: there is no such module, or it has no source of its own.
    """
    named = reference.partition(":")[0].partition(".")[0]
    spec = _spec(named, folder)
    if spec is None:
        raise PlanError(
            f"{stage}: no module {named!r} for {reference!r}; expected it beside the plan in {folder} or installed"
        )
    found: dict[str, Path] = {}
    seen, wanted = {named}, [(named, spec)]
    while wanted:
        own = _files_of(*wanted.pop(), stage)
        found |= own
        beside = [path for path in own.values() if _below(path, folder)]
        for name in {name for path in beside for name in _imported(path)} - seen:
            seen.add(name)
            spec = _spec(name, folder)
            if spec is not None and any(_below(Path(place), folder) and _has_code(place) for place in _places(spec)):
                wanted.append((name, spec))
    return dict(sorted(found.items()))


def _spec(name: str, folder: Path) -> ModuleSpec | None:
    """As a cell's process will find it: the plan's folder first."""
    spec = PathFinder.find_spec(name, [str(folder), *(p for p in sys.path if p)])
    if spec is None:
        try:
            # Built in, or what an editable installation's own finder knows.
            spec = importlib.util.find_spec(name)
        except ValueError:  # a module without a spec, such as __main__
            return None
    return spec


def _places(spec: ModuleSpec) -> list[str]:
    """A module's file, or the folders of a package."""
    if spec.submodule_search_locations is not None:
        return list(spec.submodule_search_locations)
    return [spec.origin or ""]


def _below(path: Path, folder: Path) -> bool:
    return path.is_absolute() and path.resolve().is_relative_to(folder.resolve())


def _has_code(place: str) -> bool:
    """A folder of pictures or models is a package to the import system too."""
    return Path(place).is_file() or bool(_code_in(Path(place)))


def _files_of(name: str, spec: ModuleSpec, stage: str) -> dict[str, Path]:
    places = _places(spec)
    if _is_pythons(name, Path(places[0] if places else "")):
        return {}
    if spec.submodule_search_locations is None:
        path = Path(places[0])
        if path.suffix not in SOURCE_SUFFIXES or not path.is_file():
            raise _without_source(stage, name, str(path))
        return {path.name: path}
    if len(places) != 1:
        raise PlanError(
            f"{stage}: the package {name!r} is spread over {', '.join(places)}, so that nobody can say which code it is; "
            "keep it in one folder, with an __init__.py"
        )
    root = Path(places[0])
    code = _code_in(root)
    bare = [p for p in code if p.suffix in BYTECODE_SUFFIXES and not p.with_suffix(".py").is_file()]
    if bare or not any(p.suffix in SOURCE_SUFFIXES for p in code):
        raise _without_source(stage, name, str(bare[0] if bare else root))
    return {p.relative_to(root.parent).as_posix(): p for p in code}


def _is_pythons(name: str, place: Path) -> bool:
    """Part of the interpreter, whose version the machine's fingerprint has; a file of that name may lie beside the plan."""
    library = Path(sysconfig.get_path("stdlib"))
    return name in sys.stdlib_module_names and (not place.is_absolute() or place.is_relative_to(library))


def _without_source(stage: str, name: str, place: str) -> PlanError:
    return PlanError(
        f"{stage}: {name!r} has no source at {place}, so that nobody could see it change; expected .py files: put them "
        "there, or name a function in a .py file that calls it"
    )


def _code_in(root: Path) -> list[Path]:
    """Source and compiled modules of a package, through links too. Python's own cache is no code of its own."""
    found, been = [], set()
    for place, folders, names in os.walk(root, followlinks=True):
        been.add(os.path.realpath(place))
        folders[:] = [f for f in folders if f != "__pycache__" and os.path.realpath(f"{place}/{f}") not in been]
        found += [Path(place, name) for name in names if name.endswith(_CODE_SUFFIXES)]
    return sorted(found)


def _imported(path: Path) -> Iterator[str]:
    """Top-level names that a source file imports. Relative imports stay in its package, all of which is taken anyway."""
    if path.suffix != ".py":
        return
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # the cell's process will say so
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]
