"""Backends in a plan: names, or entries with a name of their own and options. For: reading them, with every mistake named."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from seatrial.plan.fields import Strict, listed
from seatrial.runtimes.choice import BackendChoice
from seatrial.runtimes.names import OWN, is_label, problem_of
from seatrial.runtimes.options import option_problems, unmet_by_run
from seatrial.runtimes.settings import Value


def _known(name: str) -> str:
    if why := problem_of(name):
        raise ValueError(why)
    return name


# Installed packages may add names: an editor proposes seatrial's own, and takes others.
BackendName = Annotated[
    str, AfterValidator(_known), WithJsonSchema({"anyOf": [{"enum": list(OWN)}, {"type": "string"}]})
]


class NamedBackend(Strict):
    """A backend with options, and what its cells are called."""

    name: str | None = Field(None, description="what stands in the cells' ids; the backend's own name by default")
    backend: BackendName
    options: dict[str, bool | int | float | str] = Field({}, description="of this backend: docs/backends.md lists them")

    @model_validator(mode="after")
    def _fit(self) -> NamedBackend:
        if self.name is not None and not is_label(self.name):
            raise PydanticCustomError(
                "bad_name",
                "expected at most 64 letters, digits, '_' and '-', got {given}",
                {"key": "name", "given": repr(self.name)},
            )
        if self.name is not None and self.name != self.backend and not problem_of(self.name):
            raise PydanticCustomError(
                "bad_name",
                "expected a name of its own, got {given}, which is another backend's: its cells would be taken for that one's",
                {"key": "name", "given": repr(self.name)},
            )
        # A third party's are known once it is loaded: checked with the models.
        if self.backend in OWN:
            found = option_problems(self.backend, self.options) or unmet_by_run(self.backend, self.options)
            for option, why in found.items():
                raise PydanticCustomError("bad_option", "{why}", {"key": "options", "under": option, "why": why})
        return self


def chosen(entry: str | NamedBackend) -> BackendChoice:
    if isinstance(entry, str):
        return BackendChoice(entry)
    options: dict[str, Value] = dict(entry.options)
    return BackendChoice(entry.backend, entry.name or "", options)


def _tag(value: Any) -> str:
    return "@name" if isinstance(value, str) else "@entry"


_Entry = Annotated[Annotated[BackendName, Tag("@name")] | Annotated[NamedBackend, Tag("@entry")], Discriminator(_tag)]
Backends = Annotated[
    list[_Entry],
    BeforeValidator(listed, json_schema_input_type=BackendName | NamedBackend | list[BackendName | NamedBackend]),
    Field(min_length=1),
]
