"""EQUAL is said only where it says something: of a sound reference, of answers that could have differed, and of enough of them.

Everything runs: small models on ONNX Runtime, and candidates made with NumPy from what these give.
"""

from dataclasses import replace

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from result_candidates import Shown, Taps, opened, way

import seatrial.diagnosis.diagnose as diagnose
from seatrial import Classification, DenseMap, Detections, SemanticMask
from seatrial.diagnosis.conclude import conclude
from seatrial.diagnosis.diagnose import compare
from seatrial.diagnosis.floor import measured
from seatrial.diagnosis.limits import Limits, limits_of
from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.mutations.every import mutations_of
from seatrial.diagnosis.runner import Runner
from seatrial.diagnosis.task_metrics import results_agreement, write_results
from seatrial.errors import BackendUnavailableError

SIZE = 16
RNG = np.random.default_rng(15)
STRETCH = {"size": [SIZE, SIZE], "mode": "stretch", "color": "rgb"}
CLASSIFY = {"task": "classify", "activation": "softmax", "top_k": 3}


def model(folder, nodes, shape, name="m.onnx", kind=TensorProto.FLOAT, **weights):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("y", kind, shape)],
        [numpy_helper.from_array(np.asarray(v, np.float32), n) for n, v in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / name)
    return folder / name


def linear(folder, gain=20.0, more=(), **weights):
    """Six classes' scores of an image's pixels; more: nodes from 'z' to 'y'."""
    w = gain * np.random.default_rng(3).normal(0, 0.05, (3 * SIZE * SIZE, 6))
    nodes = [
        helper.make_node("Flatten", ["images"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["z"]),
        *(more or [helper.make_node("Identity", ["z"], ["y"])]),
    ]
    return model(folder, nodes, [1, 6], w=w, **weights)


def pictures(count=8, same=False):
    rng = np.random.default_rng(1)
    found = {}
    for k in range(count):
        rng = np.random.default_rng(1) if same else rng
        small = rng.integers(0, 256, (4, 4, 3), np.uint8)
        found[f"{k}.png"] = cv2.imencode(".png", cv2.resize(small, (40, 30), interpolation=cv2.INTER_NEAREST))[
            1
        ].tobytes()
    return found


def classifier(path, **post):
    return way(path, {"preprocess": STRETCH, "postprocess": CLASSIFY | post})


def own(reference, encoded, stages, change=lambda taps, _k: taps):
    """What the reference itself has, as a candidate shows it; change: what is wrong with it."""
    runner = Runner(lambda i: list(encoded.values())[i])
    taps = {}
    for k, name in enumerate(encoded):
        outputs = [np.array(o) for o in runner.at(reference, k, "outputs").value]
        names = [o.name for o in reference.subject.model.outputs]
        taps[name] = change(
            Taps(
                input=np.array(runner.at(reference, k, "input").value),
                outputs=dict(zip(names, outputs, strict=True)),
                results=runner.at(reference, k, "results").value,
            ),
            k,
        )
    return Shown(taps, frozenset(stages))


def said(reference, encoded, shown, folder=None, limits=Limits(), time_s=60.0, same_by_plan=False):
    """The record. folder: where results are written, for their agreement."""
    compared = compare(reference, encoded.__getitem__, list(encoded), shown, time_s=time_s, limits=limits)
    agreement = None
    if folder:
        write_results(
            folder, compared.names, compared.reference_results(reference), (t.results for t in shown.by_name.values())
        )
        agreement = results_agreement(folder)
    return conclude(compared, reference, "r", "c", agreement, same_by_plan)


def codes(record):
    return [w.code for w in record.warnings]


ALL = ("input", "outputs", "results")


def test_what_is_equal_and_varies_is_equal(tmp_path):
    reference, encoded = classifier(linear(tmp_path)), pictures()
    record = said(reference, encoded, own(reference, encoded, ALL), tmp_path)
    assert (record.verdict, codes(record)) == ("EQUAL", [])


def overflowing(folder, at):
    """Infinite, or NaN, where the first class's score is beyond a limit."""
    more = [
        helper.make_node("Sub", ["z", "limit"], ["d"]),
        helper.make_node("Sign" if at == "nan" else "Identity", ["d"], ["s"]),
        helper.make_node("Relu", ["d"], ["p"]),
        helper.make_node("Mul", ["p", "huge"], ["h"]),
        *(
            [helper.make_node("Sub", ["h", "h"], ["n"])]
            if at == "nan"
            else [helper.make_node("Identity", ["h"], ["n"])]
        ),
        helper.make_node("Add", ["z", "n"], ["y"]),
    ]
    limit = np.full(6, 1e30)
    limit[0] = 1.0
    return linear(folder, more=more, limit=limit, huge=np.array(3e38 * np.float32(1)))


@pytest.mark.parametrize("at", ["nan", "inf"])
def test_nan_in_the_reference_is_said_and_never_equal(tmp_path, at):
    reference, encoded = classifier(overflowing(tmp_path, at)), pictures(12)
    runner = Runner(lambda i: list(encoded.values())[i])
    odd = [n for i, n in enumerate(encoded) if not np.isfinite(runner.at(reference, i, "outputs").value[0]).all()]
    assert 0 < len(odd) < 12
    record = said(reference, encoded, own(reference, encoded, ("outputs",)))
    assert record.verdict == "INCONCLUSIVE"
    (warning,) = [w for w in record.warnings if w.code == "reference-not-finite"]
    assert f"'outputs' (y), on {len(odd)} image" in warning.text
    assert f"first {odd[0]}" in warning.text
    assert warning.cure
    # A number in its place is another matter.
    finite = own(
        reference, encoded, ("outputs",), lambda t, k: replace(t, outputs={"y": np.nan_to_num(t.outputs["y"])})
    )
    assert said(reference, encoded, finite).verdict == "DIFFER"
    # What differs besides still does.
    other = own(reference, encoded, ("outputs",), lambda t, k: replace(t, outputs={"y": t.outputs["y"] + 3}))
    record = said(reference, encoded, other)
    assert (record.verdict, codes(record)[0]) == ("DIFFER", "reference-not-finite")


def test_an_infinite_mask_that_is_the_models_own_is_compared(tmp_path):
    more = [helper.make_node("Add", ["z", "mask"], ["y"])]
    reference = classifier(linear(tmp_path, more=more, mask=[0, 0, -np.inf, 0, 0, 0]))
    record = said(reference, pictures(), own(reference, pictures(), ("outputs",)))
    assert (record.verdict, codes(record)) == ("EQUAL", [])


def test_an_input_that_is_not_finite(tmp_path):
    spec = {"preprocess": STRETCH | {"std": [1e-30, 1, 1], "scale": 1e9}, "postprocess": CLASSIFY}
    reference, encoded = way(linear(tmp_path), spec), pictures()
    record = said(reference, encoded, own(reference, encoded, ("input",)))
    assert record.verdict == "INCONCLUSIVE"
    assert record.warnings[0].text.startswith("the reference itself has NaN or infinity at 'input', on ")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_of_the_candidate_alone_differs_and_the_reason_says_so(tmp_path, value):
    reference, encoded = classifier(linear(tmp_path)), pictures()

    def change(taps, k):
        broken = taps.outputs["y"].copy()
        broken[0, 2] = value if k == 3 else broken[0, 2]
        return replace(taps, outputs={"y": broken})

    record = said(reference, encoded, own(reference, encoded, ("outputs",), change))
    assert record.verdict == "DIFFER"
    assert "the candidate has NaN or infinity where the reference has none, on 1 image, first 3.png" in record.reason


def dense(folder):
    nodes = [helper.make_node("ReduceMean", ["images"], ["y"], axes=[1], keepdims=1)]
    return way(
        model(folder, nodes, [1, 1, SIZE, SIZE]),
        {
            "preprocess": {"size": [SIZE, SIZE], "mode": "resize_center_crop", "color": "rgb"},
            "postprocess": {"task": "dense"},
        },
    )


def test_a_map_that_has_no_value_somewhere_is_sound(tmp_path):
    reference, encoded = dense(tmp_path), pictures()
    shown = own(reference, encoded, ("outputs", "results"))
    assert np.isnan(shown.by_name["0.png"].results.values).any()
    record = said(reference, encoded, shown, tmp_path)
    assert (record.verdict, codes(record)) == ("EQUAL", [])

    def filled(taps, _k):
        return replace(taps, results=DenseMap(np.nan_to_num(taps.results.values)))

    assert said(reference, encoded, own(reference, encoded, ("outputs", "results"), filled)).verdict == "DIFFER"


def test_a_score_of_nan_counts_unless_the_log_has_none_at_all(tmp_path):
    reference, encoded = classifier(linear(tmp_path)), pictures()

    def unscored(of):
        def change(taps, k):
            scores = np.full(3, np.nan, np.float32) if k in of else taps.results.scores
            return replace(taps, results=Classification(taps.results.class_ids, scores))

        return own(reference, encoded, ("outputs", "results"), change)

    few = said(reference, encoded, unscored({2}), tmp_path)
    assert (few.verdict, few.stages[-1].images) == ("DIFFER", 1)
    none = said(reference, encoded, unscored(range(8)), tmp_path)
    # Of so few classes nobody knows whether they are the same.
    assert (none.verdict, none.stages[-1].images) == ("INCONCLUSIVE", 0)
    assert "too few to show 99.0%" in none.reason


def test_pictures_that_are_one(tmp_path):
    reference, encoded = classifier(linear(tmp_path)), pictures(same=True)
    record = said(reference, encoded, own(reference, encoded, ALL))
    assert record.verdict == "INCONCLUSIVE"
    assert "all images are one and the same picture at 'input'" in record.reason


def test_outputs_that_are_zero_or_as_small_as_the_tolerance(tmp_path):
    for gain in (0.0, 1e-5):
        reference, encoded = classifier(linear(tmp_path, gain)), pictures()
        # Another model altogether.
        shown = own(reference, encoded, ("outputs",), lambda t, _k: replace(t, outputs={"y": -t.outputs["y"]}))
        record = said(reference, encoded, shown)
        assert record.verdict == "INCONCLUSIVE", gain
        assert "the raw outputs are the same for every image, within the tolerance" in record.reason


def test_whole_numbers_are_not_rounded(tmp_path):
    """A class of 999 against 998 is within a thousandth."""
    nodes = [
        helper.make_node("Flatten", ["images"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["z"]),
        helper.make_node("ArgMax", ["z"], ["y"], axis=1, keepdims=1),
    ]
    w = np.random.default_rng(3).normal(0, 1, (3 * SIZE * SIZE, 1200))
    w[:, :990] = 0
    path = model(tmp_path, nodes, [1, 1], kind=TensorProto.INT64, w=w)
    reference = way(path, {"preprocess": STRETCH, "postprocess": {"task": "raw"}})
    encoded = pictures()
    shown = own(reference, encoded, ("outputs",), lambda t, _k: replace(t, outputs={"y": t.outputs["y"] - 1}))
    record = said(reference, encoded, shown)
    assert (record.verdict, record.stages[0].images) == ("DIFFER", 8)


def test_results_that_are_the_same_for_every_image(tmp_path):
    more = [helper.make_node("Mul", ["z", "zero"], ["q"]), helper.make_node("Add", ["q", "b"], ["y"])]
    reference, encoded = classifier(linear(tmp_path, more=more, zero=[0.0], b=[0, 5, 1, 2, 0, 0])), pictures()
    record = said(reference, encoded, own(reference, encoded, ("results",)), tmp_path)
    assert record.verdict == "INCONCLUSIVE"
    assert "the results are the same for every image" in record.reason
    assert "would tell" in record.reason


def test_masks_of_nothing_but_background_in_pictures_of_several_sizes(tmp_path):
    nodes = [helper.make_node("Conv", ["images", "w", "b"], ["y"])]
    path = model(tmp_path, nodes, [1, 2, SIZE, SIZE], w=np.zeros((2, 3, 1, 1)), b=[1, 0])
    reference = way(path, {"preprocess": STRETCH, "postprocess": {"task": "segment"}})
    encoded = pictures(4) | {"tall.png": cv2.imencode(".png", RNG.integers(0, 256, (50, 20, 3), np.uint8))[1].tobytes()}
    record = said(reference, encoded, own(reference, encoded, ("results",)), tmp_path)
    assert record.verdict == "INCONCLUSIVE"
    assert "the results are the same for every image" in record.reason


def test_one_cell_under_two_names(tmp_path):
    reference, encoded = classifier(linear(tmp_path)), pictures()
    record = said(reference, encoded, own(reference, encoded, ALL), same_by_plan=True)
    assert record.verdict == "INCONCLUSIVE"
    assert "one and the same by the plan" in record.reason


def rounded(step):
    return lambda t, _k: replace(t, outputs={"y": np.round(t.outputs["y"] / step) * step})


def of_precision(reference, precision, **more):
    found = measured(reference, Runner(lambda i: b""), [], [])
    return limits_of(found, ("fp32", precision), False, **more)


def test_less_precision_is_equal_only_where_enough_results_agree(tmp_path):
    reference, encoded = classifier(linear(tmp_path)), pictures(40)
    limits = of_precision(reference, "int8")

    def quantised(step, wrong=0):
        def change(taps, k):
            values = rounded(step)(taps, k).outputs["y"]
            values = np.roll(values, 1) * 0.7 + taps.outputs["y"] if k < wrong else values
            scores = np.exp(values[0] - values.max())
            scores /= scores.sum()
            order = np.argsort(-scores, kind="stable")[:3]
            return replace(
                taps,
                outputs={"y": values},
                results=Classification(order.astype(np.int64), scores[order].astype(np.float32)),
            )

        return own(reference, encoded, ("outputs", "results"), change)

    assert said(reference, encoded, quantised(0.1), tmp_path, limits).verdict == "EQUAL"
    # Few of them cannot show it.
    few = dict(list(encoded.items())[:8])
    shown = Shown({n: quantised(0.1).by_name[n] for n in few}, frozenset(("outputs", "results")))
    record = said(reference, few, shown, tmp_path, limits)
    assert record.verdict == "INCONCLUSIVE"
    assert "too few to show 90.0%" in record.reason
    # Within 3 dB, and a third of the answers are others.
    wrong = said(reference, encoded, quantised(0.1, 30), tmp_path, limits)
    assert (wrong.verdict, wrong.stages[0].images, wrong.diagnosis) == ("DIFFER", 0, ())
    assert wrong.reason.startswith("no stage parts, but less than 90% of the results agree: same top-1 class")
    # The plan's own limit holds as in a trial.
    limits = of_precision(reference, "int8", agreement=0.2)
    assert said(reference, encoded, quantised(0.1, 30), tmp_path, limits).verdict == "EQUAL"


def test_without_results_less_precision_is_held_to_more(tmp_path):
    reference, encoded = classifier(linear(tmp_path)), pictures()
    spread = np.abs(linear_values(reference, encoded)).max()
    for share, verdict in ((0.01, "EQUAL"), (0.15, "INCONCLUSIVE"), (2.0, "DIFFER")):
        shown = own(reference, encoded, ("outputs",), rounded(share * spread))
        limits = of_precision(reference, "int8", decoded=False)
        assert said(reference, encoded, shown, limits=limits).verdict == verdict, share


def linear_values(reference, encoded):
    runner = Runner(lambda i: list(encoded.values())[i])
    return np.concatenate([runner.at(reference, i, "outputs").value[0] for i in range(len(encoded))])


def test_a_difference_of_another_precisions_size_says_how_to_state_it(tmp_path):
    reference, encoded = classifier(linear(tmp_path)), pictures()
    unsaid = limits_of(measured(reference, Runner(lambda i: b""), [], []), ("fp32", ""), False)
    noise = np.random.default_rng(2)
    half = own(
        reference,
        encoded,
        ("outputs",),
        lambda t, _k: replace(t, outputs={"y": t.outputs["y"] + noise.normal(0, 0.02, (1, 6)).astype(np.float32)}),
    )
    record = said(reference, encoded, half, limits=unsaid)
    assert record.verdict == "DIFFER"
    assert 'say "precision": "fp16" in taps.json' in record.reason
    assert "precision" not in said(reference, encoded, half).reason


def random(folder):
    more = [
        helper.make_node("RandomNormalLike", ["z"], ["n"], scale=0.2, seed=5.0),
        helper.make_node("Add", ["z", "n"], ["y"]),
    ]
    return linear(folder, more=more)


def test_a_reference_that_is_not_the_same_twice(tmp_path):
    path, encoded = random(tmp_path), pictures()
    runner = Runner(lambda i: list(encoded.values())[i])
    floor = measured(classifier(path), runner, range(len(encoded)), [("opened anew", lambda: opened(path, 1))])
    assert floor.unstable
    assert floor.result_tolerance <= 1e-3
    limits = limits_of(floor, ("fp32", "fp32"), True)

    def against(shown):
        # Opened anew its random numbers begin again: what is asked of it never depends on how far a search has come.
        record = said(classifier(path), encoded, shown, limits=limits, time_s=1e6)
        assert "reference-not-stable" in codes(record)
        return record

    # One that repeats the reference's own numbers to the bit, and one whose random numbers are one run further.
    again = against(own(classifier(path), encoded, ("outputs", "results")))
    assert (again.verdict, again.stages[0].images) == ("INCONCLUSIVE", 0)
    further = opened(path, 1)
    further({"images": np.zeros((1, 3, SIZE, SIZE), np.float32)})
    other = against(own(classifier(path).with_run(further), encoded, ("outputs", "results")))
    assert (other.verdict, other.stages[0].images) == ("INCONCLUSIVE", 8)
    assert "by no more than the reference differs from itself" in other.reason


@pytest.mark.parametrize(("precision", "stable"), [("fp16", True), ("int8", True), ("fp32", False)])
def test_whether_a_reference_is_the_same_twice_is_judged_by_its_precision(tmp_path, precision, stable):
    """Other threads sum halves in another order: some thousandths of what the outputs vary by. Half of it is chance."""
    path, encoded = linear(tmp_path, gain=1.0), pictures()
    reference, plain, noise = classifier(path), opened(path, 1), np.random.default_rng(4)
    runner = Runner(lambda i: list(encoded.values())[i])

    def unstable(share):
        def run(feeds):
            return [y + (share * y.std() * noise.normal(0, 1, y.shape)).astype(y.dtype) for y in plain(feeds)]

        return bool(measured(reference, runner, range(8), [("2 threads", lambda: run)], precision).unstable)

    assert (unstable(0.004), unstable(0.5)) == (not stable, True)


def test_what_came_and_went_at_a_threshold_once_is_not_what_all_may_differ_by(tmp_path):
    reference = classifier(linear(tmp_path))
    floor = replace(measured(reference, Runner(lambda i: b""), [], []), results=0.4)
    assert floor.result_tolerance == pytest.approx(9e-4)


def boxes(*rows):
    values = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(values[:, :4], values[:, 4], values[:, 5].astype(np.int64))


def test_no_distance_is_nan():
    from seatrial.diagnosis.result_distance import result_distance
    from seatrial.kernels.results import Embedding, Labels, Text

    nan = np.float32(np.nan)
    labels = [Labels(np.array([1, 2]), np.array([0.9, s], np.float32)) for s in (0.5, nan)]
    vectors = [Embedding(np.array([1, v], np.float32)) for v in (0.5, nan)]
    texts = [Text.of("a", v) for v in (0.5, float("nan"))]
    found = [boxes((0, 0, 9, 9, 0.5, 1)), boxes((0, nan, 9, 9, nan, 1))]
    classes = [Classification(np.array([1, 2]), np.array([0.9, s], np.float32)) for s in (0.1, nan)]
    for pair in (labels, vectors, texts, found, classes):
        for reference, candidate in (pair, pair[::-1]):
            assert 0 < result_distance(reference, candidate) <= 1
        assert result_distance(pair[1], pair[1]) == 0
    for pair in (labels, texts, classes):
        assert result_distance(*pair, scored=False) == 0
    masks = [SemanticMask(np.full((2, 2), v, np.uint8)) for v in (255, 1)]
    assert result_distance(*masks) == 1
    maps = [DenseMap(np.array([[1, v]], np.float32)) for v in (np.inf, -np.inf)]
    assert result_distance(*maps) > 0


def test_what_may_be_rounding_is_not_equal_before_known_mistakes_were_tried(tmp_path):
    """Scores a few thousandths off on every image, this way or that."""
    reference, encoded = classifier(linear(tmp_path)), pictures(6)

    def nearly(taps, k):
        off = np.float32(0.004 if k % 2 else -0.004)
        return replace(taps, results=Classification(taps.results.class_ids, taps.results.scores + off))

    shown = own(reference, encoded, ("results",), nearly)
    record = said(reference, encoded, shown, tmp_path, time_s=0.0)
    assert (record.verdict, "diagnosis-cut-short" in codes(record)) == ("INCONCLUSIVE", True)
    assert "time was up before known mistakes had been tried" in record.reason
    # And with all the time that it takes, so few do not show that the answers are the same.
    record = said(reference, encoded, shown, tmp_path)
    assert (record.verdict, record.stages[0].images) == ("INCONCLUSIVE", 6)
    assert "too few to show 99.0%" in record.reason


def test_what_may_be_rounding_is_not_equal_where_a_mistake_could_not_be_tried(tmp_path, monkeypatch):
    """Whoever has the package that it takes might be told that they differ."""
    reference, encoded = classifier(linear(tmp_path)), pictures(12)

    def nearly(taps, k):
        off = np.float32(0.004 if k % 2 else -0.004)
        return replace(taps, results=Classification(taps.results.class_ids, taps.results.scores + off))

    def missing(_way):
        raise BackendUnavailableError("it takes a decoder that is not here")

    shown = own(reference, encoded, ("results",), nearly)
    assert said(reference, encoded, shown, tmp_path, Limits(agreement=0.5)).verdict == "EQUAL"
    more = Mutation("jpeg-decoder", "decodes otherwise", "decoded", missing)
    monkeypatch.setattr(diagnose, "mutations_of", lambda way: [*mutations_of(way), more])
    record = said(reference, encoded, shown, tmp_path, Limits(agreement=0.5))
    assert (record.verdict, codes(record)) == ("INCONCLUSIVE", ["mistakes-untried"])
    assert "not every known mistake could be tried: it takes a decoder that is not here" in record.reason
    # What is equal to the last digit needs no mistake to explain it.
    same = said(reference, encoded, own(reference, encoded, ("results",)), tmp_path, Limits(agreement=0.5))
    assert (same.verdict, codes(same)) == ("EQUAL", [])


def test_where_results_have_to_decide_not_to_know_them_is_no_pass(tmp_path):
    """Scores this way and that as rounding may, and outputs of eight bits: what agrees was never computed."""
    reference, encoded = classifier(linear(tmp_path)), pictures(12)

    def nearly(taps, k):
        off = np.float32(0.004 if k % 2 else -0.004)
        return replace(taps, results=Classification(taps.results.class_ids, taps.results.scores + off))

    record = said(reference, encoded, own(reference, encoded, ("results",), nearly))
    assert (record.verdict, record.stages[0].images) == ("INCONCLUSIVE", 12)
    assert "results have to decide" in record.reason
    eight = limits_of(measured(reference, Runner(lambda i: b""), [], []), ("fp32", "int8"), True)
    assert said(reference, encoded, own(reference, encoded, ALL), limits=eight).verdict == "INCONCLUSIVE"


def test_labels_alone_of_few_images_do_not_show_that_a_pipeline_is_equal(tmp_path):
    """A wrong resize that seldom moves the first class."""
    reference, encoded = classifier(linear(tmp_path)), pictures(12)
    blurred = classifier(linear(tmp_path), top_k=1).with_settings("preprocess", interpolation="area")
    wrong = own(blurred, encoded, ("results",))
    taps = {
        name: Taps(results=Classification(t.results.class_ids[:1], np.array([np.nan], np.float32)))
        for name, t in wrong.by_name.items()
    }
    record = said(reference, encoded, Shown(taps, frozenset(("results",))), tmp_path)
    assert record.verdict != "EQUAL"


def test_channels_in_the_other_order_are_a_convention_only_where_the_input_shows_it(tmp_path):
    reference, encoded = classifier(linear(tmp_path)), pictures()

    def swapped(stages):
        taps = {}
        for name, t in own(reference, encoded, ("input",)).by_name.items():
            image = cv2.imdecode(np.frombuffer(encoded[name], np.uint8), cv2.IMREAD_COLOR)
            taps[name] = replace(t, decoded=np.ascontiguousarray(image[..., ::-1]))
        return said(reference, encoded, Shown(taps, frozenset(stages)))

    alone, both = swapped(("decoded",)), swapped(("decoded", "input"))
    assert (alone.verdict, both.verdict) == ("INCONCLUSIVE", "EQUAL")
    assert "channels are in the other order" in alone.reason
    assert codes(both) == ["channel-convention"]


def test_grey_pictures_cannot_show_a_swap_of_channels_which_is_said(tmp_path):
    reference = classifier(linear(tmp_path))
    encoded = {
        name: cv2.imencode(".png", cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), 1), cv2.COLOR_BGR2GRAY))[
            1
        ].tobytes()
        for name, data in pictures().items()
    }
    record = said(reference, encoded, own(reference, encoded, ALL))
    assert (record.verdict, codes(record)) == ("EQUAL", ["grey-images"])
    assert "saturated" in record.warnings[0].cure
