"""What `seatrial parity` is tried on: right pipelines that are right to the bit, and faults that begin where they are meant to."""

import json
from collections import Counter

import numpy as np
import pytest
from faulty.answers import write_answers
from faulty.candidates import KINDS, candidate_of, candidates_of
from faulty.injections import (
    INJECTIONS,
    UNSEEN,
    Setting,
    decode,
    injections_of,
    model,
    places,
    resize,
    results,
    scores,
    sizes,
    suppression,
    values,
)
from faulty.matrix.rates import interval, is_right, matrix
from faulty.pipelines import right_steps
from faulty.taps import write_taps
from faulty.tasks import TASKS, put_plan
from faulty.way import run

from seatrial.faults.names import NAMES
from seatrial.kernels import reference
from seatrial.model.file import inspect_model
from seatrial.pipeline.build import build_pipeline
from seatrial.plan.load import load_plan
from seatrial.taps.check import check_taps, images_in
from seatrial.taps.folder import TapsFolder

# Plain, turned, 4:4:4, with alpha, of odd sides, of 16 bits; an eighth is large.
FEW = 6
HERE = ["detect", "segment"]
EVERYWHERE = [*HERE, *(pytest.param(t, marks=(pytest.mark.real, pytest.mark.slow)) for t in ("classify", "text"))]
FAMILIES = {
    "decoded": (decode,),
    "resized": (resize, sizes),
    "input": (values,),
    "outputs": (model,),
    "results": (results, places, scores, suppression),
}


@pytest.fixture(scope="session")
def plans(tmp_path_factory):
    """Plan, files and the right pipeline's traces of a task; made once."""
    folder, kept = tmp_path_factory.mktemp("faulty"), {}

    def made(task, count=FEW):
        plan = put_plan(TASKS[task], folder / task)
        paths = sorted((folder / task / "images-0").iterdir())[:count]
        files = {p.name: p.read_bytes() for p in paths}
        if (task, count) not in kept:
            kept[task, count] = list(run(right_steps(TASKS[task], folder / task), files.items()))
        return plan, files, kept[task, count]

    return made


@pytest.mark.parametrize("task", ["detect", pytest.param("segment", marks=pytest.mark.slow), *EVERYWHERE[len(HERE) :]])
def test_the_right_pipeline_is_seatrial_s_own_to_the_bit(plans, task):
    plan, files, traces = plans(task, 16)
    spec = load_plan(plan).plan.pipelines["baseline"]
    info = inspect_model(plan.parent / spec.model)
    own = build_pipeline("baseline", spec, info, plan.parent)
    for data, trace in zip(files.values(), traces, strict=True):
        image, feeds = own.decode(data), own.allocate(1)
        (geometry,) = own.preprocess([image], feeds)
        placed = reference.place(np.ascontiguousarray(image), geometry, "linear", 114)
        (found,) = own.postprocess(list(trace.outputs.values()), [geometry])
        assert np.array_equal(image, trace.decoded)
        assert np.array_equal(placed, trace.resized)
        assert np.array_equal(feeds[info.inputs[0].name], trace.tensor)
        for field, value in trace.results.items():
            assert np.array_equal(getattr(found, field), value), (trace.name, field)


def test_every_name_of_the_catalogue_is_injected_or_said_why_not():
    assert {i.fault for i in INJECTIONS} | set(UNSEEN) == set(NAMES)
    assert not {i.fault for i in INJECTIONS} & set(UNSEEN)
    assert {name for i in INJECTIONS for name in i.also} <= set(NAMES)


@pytest.mark.parametrize("task", TASKS)
def test_a_candidate_is_found_by_its_name(task):
    for kind in KINDS:
        found = candidates_of(kind, task)
        assert found
        assert max(Counter(i.name for i in found).values()) == 1
        assert all(candidate_of(task, i.name) is i or kind == "pairs" for i in found)


def first_difference(trace, right):
    pairs = {
        "decoded": (trace.decoded, right.decoded),
        "resized": (trace.resized, right.resized),
        "input": (trace.tensor, right.tensor),
        "outputs": (*trace.outputs.values(), *right.outputs.values()),
        "results": (np.concatenate([v.ravel() for v in t.results.values()]) for t in (trace, right)),
    }
    return next(
        (s for s, (a, b) in pairs.items() if a.shape != b.shape or not np.array_equal(a, b, equal_nan=True)), None
    )


# On these few pictures NMS has nothing to choose between.
NOT_SEEN = {"nms-settings/agnostic", "nms-settings/iou-0.2", "nms-settings/iou-0.7", "nms-settings/at-most-3"}
NOT_SEEN |= {
    f"nms-settings/{variant}"
    for variant in (
        "opencv-agnostic",
        "opencv-corners-as-sizes",
        "opencv-centre-as-corner",
        "legacy-areas",
        "best-30-before",
    )
}
# Nor is a side rounded otherwise, or a picture large enough for a smaller decode.
NOT_SEEN |= {"resize-mode/sides-half-up", "jpeg-decoder/drafted"}


@pytest.mark.slow
@pytest.mark.parametrize("task", HERE)
@pytest.mark.parametrize("stage", FAMILIES)
def test_a_fault_begins_at_the_stage_that_it_is_put_into(plans, task, stage):
    plan, files, right = plans(task)
    for injection in injections_of(task):
        if not any(injection in family.INJECTIONS for family in FAMILIES[stage]):
            continue
        setting = Setting(TASKS[task], plan.parent)
        wrong = run(injection.change(right_steps(TASKS[task], plan.parent), setting), files.items())
        seen = {first_difference(a, b) for a, b in zip(wrong, right, strict=True)} - {None}
        # A mask that is read otherwise belongs to its family, and what is made of a model may be anywhere from there.
        assert seen == {stage} or (injection.name in NOT_SEEN and not seen), (injection.name, seen)


@pytest.mark.parametrize("task", ["detect", pytest.param("segment", marks=pytest.mark.slow)])
def test_what_is_written_is_a_sound_folder_of_taps(plans, task, tmp_path):
    plan, files, traces = plans(task)
    write_taps(tmp_path / "taps", traces, files)
    found = check_taps(TapsFolder.open(tmp_path / "taps"), images_in(plan.parent / "images-0"))
    assert not found.problems
    assert found.sound == FEW


def test_answers_hold_each_box_that_was_found(plans, tmp_path):
    _, _, traces = plans("detect")
    rows = json.loads(write_answers(tmp_path, "detect", traces, TASKS["detect"].labels).read_text())
    assert len(rows) == sum(len(t.results["scores"]) for t in traces) > 0


def test_rates_have_exact_intervals():
    assert interval(0, 10) == pytest.approx((0, 0.3085), abs=1e-4)
    assert interval(10, 10) == pytest.approx((0.6915, 1), abs=1e-4)
    assert interval(95, 100) == pytest.approx((0.8872, 0.9836), abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "injected", "named", "right"),
    [
        ("faults", ["exif"], ["exif", "antialias"], True),
        ("faults", ["exif"], ["antialias", "exif"], False),
        ("faults", ["exif"], [], False),
        ("pairs", ["exif", "antialias"], ["antialias", "exif"], True),
        ("pairs", ["exif", "antialias"], ["exif"], False),
        ("equal", ["none"], [], True),
        ("outside", ["none"], ["mean-std"], False),
    ],
)
def test_what_counts_as_right(kind, injected, named, right):
    row = {"kind": kind, "injected": injected, "named": named, "also": [], "state": "asked"}
    assert is_right(row) == right
    assert sum(sum(v.values()) for v in matrix([row]).values()) == 1
    assert not is_right({**row, "state": "broke"})
