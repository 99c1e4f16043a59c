"""A model alone in a bench: by the device's own clock, over the simulated driver. Times are the simulation's and the host's own."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from simulated_tensorrt import VERSIONS
from workloads import load_task

from seatrial._native.timing import NO_DEADLINE_NS, StageSamples, closed_loop
from seatrial.backends import OpenOptions, open_backend
from seatrial.cells.checks import check_name
from seatrial.cells.prepare import _choice as chosen_of
from seatrial.compare.sides import model_side
from seatrial.errors import UsageError
from seatrial.jobs.workload import Timing
from seatrial.loads.clients import open_works
from seatrial.loads.results import results_of
from seatrial.loads.sweep import LoadPoint, Sweep
from seatrial.loads.task import Load, LoadAnswer, LoadTask
from seatrial.plan.backends import NamedBackend
from seatrial.plan.models import Matrix
from seatrial.runtimes.choice import BackendChoice
from seatrial.runtimes.options import model_stages, option_problems

SHAPES = {"x": (2, 3, 6, 6), "scale": (1,)}
CASES = {
    "synchronous": ({}, "outputs copied back, shapes fixed when opened"),
    "pipelined": ({"in_flight": 2}, "2 requests in flight"),
    "without copies": ({"transfers": False}, "timed without copies to the device and back"),
    "held and cold": (
        {"hold": True, "l2_flush": True, "synchronisation": "block"},
        "cache emptied before each request",
    ),
}


def task_of(model, options):
    task = load_task(model, Load())
    workload = type(task.workload)(
        model=str(model), model_info=task.workload.model_info, backend=BackendChoice("tensorrt", options=options), batch=2,
        input_shapes=SHAPES,
    )  # fmt: skip
    return LoadTask(workload=workload, load=task.load, stopping=task.stopping, capacity=64)


@pytest.mark.parametrize(("options", "policy"), CASES.values(), ids=CASES)
def test_a_request_is_split_as_its_options_say(bench, cnn, options, policy):
    bench.install(VERSIONS[0])
    task = task_of(cnn, options)
    opened = open_works(task, lambda _step, _share: None)
    assert opened.called == "native"
    assert policy in opened.backend.io_policy()
    samples = StageSamples(16, len(task.stages))
    closed_loop(opened.works[0], samples, deadline_ns=NO_DEADLINE_NS, most=12)
    rows = samples.to_array()
    assert len(rows) == 12
    host = [1 + task.stages.index(s) for s in ("enqueue", "wait")]
    # The host's stages are the whole but for a reading of the clock; the device's lie within.
    left = rows[:, -1] - rows[:, host].sum(axis=1)
    assert (left >= 0).all()
    assert np.median(left) < 100_000
    found = results_of(task, LoadAnswer(timing=Timing(ended="count")), [rows], [], 1)
    assert set(task.stages) < set(found.measurement.stages)
    rate = found.measurement.throughput.value
    if "in_flight" in options:
        # Requests overlap: their rate is no inverse of a latency.
        assert rate > 1.2 * 2 / (rows[:, -1].mean() / 1e9)
    else:
        assert rate == pytest.approx(2 / (rows[:, -1].mean() / 1e9))
    opened.backend.close()


@pytest.mark.parametrize("options", [{}, {"cuda_graph": False}, {"in_flight": 2}], ids=["graph", "plain", "pipelined"])
def test_each_client_keeps_the_context_that_its_request_runs_in(bench, cnn, monkeypatch, options):
    bench.install(VERSIONS[0])
    task = task_of(cnn, options)
    made = []
    create = bench.trt.ICudaEngine.create_execution_context

    def noted(self, *config):
        context = create(self, *config)
        made.append(weakref.ref(context))
        return context

    monkeypatch.setattr(bench.trt.ICudaEngine, "create_execution_context", noted)
    opened = open_works(replace(task, workload=replace(task.workload, clients=3)), lambda _step, _share: None)
    gc.collect()
    assert len(made) == 3 * options.get("in_flight", 1)
    assert all(context() is not None for context in made)
    opened.backend.close()
    del opened
    gc.collect()
    assert not any(context() is not None for context in made)


def test_every_other_backend_has_one_stage():
    assert model_stages(BackendChoice("onnxruntime-cuda")) == ("infer",)
    assert model_stages(BackendChoice("tensorrt-rtx", options={"transfers": False})) == ("enqueue", "wait", "compute")


@pytest.mark.parametrize(
    "load", [Load(scenario="server", rate=5.0), Load(scenario="offline"), Load(scenario="paced", gap_s=0.1)]
)
def test_requests_behind_each_other_are_no_load_of_another_kind(load):
    sweep = Sweep([LoadPoint(load, clients=1, threads=1)], 5.0)
    with pytest.raises(UsageError, match="in_flight=2 of tensorrt is one client's requests behind each other"):
        sweep.check(1, BackendChoice("tensorrt", options={"in_flight": 2}))
    sweep.check(1, BackendChoice("tensorrt"))


@pytest.mark.parametrize("load", [Load(scenario="server", rate=5.0), Load(scenario="mlperf", mlperf="Server")])
def test_a_request_that_starts_behind_a_flush_starts_when_it_can(load):
    sweep = Sweep([LoadPoint(load, clients=1, threads=1)], 5.0)
    with pytest.raises(UsageError, match="l2_flush of tensorrt empties the device's cache .* leave l2_flush out"):
        sweep.check(1, BackendChoice("tensorrt", options={"l2_flush": True}))
    sweep.check(1, BackendChoice("tensorrt", options={"l2_flush": False}))


@pytest.mark.parametrize("option", ["hold", "l2_flush"])
def test_what_is_for_one_request_at_a_time_is_told_before_anything_opens(option):
    given = {"in_flight": 2, option: True}
    assert "leave one out" in option_problems("tensorrt", given)[option]
    with pytest.raises(UsageError, match=f"option {option}: it is for one request at a time, got in_flight: 2"):
        check_name(BackendChoice("tensorrt", options=given))
    assert option_problems("tensorrt", {option: True}) == option_problems("tensorrt", {"in_flight": 2}) == {}


ONLY_TIMED = {"in_flight": 2, "transfers": False, "synchronisation": "block", "hold": True, "l2_flush": True}


@pytest.mark.parametrize("option", ONLY_TIMED)
def test_options_that_a_run_does_not_obey_are_refused_where_runs_are_timed(cnn, option):
    """Of a plan's cells, of its pipelines in a bench, of a comparison: each would be in a record that claims it."""
    given = {option: ONLY_TIMED[option]}
    with pytest.raises(ValidationError, match=f"{option}|it is for a model alone in a bench"):
        NamedBackend(backend="tensorrt", options=given)
    with pytest.raises(UsageError, match=f"option {option}: it is for a model alone in a bench"):
        model_side(cnn, backend=BackendChoice("tensorrt", options=given))
    assert check_name(BackendChoice("tensorrt", options=given)).options == given
    NamedBackend(backend="tensorrt", options={"transfers": True, "in_flight": 1, "cuda_graph": False})


def test_a_pipeline_of_a_plan_takes_no_option_that_its_runs_do_not_obey(tmp_path):
    matrix = Matrix.model_validate({"backends": ["fake"]})
    with pytest.raises(UsageError, match="option hold: it is for a model alone in a bench"):
        chosen_of(matrix, "tensorrt-rtx:hold=true")


def test_the_io_policy_is_that_of_what_is_timed(bench, cnn):
    bench.install(VERSIONS[0])
    feeds = {"x": np.zeros(SHAPES["x"], np.float32), "scale": np.zeros(1, np.float32)}
    own = {"transfers": False, "synchronisation": "block"}
    with open_backend("tensorrt", cnn, OpenOptions(input_shapes=SHAPES, settings=own)) as backend:
        backend.run(feeds)
        assert backend.io_policy() == (
            "inputs copied to the device in each run, outputs copied back, shapes fixed when opened"
        )
        backend.work(feeds)
        assert "without copies to the device and back" in backend.io_policy()


def test_a_run_answers_as_a_timed_request_does(bench, cnn):
    bench.install(VERSIONS[1])
    feeds = {"x": np.random.default_rng(0).random(SHAPES["x"], np.float32), "scale": np.full(1, 2, np.float32)}
    with open_backend("tensorrt", cnn, OpenOptions(input_shapes=SHAPES)) as backend:
        right = [o.copy() for o in backend.run(feeds)]
        made = backend._made
        for slot in made:
            slot.array[...] = 0
        samples = StageSamples(4, 5)
        closed_loop(backend.work(feeds), samples, deadline_ns=NO_DEADLINE_NS, most=2)
        for slot, expected in zip(made, right, strict=True):
            np.testing.assert_array_equal(slot.array, expected)
