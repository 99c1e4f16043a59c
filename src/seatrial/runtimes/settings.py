"""Options that a backend takes beside model, threads and shapes: their names, values and meaning, in one table.

For: checking a plan or a command without importing a runtime. Not for: handing them to one (each backend does).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from seatrial.errors import did_you_mean

Value = str | int | float | bool


@dataclass(frozen=True)
class Setting:
    """kind: bool, int, float or str. choices: of a str, all that it may be. least, most: of a number. words: of a number, texts
    that may stand for one, such as 'auto'. is_path: of a str, a file: in a plan relative to it. default: None where
    the runtime chooses."""

    name: str
    kind: type[Value]
    help: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    words: tuple[str, ...] = ()
    is_path: bool = False
    default: Value | None = None

    def expected(self) -> str:
        if self.kind is bool:
            return "true or false"
        if self.kind is str:
            return f"one of {', '.join(self.choices)}" if self.choices else "a file" if self.is_path else "text"
        number = "a whole number" if self.kind is int else "a number"
        bound = (
            ""
            if self.least is None
            else f" from {self.least:g} " + ("on" if self.most is None else f"to {self.most:.9g}")
        )
        return f"{number}{bound}" + "".join(f" or {word}" for word in self.words)

    def to_dict(self) -> dict[str, str]:
        return {"name": self.name, "expected": self.expected(), "default": self.by_itself(), "help": self.help}

    def by_itself(self) -> str:
        """What it is where nobody says; '' where the runtime chooses."""
        return (
            ""
            if self.default is None
            else str(self.default).lower()
            if isinstance(self.default, bool)
            else str(self.default)
        )

    def takes(self, value: object) -> bool:
        if isinstance(value, bool) or self.kind is bool:
            return isinstance(value, bool) and self.kind is bool
        if isinstance(value, str):
            return value in self.words or (self.kind is str and (not self.choices or value in self.choices))
        number = isinstance(value, int) or (self.kind is float and isinstance(value, float))
        if self.kind is str or not number:
            return False
        assert isinstance(value, int | float)
        # A comparison with NaN is false, whichever it is.
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def read(self, text: str) -> Value | None:
        """From a command line; None where it is no such value."""
        value: Value = text
        if self.kind is bool:
            value = {"true": True, "false": False, "on": True, "off": False}.get(text.lower(), text)
        elif self.kind in (int, float) and text not in self.words:
            try:
                value = self.kind(text)
            except ValueError:
                return None
        return value if self.takes(value) else None


def problems_of(
    backend: str,
    settings: Iterable[Setting],
    options: Mapping[str, object],
    *,
    not_here: Mapping[str, str] | None = None,
    elsewhere: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """What is wrong with each option, by its name, for people.

    not_here: options that people look for, and why there is none. elsewhere: by name, a backend that has such an option.
    """
    known = {s.name: s for s in settings}
    found = {}
    for name, value in options.items():
        if name in (not_here or {}):
            assert not_here is not None
            found[name] = f"{backend} takes no {name}: {not_here[name]}"
        elif name not in known:
            another = (elsewhere or {}).get(name)
            near = f" ({another} has)" if another else did_you_mean(name, list(known))
            rest = f"; it takes {', '.join(known)}" if known else "; it takes none"
            found[name] = f"{backend} has no option {name!r}{near}{rest}"
        elif not known[name].takes(value):
            found[name] = f"expected {known[name].expected()}, got {_shown(value)}"
    return found


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
