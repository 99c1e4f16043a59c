"""Where in a plan a key belongs: for a known word that stands in the wrong place. Not for: what its value may be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

# Stands for a name that the user gives, such as a pipeline's.
ANY = "*"
Place = tuple[str, ...]


def belongs(plan: type[BaseModel], at: tuple[str | int, ...]) -> str:
    """'; it belongs under postprocess' for a key that is known elsewhere, by the nearest such place. at: where it was found."""
    *around, key = at
    places = sorted({place for place, known in _groups(plan, ()) if key in known})

    def nearness(place: Place) -> tuple[int, int]:
        return _shared(place, around), -len(place)

    nearest = [p for p in places if nearness(p) == max(map(nearness, places))]
    said = dict.fromkeys(_said(place, around) for place in nearest)
    return f"; it belongs {' or '.join(said)}" if said else ""


def _said(place: Place, around: list[Any]) -> str:
    """Inside the same pipeline its name goes without saying."""
    common = _shared(place, around)
    if not place:
        return "at the top of the plan"
    if common == len(place):
        return f"under {'.'.join(map(str, around[:common]))}"
    inner = place[common:] if common > 1 else place
    words = [*("NAME" if part == ANY else part for part in inner[:-1]), *(part for part in inner[-1:] if part != ANY)]
    return f"under {'.'.join(words)}"


def _shared(place: Place, around: list[Any]) -> int:
    same = [want == ANY or want == str(got) for want, got in zip(place, around, strict=False)]
    return next((n for n, alike in enumerate(same) if not alike), len(same))


def _groups(model: type[BaseModel], at: Place) -> Iterator[tuple[Place, list[str]]]:
    """Every group of keys, by its place."""
    fields = {f.alias or name: f.annotation for name, f in model.model_fields.items()}
    yield at, list(fields)
    for name, annotation in fields.items():
        for inner, more in _models(annotation, ()):
            yield from _groups(inner, (*at, name, *more))


def _models(annotation: Any, at: Place) -> Iterator[tuple[type[BaseModel], Place]]:
    """Those within an annotation, and what lies between."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, at
        return
    between = (*at, ANY) if getattr(annotation, "__origin__", None) in (dict, list) else at
    for part in get_args(annotation):
        yield from _models(part, between)
