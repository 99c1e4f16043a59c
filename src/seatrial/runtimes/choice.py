"""A backend as somebody chose it: which one, with which options, and what they call it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.runtimes.settings import Setting, Value


@dataclass(frozen=True)
class BackendChoice:
    """name: what stands in the ids of cells; the backend's own where nobody gave another."""

    backend: str
    name: str = ""
    options: Mapping[str, Value] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return self.name or self.backend

    @property
    def device_ordinal(self) -> int:
        """Of a backend on a GPU: which one, as CUDA counts them. Another package's own words for a device are none."""
        given = self.options.get("device_id", 0)
        return given if isinstance(given, int) else 0

    def within(self, folder: Path, settings: Sequence[Setting]) -> BackendChoice:
        """With the options that name files as paths from that folder: a plan's own are relative to it."""
        paths = {s.name for s in settings if s.is_path}
        found = {k: str(folder / str(v)) if k in paths else v for k, v in self.options.items()}
        return BackendChoice(self.backend, self.name, found)

    def words(self) -> str:
        """'openvino-cpu:hint=throughput,streams=2': what the label stands for, as a command takes it."""
        options = ",".join(f"{k}={str(v).lower() if isinstance(v, bool) else v}" for k, v in self.options.items())
        return f"{self.backend}:{options}" if options else self.backend


def choice_of(backend: str | BackendChoice) -> BackendChoice:
    return BackendChoice(backend) if isinstance(backend, str) else backend


def named_in(text: str) -> str:
    """The backend of 'NAME:KEY=VALUE,…'."""
    return text.partition(":")[0]


def read_choice(text: str, settings: Sequence[Setting]) -> BackendChoice:
    """'NAME' or 'NAME:KEY=VALUE,KEY=VALUE'. settings: what that backend takes. An option that it does not take, or a value that
    does not fit, is kept as text, for who checks choices to name it. ValueError where it is no such text."""
    name, colon, rest = text.partition(":")
    known = {s.name: s for s in settings}
    options: dict[str, Value] = {}
    for part in rest.split(",") if colon else ():
        key, equals, value = (word.strip() for word in part.partition("="))
        if not key or not equals or not value or key in options:
            raise ValueError(f"expected NAME or NAME:KEY=VALUE,KEY=VALUE, each key once, got {text!r}")
        read = known[key].read(value) if key in known else None
        options[key] = value if read is None else read
    return BackendChoice(name, "", options)
