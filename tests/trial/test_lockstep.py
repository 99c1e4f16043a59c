"""Rounds of real processes on scripted models: who turns when, what is kept, and how a side that breaks is told."""

import math
import os
import random
import time

import numpy as np
import psutil
import pytest
from processes import below

from seatrial.errors import BackendUnavailableError, CellError, ModelError, ResultsError, UsageError
from seatrial.trial import lockstep
from seatrial.trial.child import cores_for
from seatrial.trial.lockstep import LEAST_BURST, MOST_BURST, Side, run_round

NAMES = ["a", "b", "control"]


def side(path, name="a", label="", **task):
    made = {
        "model": str(path), "backend": "fake", "threads": 1, "native": True, "seed": 0,
        "input_shapes": {"x": [1, 3, 8, 8]}, "named_sizes": {},
    }  # fmt: skip
    return Side(name, made | task, label=label)


@pytest.fixture
def quick(monkeypatch):
    """A warm-up as short as can be: what is tested here is not how steady the numbers are."""
    monkeypatch.setattr(lockstep, "WARM_UP_S", 0.02)


@pytest.fixture
def warm_up_says(quick, monkeypatch):
    """How long a request takes is measured first, and all is planned by it; a busy machine would plan otherwise."""

    def says(request_s):
        real = lockstep._warm_up
        monkeypatch.setattr(lockstep, "_warm_up", lambda turner: real(turner) and request_s)

    return says


def descriptors():
    return sorted(os.listdir("/proc/self/fd"))


# Orders


@pytest.mark.parametrize("blocks", [2, 7, 40])
@pytest.mark.parametrize("names", [["a", "b"], NAMES])
def test_every_side_has_one_turn_a_block_and_each_pair_of_blocks_is_mirrored(names, blocks):
    orders = list(lockstep._orders(names, blocks, random.Random(3)))
    assert len(orders) == blocks
    assert all(sorted(order) == sorted(names) for order in orders)
    for first, second in zip(orders[0::2], orders[1::2], strict=False):
        assert second == first[::-1]


def test_orders_are_random_and_follow_from_the_seed():
    def begun(seed):
        return [order[0] for order in lockstep._orders(NAMES, 400, random.Random(seed))]

    assert begun(1) == begun(1)
    assert begun(1) != begun(2)
    # Mirroring fixes every second one. A fair die of 200 throws misses these bounds once in ten million.
    counts = {name: begun(1)[0::2].count(name) for name in NAMES}
    assert all(30 < n < 105 for n in counts.values()), counts


# What is kept


def test_the_first_request_of_a_turn_and_the_start_are_not_kept():
    blocks, burst, stages = 3, 4, 2
    rows = np.arange(blocks * (burst + 1) * (1 + stages + 1)).reshape(-1, 1 + stages + 1)
    kept = lockstep._bursts(rows, blocks, burst)
    assert kept.shape == (blocks, burst, stages + 1)
    for block in range(blocks):
        first = block * (burst + 1)
        assert (kept[block] == rows[first + 1 : first + 1 + burst, 1:]).all()


def test_a_round_of_three_sides(workspace, tmp_path, quick, monkeypatch):
    """One real round: turns in the orders told, the same number of them, on the same core, with nothing left over."""
    turns, watched, shares = [], [], []
    turn = lockstep._Turner.turn
    monkeypatch.setattr(lockstep._Turner, "turn", lambda t, burst: (turns.append(t.side.name), turn(t, burst)))

    def tell(share):
        shares.append(share)
        watched.extend((p.pid, tuple(p.cpu_affinity())) for p in below())

    before = descriptors()
    sides = [side(workspace.folder / "model.fake.json", name) for name in NAMES]
    found = run_round(sides, tmp_path / "round", 5, blocks=8, tell=tell)
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
    assert turns == [name for order in lockstep._orders(NAMES, 8, rng) for name in order]
    assert len({pid for pid, _ in watched}) == 3
    assert {cores for _, cores in watched} == {tuple(cores_for(1))}
    assert {tuple(found.details[name]["affinity"]) for name in NAMES} == {tuple(cores_for(1))}
    assert found.noise.cores == tuple(cores_for(1))
    assert all(found.details[name]["details"]["runtime"] == "fake" for name in NAMES)
    assert below() == []
    assert descriptors() == before


def test_which_side_is_started_first_is_random_and_follows_from_the_seed(tmp_path, monkeypatch):
    """Nothing is started: the first side in the launch order says so and ends the round."""

    def first_of(seed):
        started = []
        monkeypatch.setattr(lockstep, "_turner", lambda s, *_: started.append(s.name) or pytest.fail("stop"))
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
    found = run_round([side(model)], tmp_path / "round", 0, blocks=blocks, least_requests=least)
    assert found.burst == burst
    assert found.blocks_ns["a"].shape == (blocks, burst, 2)
    assert blocks * burst >= least


def test_ten_percent_are_told_apart_in_one_round_and_nothing_from_nothing(workspace, tmp_path, quick):
    """A script keeps its core busy: only losing the core makes a request longer, so that the lower tenth is its own."""
    same = workspace.script("same.fake.json", latency_ms=[2.0])
    slower = workspace.script("slower.fake.json", latency_ms=[2.2])
    sides = [side(same, "a"), side(slower, "b"), side(same, "control")]
    found = run_round(sides, tmp_path / "round", 1, blocks=12)
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
        run_round([good, bad], tmp_path / "round", 0, blocks=40)
    assert str(caught.value).startswith(f"B, bad on fake: {said}")
    assert "last output" not in str(caught.value), "it goes with the round's folder"
    assert below() == []
    assert descriptors() == before


def test_a_side_that_hangs_is_stopped(workspace, tmp_path, quick, monkeypatch):
    monkeypatch.setattr(lockstep, "LEAST_TURN_TIMEOUT_S", 1.0)
    monkeypatch.setattr(lockstep, "_warm_up", lambda turner: turner.command(b"w", 3) or 0.001)
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
    from seatrial.history.store import new_run
    from seatrial.trial.preflight import preflight
    from seatrial.trial.subjects import pipeline_subject

    ready = preflight(workspace.load(), False, lambda _: None)
    whole = pipeline_subject(ready, new_run(tmp_path / "results", "here"), "baseline").side
    sides = [side(workspace.folder / "model.fake.json", "a"), Side("b", whole.task, label="B")]
    with pytest.raises(UsageError) as caught:
        run_round(sides, tmp_path / "round", 0)
    assert str(caught.value) == (
        "expected sides with the same stages, got B: decode, preprocess, infer, postprocess; a: infer; "
        "compare two models, or two pipelines"
    )
    assert below() == []


def test_a_pipeline_has_a_column_a_stage_and_one_for_the_whole(workspace, tmp_path, quick):
    from seatrial.history.store import new_run
    from seatrial.trial.preflight import preflight
    from seatrial.trial.subjects import pipeline_subject

    ready = preflight(workspace.load(), False, lambda _: None)
    whole = pipeline_subject(ready, new_run(tmp_path / "results", "here"), "baseline").side
    found = run_round([Side("a", whole.task)], tmp_path / "round", 0, blocks=2)
    table = found.blocks_ns["a"]
    assert found.stages == ["decode", "preprocess", "infer", "postprocess"]
    assert table.shape == (2, found.burst, 5)
    assert (table[:, :, 4] >= table[:, :, :4].sum(axis=2)).all()
    assert (table[:, :, 2] >= 200_000).all()


def test_an_interpreter_that_went_away_and_a_folder_that_cannot_be_written(workspace, tmp_path):
    model = workspace.folder / "model.fake.json"
    gone = Side("b", side(model).task, str(tmp_path / "venv" / "bin" / "python"), label="B")
    with pytest.raises(BackendUnavailableError, match=r"^B: .*/venv/bin/python cannot be started: No such file"):
        run_round([gone], tmp_path / "round", 0)
    (tmp_path / "blocked").write_text("a file stands where the folder should be")
    with pytest.raises(ResultsError, match=r"blocked/round: a round's files cannot be written"):
        run_round([side(model)], tmp_path / "blocked" / "round", 0)
    assert below() == []


def test_what_a_side_started_ends_with_it(workspace, tmp_path, quick):
    """A user's stage may start processes that would outlive the round."""
    (workspace.folder / "mine.py").write_text(
        "import numpy as np, subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "def pre(image):\n    return np.zeros((1, 3, 8, 8), np.float32)\n"
    )
    from seatrial.history.store import new_run
    from seatrial.trial.preflight import preflight
    from seatrial.trial.subjects import pipeline_subject

    only = "\n  only: {model: model.fake.json, preprocess: {python: 'mine:pre'}, postprocess: {task: classify}}"
    ready = preflight(workspace.load(pipelines=only, parity=""), True, lambda _: None)
    whole = pipeline_subject(ready, new_run(tmp_path / "results", "here"), "only").side
    seen = []
    run_round([Side("a", whole.task)], tmp_path / "round", 0, blocks=8, tell=lambda _: seen.extend(below()))
    assert len(seen) == 2
    assert psutil.wait_procs(seen, timeout=30)[1] == []


@pytest.mark.parametrize(
    ("asked", "request_s", "least", "left_s", "blocks", "most", "burst"),
    [
        # A block is three sides of a burst and one request that wakes the caches.
        (40, 0.004, 1, math.inf, 40, 120, 3),
        (40, 0.004, 1, 2.0, 40, 40, 3),
        (40, 0.004, 1, 1.0, 20, 20, 3),
        (40, 0.0002, 1, math.inf, 40, 120, 60),
        (40, 0.00001, 1, math.inf, 40, 120, 64),
        (40, 0.09, 1, 2.0, 8, 8, 3),
        # A slow request needs no others beside it.
        (40, 1.0, 1, 2.0, 8, 8, 1),
        (40, 1.0, 1, 120.0, 20, 20, 1),
        # A tail's requests: eight a turn of 10 ms take 0.27 s a block, which is known before the blocks are counted.
        (40, 0.01, 299, math.inf, 40, 120, 8),
        (40, 0.01, 299, 6.0, 38, 38, 8),
        (40, 0.0001, 299, 0.2, 10, 10, 64),
        (2, 0.02, 1, math.inf, 2, 6, 3),
    ],
)
def test_a_round_spends_its_time_on_blocks_of_bursts(asked, request_s, least, left_s, blocks, most, burst):
    plan = lockstep._plan(asked, request_s, least, 3, left_s)
    assert (plan.blocks, plan.most, plan.burst) == (blocks, most, burst)
    assert plan.block_s == pytest.approx(3 * (burst + 1) * request_s)
    assert plan.blocks * plan.burst >= least


def test_the_time_that_a_round_takes_is_told_before_its_first_turn(workspace, tmp_path, warm_up_says):
    warm_up_says(0.02)
    model = workspace.script("m.fake.json", latency_ms=[20])
    told = []

    def refuse(seconds):
        told.append(seconds)
        raise UsageError("too long")

    with pytest.raises(UsageError, match="too long"):
        run_round([side(model)], tmp_path / "round", 0, blocks=100, check_time=refuse)
    # 100 blocks of four requests of 20 ms.
    assert told == [pytest.approx(8.0)]
    assert below() == []


def test_the_order_of_starts_can_be_given(workspace, tmp_path, quick):
    sides = [side(workspace.folder / "model.fake.json", name) for name in NAMES]
    found = run_round(sides, tmp_path / "round", 0, blocks=2, launch=NAMES[::-1])
    assert found.launched == list(NAMES[::-1])
    assert list(found.blocks_ns) == list(NAMES)
