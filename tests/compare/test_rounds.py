"""Verdicts from rounds: synthetic ones, whose true answer is known, in place of processes."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from rounds import QUIET, Rounds, prepared, refused, round_of
from scipy.special import ndtri

from seatrial.compare import lockstep, pairs
from seatrial.compare import rounds as versus
from seatrial.compare import verdicts as round_verdicts
from seatrial.compare.lockstep import Round
from seatrial.compare.pairs import block_logs, pair_of
from seatrial.compare.question import METRICS, Question
from seatrial.compare.round_plan import BLOCKS, SPARE, least_turns_s, plan_turns
from seatrial.compare.rounds import MOST_BLOCKS, CutShortError, compare_sides
from seatrial.compare.turn_task import ModelTurns
from seatrial.compare.turner import Side
from seatrial.errors import CellError, ModelError, ResultsError, UsageError
from seatrial.history.records import Comparison
from seatrial.stats.compare import least_pairs
from seatrial.stats.multiplicity import benjamini_hochberg, nominal_alpha
from seatrial.warning import Warning

ALPHA = nominal_alpha(3, 0.05)
# Of this module's stages, where it makes rounds up.
STAGES = ["infer"]
LABELS = ("old.onnx", "new.onnx")
SIDE = Side("m", ModelTurns("m.fake.json", "fake", 1, 1, True, 0, {}, {}))


def a_round(a, b, control, stages=("infer",), launched=("a", "b", "control"), noise=QUIET, wall_s=0.0) -> Round:
    """Tables in seconds: (blocks, burst) for one stage, which is the whole too, or (blocks, burst, stages + 1)."""
    tables = {}
    for name, table in (("a", a), ("b", b), ("control", control)):
        table = np.asarray(table, float)
        columns = np.stack([table, table], axis=2) if table.ndim == 2 else table
        tables[name] = np.round(columns * 1e9).astype(np.int64)
    return round_of(tables, launched, stages, noise, wall_s, load_s=0.25)


def flat(seconds, blocks=8, burst=3):
    return np.full((blocks, burst), seconds)


def rounds_of(effects: Sequence[float], controls: Sequence[float] | float = 0.0) -> list[Round]:
    """A takes a second, A again e^control, and B e^effect against the mean of the two."""
    controls = [controls] * len(effects) if isinstance(controls, float) else controls
    return [
        a_round(flat(1.0), flat(np.exp(d + c / 2)), flat(np.exp(c))) for d, c in zip(effects, controls, strict=True)
    ]


def judge_rounds(rounds, late="", **asked) -> list[Comparison]:
    return round_verdicts.judge_rounds(rounds, Question(**asked), LABELS, late=late)


# From tables to one number a round


def test_the_effect_is_b_against_the_mean_of_both_launches_of_a():
    pair = pair_of(a_round(flat(1.0), flat(1.3), flat(1.21)), "p50", 0)
    assert pair.effect == pytest.approx(np.log(1.3 / 1.1))
    assert pair.control == pytest.approx(np.log(1.21))
    assert pair.values == pytest.approx({"a": 1.0, "b": 1.3, "control": 1.21})
    assert (pair.blocks, pair.burst, pair.within_se, pair.launched) == (8, 3, 0, ("a", "b", "control"))


def drifting(seed):
    """Each turn is 1 % slower than the one before it, over 36 turns, and B 5 % slower all the same."""
    tables = {name: np.zeros((12, 3)) for name in ("a", "b", "control")}
    turn = 0
    for block, order in enumerate(lockstep.turn_orders(list(tables), 12, random.Random(seed))):
        for name in order:
            tables[name][block] = 1.01**turn * (1.05 if name == "b" else 1.0)
            turn += 1
    return tables


@pytest.mark.parametrize("seed", range(5))
def test_a_steady_drift_cancels_in_mirrored_blocks(seed):
    tables = drifting(seed)
    logs = {name: block_logs(table, "p50") for name, table in tables.items()}
    units = logs["b"] - (logs["a"] + logs["control"]) / 2
    assert units == pytest.approx(np.full(6, np.log(1.05)), abs=1e-12)
    assert logs["control"] - logs["a"] == pytest.approx(np.zeros(6), abs=1e-12)
    single = np.log(tables["b"][:, 0] / tables["a"][:, 0])
    assert np.ptp(single) > 0.01, "blocks on their own do show who ran behind whom"


@pytest.mark.parametrize("seed", range(5))
def test_it_nearly_cancels_in_a_mean(seed):
    """A mirrored pair is balanced in the turns' numbers; what is left is how far 1.01^x bends within it."""
    pair = pair_of(a_round(*(drifting(seed)[n] for n in ("a", "b", "control"))), "mean", 0)
    assert pair.effect == pytest.approx(np.log(1.05), abs=5e-4)
    assert pair.control == pytest.approx(0, abs=5e-4)


@pytest.mark.parametrize("what", ["a stall in one request of forty", "the largest tenth of images takes twice as long"])
def test_a_mean_knows_what_the_middle_of_bursts_does_not(what):
    """Both take a good part of B's time; half of all bursts are as fast as ever."""
    rng = np.random.default_rng(3)
    rounds = []
    for _ in range(8):
        images = np.where(rng.random((40, 3)) < 0.1, 20.0, 1.0)
        a, control = (images * np.exp(rng.normal(0, 0.002, images.shape)) for _ in range(2))
        b = images.copy()
        if what.startswith("a stall"):
            b.flat[rng.permutation(120)[:3]] += 30
        else:
            b[images > 1] *= 2
        rounds.append(a_round(a, b, control))
    by_metric = {c.metric: c for c in judge_rounds(rounds, metrics=("p50", "mean"))}
    assert by_metric["p50"].verdict == "EQUIVALENT"
    assert by_metric["mean"].verdict == "REGRESSION", by_metric["mean"].reason
    assert by_metric["mean"].change.value > 0.15


@pytest.mark.parametrize("metric", ["p50", "mean"])
def test_a_rounds_own_error_is_what_rounds_of_the_same_differ_by(metric):
    """Images of sd 60 %, the same on each side: they are not part of it."""
    rng = np.random.default_rng(4)
    pairs = []
    for _ in range(200):
        images = np.exp(rng.normal(0, 0.55, (40, 3)))
        pairs.append(pair_of(a_round(*(images * np.exp(rng.normal(0, 0.02, images.shape)) for _ in "abc")), metric, 0))
    spread = np.std([p.effect for p in pairs])
    assert spread < 0.006
    assert np.median([p.within_se for p in pairs]) == pytest.approx(spread, rel=0.25)


@pytest.mark.parametrize("metric", ["p90", "p95", "p99"])
def test_tails_are_of_all_requests_of_a_round(metric):
    """Bursts of three hold no p99: the order statistic is of the 120 together."""
    rng = np.random.default_rng(7)
    a, b, control = (rng.lognormal(0, 0.3, (40, 3)) for _ in range(3))
    pair = pair_of(a_round(a, b, control), metric, 0)
    rank = int(np.ceil(float(metric[1:]) / 100 * 120)) - 1
    expected = {n: np.sort(t.ravel())[rank] for n, t in (("a", a), ("b", b), ("control", control))}
    assert pair.values == pytest.approx(expected, rel=1e-8)
    assert pair.effect == pytest.approx(np.log(expected["b"] / np.sqrt(expected["a"] * expected["control"])), abs=1e-7)
    assert pair.within_se is None


def test_one_slow_burst_does_not_move_the_median_and_does_move_the_tail_and_the_mean():
    slow = flat(1.0, blocks=40)
    slow[11] = 9.0
    r = a_round(flat(1.0, blocks=40), slow, flat(1.0, blocks=40))
    effects = {m: pair_of(r, m, 0) for m in METRICS}
    assert [effects[m].effect for m in ("p50", "p90", "p95")] == [0, 0, 0]
    assert effects["p99"].effect == pytest.approx(np.log(9))
    assert effects["mean"].values["b"] == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("stage", "said", "slower"), [("", "end_to_end", 1.5), ("infer", "infer", 2.0), ("decode", "decode", 1.0)]
)
def test_a_pipeline_is_judged_end_to_end_unless_a_stage_is_named(stage, said, slower):
    a = np.dstack([flat(1.0), flat(1.0), flat(2.0)])
    b = np.dstack([flat(1.0), flat(2.0), flat(3.0)])
    rounds = [a_round(a, b, a, stages=("decode", "infer"))] * 8
    (c,) = judge_rounds(rounds, stage=stage)
    assert (c.stage, c.change.value) == (said, pytest.approx(slower - 1))


# Verdicts


@pytest.mark.parametrize(
    ("effects", "verdict"),
    [
        ([0.05] * 8, "REGRESSION"),
        ([-0.05] * 8, "IMPROVED"),
        ([0.001, -0.001] * 4, "EQUIVALENT"),
        ([0.015] * 8, "EQUIVALENT"),
        ([0.2, -0.2] * 4, "INCONCLUSIVE"),
        # Surely slower, by less than the margin as best known and more than it at the interval's end.
        ([0.010, 0.012, 0.014, 0.016, 0.022, 0.024, 0.026, 0.028], "INCONCLUSIVE"),
        ([0.5] * 6, "INCONCLUSIVE"),
        ([0.5] * 7, "REGRESSION"),
    ],
)
def test_verdicts(effects, verdict):
    (c,) = judge_rounds(rounds_of(effects))
    assert c.verdict == verdict, c.reason
    assert c.change.value == pytest.approx(np.expm1(np.median(effects)), abs=0.003)


@pytest.mark.parametrize(("side", "said"), [("a", "A"), ("control", "A"), ("b", "B")])
def test_a_side_whose_kernels_were_exchanged_calls_nothing(side, said):
    rounds = rounds_of([0.05] * 8)
    rounds[3] = replace(rounds[3], unsteady=frozenset([side]))
    (c,) = judge_rounds(rounds)
    assert c.verdict == "INCONCLUSIVE"
    assert f"{said}'s runtime exchanges kernels as it runs, and in 1 of 8 rounds its latency kept no level" in c.reason


def test_what_a_comparison_says_of_itself():
    (c,) = judge_rounds(rounds_of([0.05, 0.051] * 4, [0.001, -0.001] * 4))
    assert (c.a, c.b, c.metric, c.stage, c.design, c.margin) == (*LABELS, "p50", "infer", "lock-step", 0.02)
    assert c.change.confidence == pytest.approx(1 - ALPHA)
    assert c.change.confidence == pytest.approx(0.9779, abs=1e-4), "Pocock's three looks at 5 % in all"
    assert c.control.confidence == c.change.confidence
    low, high = c.change.interval
    assert np.expm1(0.049) < low <= c.change.value <= high < np.expm1(0.052)
    assert (c.a_value.confidence, c.a_value.unit, c.a_value.n) == (0.95, "s", 8)
    assert c.a_value.value == pytest.approx(1)
    assert c.b_value.value == pytest.approx(np.exp(0.0505), rel=1e-3)
    assert c.p_value == pytest.approx(2 / 2**8)
    assert c.details["b"] == {"runtime": "made up", "load": "0.25 s", "cores": "1"}
    assert c.warnings == ()
    assert Comparison.model_validate(json.loads(json.dumps(c.model_dump(mode="json"), allow_nan=False))) == c


@pytest.mark.parametrize("count", [1, 2, 6, 7])
def test_too_few_rounds_have_no_floor_and_a_record_without_nan(count):
    (c,) = judge_rounds(rounds_of([0.05] * count), late="the time was up")
    json.dumps(c.model_dump(mode="json"), allow_nan=False)
    assert (c.noise_floor is None) == (count < 7)
    assert (c.verdict == "INCONCLUSIVE") == (count < 7)
    if count == 1:
        assert (c.detectable, c.pairs_sd, c.noise_sd) == (None, None, None)
        assert "needs 6 more pairs" in c.reason
    assert ("NOT CONVERGED" in c.reason) == (count < 7)


@pytest.mark.parametrize(
    ("effect", "controls", "margin", "verdict", "said"),
    [
        (0.5, 0.0, 0.02, "REGRESSION", ""),
        (0.03, [0.03, -0.03] * 4, 0.02, "INCONCLUSIVE", "no margin below it can be judged here"),
        (-0.03, [0.03, -0.03] * 4, 0.02, "INCONCLUSIVE", "quiet the machine or raise the margin"),
        (0.0, [0.03, -0.03] * 4, 0.02, "INCONCLUSIVE", "the noise floor, from A against itself, is 5.0%"),
        # What is surely beyond the floor is not hidden by it.
        (0.5, [0.03, -0.03] * 4, 0.02, "REGRESSION", "and the change is beyond it"),
        (-0.5, [0.03, -0.03] * 4, 0.02, "IMPROVED", "and the change is beyond it"),
        (0.5, [0.03, -0.03] * 4, 0.1, "REGRESSION", ""),
    ],
)
def test_a_margin_below_what_a_differs_from_itself_cannot_be_judged(effect, controls, margin, verdict, said):
    (c,) = judge_rounds(rounds_of([effect] * 8, controls), margin=margin)
    assert c.verdict == verdict, c.reason
    assert said in c.reason
    assert ("from A against itself" in c.reason) == bool(said)
    # (z of this look's level + 0.84) · 1.48 · MAD / √8
    errors = ndtri(1 - ALPHA / 2) + ndtri(0.8)
    floor = 0.0 if controls == 0.0 else np.expm1(errors * 1.48 * 0.03 / np.sqrt(8))
    assert c.noise_floor == pytest.approx(floor)


@pytest.mark.parametrize("controls", [[0.0] * 5 + [0.06, -0.06, 0.06], [0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.1, 0.1]])
def test_controls_that_mostly_agree_do_not_hide_the_floor(controls):
    """Their median deviation is nought, and what A differs from itself by is all the same beyond the margin."""
    (c,) = judge_rounds(rounds_of([0.0] * 8, controls))
    assert c.noise_floor > 0.02
    assert c.verdict == "INCONCLUSIVE"
    assert "raise the margin above it" in c.reason


def test_an_open_question_under_the_floor_is_told_the_floor_too():
    (c,) = judge_rounds(rounds_of([0.2, -0.2] * 4, [0.03, -0.03] * 4))
    assert c.verdict == "INCONCLUSIVE"
    assert "the noise floor, from A against itself, is 5.0%: no margin below it can be judged here" in c.reason


def test_metrics_judged_together_share_the_chance_of_a_false_alarm():
    """The median alone is slower, in seven of eight rounds: p 0.016 by itself, and nothing among five metrics."""

    def bursts(middle, last):
        # What the middle request gains the first one loses, so that the mean stands still; the tail is the last.
        return np.tile([1.5 - middle, middle, last], (40, 1))

    rounds = []
    for k, d in enumerate((-0.001, 0.03, 0.031, 0.032, 0.033, 0.034, 0.035, 0.036)):
        b = bursts(0.8 * np.exp(d), 1 + 0.001 * (-1) ** k)
        rounds.append(a_round(bursts(0.8, 1), b, bursts(0.8, 1)))
    (alone,) = judge_rounds(rounds)
    together = judge_rounds(rounds, metrics=METRICS)
    assert [c.metric for c in together] == list(METRICS)
    assert [c.p_adjusted for c in together] == pytest.approx(benjamini_hochberg([c.p_value for c in together]))
    assert (alone.verdict, alone.p_value, alone.p_adjusted) == ("REGRESSION", 4 / 2**8, 4 / 2**8)
    first = together[0]
    assert (first.verdict, first.p_value, first.p_adjusted) == ("INCONCLUSIVE", 4 / 2**8, 5 * 4 / 2**8)
    assert "among 5 comparisons such a difference is luck too often (adjusted p 0.078)" in first.reason


@pytest.mark.parametrize(
    ("a_modes", "b_modes", "said"),
    [((1.0, 1.0), (1.0, 1.0), []), ((1.0, 1.1), (1.0, 1.0), ["A"]), ((1.0, 1.1), (1.0, 1.1), ["A", "B"])],
)
def test_launches_in_two_groups_are_told_for_the_side_that_has_them(a_modes, b_modes, said):
    wobble = 1 + np.random.default_rng(0).normal(0, 0.0005, 8)
    rounds = [a_round(flat(a_modes[k % 2] * wobble[k]), flat(b_modes[k % 2] * wobble[-k]), flat(1.0)) for k in range(8)]
    (c,) = judge_rounds(rounds)
    told = [w.text.partition(":")[2].split()[2] for w in c.warnings if "launches of" in w.text]
    assert told == said
    if "B" in said:
        assert (
            "LAUNCH-MODAL: launches of B fall into two groups, 4 and 4 of 8, 10.0% apart; more launches help, more iterations "
            "don't" in map(str, c.warnings)
        )


def modal_rounds(slow, apart=0.05, change=0.0, shared=False, seed=0):
    """Rounds in which B's launch is slow or not; shared: the machine was, so that all sides are."""
    rng = np.random.default_rng(seed)
    rounds = []
    for is_slow in slow:
        a, b, control = (np.exp(rng.normal(0, 0.0005) + apart * (is_slow and (shared or n == "b"))) for n in "abc")
        rounds.append(a_round(flat(a), flat(b * np.exp(change)), flat(control)))
    return rounds


@pytest.mark.parametrize(
    ("slow", "change", "margin", "verdict", "why"),
    [
        # Six launches fast and two slow: within the margin, but who knows how often it is slow.
        ([0, 0, 0, 1, 0, 0, 1, 0], 0.0, 0.10, "INCONCLUSIVE", "6 and 2 of 8, 5.2% apart: too few launches"),
        ([0, 0, 0, 1, 0, 0, 1, 0], 0.03, 0.02, "INCONCLUSIVE", "to know how often each comes; give it more time"),
        # Whatever the launches do, it is slower by more than they lie apart.
        ([0, 0, 0, 1, 0, 0, 1, 0], 0.30, 0.02, "REGRESSION", ""),
        ([0, 0, 0, 1, 0, 0, 1, 0], -0.30, 0.02, "IMPROVED", ""),
        # Enough of both.
        ([0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0], 0.0, 0.10, "EQUIVALENT", ""),
        # At the last look as at the first: a quarter, or half of all launches?
        ([0] * 12 + [1] * 4, 0.0, 0.10, "INCONCLUSIVE", "12 and 4 of 16"),
        # It is surely the rarer one, and the usual launch is what is judged.
        ([0] * 13 + [1] * 3, 0.0, 0.10, "EQUIVALENT", ""),
    ],
)  # fmt: skip
def test_launches_in_two_groups_call_nothing_where_one_is_hardly_known(slow, change, margin, verdict, why):
    (c,) = judge_rounds(modal_rounds(slow, change=change), margin=margin)
    assert c.verdict == verdict, c.reason
    assert why in c.reason
    assert any("LAUNCH-MODAL: launches of B" in w.text for w in c.warnings)


def test_a_slow_minute_of_the_machine_is_no_second_mode():
    (c,) = judge_rounds(modal_rounds([0, 0, 0, 0, 1, 1, 1, 0], shared=True))
    assert (c.verdict, c.warnings) == ("EQUIVALENT", ())


@pytest.mark.parametrize("often", [0.1, 0.3, 0.5])
def test_equal_sides_with_two_modes_are_hardly_ever_called_different(often):
    """5 % apart, at a margin of 2 %, over three looks: 1 of 300 in a longer simulation."""
    rng = np.random.default_rng(int(100 * often))
    called = 0
    for _ in range(15):
        levels = 0.05 * (rng.random((16, 3)) < often) + rng.normal(0, 0.003, (16, 3))
        rounds = [a_round(*(flat(np.exp(x)) for x in level)) for level in levels]
        verdicts = (judge_rounds(rounds[:look])[0].verdict for look in (8, 12, 16))
        called += next((v for v in verdicts if v != "INCONCLUSIVE"), "") in ("REGRESSION", "IMPROVED")
    assert called <= 1


def test_modal_launches_are_followed_by_more(compared):
    """At the first look the answer would be there but for the modes; at the second both are known."""
    asked, (c,) = compared(modal_rounds([0, 0, 0, 1, 0, 0, 1, 0, 1, 1, 1, 0]), margin=0.10)
    assert (len(asked), c.verdict) == (12, "EQUIVALENT"), c.reason
    asked, (c,) = compared(modal_rounds([0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0]), margin=0.10)
    assert (len(asked), c.verdict) == (16, "INCONCLUSIVE"), c.reason


@pytest.mark.parametrize(("name", "said"), [("a", "A's"), ("b", "B's"), ("control", "A's")])
def test_a_side_that_works_on_between_its_turns_calls_nothing(name, said):
    """Its threads took from the other sides' turns: the faster the other looks, the less it means."""
    for share, verdict in ((0.04, "REGRESSION"), (0.9, "INCONCLUSIVE")):
        (c,) = judge_rounds([replace(r, restless={name: share}) for r in rounds_of([0.5] * 8)])
        assert c.verdict == verdict
    assert (
        f"{said} process was still at work after 90% of its turns, and took a core from the other's: end what"
        in c.reason
    )


@pytest.mark.parametrize(("second_pays", "said"), [(0.0, ""), (0.05, "5.1% slower"), (-0.05, "4.9% faster")])
def test_what_it_costs_to_be_launched_second_is_told_beyond_the_margin(second_pays, said):
    """A first or B first by turns: whoever comes second pays."""
    rounds = []
    for k in range(8):
        b_second = k % 2 == 0
        launched = ("a", "control", "b") if b_second else ("b", "control", "a")
        slower = np.exp(second_pays if b_second else -second_pays)
        rounds.append(a_round(flat(1.0), flat(slower), flat(1.0), launched=launched))
    (c,) = judge_rounds(rounds, margin=0.02)
    told = [str(w) for w in c.warnings if w.code == "launch-order"]
    assert told == ([f"the side that is launched second is {said} on average"] if said else [])
    assert c.launched_second == pytest.approx(np.expm1(second_pays), abs=1e-9)


def test_rounds_that_lie_close_by_luck_do_not_promise_to_find_next_to_nothing():
    (c,) = judge_rounds(rounds_of([0.0, 0.0, 0.0001, -0.0001, 0.0, 0.004, -0.004, 0.005]))
    low, high = c.change.interval
    assert c.detectable == pytest.approx((high - low) / 2, rel=0.01)


def test_disturbances_are_told_once_a_kind_with_how_often():
    steal = replace(QUIET, disturbances=(Warning("steal", "stolen 1 ms", "a machine of its own"),))
    both = replace(QUIET, disturbances=(*steal.disturbances, Warning("heat", "heat", "cool it")))
    rounds = [
        replace(r, noise=n) for r, n in zip(rounds_of([0.0] * 8), [QUIET, steal, both] + [QUIET] * 5, strict=True)
    ]
    (c,) = judge_rounds(rounds)
    assert [w.code for w in c.warnings] == ["steal", "heat"]
    told = ["in 2 of 8 rounds: stolen 1 ms; a machine of its own", "in 1 of 8 rounds: heat; cool it"]
    assert [*map(str, c.warnings)] == told
    assert [len(p.disturbances) for p in c.pairs] == [0, 1, 2, 0, 0, 0, 0, 0]


# Questions that cannot be asked


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"metrics": ("p42",)}, "metric: expected one of p50, p90, p95, p99, mean, got 'p42'"),
        ({"metrics": ("p50", "men")}, "got 'men' (did you mean 'mean'?)"),
        ({"metrics": ()}, "got none"),
        ({"margin": 0.0}, "margin: expected a share above 0 and below 100 %, such as 2% or 0.02, got 0 %"),
        ({"margin": -0.01}, "got -1 %"),
        ({"margin": 1.0}, "got 100 %"),
        ({"margin": 2.0}, "such as 2% or 0.02, got 200 %"),
        ({"margin": float("nan")}, "got nan %"),
        ({"margin": float("inf")}, "got inf %"),
        ({"alpha": 1e-5}, "confidence: expected 50 % to 99.99%, got 99.999000%"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_runs(tmp_path, monkeypatch, asked, said):
    Rounds(refused).in_place(monkeypatch)
    with pytest.raises(UsageError) as caught:
        compare_sides(SIDE, SIDE, Question(**asked), tmp_path / "rounds", LABELS)
    assert said in str(caught.value)


@pytest.fixture
def compared(tmp_path, monkeypatch):
    def call(given, told=None, **asked):
        made = Rounds(prepared(given)).in_place(monkeypatch)
        monkeypatch.setattr(versus, "time", SimpleNamespace(monotonic=lambda: 0.0))
        tell = (lambda step, share: told.append((step, share))) if told is not None else (lambda *_: None)
        found = compare_sides(SIDE, SIDE, Question(**asked), tmp_path / "rounds", LABELS, tell)
        assert not (tmp_path / "rounds").exists()
        return made.asked, found

    return call


def test_a_stage_that_is_not_there_is_told_after_one_round(compared):
    with pytest.raises(
        UsageError, match=r"stage: expected one of infer, end_to_end, got 'inferr' \(did you mean 'infer'"
    ):
        compared([*rounds_of([0.0]), None], stage="inferr")


# How many rounds


@pytest.mark.parametrize(
    ("effects", "rounds", "verdict"),
    [
        ([0.05] * 16, 8, "REGRESSION"),
        ([0.0] * 16, 8, "EQUIVALENT"),
        ([0.03] * 6 + [-0.02, -0.01] + [0.03] * 8, 12, "REGRESSION"),
        ([0.1, -0.1] * 8, 16, "INCONCLUSIVE"),
        ([-0.31] * 2 + [0.3] * 8 + [0.5] * 6, 16, "REGRESSION"),
    ],
)
def test_rounds_go_on_until_there_is_a_verdict(compared, effects, rounds, verdict):
    asked, (c,) = compared(rounds_of(effects))
    assert (len(asked), c.verdict, len(c.pairs)) == (rounds, verdict, rounds), c.reason
    assert [r.seed for r in asked] == list(range(rounds))
    assert "NOT CONVERGED" not in c.reason


def test_every_metric_needs_its_verdict(compared):
    """The median is settled at once; the tail never is."""
    rounds = []
    for k in range(16):
        b = flat(1.0)
        b[:, 2] = 1.0 + 0.4 * (k % 2)
        a = flat(1.0)
        a[:, 2] = 1.2
        rounds.append(a_round(a, b, a))
    asked, found = compared(rounds, metrics=("p50", "p90"), max_time_s=600)
    assert [(c.metric, c.verdict, len(c.pairs)) for c in found] == [
        ("p50", "EQUIVALENT", 16), ("p90", "INCONCLUSIVE", 16)
    ]  # fmt: skip
    assert len(asked) == 16


@pytest.mark.parametrize(
    ("last_takes_s", "effects", "verdict", "said"),
    [
        ([1e6], [0.5], "INCONCLUSIVE", "NOT CONVERGED: the time of 60 s was up after 1 round, raise --max-time"),
        ([0, 0, 1e6], [0.5] * 3, "INCONCLUSIVE", "NOT CONVERGED: the time of 60 s was up after 3 rounds"),
        ([0] * 9 + [1e6], [0.1, -0.1] * 5, "INCONCLUSIVE", "was up after 10 rounds"),
        # Settled all the same: nothing is missing.
        ([0] * 6 + [1e6], [0.5] * 7, "REGRESSION", ""),
        ([0] * 7 + [1e6], [0.5] * 8, "REGRESSION", ""),
    ],
)
def test_no_round_starts_that_would_end_after_the_time(compared, last_takes_s, effects, verdict, said):
    rounds = [replace(r, wall_s=s) for r, s in zip(rounds_of(effects), last_takes_s, strict=True)]
    asked, (c,) = compared(rounds)
    assert (len(asked), c.verdict) == (len(rounds), verdict)
    assert said in c.reason
    assert ("NOT CONVERGED" in c.reason) == bool(said)


@pytest.mark.parametrize(
    ("within", "between", "blocks"),
    [
        # What blurs a round's own number is cured by more blocks, what differs between launches by more launches.
        (0.3, 0.0, [BLOCKS, 2 * BLOCKS, MOST_BLOCKS]),
        (0.0, 0.1, [BLOCKS] * 3),
    ],
)
def test_the_rounds_that_follow_are_longer_where_that_helps(compared, within, between, blocks):
    rng = np.random.default_rng(1)
    rounds = []
    for k in range(16):
        b = np.exp(rng.normal(0, within, (40, 1)) + between * (-1) ** k) * np.ones((1, 3))
        rounds.append(a_round(flat(1.0, 40), b, flat(1.0, 40)))
    asked, (c,) = compared(rounds)
    assert c.verdict == "INCONCLUSIVE"
    assert [asked[k].size.blocks for k in (0, 8, 12)] == blocks
    assert asked[7].size.blocks == blocks[0]


@pytest.mark.parametrize(
    ("metrics", "least"), [(("p50",), 1), (("mean",), 1), (("p90",), 29), (("p95", "p50"), 59), (("p99",), 299)]
)
def test_a_tail_asks_for_the_requests_that_can_hold_it(compared, metrics, least):
    """p^n <= 5 %: fewer would seldom have a request beyond the percentile."""
    asked, _ = compared(rounds_of([0.0] * 8), metrics=metrics)
    assert {r.size.least_requests for r in asked} == {least}


def test_sides_seeds_and_progress(compared):
    told = []
    asked, _ = compared(rounds_of([0.0] * 8), told=told, seed=7)
    assert [r.seed for r in asked] == [7000 + k for k in range(8)]
    assert [s.name for s in asked[0].sides] == ["a", "b", "control"]
    assert [s.label for s in asked[0].sides] == ["A, old.onnx", "B, new.onnx", "A again, old.onnx"]
    assert told[0] == ("round 1", 0.5 / 8)
    assert told[-1] == ("round 8", 1.0)
    assert [share for _, share in told] == sorted(share for _, share in told)


def test_the_first_round_that_breaks_leaves_nothing(tmp_path, monkeypatch):
    def breaks(asked):
        (asked.folder / "b.log").write_text("last words")
        raise CellError("B: it broke")

    Rounds(breaks).in_place(monkeypatch)
    with pytest.raises(CellError, match="^B: it broke$") as caught:
        compare_sides(SIDE, SIDE, Question(), tmp_path / "rounds", LABELS)
    assert not isinstance(caught.value, CutShortError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("cause", "said", "code"),
    [
        (CellError("B: it broke"), "B: it broke", 1),
        (ResultsError("the disk is full"), "the disk is full", 5),
        (ModelError("B: gone"), "B: gone", 4),
        (KeyboardInterrupt(), "interrupted", 130),
    ],
)
def test_rounds_before_a_break_are_kept_and_call_nothing(tmp_path, monkeypatch, cause, said, code):
    Rounds(prepared(rounds_of([0.5] * 7), then=cause)).in_place(monkeypatch)
    with pytest.raises(CutShortError, match=f"^{said}$") as caught:
        compare_sides(SIDE, SIDE, Question(), tmp_path / "rounds", LABELS)
    (c,) = caught.value.comparisons
    assert (c.verdict, len(c.pairs)) == ("INCONCLUSIVE", 7)
    assert c.reason.endswith(f"NOT CONVERGED: ended after 7 rounds: {said}")
    assert caught.value.interrupted == isinstance(cause, KeyboardInterrupt)
    assert caught.value.ended_with == code
    assert list(tmp_path.iterdir()) == []


def test_who_is_launched_first_is_balanced(compared):
    """Each two rounds mirror each other, so that what it costs to be the second cancels."""
    for seed in range(5):
        asked, _ = compared(rounds_of([0.0] * 8), seed=seed)
        orders = [r.launch for r in asked]
        assert all(sorted(order) == ["a", "b", "control"] for order in orders)
        assert all(orders[k] == orders[k + 1][::-1] for k in range(0, 8, 2))
    assert len({tuple(versus.launch_order(0, k)) for k in range(40)}) == 6


@pytest.mark.parametrize(
    ("metric", "ready_s", "turns_s", "said"),
    [
        ("p50", 0.0, 8.1, ""),
        ("p50", 5.0, 3.1, ""),
        (
            "p50", 0.5, 8.0,
            "max_time: a round of these takes 8.50 s or more, 500 ms of it for loading and warming up, and a verdict 7 of "
            "them: expected 63 s or more, got 60 s",
        ),
        ("p99", 0.5, 20.0, "expected 152 s or more, got 60 s; p50 takes less"),
        ("p50", 10.0, 0.5, "expected 78 s or more, got 60 s; loading may be quicker the second time"),
    ],
)  # fmt: skip
def test_a_question_that_no_time_is_enough_for_is_refused_before_the_first_turn(
    tmp_path, monkeypatch, metric, ready_s, turns_s, said
):
    made = Rounds(prepared(rounds_of([0.0] * 8)), takes=lambda _: (ready_s, turns_s)).in_place(monkeypatch)

    def ask():
        compare_sides(SIDE, SIDE, Question(metrics=(metric,)), tmp_path / "rounds", LABELS)

    if not said:
        ask()
        return
    with pytest.raises(UsageError) as caught:
        ask()
    assert str(caught.value).endswith(said)
    assert len(made.asked) == 1


def test_rounds_that_turn_out_too_long_for_a_verdict_are_not_gone_on_with(compared):
    """The warm-up saw the smallest images: the first round takes 20 s, of which 7 would be needed in 60."""
    rounds = [replace(r, wall_s=20.0) for r in rounds_of([0.5] * 8)]
    shorter = [
        replace(r, blocks_ns={n: t // 100 for n, t in r.blocks_ns.items()}, wall_s=w)
        for r, w in zip(rounds, [20.0] + [7.0] * 7, strict=True)
    ]
    asked, (c,) = compared(shorter)
    assert (len(asked), c.verdict) == (1, "INCONCLUSIVE")
    assert (
        "NOT CONVERGED: ended after 1 round: a verdict takes 7 of these, of 19.4 s or more each: raise --max-time to 144 s"
        in c.reason
    )
    asked, (c,) = compared([replace(r, wall_s=9.0) for r in shorter])
    assert (len(asked), c.verdict) == (8, "REGRESSION"), "they may yet be quicker"


class Machine:
    """Answers for run_round and for the clock: rounds take what is planned for them, and nothing is measured."""

    def __init__(self, request_s, load_s, slower=1.0):
        self.request_s, self.load_s, self.slower = request_s, load_s, slower
        self.now = 1000.0
        self.blocks = []

    def monotonic(self):
        return self.now

    def own_s(self, asked):
        return [asked.size.requests_s.get(n, self.request_s) for n in ("a", "b", "control")]

    def takes(self, asked):
        """Three processes on one core, each warm for 0.15 s or two requests; and their fewest turns."""
        ready_s = 3 * (self.load_s + max(0.15, 2 * self.request_s))
        return ready_s, least_turns_s(asked.size.blocks, self.own_s(asked), asked.size.least_requests)

    def answer(self, asked):
        ready_s, _ = self.takes(asked)
        plan = plan_turns(
            asked.size.blocks, self.own_s(asked), asked.size.least_requests, asked.size.budget_s - ready_s
        )
        takes = self.slower * self.request_s
        wall_s = self.slower * ready_s + plan.blocks * 3 * (plan.burst + 1) * takes + 0.05
        self.now += wall_s
        self.blocks.append((plan.blocks, plan.burst))
        wobble = 1 + 0.001 * (-1) ** asked.seed
        return a_round(*(flat(takes * w, plan.blocks, plan.burst) for w in (1, wobble, 1)), wall_s=wall_s)


@pytest.mark.parametrize("max_time_s", [20, 60, 120, 600])
@pytest.mark.parametrize("load_s", [0.1, 0.5, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("request_s", [0.001, 0.01, 0.03, 0.07, 0.15, 0.5, 2.0])
def test_the_rounds_of_a_first_verdict_fit_into_the_time_or_are_refused(
    tmp_path, monkeypatch, request_s, load_s, max_time_s
):
    """From a millisecond to two seconds a request; and where rounds turn out 3 % slower than the first one promised."""
    for slower in (1.0, 1.03):
        machine = Machine(request_s, load_s)
        Rounds(machine.answer, machine.takes).in_place(monkeypatch)
        monkeypatch.setattr(versus, "time", machine)
        least_s = 3 * (load_s + max(0.15, 2 * request_s)) + least_turns_s(BLOCKS, [request_s] * 3)
        question = Question(max_time_s=max_time_s)
        began = machine.now
        if 7 * least_s > SPARE * max_time_s:
            with pytest.raises(UsageError, match="expected ([0-9]+) s or more") as caught:
                compare_sides(SIDE, SIDE, question, tmp_path / "rounds", LABELS)
            assert machine.blocks == [], "not a turn was run"
            enough_s = int(str(caught.value).partition("expected ")[2].split()[0])
            question = replace(question, max_time_s=enough_s)
        machine.slower = slower
        (c,) = compare_sides(SIDE, SIDE, question, tmp_path / "rounds", LABELS)
        assert (c.verdict, len(c.pairs) >= 7) == ("EQUIVALENT", True), c.reason
        assert machine.now - began <= question.max_time_s * slower + 0.5
        assert all(blocks >= 8 and blocks % 2 == 0 for blocks, _ in machine.blocks)


@pytest.mark.parametrize(
    ("alpha", "looks", "least"), [(0.05, (8, 12, 16), 7), (0.01, (12, 16), 9), (0.001, (12, 16), 12), (1e-4, (16,), 15)]
)
def test_a_stricter_question_is_answered_later_and_plans_its_time_for_that(compared, alpha, looks, least):
    q = Question(alpha=alpha)
    assert (q.looks, least_pairs(q.confidence)) == (looks, least)
    asked, (c,) = compared(rounds_of([0.5] * 16), alpha=alpha)
    assert (c.verdict, len(c.pairs)) == ("REGRESSION", looks[0])
    assert asked[0].size.budget_s == pytest.approx(SPARE * 60 / looks[0])


def test_two_modes_that_move_are_told():
    """Most requests of B are as fast as A's; in every turn of three, two more slow ones lift the median of some."""
    rng = np.random.default_rng(2)
    rounds = []
    for _ in range(8):
        a, control = (np.where(rng.random((40, 3)) < 0.30, 2.0, 1.0) for _ in range(2))
        rounds.append(a_round(a, np.where(rng.random((40, 3)) < 0.45, 2.0, 1.0), control))
    (c,) = judge_rounds(rounds)
    assert c.b_value.value == c.a_value.value == pytest.approx(1.0)
    assert c.change.interval[0] > 0
    assert any("lie +0.0%, outside the interval" in w.text and w.code == "latency-modes" for w in c.warnings)


@pytest.mark.parametrize(("spread", "known"), [(0.0, True), (0.004, True), (0.05, False)])
def test_a_round_goes_on_where_its_own_error_is_large(spread, known):
    """Only the blocks' spread counts: the effect itself is as large as one likes."""
    rng = np.random.default_rng(0)
    blocks = {
        name: (flat(1.0, blocks=40) * np.exp(spread * rng.normal(size=(40, 1)))) for name in ("a", "b", "control")
    }
    blocks["b"] *= 1.7
    tables = {name: np.repeat((b * 1e9).astype(np.int64)[:, :, None], 2, axis=2) for name, b in blocks.items()}
    assert pairs.well_known(tables, STAGES, Question()) == known
    assert pairs.well_known(tables, STAGES, Question(metrics=("mean",))) == known
    assert not pairs.well_known(tables, STAGES, Question(metrics=("p50", "p99")))
