"""What a task says of its samples: their stages, and when they are enough."""

import itertools
import weakref

import numpy as np
import pytest

from seatrial.jobs.opened import OpenedPipeline
from seatrial.jobs.workload import Stopping
from seatrial.stages import PIPELINE_STAGES

# Slow ones come together: too few requests to bound its p90.
RESTLESS = np.repeat([1.0, 2.0, 1.0, 2.0, 1.0], [100, 10, 190, 10, 90])


@pytest.mark.parametrize("stages", [PIPELINE_STAGES, ("queue", *PIPELINE_STAGES), ("infer",), ("queue", "infer")])
@pytest.mark.parametrize("centre", ["median", "mean"])
def test_a_tail_that_a_task_names_by_its_stage_is_looked_for_in_that_column(stages, centre):
    def rule(*tails):
        return Stopping(max_time_s=1.0, tails=tails, longest_run=4).rule(stages, centre)

    for column, stage in enumerate(stages, 1):
        rows = np.full((400, len(stages) + 2), 3.0)
        rows[:, column] = RESTLESS
        assert rule(("end_to_end", 0.9)).conclude(rows).enough
        for other in stages:
            found = rule((other, 0.9)).conclude(rows)
            assert found.enough == (other != stage)


@pytest.mark.parametrize(
    ("fields", "next_look"),
    [({}, 50), ({"min_samples": 7}, 7), ({"min_samples": 70}, 70), ({"whole_time": True}, None)],
)
def test_a_task_says_when_to_look_first(fields, next_look):
    stopping = Stopping(max_time_s=1.0, longest_run=4, **fields)
    for centre, least in (("median", 0), ("mean", 50)):
        first = stopping.rule(PIPELINE_STAGES, centre).next_look
        assert first > 1 << 40 if next_look is None else first == max(next_look, least)


class _Stages:
    """A pipeline that notes, at each lap, which of its pictures and outputs are still alive."""

    def __init__(self):
        self.pictures, self.outputs, self.alive = [], [], []

    def lap(self):
        self.alive.append((sum(r() is not None for r in self.pictures), sum(r() is not None for r in self.outputs)))

    def decode(self, _):
        picture = np.zeros((4, 4, 3), np.uint8)
        self.pictures.append(weakref.ref(picture))
        return picture

    def preprocess(self, images, feeds):
        return [object() for _ in images]

    def run(self, feeds):
        output = np.zeros(3)
        self.outputs.append(weakref.ref(output))
        return [output]

    def postprocess(self, outputs, geometries):
        return None


def test_memory_goes_back_within_the_stages():
    """Behind the last lap its time would be in the whole and in no stage."""
    stages = _Stages()
    opened = OpenedPipeline(stages, stages, [b""], {}, 2, itertools.repeat(0), [])
    opened.iterate(stages.lap)
    assert stages.alive == [(2, 0), (0, 0), (0, 1), (0, 0)]
