"""Rounds of real processes on scripted models: who turns when, what is kept, and how a side that breaks is told."""

import itertools
import os
import random
import signal
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
from processes import below, descriptors

from seatrial.compare import lockstep, turner, turns
from seatrial.compare.lockstep import RoundHooks, RoundSize, run_round
from seatrial.compare.round_plan import LEAST_BURST, MOST_BURST
from seatrial.compare.turn_task import ModelTurns, SideFacts
from seatrial.compare.turner import Side
from seatrial.errors import BackendUnavailableError, CellError, ModelError, ResultsError, UsageError
from seatrial.interrupts import interrupts_held
from seatrial.jobs.child import cores_for

NAMES = ["a", "b", "control"]


def side(path, name="a", label="", **task):
    made = {
        "model": str(path), "backend": "fake", "batch": 1, "threads": 1, "native": True, "seed": 0,
        "input_shapes": {"x": (1, 3, 8, 8)}, "named_sizes": {},
    }  # fmt: skip
    return Side(name, ModelTurns(**made | task), label=label)


@pytest.fixture
def quick(monkeypatch):
    """A warm-up as short as can be: what is tested here is not how steady the numbers are."""
    monkeypatch.setattr(lockstep, "WARM_UP_S", 0.02)


@pytest.fixture
def warm_up_says(quick, monkeypatch):
    """How long a request takes is measured first, and all is planned by it; a busy machine would plan otherwise."""

    def says(request_s):
        real = lockstep.warm_up
        monkeypatch.setattr(
            lockstep, "warm_up", lambda turner: replace(real(turner), request_s=request_s, least_s=request_s)
        )

    return says


# Orders


@pytest.mark.parametrize("blocks", [2, 7, 40])
@pytest.mark.parametrize("names", [["a", "b"], NAMES])
def test_every_side_has_one_turn_a_block_and_each_pair_of_blocks_is_mirrored(names, blocks):
    orders = list(lockstep.turn_orders(names, blocks, random.Random(3)))
    assert len(orders) == blocks
    assert all(sorted(order) == sorted(names) for order in orders)
    for first, second in zip(orders[0::2], orders[1::2], strict=False):
        assert second == first[::-1]


def test_orders_are_random_and_follow_from_the_seed():
    def begun(seed):
        return [order[0] for order in lockstep.turn_orders(NAMES, 400, random.Random(seed))]

    assert begun(1) == begun(1)
    assert begun(1) != begun(2)
    # Mirroring fixes every second one. A fair die of 200 throws misses these bounds once in ten million.
    counts = {name: begun(1)[0::2].count(name) for name in NAMES}
    assert all(30 < n < 105 for n in counts.values()), counts


# Stages

MANY = [f"stage_{i}" for i in range(30)]
# In place of the interpreter: it runs a side as ever, with work of so many stages.
MANY_STAGES = f"""#!{sys.executable}
import sys
from seatrial._native.timing import PythonWork
from seatrial.compare import turns

def once(lap):
    for i in range({len(MANY)}):
        lap.give(1000 + i) if i % 3 else lap()

turns.open_work = lambda task: turns.SideWork(PythonWork(once), {MANY!r}, {{}})
sys.argv = sys.argv[3:]
sys.exit(turns.main())
"""


def test_a_side_may_have_any_number_of_stages_of_its_own_and_of_a_devices_clock(workspace, tmp_path, quick):
    python = tmp_path / "python"
    python.write_text(MANY_STAGES)
    python.chmod(0o755)
    sides = [replace(side(workspace.folder / "model.fake.json", name), python=str(python)) for name in ("a", "b")]
    found = run_round(sides, tmp_path / "round", 5, RoundSize(blocks=4))
    assert found.stages == MANY
    for table in found.blocks_ns.values():
        assert table.shape == (4, found.burst, len(MANY) + 1)
        for i in range(len(MANY)):
            assert (table[:, :, i] == 1000 + i).all() if i % 3 else (table[:, :, i] >= 0).all()


# What is kept


def test_the_first_request_of_a_turn_and_the_start_are_not_kept():
    blocks, burst, stages = 3, 4, 2
    rows = np.arange(blocks * (burst + 1) * (1 + stages + 1)).reshape(-1, 1 + stages + 1)
    kept = lockstep.bursts_of(rows, blocks, burst)
    assert kept.shape == (blocks, burst, stages + 1)
    for block in range(blocks):
        first = block * (burst + 1)
        assert (kept[block] == rows[first + 1 : first + 1 + burst, 1:]).all()


def test_a_round_of_three_sides(workspace, tmp_path, quick, monkeypatch):
    """One real round: turns in the orders told, the same number of them, on the same core, with nothing left over."""
    turns, watched, shares = [], [], []
    turn = turner.Turner.turn
    monkeypatch.setattr(turner.Turner, "turn", lambda t, burst: (turns.append(t.side.name), turn(t, burst)))

    def tell(share):
        shares.append(share)
        watched.extend((p.pid, tuple(p.cpu_affinity())) for p in below())

    before = descriptors()
    sides = [side(workspace.folder / "model.fake.json", name) for name in NAMES]
    found = run_round(sides, tmp_path / "round", 5, RoundSize(blocks=8), hooks=RoundHooks(tell=tell))
    assert sorted(found.blocks_ns) == NAMES
    # 0.2 ms a request: 60 of them in 12 ms, where nothing disturbs them.
    assert LEAST_BURST <= found.burst <= 60
    for table in found.blocks_ns.values():
        assert table.shape == (8, found.burst, 2)
        assert table.dtype == np.int64
        assert (table[:, :, 0] >= 200_000).all()
        assert (table[:, :, 1] >= table[:, :, 0]).all()
    assert (found.stages, shares) == (["infer"], [1.0])
    rng = random.Random(5)
    launched = list(NAMES)
    rng.shuffle(launched)
    assert found.launched == launched
    assert turns == [name for order in lockstep.turn_orders(NAMES, 8, rng) for name in order]
    assert len({pid for pid, _ in watched}) == 3
    assert {cores for _, cores in watched} == {tuple(cores_for(1))}
    assert {tuple(found.facts[name].affinity) for name in NAMES} == {tuple(cores_for(1))}
    assert found.noise.cores == tuple(cores_for(1))
    assert all(found.facts[name].details["runtime"] == "fake" for name in NAMES)
    assert below() == []
    assert descriptors() == before


def test_which_side_is_started_first_is_random_and_follows_from_the_seed(tmp_path, monkeypatch):
    """Nothing is started: the first side in the launch order says so and ends the round."""

    def first_of(seed):
        started = []
        monkeypatch.setattr(lockstep, "open_turner", lambda s, *_: started.append(s.name) or pytest.fail("stop"))
        with pytest.raises(pytest.fail.Exception):
            run_round([side("none", name) for name in NAMES], tmp_path, seed)
        return started[0]

    firsts = [first_of(seed) for seed in range(90)]
    assert firsts == [first_of(seed) for seed in range(90)]
    # A fair die misses these bounds once in a million.
    assert all(9 < firsts.count(name) < 54 for name in NAMES), firsts


@pytest.mark.parametrize(
    ("latency_ms", "least", "burst"),
    [
        (20, 1, LEAST_BURST),
        (0.01, 1, MOST_BURST),
        # 20 requests in 4 blocks are five a turn, though 12 ms hold none of 20 ms; 300 are 75, more than the usual most.
        (20, 20, 5),
        (0.01, 300, 75),
    ],
)
def test_bursts_fill_12_ms_within_bounds_and_give_the_requests_asked_for(
    workspace, tmp_path, warm_up_says, latency_ms, least, burst
):
    warm_up_says(latency_ms / 1e3)
    model = workspace.script("m.fake.json", latency_ms=[latency_ms])
    blocks = 4 if least > 1 else 2
    found = run_round([side(model)], tmp_path / "round", 0, RoundSize(blocks=blocks, least_requests=least))
    assert found.burst == burst
    assert found.blocks_ns["a"].shape == (blocks, burst, 2)
    assert blocks * burst >= least


def test_ten_percent_are_told_apart_in_one_round_and_nothing_from_nothing(workspace, tmp_path, quick):
    """A script keeps its core busy: only losing the core makes a request longer, so that the lower tenth is its own."""
    same = workspace.script("same.fake.json", latency_ms=[2.0])
    slower = workspace.script("slower.fake.json", latency_ms=[2.2])
    sides = [side(same, "a"), side(slower, "b"), side(same, "control")]
    found = run_round(sides, tmp_path / "round", 1, RoundSize(blocks=12))
    log = {name: np.log(np.quantile(table[:, :, 0], 0.1)) for name, table in found.blocks_ns.items()}
    assert log["b"] - log["a"] == pytest.approx(np.log(1.1), abs=0.02)
    assert log["control"] - log["a"] == pytest.approx(0, abs=0.02)


# What breaks


@pytest.mark.parametrize(
    ("how", "at", "said"),
    [
        # The first request is of loading, the next belong to the warm-up, and the hundredth to a turn.
        ("segfault", 0, "crashed with SIGSEGV inside native code"),
        ("segfault", 2, "crashed with SIGSEGV inside native code"),
        ("segfault", 99, "crashed with SIGSEGV inside native code"),
        ("kill", 99, "was killed (SIGKILL): most likely the system ran out of memory"),
        ("exit", 2, "ended with exit status 7: it printed nothing"),
        ("raise", 0, "the script says so"),
        ("raise", 99, "the script says so"),
    ],
)
def test_a_side_that_dies_is_named_with_how_it_ended(workspace, tmp_path, quick, how, at, said):
    before = descriptors()
    good = side(workspace.script("good.fake.json", latency_ms=[3]), "a")
    bad = side(workspace.script("bad.fake.json", latency_ms=[3], fail={"at": at, "how": how}), "b", "B, bad on fake")
    with pytest.raises(CellError) as caught:
        run_round([good, bad], tmp_path / "round", 0, RoundSize(blocks=40))
    assert str(caught.value).startswith(f"B, bad on fake: {said}")
    assert "last output" not in str(caught.value), "it goes with the round's folder"
    assert below() == []
    assert descriptors() == before


@pytest.mark.slow
def test_a_side_that_hangs_is_stopped(workspace, tmp_path, quick, monkeypatch):
    monkeypatch.setattr(lockstep, "LEAST_TURN_TIMEOUT_S", 1.0)
    monkeypatch.setattr(
        lockstep, "warm_up", lambda turner: turner.command(b"w", 3) and lockstep.WarmUp(0.001, 0.001, 0.0)
    )
    good = side(workspace.folder / "model.fake.json", "a")
    bad = side(workspace.script("bad.fake.json", fail={"at": 12, "how": "hang"}), "b")
    began = time.monotonic()
    said = r"^b: gave no answer within 1\.30 s and was stopped; run it alone, with 'seatrial bench', to see where it hangs$"
    with pytest.raises(CellError, match=said):
        run_round([good, bad], tmp_path / "round", 0)
    assert time.monotonic() - began < 60
    assert below() == []


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"model": "model.onnx"}, ModelError, "a: model.onnx: the fake backend plays scripts"),
        ({"backend": "tensorrt"}, BackendUnavailableError, "a: "),
        ({"model": "gone.fake.json"}, CellError, "a: ended with exit status 1: FileNotFoundError"),
    ],
)
def test_what_a_side_says_about_its_model_keeps_its_kind(workspace, tmp_path, quick, change, error, said):
    with pytest.raises(error) as caught:
        run_round([side(workspace.folder / "model.fake.json", **change)], tmp_path / "round", 0)
    assert said in str(caught.value)


def test_sides_with_different_stages_are_refused(workspace, tmp_path, quick):
    from seatrial.cells.preflight import preflight
    from seatrial.compare.sides import pipeline_subject
    from seatrial.history.run_folder import new_run

    ready = preflight(workspace.load(), False, lambda _: None)
    whole = pipeline_subject(ready, new_run(tmp_path / "results", "here"), "baseline").side
    sides = [side(workspace.folder / "model.fake.json", "a"), Side("b", whole.work, label="B")]
    with pytest.raises(UsageError) as caught:
        run_round(sides, tmp_path / "round", 0)
    assert str(caught.value) == (
        "expected sides with the same stages, got B: decode, preprocess, infer, postprocess; a: infer; "
        "compare two models, or two pipelines"
    )
    assert below() == []


def test_a_pipeline_has_a_column_a_stage_and_one_for_the_whole(workspace, tmp_path, quick):
    from seatrial.cells.preflight import preflight
    from seatrial.compare.sides import pipeline_subject
    from seatrial.history.run_folder import new_run

    ready = preflight(workspace.load(), False, lambda _: None)
    whole = pipeline_subject(ready, new_run(tmp_path / "results", "here"), "baseline").side
    found = run_round([Side("a", whole.work)], tmp_path / "round", 0, RoundSize(blocks=2))
    table = found.blocks_ns["a"]
    assert found.stages == ["decode", "preprocess", "infer", "postprocess"]
    assert table.shape == (2, found.burst, 5)
    assert (table[:, :, 4] >= table[:, :, :4].sum(axis=2)).all()
    assert (table[:, :, 2] >= 200_000).all()


def test_an_interpreter_that_went_away_and_a_folder_that_cannot_be_written(workspace, tmp_path):
    model = workspace.folder / "model.fake.json"
    gone = Side("b", side(model).work, str(tmp_path / "venv" / "bin" / "python"), label="B")
    with pytest.raises(BackendUnavailableError, match=r"^B: .*/venv/bin/python cannot be started: No such file"):
        run_round([gone], tmp_path / "round", 0)
    (tmp_path / "blocked").write_text("a file stands where the folder should be")
    with pytest.raises(ResultsError, match=r"blocked/round: a round's files cannot be written"):
        run_round([side(model)], tmp_path / "blocked" / "round", 0)
    assert below() == []


@pytest.mark.slow
def test_what_a_side_started_ends_with_it(workspace, tmp_path, quick):
    """A user's stage may start processes that would outlive the round."""
    (workspace.folder / "mine.py").write_text(
        "import numpy as np, subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "def pre(image):\n    return np.zeros((1, 3, 8, 8), np.float32)\n"
    )
    from seatrial.cells.preflight import preflight
    from seatrial.compare.sides import pipeline_subject
    from seatrial.history.run_folder import new_run

    only = "\n  only: {model: model.fake.json, preprocess: {python: 'mine:pre'}, postprocess: {task: classify}}"
    ready = preflight(workspace.load(pipelines=only, parity=""), True, lambda _: None)
    whole = pipeline_subject(ready, new_run(tmp_path / "results", "here"), "only").side
    seen = []
    run_round(
        [Side("a", whole.work)],
        tmp_path / "round",
        0,
        RoundSize(blocks=8),
        hooks=RoundHooks(tell=lambda _: seen.extend(below())),
    )
    assert len(seen) == 2
    assert psutil.wait_procs(seen, timeout=30)[1] == []


def test_the_time_that_a_round_takes_is_told_before_its_first_turn(workspace, tmp_path, quick, monkeypatch):
    model = workspace.script("m.fake.json", latency_ms=[20])
    told = []

    def refuse(ready_s, turns_s):
        told.append((ready_s, turns_s))
        raise UsageError("too long")

    monkeypatch.setattr(turner.Turner, "turn", lambda *_: pytest.fail("a turn was run"))
    began = time.monotonic()
    with pytest.raises(UsageError, match="too long"):
        run_round([side(model)], tmp_path / "round", 0, hooks=RoundHooks(check_time=refuse))
    ((ready_s, turns_s),) = told
    # Eight blocks of two requests of 20 ms; and at least two requests of it warm it up.
    assert turns_s >= 8 * 2 * 0.02
    assert 0.04 < ready_s < time.monotonic() - began
    assert below() == []


def test_the_order_of_starts_can_be_given(workspace, tmp_path, quick):
    sides = [side(workspace.folder / "model.fake.json", name) for name in NAMES]
    found = run_round(sides, tmp_path / "round", 0, RoundSize(blocks=2), launch=NAMES[::-1])
    assert found.launched == list(NAMES[::-1])
    assert list(found.blocks_ns) == list(NAMES)


# Warming up


class Asked:
    """Stands in for a side: answers at once with what its requests would have taken."""

    def __init__(self, *requests_s):
        self.requests_s = itertools.cycle(requests_s)
        self.counts = []
        self.kernels_change = False

    def facts(self):
        return SideFacts(kernels_change=self.kernels_change)

    def command(self, letter, count):
        assert letter == b"w"
        self.counts.append(count)
        return sum(itertools.islice(self.requests_s, count))


@pytest.mark.parametrize(
    ("request_s", "turns", "least_s"),
    [(1e-5, 30, 0.15), (0.001, 15, 0.15), (0.004, 15, 0.15), (0.07, 3, 0.2), (0.12, 2, 0.2), (2.0, 1, 2.0)],
)
def test_a_warm_up_takes_its_time_in_few_turns(request_s, turns, least_s):
    """Of requests: how long a pool takes to come to rest behind each turn is no part of it."""
    side = Asked(request_s)
    assert lockstep.warm_up(side).request_s == pytest.approx(request_s)
    assert least_s <= sum(side.counts) * request_s < max(2 * least_s, 0.4) + request_s
    assert len(side.counts) <= turns


def test_a_warm_up_on_unlike_images_knows_what_they_take_on_average():
    """The least turn would be one of small images alone: a burst of 64 would be planned for what takes 50 ms each."""
    side = Asked(0.0005, 0.0005, 0.0005, 0.2)
    warm = lockstep.warm_up(side)
    assert 0.02 < warm.request_s < 0.21
    assert warm.least_s == pytest.approx(0.0005), "by which alone nothing is refused"


def changing(*requests_s):
    side = Asked(*requests_s)
    side.kernels_change = True
    return side


def test_a_warm_up_lasts_until_kernels_that_may_change_have_kept_their_level():
    """Half a second on the first kernels, then others: what is planned by is of these alone."""
    side = changing(*[0.002] * 250, *[0.001] * 100_000)
    warm = lockstep.warm_up(side)
    assert warm.steady
    assert (warm.request_s, warm.least_s) == pytest.approx((0.001, 0.001))
    assert lockstep.STEADY_S <= (sum(side.counts) - 250) * 0.001 < 2 * lockstep.STEADY_S
    assert lockstep.warm_up(changing(0.001)).steady


def test_a_warm_up_that_sees_no_level_ends_and_says_so():
    side = changing(*(0.001 * 1.002**k for k in range(5000)))
    assert not lockstep.warm_up(side).steady
    assert not lockstep.warm_up(changing(3.0)).steady, "so few requests have no level"


@pytest.mark.parametrize("script", [{}, {"kernels": {"at_ms": 0, "times": 1}}])
def test_a_side_says_whether_its_kernels_may_change(workspace, tmp_path, quick, monkeypatch, script):
    monkeypatch.setattr(lockstep, "STEADY_S", 0.05)
    monkeypatch.setattr(lockstep, "MOST_STEADY_S", 0.5)
    model = workspace.script("changing.fake.json", latency_ms=[0.3], **script)
    found = run_round([side(model, name) for name in "ab"], tmp_path / "round", 0, RoundSize(blocks=2))
    assert [f.kernels_change for f in found.facts.values()] == [bool(script)] * 2
    assert script or not found.unsteady


def test_a_step_between_turns_is_seen_where_kernels_may_change():
    table = np.full((40, 3, 2), 2_000_000)
    table[25:] = 1_000_000
    assert lockstep._changed_level(SideFacts(("infer",), kernels_change=True), table, ["infer"])
    assert not lockstep._changed_level(SideFacts(("infer",)), table, ["infer"])
    assert not lockstep._changed_level(SideFacts(("infer",), kernels_change=True), table[:25], ["infer"])


# Which images a side sees


def seen_images(workspace, tmp_path, rounds, blocks=4):
    """What each side's timed turns saw, in order, for rounds of a seed and some sides: images differ in how bright they are."""
    for i in range(23):
        workspace.image(f"more-{i:02}.png", np.full((8, 8, 3), 10 * i + 5, np.uint8))
    (workspace.folder / "mine.py").write_text(
        "import os, sys\nimport numpy as np\nlog = open(os.environ['SEEN'], 'a', buffering=1)\n"
        "def pre(image):\n    print(int(image[0, 0, 0]), file=log)\n    return np.zeros((1, 3, 8, 8), np.float32)\n"
    )
    from seatrial.cells.preflight import preflight
    from seatrial.compare.sides import pipeline_subject
    from seatrial.history.run_folder import new_run

    only = "\n  only: {model: model.fake.json, preprocess: {python: 'mine:pre'}, postprocess: {task: classify}}"
    ready = preflight(workspace.load(pipelines=only, parity=""), True, lambda _: None)
    whole = pipeline_subject(ready, new_run(tmp_path / "results", "here"), "only").side
    seen = []
    for seed, names in rounds:
        logs = {name: tmp_path / f"{name}-{seed}.txt" for name in names}
        sides = [Side(name, whole.work, environment={"SEEN": str(logs[name])}) for name in names]
        found = run_round(sides, tmp_path / "round", seed, RoundSize(blocks=blocks))
        in_turns = blocks * (found.burst + 1)
        seen.append({name: log.read_text().split()[-in_turns:] for name, log in logs.items()})
    return seen


def test_all_sides_see_the_same_images_in_each_turn_and_others_in_the_next_round(
    workspace, tmp_path, quick, monkeypatch
):
    """Sides warm up for unlike times, as they do where images differ. A turn has as many requests on each side, so that what
    is the same in all of them is the same in each."""
    warm_up = lockstep.warm_up

    def uneven(turner):
        for _ in range({"a": 1, "b": 2, "control": 3}[turner.side.name]):
            turner.command(b"w", 5)
        return warm_up(turner)

    monkeypatch.setattr(lockstep, "warm_up", uneven)
    first, other = seen_images(workspace, tmp_path, ((7, NAMES), (8, ["a", "b"])))
    assert first["a"] == first["b"] == first["control"]
    assert other["a"] == other["b"]
    assert len(set(first["a"])) > 12, "images are not one and the same"
    assert first["a"][:20] != other["a"][:20]


def test_an_order_of_images_fits_into_a_command_whatever_the_seed():
    for seed in (0, 7, 2**31, 10**30):
        assert 0 <= lockstep.image_seed(seed) < 2**31
    assert len({lockstep.image_seed(seed) for seed in range(1000)}) == 1000


# What a side does between its turns


def test_a_thread_at_work_is_seen_and_one_that_sleeps_is_not():
    stop, asleep = threading.Event(), threading.Event()
    sleeper = threading.Thread(target=asleep.wait, daemon=True)
    sleeper.start()
    assert not any(turns.others_at_work() for _ in range(3))

    big = np.ones((700, 700))

    def spin():
        while not stop.is_set():
            big @ big

    worker = threading.Thread(target=spin, daemon=True)
    worker.start()
    try:
        # Between two products it may wait for this thread to let go of the interpreter.
        assert sum(turns.others_at_work() for _ in range(20)) > 10
    finally:
        stop.set()
        worker.join()
        asleep.set()
    assert turns.Rest().word() == turns.DONE


@pytest.mark.slow
def test_a_side_that_works_on_is_told_and_costs_no_more_than_its_patience(workspace, tmp_path, quick):
    """A user's stage may leave a process of its own kind behind: here a thread that never sleeps."""
    (workspace.folder / "mine.py").write_text(
        "import numpy as np, threading\n"
        "big = np.ones((600, 600))\n"
        "def busy():\n    while True:\n        big @ big\n"
        "threading.Thread(target=busy, daemon=True).start()\n"
        "def pre(image):\n    return np.zeros((1, 3, 8, 8), np.float32)\n"
    )
    from seatrial.cells.preflight import preflight
    from seatrial.compare.sides import pipeline_subject
    from seatrial.history.run_folder import new_run

    only = "\n  only: {model: model.fake.json, preprocess: {python: 'mine:pre'}, postprocess: {task: classify}}"
    ready = preflight(workspace.load(pipelines=only, parity=""), True, lambda _: None)
    whole = pipeline_subject(ready, new_run(tmp_path / "results", "here"), "only").side
    found = run_round([Side("a", whole.work)], tmp_path / "round", 0, RoundSize(blocks=2))
    assert found.restless == {"a": 1.0}


def test_a_side_at_rest_is_not_restless(workspace, tmp_path, quick):
    found = run_round([side(workspace.folder / "model.fake.json")], tmp_path / "round", 0, RoundSize(blocks=4))
    assert found.restless == {"a": 0.0}
    assert found.requests_s["a"] >= 0.0002
    assert 0 < found.other_s < found.wall_s


# Starting


@pytest.fixture
def interrupts():
    """As in a terminal, whatever this test run's own parent did with SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_while_a_side_is_started_leaves_no_process(workspace, tmp_path, monkeypatch, interrupts):
    """It comes when the process is there already, and nobody knows of it yet."""
    started = []
    begin = turner.ProcessTree

    def and_ctrl_c(*args, **kwargs):
        started.append(begin(*args, **kwargs))
        os.kill(os.getpid(), signal.SIGINT)
        # The handler runs at one of the next words of bytecode.
        for _ in range(1000):
            pass
        return started[-1]

    monkeypatch.setattr(turner, "ProcessTree", and_ctrl_c)
    before = descriptors()
    with pytest.raises(KeyboardInterrupt):
        run_round([side(workspace.folder / "model.fake.json")], tmp_path / "round", 0)
    assert len(started) == 1
    assert started[0].returncode is not None
    assert below() == []
    assert descriptors() == before


@pytest.mark.parametrize("ignored", [False, True])
def test_held_interrupts_come_behind_the_block(interrupts, ignored):
    done = []
    if ignored:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN, "what is started inherits that"
        return

    def block():
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("the rest of the block")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert done
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
