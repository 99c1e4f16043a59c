"""Cells against their reference by raw outputs: real models with a known fault, and scripted ones around them."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from seatrial.cells.matrix import expand
from seatrial.cells.preflight import preflight
from seatrial.cells.prepare import bare_record, measure_task
from seatrial.errors import ExitCode
from seatrial.gate.verdict import judge, overall
from seatrial.history.records import Accuracy, Floor, Measured, ParityResult
from seatrial.history.run_folder import RunFolder
from seatrial.model.file import inspect_model
from seatrial.parity.floor import save_floors
from seatrial.parity.specials import as_array, signature
from seatrial.parity.tensors import compare_tensors
from seatrial.pipeline.results import ResultsWriter
from seatrial.precision import Calibration, variant
from seatrial.trial.agreement import Comparer
from seatrial.trial.run import run_trial
from seatrial.trial.tensor_parity import _other_shapes

CLASSES, ANCHORS, SIDE = 5, 64, 8
DETECT = "{task: detect, format: yolov8, confidence: 0.25}"


def save_results(path, results, raw, signatures):
    with ResultsWriter(path) as writer:
        for result in results:
            writer.add(result)
        for outputs in raw:
            writer.add_raw(outputs)
        writer.add_specials(signatures)


def head(path, scores=1.0, boxes=1.0, pooled_scale=False):
    """A yolov8 head over an 8 × 8 image: boxes in pixels of 640, scores by a sigmoid; factors break one of the two.

    pooled_scale: one 8-bit scale for both, as quantising the joint tensor makes.
    """
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(n, 3, 3, 3)).astype(np.float32) for n in (4, CLASSES)]
    weights[1] *= 6
    values = {
        "wb": weights[0], "ws": weights[1], "scale": np.float32(300 * boxes), "middle": np.float32(320 * boxes),
        "factor": np.float32(scores), "flat": np.array([0, -1, ANCHORS], np.int64),
        "step": np.float32(1280 / 255), "zero": np.array(64, np.uint8),
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "wb"], ["b0"], pads=[1] * 4), node("Tanh", ["b0"], ["b1"]), node("Mul", ["b1", "scale"], ["b2"]),
        node("Add", ["b2", "middle"], ["b3"]), node("Conv", ["x", "ws"], ["s0"], pads=[1] * 4), node("Sigmoid", ["s0"], ["s1"]),
        node("Mul", ["s1", "factor"], ["s2"]), node("Concat", ["b3", "s2"], ["joint"], axis=1),
    ]  # fmt: skip
    if pooled_scale:
        nodes += [
            node("QuantizeLinear", ["joint", "step", "zero"], ["q"]),
            node("DequantizeLinear", ["q", "step", "zero"], ["j"]),
        ]
    nodes.append(node("Reshape", ["j" if pooled_scale else "joint", "flat"], ["output0"]))
    save(path, nodes, values, ["batch", 4 + CLASSES, ANCHORS])


def conv(path, sign=1, channels=4, output="output0"):
    weights = np.random.default_rng(1).normal(size=(channels, 3, 3, 3)).astype(np.float32) * sign
    save(
        path,
        [helper.make_node("Conv", ["x", "w"], [output], pads=[1] * 4)],
        {"w": weights},
        ["batch", channels, SIDE, SIDE],
    )


def save(path, nodes, values, shape):
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in values.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))


IMAGES = [np.random.default_rng(i).random((1, 3, SIDE, SIDE), dtype=np.float32) for i in range(4)]


def outputs(path):
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return [[o[0] for o in session.run(None, {"x": x})] for x in IMAGES]


class Bench:
    """A trial whose cells' answers are put in place by hand, then compared and judged as any trial's are."""

    def __init__(self, workspace, pipelines, **parts):
        parts = {"matrix": "{backends: [onnxruntime-cpu], precisions: [fp32, int8]}"} | parts
        self.ready = preflight(workspace.load(pipelines=pipelines, **parts), False, lambda _: None)
        self.run = RunFolder(workspace.folder / "run")
        self.cells = [c for c in expand(self.ready.plan, self.ready.models, len(IMAGES), 64) if not c.skip]
        self.comparer = Comparer(self.ready, self.run, self.cells)
        self.order = sorted(self.cells, key=lambda c: (c.precision != "fp32", c.batch, c.pipeline != "baseline"))

    def judged(self, raw, results=None, specials=None, floors=None):
        """(decisions, records) where raw[cell id without pipeline and backend] or raw[pipeline] gives each cell's outputs."""
        for cell in self.cells:
            folder = self.run.work / cell.id
            folder.mkdir(parents=True)
            own = raw.get(f"{cell.pipeline} {cell.precision} b{cell.batch}", raw.get(cell.pipeline))
            given = (results or {}).get(cell.pipeline, [None] * len(own))
            signatures = as_array([[signature(o) for o in row] for row in (specials or {}).get(cell.pipeline, own)])
            save_results(folder / "results.npz", given, own, signatures)
            save_floors(folder, floors or [])
        records = [self.comparer.compare(c).put_into(bare_record(c)) for c in self.order]
        plan = self.ready.plan.plan
        return judge(plan, records, lambda *_: np.zeros(0)), {r.id: r for r in records}


def one(name, task="{task: raw}"):
    return f"\n  baseline:\n    model: {name}\n    preprocess: {{size: [8, 8], mode: stretch}}\n    postprocess: {task}"


def two(name, other, task="{task: raw}", **changes):
    return one(name, task) + f"\n  candidate: {{extends: baseline, model: {other}}}"


def only(decisions, check):
    found = [d for d in decisions if d.check == check]
    assert len(found) == 1, decisions
    return found[0]


FAULTS = {
    "sound": ({}, "PASS", 0),
    "scores zero": ({"scores": 0.0}, "FAIL", 40),
    "scores negative": ({"scores": -1.0}, "FAIL", 40),
    "boxes zero": ({"boxes": 0.0}, "FAIL", 0),
    "one scale for all": ({"pooled_scale": True}, "FAIL", 40),
}


@pytest.mark.parametrize("task", ["detect", "raw"])
@pytest.mark.parametrize("fault", FAULTS)
def test_an_int8_detector_is_judged_by_its_parts(workspace, fault, task):
    """Pooled, the pixels hide destroyed scores: some 50 dB and a cosine of 1."""
    change, verdict, pooled_db = FAULTS[fault]
    head(workspace.folder / "head.onnx")
    head(workspace.folder / "int8.onnx", **change)
    sound, broken = outputs(workspace.folder / "head.onnx"), outputs(workspace.folder / "int8.onnx")
    bench = Bench(workspace, one("head.onnx", f"{{task: {task}, format: yolov8}}"))
    decisions, _ = bench.judged({"baseline fp32 b1": sound, "baseline int8 b1": broken})
    assert only(decisions, "parity SQNR").verdict == verdict, decisions
    (pooled,) = compare_tensors(["y"], sound, broken, None)
    assert pooled.sqnr_db is None or pooled.sqnr_db >= pooled_db


def test_a_sound_int8_model_passes_and_its_negative_fails(workspace):
    path, cache = workspace.folder / "conv.onnx", workspace.folder / "cache"
    conv(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEATRIAL_CACHE", str(cache))
        int8 = variant(inspect_model(path), "int8", Calibration(lambda: iter([{"x": x} for x in IMAGES]), "d"))
    plan = one("conv.onnx")
    sound, quantised = outputs(path), outputs(int8)
    found = only(
        Bench(workspace, plan).judged({"baseline fp32 b1": sound, "baseline int8 b1": quantised})[0], "parity SQNR"
    )
    assert found.verdict == "PASS"
    assert found.value > 30
    assert "limit: the default for int8" in found.reason


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda o: -o, "FAIL"),
        (lambda o: o * 0, "FAIL"),
        (lambda o: o * 1.2, "INCONCLUSIVE"),
        (lambda o: o * 1.01, "PASS"),
    ],
)
def test_a_raw_task_in_int8_is_judged(workspace, change, verdict):
    conv(workspace.folder / "conv.onnx")
    sound = outputs(workspace.folder / "conv.onnx")
    raw = {"baseline fp32 b1": sound, "baseline int8 b1": [[change(o) for o in row] for row in sound]}
    assert only(Bench(workspace, one("conv.onnx")).judged(raw)[0], "parity SQNR").verdict == verdict


@pytest.mark.parametrize(
    ("candidate", "parity", "verdict", "said"),
    [
        ({}, "{}", "PASS", "identical"),
        ({"output": "renamed"}, "{}", "PASS", "identical"),
        ({"sign": -1}, "{}", "INCONCLUSIVE", "-6.0 dB, cosine -1.0000; below the 40 dB of the same outputs; nothing says whose"),
        ({"sign": -1}, "{sqnr: 20 dB}", "FAIL", "below 20 dB; limit: the plan's"),
        ({"sign": -1}, "{cosine: 0.5}", "FAIL", "cosine below 0.5"),
        ({"sign": 1.05}, "{sqnr: 20 dB, cosine: 0.99}", "PASS", "26.0 dB"),
        ({"channels": 5}, "{}", "INCONCLUSIVE", "nothing in common to compare: raw outputs cannot be compared (output output0: expected shape (4, 8, 8)"),
        ({"channels": 5}, "{sqnr: 20 dB}", "INCONCLUSIVE", "nothing in common to compare"),
    ],
)  # fmt: skip
def test_another_pipelines_raw_outputs_never_pass_unseen(workspace, candidate, parity, verdict, said):
    for name, fields in (("old.onnx", {}), ("new.onnx", candidate)):
        conv(workspace.folder / name, **fields)
    raw = {"baseline": outputs(workspace.folder / "old.onnx"), "candidate": outputs(workspace.folder / "new.onnx")}
    bench = Bench(workspace, two("old.onnx", "new.onnx"), parity=parity, matrix="{backends: [onnxruntime-cpu]}")
    found = only(bench.judged(raw)[0], "agreement with baseline")
    assert (found.verdict, said in found.reason) == (verdict, True), found.reason


def test_raw_against_decoded_has_nothing_in_common(workspace):
    conv(workspace.folder / "conv.onnx")
    raw = outputs(workspace.folder / "conv.onnx")
    from seatrial import Classification

    results = {"candidate": [Classification(np.array([1]), np.array([0.5], np.float32))] * len(raw)}
    bench = Bench(workspace, two("conv.onnx", "conv.onnx"), matrix="{backends: [onnxruntime-cpu]}")
    found = only(bench.judged({"baseline": raw, "candidate": raw}, results)[0], "agreement with baseline")
    # One side's None is a disagreement on every image.
    assert (found.verdict, found.value) == ("INCONCLUSIVE", 0)
    assert "4 images with a result on one side only, first 0.png" in found.reason


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ([[np.zeros(0)]] * 4, "no output holds numbers"),
        ([[np.zeros((2, 2))]] * 2 + [[np.zeros((3, 2))]] * 2, "expected shape"),
    ],
)
def test_a_cell_of_which_nothing_can_be_compared_is_not_passed(workspace, raw, said):
    conv(workspace.folder / "conv.onnx")
    bench = Bench(workspace, one("conv.onnx"))
    decisions, _ = bench.judged({"baseline fp32 b1": raw, "baseline int8 b1": raw[::-1]})
    found = only(decisions, "parity")
    assert (found.verdict, said in found.reason) == ("INCONCLUSIVE", True), found.reason
    assert overall(decisions) == "INCONCLUSIVE"


def batches(workspace, floors=(), **kinds):
    """A trial of batches 1 and 2 on one runtime, whose second cell is off by `kinds`' change."""
    conv(workspace.folder / "conv.onnx")
    sound = outputs(workspace.folder / "conv.onnx")
    bench = Bench(workspace, one("conv.onnx"), matrix="{backends: [onnxruntime-cpu], batch_sizes: [1, 2]}")
    other = [[kinds["change"](o) for o in row] for row in sound]
    decisions, records = bench.judged({"baseline fp32 b1": sound, "baseline fp32 b2": other}, floors=floors)
    (record,) = (r for r in records.values() if r.batch == 2)
    return only(decisions, "parity tensors"), record.parity


@pytest.mark.parametrize(
    ("change", "verdict", "source"),
    [
        (lambda o: np.nextafter(o, np.float32(9)), "PASS", "the table's for the same runtime"),
        (lambda o: o + 5e-6, "PASS", "the table's for the same runtime"),
        (lambda o: o + 2e-4, "PASS", "3 × the floor (batch 2, 1 thread: 0.0002, at most rtol 0.001, atol 0.001)"),
        (lambda o: o + 0.02, "FAIL", "3 × the floor"),
    ],
)
def test_the_same_runtime_is_held_to_its_own_table_and_floor(workspace, change, verdict, source):
    found, parity = batches(workspace, change=change)
    assert (found.verdict, parity.rtol, parity.atol) == (verdict, 1.3e-6, 1e-5)
    assert source in found.reason


@pytest.mark.parametrize(("off", "verdict"), [(0.01, "PASS"), (1e-5, "FAIL")])
def test_a_reference_that_moves_by_itself_widens_the_tolerance(workspace, off, verdict):
    row = compare_tensors(["output0"], [[np.zeros(1)]], [[np.full(1, off)]], None)
    floor = Floor(what="built anew", rebuilt=True, tensors=tuple(row))
    found, parity = batches(workspace, [floor], change=lambda o: o + 0.02)
    assert found.verdict == verdict
    assert parity.floor == (floor,)
    assert f"built anew: {off:.2g}" in found.reason


def test_a_floor_that_could_not_be_measured_is_said(workspace):
    floor = Floor(what="built anew", rebuilt=True, problem="CellError: out of memory")
    found, parity = batches(workspace, [floor], change=lambda o: o)
    assert found.verdict == "PASS"
    assert "the floor at built anew was not measured: CellError: out of memory" in found.reason
    assert parity.floor == (floor,)


def test_nan_and_infinity_are_looked_for_on_all_images_not_on_the_first_few(workspace):
    conv(workspace.folder / "conv.onnx")
    sound = outputs(workspace.folder / "conv.onnx")
    bench = Bench(
        workspace, one("conv.onnx"), parity="{images: 2}", matrix="{backends: [onnxruntime-cpu], batch_sizes: [1, 2]}"
    )
    broken = [*sound[:3], [np.where(np.arange(SIDE) == 3, np.inf, o) for o in sound[3]]]
    folders = {c.batch: bench.run.work / c.id for c in bench.cells}
    for batch, rows in ((1, sound), (2, broken)):
        folders[batch].mkdir(parents=True)
        kept = [[np.nan_to_num(o, posinf=0) for o in row] for row in rows[:2]]
        save_results(
            folders[batch] / "results.npz", [None] * 4, kept, as_array([[signature(o) for o in row] for row in rows])
        )
    records = [bench.comparer.compare(c).put_into(bare_record(c)) for c in bench.order]
    found = only(judge(bench.ready.plan.plan, records, lambda *_: np.zeros(0)), "parity tensors")
    assert found.verdict == "FAIL"
    assert "NaN or infinity on one side only in 1 image(s), first 3.png (output output0)" in found.reason


def test_a_reference_cell_is_run_again_and_nobody_else_is(workspace):
    many = workspace.load(
        pipelines=one("model.fake.json"), matrix="{backends: [fake], batch_sizes: [2, 1], threads: [1]}"
    )
    ready = preflight(many, False, lambda _: None)
    cells = expand(many, ready.models, 4, 64)
    floors = {c.batch: list(measure_task(ready, c, ready.models["baseline"].path).floor) for c in cells}
    assert floors == {2: [(2, 1), (1, 1)], 1: []}


STAGE = """
import numpy as np
from seatrial import Classification
def post(outputs, sizes):
    rows = outputs['y']
    return [None if r[0] > 0.75 else Classification(np.array([int(r.argmax())]), np.array([1.0], np.float32)) for r in rows]
"""


def test_a_users_none_is_a_disagreement_and_not_the_end_of_the_check(workspace):
    (workspace.folder / "nones.py").write_text(STAGE)
    plan = one("model.fake.json", "{task: classify}") + (
        "\n  candidate:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n"
        "    postprocess: {python: 'nones:post'}"
    )
    outcome = run_trial(workspace.load(pipelines=plan), workspace.folder / "results", allow_code=True)
    found = next(d for d in outcome.record.decisions if d.check == "agreement with baseline")
    assert (found.verdict, found.value) == ("INCONCLUSIVE", 0.75)
    assert "1 image with a result on one side only, first 2.png" in found.reason


def test_a_trial_measures_its_floor_and_records_it(workspace):
    workspace.script("model.fake.json", outputs={"y": {"shape": ["batch", 3], "values": "channel_mean"}})
    plan = workspace.load(
        pipelines=one("model.fake.json"), matrix="{backends: [fake], batch_sizes: [2, 1]}", parity="{images: 3}"
    )
    outcome = run_trial(plan, workspace.folder / "results")
    (compared,) = (c.parity for c in outcome.record.cells if c.parity)
    assert [(f.what, f.rebuilt, f.problem) for f in compared.floor] == [
        ("built anew", True, ""),
        ("batch 1", False, ""),
    ]
    assert [t.max_abs for f in compared.floor for t in f.tensors] == [0, 0]
    assert [t.elements for f in compared.floor for t in f.tensors] == [9, 9]
    assert compared.tolerance_from == "the table's for the same runtime"
    assert outcome.exit_code == ExitCode.PASS


def test_a_comparison_that_fails_takes_nothing_from_the_record(workspace):
    """As when a trial is carried on whose kept results were damaged meanwhile."""
    conv(workspace.folder / "m.onnx")
    b = Bench(workspace, one("m.onnx"))
    cell = b.cells[0]
    folder = b.run.work / cell.id
    folder.mkdir(parents=True)
    (folder / "results.npz").write_bytes(b"PK")
    accuracy = Accuracy(metric="top1", value=Measured(value=0.9, unit="fraction"))
    record = bare_record(
        cell, seen="3 boxes", accuracy=accuracy, across=ParityResult(reference="r", rtol=None, atol=None)
    )
    found = b.comparer.compare(cell).put_into(record)
    assert (found.seen, found.accuracy, found.across) == ("3 boxes", accuracy, None)
    assert found.parity.note


@pytest.mark.parametrize(
    ("reference", "cell", "other"),
    [
        ([(9, 2100)] * 3, [(9, 1050)] * 3, True),
        ([(9, 2100)] * 3, [(9, 2100)] * 3, False),
        # A list of objects is as long as there are some.
        ([(5, 6), (7, 6)], [(5, 6), (6, 6)], False),
        ([(5, 6), (7, 6)], [(7, 6), (7, 6)], False),
        ([(5, 6)], [(4, 6)], False),
    ],
)
def test_shapes_that_no_picture_explains(reference, cell, other):
    sides = [[[np.zeros(shape)] for shape in side] for side in (reference, cell)]
    assert _other_shapes(*sides) is other
