"""Sections of a record from what they are about. Not for: their shape (records/)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from seatrial.history.records import ModelSection


class ModelFacts(Protocol):
    """What a model's file says about itself (model/file.py)."""

    @property
    def path(self) -> object: ...
    @property
    def digest(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def opset(self) -> int: ...
    @property
    def inputs(self) -> Sequence[object]: ...
    @property
    def outputs(self) -> Sequence[object]: ...


def model_section(info: ModelFacts, labels: Sequence[str] | None = None) -> ModelSection:
    return ModelSection(
        path=str(info.path),
        digest=info.digest,
        size_bytes=info.size_bytes,
        opset=info.opset,
        inputs=tuple(map(str, info.inputs)),
        outputs=tuple(map(str, info.outputs)),
        labels=None if labels is None else tuple(labels),
    )
