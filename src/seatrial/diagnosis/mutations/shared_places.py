"""Mistakes of a batch's ways back: results of all its images brought back by what was kept of the first one.

For: scale and offset that one image's are and another's use. Not for: outputs that are another image's (model.py), or a way
back that is wrong for each image by itself (boxes.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.mutations.boxes import scaled
from seatrial.diagnosis.stages import OUTPUTS, RESULTS
from seatrial.diagnosis.way import At, Mates, Way
from seatrial.kernels.geometry import Geometry
from seatrial.plan import pipelines

BATCHES = (2, 4, 8, 16, 32)
# Tasks whose results lie somewhere in the picture.
WITH_PLACES = ("detect", "instances", "pose", "oriented", "text", "segment", "dense")


def shared_place_mutations(way: Way) -> Iterator[Mutation]:
    post = way.spec.postprocess
    if not isinstance(post, pipelines.Postprocess) or post.task not in WITH_PLACES or post.format == "ctc":
        return
    firsts: dict[str, Callable[[int, int], Sequence[int]]] = {
        f"the first image of its batch of {b}": lambda place, _count, b=b: [place // b * b]  # type: ignore[misc]
        for b in BATCHES
    }
    firsts["the first image of all"] = lambda _place, _count: [0]
    firsts["the image before"] = lambda place, _count: [place - 1] if place else []
    for whose, of in firsts.items():
        yield _back_by(f"brings results back by the scale and offset of {whose}, into its picture", of, _whole)
        if post.task not in ("segment", "dense", "instances"):
            # Where a mask lies all of the picture does.
            yield _back_by(f"brings results back by the scale and offset of {whose}", of, _in_its_own)


def _back_by(
    what: str, of: Callable[[int, int], Sequence[int]], told: Callable[[Geometry, Geometry], Geometry]
) -> Mutation:
    def change(way: Way) -> Way:
        def make(own: At, theirs: Sequence[At]) -> Any:
            if not theirs:
                return way.steps[RESULTS](own).value
            assert own.geometry
            assert theirs[0].geometry
            return way.steps[RESULTS](At(own.value, told(own.geometry, theirs[0].geometry))).value

        return way.with_mates(Mates(RESULTS, OUTPUTS, of, make))

    return Mutation("unletterbox", what, RESULTS, change, "preprocess.mode")


def _whole(_own: Geometry, other: Geometry) -> Geometry:
    return other


def _in_its_own(own: Geometry, other: Geometry) -> Geometry:
    return scaled(replace(other, source_hw=own.source_hw), (other.scale_x, other.scale_y))
