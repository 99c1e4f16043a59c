"""What a run is of: plan, images, models, machine, and the pictures of it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict

from seatrial.history.records.values import Frozen
from seatrial.warning import Warning


class PlanSection(Frozen):
    """The plan as it was given and as it was resolved; empty of a run without one. changes: what was laid over it."""

    path: str = ""
    digest: str = ""
    text: str = ""
    resolved: dict[str, Any] | None = None
    changes: dict[str, Any] = {}


class ImagesSection(Frozen):
    """What was measured on. made_up_inputs: shapes by input name, where there were no images."""

    count: int
    digest: str = ""
    names: tuple[str, ...] = ()
    sizes_hw: tuple[tuple[int, int], ...] = ()
    annotations: str | None = None
    truth_digest: str = ""
    made_up_inputs: dict[str, tuple[int, ...]] = {}


class ModelSection(Frozen):
    """A model's file. inputs, outputs: name, type and shape, for people."""

    path: str
    digest: str
    size_bytes: int
    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    labels: tuple[str, ...] | None = None


class Environment(Frozen):
    """The machine, before the first cell. What else it says is kept as it is: see docs/records.md."""

    model_config = ConfigDict(frozen=True, extra="allow")

    machine: str = ""
    fingerprint: str = ""
    """Of machines with one fingerprint, times may be compared."""
    cpu: str = ""
    cores: int = 0
    python: str = ""
    packages: dict[str, str] = {}
    memory_bytes: int = 0
    disturbances: tuple[Warning, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class ClassColour(Frozen):
    """What a picture's colour stands for. colour: '#rrggbb', or empty where the class is left as the image is."""

    colour: str
    name: str


class Picture(Frozen):
    """One image as one cell saw it. file: below the run's folder. Of an image that two cells are drawn of, the first is the
    reference's."""

    image: str
    pipeline: str
    file: str
    caption: str
    cell: str = ""
    """Its id; older records name the pipeline alone, whose cell was that of the reference configuration."""
    shows: Literal["result", "truth", "image"] = "result"
    """The cell's result, or what the truth has in its place, or the image alone."""
    why: Literal["", "wrong", "differs", "found", "nothing"] = ""
    """How the image was chosen: most is wrong on it, or results differ, or much was found in it, or nothing was found on
    any."""
    note: str = ""
    """What is wrong, or differs."""
    legend: tuple[ClassColour, ...] = ()
    """The classes that are drawn, in the model's order, and keypoints."""
