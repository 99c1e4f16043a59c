"""What a task says of its samples: their stages, and when they are enough."""

import numpy as np
import pytest
from seatrial.jobs.task import Load, Task

from seatrial.jobs.opened import stage_names, stopping_rule
from seatrial.stages import PIPELINE_STAGES

# Slow ones come together: too few requests to bound its p90.
RESTLESS = np.repeat([1.0, 2.0, 1.0, 2.0, 1.0], [100, 10, 190, 10, 90])


@pytest.mark.parametrize(
    ("pipeline", "scenario", "stages"),
    [
        ({"model": "m"}, "single-stream", PIPELINE_STAGES),
        ({"model": "m"}, "server", ("queue", *PIPELINE_STAGES)),
        ({}, "paced", ("infer",)),
        ({}, "server", ("queue", "infer")),
    ],
)
@pytest.mark.parametrize("centre", ["median", "mean"])
def test_a_tail_that_a_task_names_by_its_stage_is_looked_for_in_that_column(pipeline, scenario, stages, centre):
    def task(*tails):
        return Task.model_construct(pipeline=pipeline, load=Load(scenario=scenario), tails=[*tails], longest_run=4)

    assert stage_names(task()) == list(stages)
    for column, stage in enumerate(stages, 1):
        rows = np.full((400, len(stages) + 2), 3.0)
        rows[:, column] = RESTLESS
        assert stopping_rule(task(("end_to_end", 0.9)), centre).conclude(rows).enough
        for other in stages:
            found = stopping_rule(task((other, 0.9)), centre).conclude(rows)
            assert found.enough == (other != stage)


@pytest.mark.parametrize(
    ("fields", "next_look"),
    [({}, 50), ({"min_samples": 7}, 7), ({"min_samples": 70}, 70), ({"whole_time": True}, None)],
)
def test_a_task_says_when_to_look_first(fields, next_look):
    task = Task.model_construct(**fields)
    for centre, least in (("median", 0), ("mean", 50)):
        first = stopping_rule(task, centre).next_look
        assert first > 1 << 40 if next_look is None else first == max(next_look, least)
