"""Engines that differ from build to build: three or more of each side, and what they differ by in the interval."""

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from float_graphs import model_of
from onnx import helper
from rich.console import Console
from rounds import LEAST_NS, Rounds, round_of
from simulated_cuda import other

from seatrial.compare import builds as making
from seatrial.compare import lockstep
from seatrial.compare.builds import Builds, make_builds
from seatrial.compare.lockstep import RoundSize, run_round
from seatrial.compare.question import Question, TooLittleTimeError
from seatrial.compare.rounds import compare_sides
from seatrial.compare.turn_task import ModelTurns
from seatrial.compare.turner import Side, Turner
from seatrial.compare.verdicts import judge_rounds
from seatrial.errors import ModelError
from seatrial.report.comparison_text import print_comparison
from seatrial.runtimes.choice import BackendChoice
from seatrial.runtimes.engine_builds import engines_of
from seatrial.stats.builds import with_builds
from seatrial.stats.compare import paired_effect

SUPPORT = Path(__file__).parents[1] / "support"
LABELS = ("A", "B")
TWO = Builds({"a": "numbered", "b": "numbered"}, 3)


@pytest.mark.parametrize(
    ("backend", "options", "engines"),
    [
        ("tensorrt", {}, "numbered"),
        ("tensorrt-rtx", {"tf32": True}, "numbered"),
        ("tensorrt", {"engine": "m.engine"}, "given"),
        ("onnxruntime-tensorrt", {}, "numbered"),
        ("onnxruntime-tensorrt", {"engine_cache": False}, "each time"),
        ("onnxruntime-tensorrt-rtx", {}, "each time"),
        ("onnxruntime-cuda", {}, ""),
        ("openvino-cpu", {}, ""),
        ("fake", {}, ""),
    ],
)
def test_where_engines_come_from(backend, options, engines):
    assert engines_of(BackendChoice(backend, options=options)) == engines


@pytest.mark.parametrize(
    ("builds", "rounds", "ran", "said"),
    [
        (Builds(), 8, {}, ""),
        (TWO, 8, {"a": 3, "b": 3}, ""),
        (
            TWO,
            2,
            {"a": 2, "b": 2},
            "3 independent ones of each: A ran 2, B ran 2; it takes more time, for more rounds",
        ),
        (Builds({"b": "each time"}), 8, {"b": 8}, ""),
        (Builds({"b": "each time"}), 2, {"b": 2}, "B ran 2; it takes more time"),
        (Builds({"a": "numbered", "b": "given"}, 8), 8, {"a": 8, "b": 1}, "B ran 1; leave the option engine of B out"),
        (
            Builds({"a": "given", "b": "given"}),
            8,
            {"a": 1, "b": 1},
            "A ran 1, B ran 1; leave the option engine of A and B out",
        ),
    ],
)
def test_how_many_builds_rounds_ran(builds, rounds, ran, said):
    assert builds.of_rounds(rounds) == ran
    why = builds.why_too_few(rounds)
    assert (said in why) if said else not why


def test_rounds_take_builds_in_turn_and_sides_without_engines_have_none():
    assert [TWO.number(k) for k in range(8)] == [1, 2, 3, 1, 2, 3, 1, 2]
    assert [Builds({"b": "each time"}).number(k) for k in range(4)] == [1, 2, 3, 4]
    sides = [
        trt_side("a", "m.onnx"),
        replace(trt_side("b", "m.onnx"), work=replace(trt_side("b", "m").work, backend="fake")),
    ]
    assert [s.work.build_number for s in TWO.sides_of(sides, 4)] == [2, 0]
    assert Builds().sides_of(sides, 4) == sides


# Intervals


def test_the_interval_holds_what_builds_differ_by():
    """By simulation, of builds that differ by 1 % and rounds by 0.2 %: without builds it would miss an effect of none far too
    often."""
    rng = np.random.default_rng(1)
    missed = {"builds": 0, "rounds": 0}
    for _ in range(400):
        numbers = np.arange(8) % 3
        d = rng.normal(0, 0.01, 3)[numbers] + rng.normal(0, 0.002, 8)
        own = paired_effect(d, 0.95)
        wide = with_builds(own, d, numbers)
        for name, effect in (("rounds", own), ("builds", wide)):
            missed[name] += not effect.low <= 0 <= effect.high
        assert wide.low <= own.low <= own.high <= wide.high
        assert wide.p_value >= own.p_value
        assert (wide.p_value < 0.05) <= (not own.low <= 0 <= own.high)
    assert missed["rounds"] > 100
    assert missed["builds"] <= 400 * 0.05 + 3 * np.sqrt(400 * 0.05 * 0.95)


def test_half_the_interval_is_students_of_the_builds_means():
    d = np.array([0.0, 0.1, 0.2, 0.0, 0.1, 0.2, 0.0, 0.1])
    wide = with_builds(paired_effect(d, 0.95), d, [1, 2, 3, 1, 2, 3, 1, 2])
    # t of 97.5 % with two degrees of freedom, 4.303, and the sd of 0, 0.1, 0.2 over the root of three.
    assert (wide.high - wide.low) / 2 == pytest.approx(4.303 * 0.1 / np.sqrt(3), rel=1e-3)


@pytest.mark.parametrize("numbers", [range(8), [1] * 8])
def test_a_build_for_each_pair_or_one_for_all_changes_nothing(numbers):
    own = paired_effect(np.linspace(0.01, 0.02, 8))
    assert with_builds(own, np.linspace(0.01, 0.02, 8), list(numbers)) == own


def test_too_few_pairs_stay_too_few():
    own = paired_effect([0.1, 0.2, 0.1])
    assert with_builds(own, [0.1, 0.2, 0.1], [1, 2, 1]).low is None


# Verdicts


def rounds_of(effects):
    base = np.full((8, 3, 2), 1_000_000_000)
    launches = ["a", "b", "control"], ["control", "b", "a"]
    return [
        round_of({"a": base, "b": (base * np.exp(d)).astype(np.int64), "control": base}, launches[k % 2])
        for k, d in enumerate(effects)
    ]


def judged(effects, builds, **more):
    (c,) = judge_rounds(rounds_of(effects), Question(), LABELS, builds, **more)
    return c


def test_a_change_that_one_build_in_three_makes_is_not_called():
    by_build = [0.0, 0.0, 0.09] * 3
    assert judged(by_build, Builds()).verdict != "IMPROVED"
    c = judged(by_build[:8], TWO)
    assert c.verdict == "INCONCLUSIVE"
    assert c.change.interval[0] < 0 < c.change.interval[1]
    assert c.reason.endswith("3 builds of an engine differ by more than rounds of one: more time makes more of them")
    assert c.builds == {"a": 3, "b": 3}
    assert [p.build for p in c.pairs] == [1, 2, 3, 1, 2, 3, 1, 2]


def test_a_change_that_every_build_shows_is_called():
    c = judged([0.060, 0.061, 0.062, 0.060, 0.061, 0.062, 0.060, 0.061], TWO)
    assert c.verdict == "REGRESSION", c.reason


@pytest.mark.parametrize("effect", [0.0, 0.5, -0.5])
def test_one_engine_that_was_given_is_never_called(effect):
    c = judged([effect] * 8, Builds({"b": "given"}))
    assert c.verdict == "INCONCLUSIVE"
    assert "it takes 3 independent ones of each: B ran 1; leave the option engine of B out" in c.reason
    assert c.builds == {"b": 1}


@pytest.mark.parametrize("builds", [TWO, Builds()])
def test_the_terminal_says_how_many_builds_ran(builds):
    out = io.StringIO()
    print_comparison(Console(file=out, width=120), judged([0.05] * 8, builds))
    assert ("builds" in out.getvalue()) == bool(builds.engines)
    assert not builds.engines or "A 3, B 3" in out.getvalue()


def test_sides_without_engines_are_judged_as_ever():
    c = judged([0.05] * 8, Builds())
    assert (c.verdict, c.builds, c.pairs[0].build) == ("REGRESSION", {}, None)


# Processes: TensorRT is simulated in each


def trt_side(name, model, **options):
    shapes = {"x": (1, 3, 6, 6)}
    return Side(name, ModelTurns(str(model), "tensorrt", 1, 1, True, 0, shapes, {}, options), label=name)


@pytest.fixture
def model(tmp_path):
    weights = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    proto = model_of(
        [helper.make_node("Conv", ["x", "w"], ["y"])], {"x": [1, 3, 6, 6]}, {"y": [1, 4, 4, 4]}, {"w": weights}
    )
    onnx.save(proto, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


@pytest.fixture
def simulated(tmp_path, monkeypatch):
    """Processes that are started from here on find this driver, and a package tensorrt."""
    (tmp_path / "driver").mkdir()
    driver = other(tmp_path / "driver")
    package = tmp_path / "site" / "tensorrt"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from pathlib import Path\n"
        "from simulated_cuda import SimulatedCuda\n"
        "from simulated_tensorrt import VERSIONS, Network, module\n"
        f"network = Network(SimulatedCuda(Path({str(driver)!r})))\n"
        "network.install()\n"
        "globals().update(vars(module(VERSIONS[1], network)))\n"
    )
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package.parent), str(SUPPORT), *filter(None, own)]))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(driver.parent))
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def manifests(cache):
    return [json.loads(p.read_text())["options"].get("build_number", 0) for p in cache.rglob("*.engine.json")]


@pytest.mark.cold
def test_engines_are_built_one_by_one_and_a_round_runs_its_own(simulated, model, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(making, "MORE_SHARE", 0.0)
    a, b = trt_side("a", model), trt_side("b", model, tf32=True)
    builds = make_builds(a, b, Question(max_time_s=600.0), tmp_path / "rounds", lambda step, _share: told.append(step))
    assert builds == Builds({"a": "numbered", "b": "numbered"}, 3)
    assert told == [f"building or finding engine {n} of {side}" for n in (1, 2, 3) for side in "AB"]
    assert sorted(manifests(simulated)) == [1, 1, 2, 2, 3, 3]
    assert not list(simulated.rglob("*.timing")), "times of kernels that builds shared would make them alike"
    control = replace(a, name="control")
    sides = builds.sides_of([a, b, control], 1)
    found = run_round(sides, tmp_path / "rounds", 0, RoundSize(blocks=2))
    for side in found.facts.values():
        assert "from the cache" in side.details["engine"]
        assert side.details["engine_options"].endswith("build_number=2")
    assert found.facts["a"].details["engine_digest"] == found.facts["control"].details["engine_digest"]


@pytest.mark.cold
def test_more_builds_come_where_they_cost_little_and_one_side_may_have_none(simulated, model, tmp_path, monkeypatch):
    monkeypatch.setattr(making, "MORE_SHARE", 100.0)
    plain = replace(trt_side("a", model), work=replace(trt_side("a", model).work, backend="onnxruntime-cpu"))
    builds = make_builds(plain, trt_side("b", model), Question(max_time_s=600.0), tmp_path / "rounds")
    assert builds == Builds({"b": "numbered"}, 8)
    assert sorted(manifests(simulated)) == list(range(1, 9))


@pytest.mark.cold
def test_builds_that_do_not_fit_into_the_time_are_refused_and_kept(simulated, model, tmp_path):
    with pytest.raises(
        TooLittleTimeError, match=r"a comparison takes 3 of each side, and one took .*what was built is kept"
    ) as e:
        make_builds(trt_side("a", model), trt_side("b", model), Question(max_time_s=0.01), tmp_path / "rounds")
    assert e.value.enough_s >= 1
    assert manifests(simulated) == [1]


@pytest.mark.cold
def test_a_side_that_cannot_build_says_why(simulated, tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="B, m"):
        make_builds(
            trt_side("B, m", tmp_path / "m.onnx"), trt_side("A", tmp_path / "m.onnx"), Question(), tmp_path / "r"
        )


def test_a_comparison_makes_builds_before_its_rounds(tmp_path, monkeypatch):
    """Builds and rounds are made up: what each round is asked to run is not."""
    from seatrial.compare import rounds as versus

    monkeypatch.setattr(versus, "make_builds", lambda *_: Builds({"b": "numbered"}, 3))
    rounds = Rounds(
        lambda asked: round_of({n: np.full((8, 3, 2), LEAST_NS) for n in ("a", "b", "control")}, asked.launch)
    )
    rounds.in_place(monkeypatch)
    plain = Side("m", replace(trt_side("a", "m").work, backend="fake"))
    (c,) = compare_sides(plain, trt_side("b", "m"), Question(), tmp_path / "rounds", LABELS)
    assert (c.verdict, c.builds) == ("EQUIVALENT", {"b": 3})
    numbers = [{s.name: s.work.build_number for s in asked.sides} for asked in rounds.asked]
    assert numbers[:4] == [{"a": 0, "b": n, "control": 0} for n in (1, 2, 3, 1)]


@pytest.mark.parametrize("each_time", [True, False])
def test_sides_that_build_whenever_they_open_load_one_by_one(workspace, monkeypatch, each_time):
    work = ModelTurns(str(workspace.folder / "model.fake.json"), "fake", 1, 1, True, 0, {"x": (1, 3, 8, 8)}, {})
    events = []
    real_open, real_await = lockstep.open_turner, Turner.await_reply
    monkeypatch.setattr(lockstep, "open_turner", lambda s, *rest: events.append("open") or real_open(s, *rest))
    monkeypatch.setattr(Turner, "await_reply", lambda self, t: events.append("loaded") or real_await(self, t))
    monkeypatch.setattr(lockstep, "engines_of", lambda _choice: "each time" if each_time else "")
    run_round([Side(n, work) for n in "ab"], workspace.folder / "rounds", 0, RoundSize(blocks=2))
    expected = ["open", "loaded", "open", "loaded"] if each_time else ["open", "open", "loaded", "loaded"]
    assert events[:4] == expected
