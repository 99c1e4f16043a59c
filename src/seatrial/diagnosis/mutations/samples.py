"""Mistakes of how pixels are sampled: another filter, grid, width or library. Not for: the filters themselves (sampling.py)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from seatrial.diagnosis.mutation import Mutation, setting
from seatrial.diagnosis.resize import Sample
from seatrial.diagnosis.sampling import OWN, SAMPLERS, fault_of
from seatrial.diagnosis.stages import RESIZED
from seatrial.diagnosis.way import Way
from seatrial.plan import pipelines

_KEY = "preprocess.interpolation"
# cv2.resize(image, size, cv2.INTER_AREA) names the third argument, which is dst, not the interpolation.
_POSITION = "; so does INTER_AREA given by position, where OpenCV takes it for dst"


def sample_mutations(way: Way) -> Iterator[Mutation]:
    pre = way.spec.preprocess
    if not isinstance(pre, pipelines.Preprocess):
        return
    ours = pre.interpolation
    for name, (what, family, grid, wide) in OWN.items():
        if name != ours:
            said = what + _POSITION if (ours, name) == ("area", "linear") else what
            fault = fault_of(ours, family, grid, wide)
            made = setting(fault, said, RESIZED, "preprocess", interpolation=name)
            yield replace(made, twin=fault == "antialias" and wide)
    for sampler in SAMPLERS:
        fault = fault_of(ours, sampler.family, sampler.grid, sampler.wide)
        yield replace(sampled(fault, sampler.what, sampler.levels), twin=fault == "antialias" and sampler.wide)


def sampled(fault: str, what: str, sample: Sample) -> Mutation:
    return Mutation(fault, what, RESIZED, lambda way: way.with_resize(sample=sample), _KEY)
