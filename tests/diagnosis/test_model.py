"""What goes wrong in running a model: another image's answer, rows of a batch, overflow in float16, another exporter's graph."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper
from pooled_models import SPEC, outputs_of, pooled, saved, weights
from result_candidates import Detector, Shown, Taps, demo_images, demo_way, opened, said_of, way

from seatrial.diagnosis.floor import measured
from seatrial.diagnosis.graph_changes import graph_changes
from seatrial.diagnosis.runner import Runner

RIGHT = Detector()
RNG = np.random.default_rng(11)


def right_taps():
    return {name: RIGHT.taps(data) for name, data in demo_images().items()}


def stale(by_name, offset=-1, of_results=False):
    """Each image with the answer of another: its raw outputs, decoded for itself, or its results."""
    names, taps = list(by_name), {}
    for k, name in enumerate(names):
        other = by_name[names[max(0, k + offset)]]
        if of_results:
            taps[name] = Taps(results=other.results)
        else:
            _, gain, left, top, size = RIGHT.tensor(demo_images()[name])
            results = RIGHT.results(other.outputs["output0"], gain, left, top, size)
            taps[name] = Taps(input=by_name[name].input, outputs=other.outputs, results=results)
    return taps


def test_the_outputs_of_the_image_before():
    shown = Shown(stale(right_taps()), frozenset(("input", "outputs", "results")))

    assert said_of(demo_way(), demo_images(), shown, "outputs")[0] == ("stale-output",)


@pytest.mark.slow
def test_the_outputs_of_the_image_before_and_a_fresh_buffer():
    """The first image's is as large as all others' differences: without it nothing is explained."""
    shown = stale(right_taps())
    first = next(iter(shown))
    outputs = {k: np.zeros_like(v) for k, v in shown[first].outputs.items()}
    shown[first] = Taps(input=shown[first].input, outputs=outputs)
    shown = {name: Taps(input=taps.input, outputs=taps.outputs) for name, taps in shown.items()}

    assert said_of(demo_way(), demo_images(), Shown(shown, frozenset(("input", "outputs"))), "outputs")[0] == (
        "stale-output",
    )


@pytest.mark.slow
@pytest.mark.parametrize("of_results", [True, False])
def test_the_answer_of_the_image_before_by_results_alone(of_results):
    shown = Shown(stale(right_taps(), of_results=of_results), frozenset(("results",)))

    assert said_of(demo_way(), demo_images(), shown)[0] == ("stale-output",)


@pytest.mark.slow
def test_in_the_order_in_which_the_candidate_went():
    backwards = dict(reversed(right_taps().items()))
    shown = Shown(stale(backwards), frozenset(("input", "outputs")))

    assert said_of(demo_way(), demo_images(), shown, "outputs")[0] == ("stale-output",)


@pytest.mark.slow
def test_the_first_row_for_all_of_a_batch():
    own = list(right_taps().items())
    rows = {name: Taps(outputs=own[k // 4 * 4][1].outputs) for k, (name, _) in enumerate(own)}

    assert said_of(demo_way(), demo_images(), Shown(rows, frozenset(("outputs",))), "outputs")[0] == (
        "batch-dependent",
    )


def batch_normalised(path):
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["m"], axes=[0], keepdims=1, name="mean"),
        helper.make_node("Sub", ["images", "m"], ["centred"], name="centred"),
        helper.make_node("Add", ["images", "centred"], ["both"], name="both"),
        helper.make_node("Conv", ["both", "w"], ["c"], name="conv"),
        helper.make_node("ReduceMax", ["c"], ["v"], axes=[2, 3], keepdims=0, name="reduce"),
        helper.make_node("MatMul", ["v", "head"], ["logits"], name="scores"),
    ]
    return saved(path, nodes, weights(w=(4, 3, 3, 3), head=(4, 6)))


def named(reference, outputs, inputs):
    shown = Shown(
        {n: Taps(input=inputs[n], outputs={"logits": o}) for n, o in outputs.items()}, frozenset(("input", "outputs"))
    )
    return said_of(reference, demo_images(), shown, "outputs")[0]


@pytest.mark.parametrize(
    ("own", "other"),
    [({"ceil_mode": 0}, {"ceil_mode": 1}), ({"pads": [1] * 4}, {"pads": [1] * 4, "count_include_pad": 1})],
)
def test_another_exporters_pooling(tmp_path, own, other):
    reference = way(pooled(tmp_path / "a.onnx", **own), SPEC)
    session, inputs = outputs_of(pooled(tmp_path / "b.onnx", **other), reference)

    assert named(reference, {n: session.run(None, {"images": x})[0] for n, x in inputs.items()}, inputs) == (
        "pooling-mode",
    )


def leaky(path, alpha, **conv):
    nodes = [
        helper.make_node("Conv", ["images", "w"], ["c"], strides=[4, 4], name="conv", **conv),
        helper.make_node("LeakyRelu", ["c"], ["l"], alpha=alpha, name="leaky"),
        helper.make_node("ReduceMax", ["l"], ["v"], axes=[2, 3], keepdims=0, name="reduce"),
        helper.make_node("MatMul", ["v", "head"], ["logits"], name="scores"),
    ]
    return saved(path, nodes, weights(w=(4, 3, 3, 3), head=(4, 6)))


def test_another_attribute_is_no_pooling_where_there_is_none(tmp_path):
    model = leaky(tmp_path / "a.onnx", 0.1, pads=[1] * 4)
    assert {fault for fault, _, _ in graph_changes(model)} == {"graph-attribute"}
    reference = way(model, SPEC)
    session, inputs = outputs_of(leaky(tmp_path / "b.onnx", 0.1, pads=[0, 0, 1, 1]), reference)
    assert named(reference, {n: session.run(None, {"images": x})[0] for n, x in inputs.items()}, inputs) == (
        "graph-attribute",
    )


def test_batches_whose_rows_the_model_mixes(tmp_path):
    path = batch_normalised(tmp_path / "a.onnx")
    reference = way(path, SPEC)
    session, inputs = outputs_of(path, reference)
    names = list(inputs)
    outputs = {}
    for start in range(0, len(names), 4):
        rows = session.run(None, {"images": np.concatenate([inputs[n] for n in names[start : start + 4]])})[0]
        outputs |= {n: rows[k : k + 1] for k, n in enumerate(names[start : start + 4])}

    assert named(reference, outputs, inputs) == ("batch-dependent",)


def by_hand_in_half(path, tensor):
    """As a device with float16 does it: each tensor is stored in it, sums are made in float32."""
    constants = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    with np.errstate(all="ignore"):
        windows = np.lib.stride_tricks.sliding_window_view(tensor[0], (3, 3), axis=(1, 2))
        small = np.einsum("cyxij,ocij->oyx", windows, constants["w"]).astype(np.float16)
        small = small * constants["up"].astype(np.float16) * constants["down"].astype(np.float16)
        cells = np.lib.stride_tricks.sliding_window_view(small, (5, 5), axis=(1, 2))[:, ::4, ::4]
        averages = cells.astype(np.float32).mean(axis=(3, 4)).astype(np.float16)
        return (averages.max(axis=(1, 2)).astype(np.float32) @ constants["head"])[None]


@pytest.mark.parametrize(("gain", "fault"), [(2.0**15, ("fp16-overflow",)), (1.0, ())])
def test_overflow_in_float16(tmp_path, gain, fault):
    path = pooled(tmp_path / "a.onnx", gain=gain)
    reference = way(path, SPEC)
    _, inputs = outputs_of(path, reference)

    assert named(reference, {n: by_hand_in_half(path, x) for n, x in inputs.items()}, inputs) == fault


@pytest.mark.parametrize("place", ["small", "logits"])
def test_overflow_at_one_place_whose_size_the_file_does_not_tell(tmp_path, place):
    path = pooled(tmp_path / "a.onnx")
    reference = way(path, SPEC)
    _, inputs = outputs_of(path, reference)
    outputs = overflowing(path, place, inputs, 0.7)

    assert not all(np.isfinite(o).all() for o in outputs.values())
    assert named(reference, outputs, inputs) == ("fp16-overflow",)


def overflowing(path, place, inputs, share):
    """Infinite where the place's values are beyond a share of the greatest, as where that is float16's end there."""
    whole = onnx.load(path)
    whole.graph.output.append(onnx.ValueInfoProto(name=place))
    probe = ort.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])
    end = share * max(float(probe.run([place], {"images": x})[0].max()) for x in inputs.values())
    changed = onnx.load(path)
    node = next(n for n in changed.graph.node if n.output[0] == place)
    node.output[0] = "within"
    constants = {"end": np.float32(end), "none": np.float32(np.inf), "one": np.float32(1)}
    changed.graph.initializer.extend(numpy_helper.from_array(np.array(v), k) for k, v in constants.items())
    at = list(changed.graph.node).index(node) + 1
    added = [
        helper.make_node("Abs", ["within"], ["size"]),
        helper.make_node("Greater", ["size", "end"], ["over"]),
        helper.make_node("Where", ["over", "none", "one"], ["times"]),
        helper.make_node("Mul", ["within", "times"], [place]),
    ]
    nodes = [*changed.graph.node[:at], *added, *changed.graph.node[at:]]
    del changed.graph.node[:]
    changed.graph.node.extend(nodes)
    session = ort.InferenceSession(changed.SerializeToString(), providers=["CPUExecutionProvider"])
    return {n: session.run(None, {"images": x})[0] for n, x in inputs.items()}


def test_the_references_own_backend_is_the_odd_one(tmp_path):
    right, wrong = pooled(tmp_path / "a.onnx"), pooled(tmp_path / "b.onnx", pads=[2] * 4)
    reference = way(wrong, SPEC, judge=opened(right, 1))
    session, inputs = outputs_of(right, reference)

    assert named(reference, {n: session.run(None, {"images": x})[0] for n, x in inputs.items()}, inputs) == (
        "backend-wrong",
    )


def in_batches(reference, run, batch, runner):
    """A run of one image at a time that is a row of a batch of others."""
    filled = [runner.at(reference, i, "input").value for i in range(batch - 1)]
    return lambda feeds: [np.array(o[:1]) for o in run({"images": np.concatenate([feeds["images"][:1], *filled])})]


def test_the_references_floor(tmp_path):
    path = pooled(tmp_path / "a.onnx")
    reference = way(path, SPEC)
    encoded = list(demo_images().values())
    runner = Runner(lambda i: encoded[i])
    same = [
        ("built anew", lambda: opened(path, 1)),
        ("batch 3", lambda: in_batches(reference, opened(path, 3), 3, runner)),
    ]

    floor = measured(reference, runner, range(4), same)

    assert floor.what == ("built anew", "batch 3")
    assert max(floor.outputs) < 1e-5
    assert floor.tolerances("fp32", same_runtime=True)[0].atol == pytest.approx(1e-5)
    assert floor.tolerances("fp32", same_runtime=False)[0].atol == pytest.approx(1e-3)


def test_the_floor_of_a_model_that_mixes_rows_is_no_yardstick(tmp_path):
    path = batch_normalised(tmp_path / "a.onnx")
    reference = way(path, SPEC)
    encoded = list(demo_images().values())
    runner = Runner(lambda i: encoded[i])

    floor = measured(
        reference,
        runner,
        range(4),
        [("batch 3", lambda: in_batches(reference, opened(path, 3), 3, runner))],
    )

    assert floor.outputs[0] > 0.01
    assert floor.tolerances("fp32", same_runtime=True)[0].atol == pytest.approx(1e-3)
