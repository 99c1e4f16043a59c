"""For which shapes an engine is built: one optimisation profile a batch size, or a range of batch sizes.

For: the shapes that a network's inputs get, fixed wherever every profile agrees. Not for: which shapes a plan asks for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seatrial.errors import ModelError
from seatrial.model.file import ModelInfo, TensorInfo

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Profile:
    """Shapes by input: the least, those that it is fastest at, the greatest."""

    least: Mapping[str, Shape]
    usual: Mapping[str, Shape]
    greatest: Mapping[str, Shape]

    @classmethod
    def exactly(cls, shapes: Mapping[str, Shape]) -> Profile:
        same = {name: tuple(shape) for name, shape in shapes.items()}
        return cls(same, same, same)

    def is_exactly(self, shapes: Mapping[str, Shape]) -> bool:
        return self == Profile.exactly(shapes)

    def holds(self, shapes: Mapping[str, Shape]) -> bool:
        return shapes.keys() == self.least.keys() and all(
            len(shape) == len(self.least[name])
            and all(a <= b <= c for a, b, c in zip(self.least[name], shape, self.greatest[name], strict=True))
            for name, shape in shapes.items()
        )

    def __str__(self) -> str:
        """'images 1x3x320x320', or 'images 1x3x320x320 to 8x3x320x320'."""
        parts = []
        for name, least in self.least.items():
            shown = ["x".join(map(str, s)) or "scalar" for s in (least, self.greatest[name])]
            parts.append(f"{name} {' to '.join(dict.fromkeys(shown))}")
        return ", ".join(parts)

    def as_json(self) -> dict[str, list[list[int]]]:
        names = self.least
        return {n: [list(s[n]) for s in (self.least, self.usual, self.greatest)] for n in names}

    @classmethod
    def of_json(cls, data: Mapping[str, Sequence[Sequence[int]]]) -> Profile:
        sides = ({name: tuple(shapes[i]) for name, shapes in data.items()} for i in range(3))
        return cls(*sides)


def check_profiles(model: ModelInfo, profiles: Sequence[Profile]) -> None:
    """ModelError where an input has no shape, one that it cannot take, or one without a single value."""
    if not profiles:
        raise ModelError("an engine needs the shapes of at least one optimisation profile", subject=model.path)
    for profile in profiles:
        for tensor in model.inputs:
            for shapes in (profile.least, profile.usual, profile.greatest):
                _check(model, tensor, shapes.get(tensor.name))
            ordered = zip(*(s[tensor.name] for s in (profile.least, profile.usual, profile.greatest)), strict=True)
            if any(not a <= b <= c for a, b, c in ordered):
                raise ModelError(f"{tensor}: expected least ≤ usual ≤ greatest, got {profile}", subject=model.path)


def _check(model: ModelInfo, tensor: TensorInfo, shape: Shape | None) -> None:
    if shape is None:
        raise ModelError(f"{tensor} has no shape to build an engine for; give one", subject=model.path)
    shown = "x".join(map(str, shape))
    if not tensor.fits(shape):
        raise ModelError(f"{tensor} cannot take {shown}, which the engine is to be built for", subject=model.path)
    if 0 in shape:
        raise ModelError(f"{tensor} as {shown} holds no value: an engine would run on nothing", subject=model.path)


def give_sizes(proto: Any, profiles: Sequence[Profile]) -> None:
    """Writes what the profiles fix into the inputs, and tells open dimensions apart that only share a name.

    TensorRT takes equal names for equal sizes, and exporters call height and width both '?'. Fixed ones it needs not guess.
    """
    sizes: dict[str, set[tuple[int, ...]]] = {}
    inputs = [value for value in proto.graph.input if value.name in profiles[0].least]
    for value in inputs:
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            found = _sizes(profiles, value.name, axis)
            if len(set(found)) > 1:
                sizes.setdefault(dimension.dim_param, set()).add(found)
    for value in inputs:
        shape = value.type.tensor_type.shape
        if not shape.dim:  # of unknown rank, or a scalar
            for _ in profiles[0].least[value.name]:
                shape.dim.add()
        own = [d.dim_param for d in shape.dim]
        for axis, dimension in enumerate(shape.dim):
            found = _sizes(profiles, value.name, axis)
            if len(set(found)) == 1:
                dimension.dim_value = found[0]
            elif not own[axis] or own.count(own[axis]) > 1 or len(sizes.get(own[axis], ())) > 1:
                dimension.dim_param = f"{value.name}_{axis}"


def _sizes(profiles: Sequence[Profile], name: str, axis: int) -> tuple[int, ...]:
    return tuple(s[name][axis] for p in profiles for s in (p.least, p.usual, p.greatest))
