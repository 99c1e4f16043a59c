"""Raw outputs to decisions: arrays with a known fault in front, a verdict behind."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seatrial.gate.tensors import judge_between, judge_tensors, why_nothing
from seatrial.history.records import CellRecord, ParityResult
from seatrial.model.file import TensorInfo
from seatrial.parity.parts import split
from seatrial.parity.tensors import compare_tensors
from seatrial.parity.tolerance import PLANS, SQNR_DB, automatic_tolerance, sqnr_limits
from seatrial.plan.pipelines import Postprocess

CELL = CellRecord(id="new.b.int8.b1.t1", pipeline="new", backend="b", precision="int8", batch=1, threads=1, status="ok")
RNG = np.random.default_rng(0)
RAW = Postprocess()
V8 = Postprocess(task="detect", format="yolov8")


def compared(reference, candidate, postprocess=RAW, tolerance=None):
    outputs = [TensorInfo(f"output{k}", ("n", *a.shape), a.dtype.name) for k, a in enumerate(reference[0])]
    a, b = (split(postprocess, outputs, side, tolerance is None) for side in (reference, candidate))
    return tuple(compare_tensors(a.names, a.arrays, b.arrays, tolerance, a.unit_range))


def reduced(reference, candidate, postprocess=RAW, decoded=False, sqnr=None, cosine=None, precision="int8"):
    """The decision about reference[image][output] in fp32 against candidate in a reduced precision."""
    limits = sqnr_limits(precision, "fp32", decoded, sqnr)
    parity = ParityResult(
        reference="old.b.fp32.b1.t1", rtol=None, atol=None, tensors=compared(reference, candidate, postprocess),
        least_sqnr_db=limits.least, failing_sqnr_db=limits.failing, sqnr_from=limits.source, least_cosine=cosine,
        decoded=decoded,
    )  # fmt: skip
    decisions = judge_tensors(CELL, parity)
    assert len(decisions) <= 1
    return decisions[0] if decisions else None


def at(decibels, size=4000, offset=0.0):
    """A reference and the same with white noise at this SQNR."""
    reference = RNG.normal(size=size) + offset
    noise = RNG.normal(size=size)
    noise *= np.linalg.norm(reference) / np.linalg.norm(noise) * 10 ** (-decibels / 20)
    return [[reference]], [[reference + noise]]


@pytest.mark.parametrize(
    ("precision", "decibels", "verdict"),
    [
        ("int8", 30, "PASS"), ("int8", 20.1, "PASS"), ("int8", 19.9, "INCONCLUSIVE"), ("int8", 10.1, "INCONCLUSIVE"),
        ("int8", 9.9, "FAIL"), ("int8", 0, "FAIL"), ("int8", -20, "FAIL"),
        ("fp16", 60, "PASS"), ("fp16", 39, "INCONCLUSIVE"), ("fp16", 19, "FAIL"),
        ("bf16", 35, "PASS"), ("bf16", 20, "INCONCLUSIVE"), ("bf16", 14, "FAIL"),
    ],
)  # fmt: skip
def test_a_raw_task_of_reduced_precision_is_judged_by_sqnr(precision, decibels, verdict):
    found = reduced(*at(decibels), precision=precision)
    assert (found.check, found.verdict, found.unit) == ("parity SQNR", verdict, "dB")
    assert found.value == pytest.approx(decibels)
    assert f"{decibels:.1f} dB, cosine" in found.reason


@pytest.mark.parametrize(
    ("decibels", "limit", "verdict"), [(19, 18, "PASS"), (19, 20, "FAIL"), (25, 30, "FAIL"), (1, 0, "PASS")]
)
@pytest.mark.parametrize("decoded", [False, True])
def test_the_plans_limit_has_one_edge(decibels, limit, verdict, decoded):
    found = reduced(*at(decibels), sqnr=limit, decoded=decoded)
    assert found.verdict == verdict
    assert found.reason.endswith(f"limit: {PLANS}")


@pytest.mark.parametrize(("cosine", "verdict"), [(0.99, "PASS"), (0.9999, "FAIL")])
def test_the_plans_cosine_is_asked_for_besides(cosine, verdict):
    assert reduced(*at(25), cosine=cosine).verdict == verdict


def head(images=3, classes=5, anchors=200):
    """yolov8 heads: boxes in pixels of 640, a few anchors that see something."""
    heads = []
    for _ in range(images):
        scores = RNG.random((classes, anchors)) * 1e-3
        scores[RNG.integers(classes, size=8), RNG.integers(anchors, size=8)] = RNG.uniform(0.4, 0.95, 8)
        heads.append([np.concatenate([RNG.uniform(0, 640, (4, anchors)), scores]).astype(np.float32)])
    return heads


def changed(heads, change):
    return [[change(o.astype(np.float64).copy()) for o in row] for row in heads]


def rows(part, factor=1.0, add=0.0):
    def change(o):
        o[part] = o[part] * factor + add
        return o

    return change


BOXES, SCORES = slice(0, 4), slice(4, None)
DESTROYED = {
    "scores zero": rows(SCORES, 0),
    "scores constant": rows(SCORES, 0, 0.4),
    "scores negated": rows(SCORES, -1),
    "scores doubled": rows(SCORES, 2),
    "boxes zero": rows(BOXES, 0),
    "boxes constant": rows(BOXES, 0, 320),
}


@pytest.mark.parametrize("fault", DESTROYED)
@pytest.mark.parametrize("task", ["detect", "raw"])
def test_a_destroyed_part_is_seen_however_large_the_others_are(fault, task):
    heads = head()
    found = reduced(heads, changed(heads, DESTROYED[fault]), Postprocess(task=task, format="yolov8"), task == "detect")
    assert found.verdict == "FAIL"
    assert found.reason.startswith(f"output0 {fault.split()[0]}: ")


@pytest.mark.parametrize("decibels", [4, 12, 26])
def test_scores_that_are_not_destroyed_are_left_to_decoded_results(decibels):
    heads = head()

    def noise(o):
        n = RNG.normal(size=o[4:].shape)
        o[4:] += n * np.linalg.norm(o[4:]) / np.linalg.norm(n) * 10 ** (-decibels / 20)
        return o

    assert reduced(heads, changed(heads, noise), V8, decoded=True).verdict == "PASS"
    assert reduced(heads, changed(heads, noise), Postprocess(format="yolov8")).verdict == (
        "PASS" if decibels > 20 else "INCONCLUSIVE" if decibels > 10 else "FAIL"
    )


def test_images_without_objects_have_no_scores_to_destroy():
    heads = changed(head(), rows(SCORES, 1e-3))
    noisy = changed(heads, lambda o: rows(SCORES, 1, 1e-3 * RNG.random(o[SCORES].shape))(o))
    assert reduced(heads, noisy, V8, decoded=True).verdict == "PASS"
    assert reduced(heads, noisy, Postprocess(format="yolov8")).verdict == "INCONCLUSIVE"
    # But what appears out of nothing is seen.
    assert reduced(heads, changed(heads, rows(SCORES, 1, 0.5)), V8, decoded=True).verdict == "FAIL"


def test_rows_ordered_by_score_may_trade_places():
    detections = [
        [np.concatenate([RNG.uniform(0, 640, (50, 4)), np.sort(RNG.random((50, 1)), 0)[::-1], np.ones((50, 1))], 1)]
    ]
    traded = [[detections[0][0][RNG.permutation(50)]]]
    form = Postprocess(task="detect", format="end_to_end")
    assert reduced(detections, traded, form, decoded=True).verdict == "PASS"
    gone = [[detections[0][0] * np.array([1, 1, 1, 1, 0, 1])]]
    assert reduced(detections, gone, form, decoded=True).verdict == "FAIL"


def test_logits_that_lost_what_they_tell_apart_fail_though_their_mean_is_kept():
    logits = [[RNG.normal(-7, 1, (100, 20))]]
    boxes = [[RNG.random((100, 4)), *row] for row in logits]
    flat = [[b, np.full_like(x, -7)] for b, x in boxes]
    found = reduced(boxes, flat, Postprocess(task="detect", format="detr"), decoded=True)
    assert found.value > 10
    assert (found.verdict, "a constant would be nearly as close" in found.reason) == ("FAIL", True)


@pytest.mark.parametrize(
    ("fault", "sqnr", "verdict"),
    [
        ("scores zero", None, "INCONCLUSIVE"), ("scores zero", 20.0, "INCONCLUSIVE"), ("scores constant", None, "INCONCLUSIVE"),
        ("scores negated", None, "INCONCLUSIVE"), ("scores doubled", None, "INCONCLUSIVE"), ("scores negated", 20.0, "PASS"),
        ("boxes zero", None, "FAIL"),
    ],
)  # fmt: skip
def test_a_head_that_nobody_named_is_not_passed_where_whole_rows_are_lost(fault, sqnr, verdict):
    """The plan's own limit is for the whole output; a row that is constant is never only noise."""
    heads = head()
    found = reduced(heads, changed(heads, DESTROYED[fault]), sqnr=sqnr)
    assert found.verdict == verdict
    if verdict == "INCONCLUSIVE":
        assert found.value > 40
        assert "name postprocess.format" in found.reason


@pytest.mark.parametrize(
    ("reference", "candidate", "raw", "decoded"),
    [
        ([1, 2], [1, 2], "PASS", "PASS"),
        ([0, 0], [0, 0], "INCONCLUSIVE", "PASS"),
        ([0, 0], [1e-9, 0], "INCONCLUSIVE", "PASS"),
        ([0, 0], [5, 0], "INCONCLUSIVE", "INCONCLUSIVE"),
        ([5, 1], [0, 0], "FAIL", "FAIL"),
        ([1, 2], [1e200, 2], "FAIL", "FAIL"),
        ([1, 2], [1, 2 + 1e-15], "PASS", "PASS"),
        ([1, np.nan], [1, 2], "FAIL", "FAIL"),
        ([1, np.inf], [1, -np.inf], "FAIL", "FAIL"),
        ([], [], None, None),
    ],
)
def test_ratios_that_do_not_exist(reference, candidate, raw, decoded):
    sides = [[[np.array(side, np.float64)]] for side in (reference, candidate)]
    for task, expected in ((False, raw), (True, decoded)):
        found = reduced(*sides, decoded=task)
        assert (found and found.verdict) == expected


FLOATS = st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf, 1e-30, 3e38])
PAIRS = st.integers(0, 12).flatmap(lambda n: st.tuples(*[hnp.arrays(np.float32, (n,), elements=FLOATS)] * 2))


NEAR = PAIRS.flatmap(
    lambda pair: st.tuples(
        st.just(pair[0]),
        hnp.arrays(np.float32, pair[0].shape, elements=st.sampled_from([1, 1.01, 0.95, 1.2, -1, 1e-3])),
    )
)


@given(PAIRS | NEAR.map(lambda pair: (pair[0], (pair[0].astype(np.float64) * pair[1]))))
def test_a_raw_pass_means_that_a_tenth_of_the_signal_at_most_is_noise(pair):
    r, c = (a.astype(np.float64) for a in pair)
    found = reduced([[r]], [[c]])
    if found is None or found.verdict != "PASS":
        return
    assert ((r == c) | (np.isnan(r) & np.isnan(c)) | (np.isfinite(r) & np.isfinite(c))).all()
    r, c = (a[np.isfinite(r) & np.isfinite(c)] for a in (r, c))
    assert r.any()
    size = np.abs(r).max()
    assert np.linalg.norm((r - c) / size) <= 0.1 * np.linalg.norm(r / size) * (1 + 1e-6)


@given(PAIRS, st.booleans())
def test_elementwise_a_pass_means_that_every_element_is_close(pair, same_runtime):
    tolerance = automatic_tolerance("fp32", "fp32", same_runtime)
    rows = compared([[pair[0]]], [[pair[1]]], tolerance=tolerance)
    decisions = judge_tensors(CELL, ParityResult(reference="r", rtol=tolerance.rtol, atol=tolerance.atol, tensors=rows))
    close = np.isclose(pair[1].astype(float), pair[0].astype(float), tolerance.rtol, tolerance.atol, equal_nan=True)
    if len(pair[0]):
        # Where nothing is finite there is nothing to judge, and a pass would be one of nothing.
        wanted = [] if close.all() and not np.isfinite(pair[0]).any() else ["PASS" if close.all() else "FAIL"]
        assert [d.verdict for d in decisions] == wanted
    else:
        assert decisions == []


@pytest.mark.parametrize(("size", "verdict"), [(0.005, "PASS"), (0.02, "FAIL")])
def test_fp16_across_runtimes_is_judged_on_the_mean(size, verdict):
    tolerance = automatic_tolerance("fp16", "fp16", False)
    reference = np.full(10, 2.0)
    for candidate, expected in (
        (reference * (1 + size), verdict),
        (reference + np.eye(10)[0] * 10 * size * 2, verdict),
    ):
        rows = compared([[reference]], [[candidate]], tolerance=tolerance)
        (found,) = judge_tensors(
            CELL, ParityResult(reference="r", rtol=None, atol=None, mean_rtol=tolerance.mean_rtol, tensors=rows)
        )
        assert found.verdict == expected


@pytest.mark.parametrize(
    ("change", "sqnr", "verdict"),
    [
        (1.0, None, "PASS"), (1.0001, None, "PASS"), (1.1, None, "INCONCLUSIVE"), (-1.0, None, "INCONCLUSIVE"),
        (0.0, None, "INCONCLUSIVE"), (np.nan, None, "INCONCLUSIVE"), (np.inf, 20.0, "FAIL"), (-1.0, 20.0, "FAIL"), (1.2, 20.0, "FAIL"), (1.05, 20.0, "PASS"),
    ],
)  # fmt: skip
def test_between_pipelines_only_the_same_outputs_pass_without_a_limit(change, sqnr, verdict):
    reference = [[RNG.normal(size=100)]]
    across = ParityResult(
        reference="old.b.fp32.b1.t1", rtol=None, atol=None, tensors=compared(reference, [[reference[0][0] * change]]),
        least_sqnr_db=sqnr or SQNR_DB["fp32"][0], failing_sqnr_db=sqnr, sqnr_from=PLANS if sqnr else "",
    )  # fmt: skip
    found = judge_between(CELL, across)
    assert (found.check, found.verdict) == ("agreement with old", verdict)
    assert ("nothing says whose outputs are right" in found.reason) == (verdict == "INCONCLUSIVE")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tensors_note": "output y: other shapes"}, "raw outputs cannot be compared (output y: other shapes)"),
        ({}, "no raw outputs to compare"),
        ({"tensors": compared([[np.zeros(0)]], [[np.zeros(0)]])}, "no output holds numbers"),
    ],
)
def test_why_nothing_was_judged_is_said(fields, said):
    parity = ParityResult(reference="r", rtol=1e-3, atol=1e-3, **fields)
    assert judge_tensors(CELL, parity) == []
    assert said in why_nothing(parity)
