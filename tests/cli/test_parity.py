"""seatrial parity as users call it: on the demo's detector, its own code, taps, and what is no answer at all."""

import importlib
import json
import shutil
import sys

import numpy as np
import onnx
import pytest

from seatrial.demo import PLAN
from seatrial.history.records.diagnosis import ParityRecord

DEMO = PLAN.parent
SCENES = [f"scene-{k:02d}.jpg" for k in (0, 1, 5, 6, 12, 13, 14, 21)]
TEXT = f"""version: 1
images: {{path: images}}
pipelines:
  baseline:
    model: {DEMO}/models/seamarks-v1.onnx
    preprocess: {{mode: letterbox, size: [320, 320], color: rgb, scale: 1/255}}
    postprocess: {{task: detect, format: yolov8, confidence: 0.25, iou: 0.45}}
  candidate:
    extends: baseline
    CHANGED
matrix: {{backends: [onnxruntime-cpu, openvino-cpu]}}
"""
# As someone would write it who never heard of the plan.
SERVICE = f"""
import os
import signal
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
import seatrial

session = onnxruntime.InferenceSession({str(DEMO / "models" / "seamarks-v1.onnx")!r})
decoder = seatrial.DetectionDecoder(format="yolov8")
COLOUR = cv2.COLOR_BGR2RGB


def predict(path):
    image = cv2.imread(path)
    height, width = image.shape[:2]
    ratio = min(320 / height, 320 / width)
    size = round(width * ratio), round(height * ratio)
    left, top = (320 - size[0]) // 2, (320 - size[1]) // 2
    canvas = np.full((320, 320, 3), 114, np.uint8)
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    if COLOUR is not None:
        canvas = cv2.cvtColor(canvas, COLOUR)
    tensor = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
    head = session.run(None, {{session.get_inputs()[0].name: tensor}})[0]
    return decoder([head], [seatrial.Preprocess(size=(320, 320)).geometry((height, width))])[0]


def broken(path):
    if path.endswith("scene-06.jpg"):
        raise KeyError("no such class")
    return predict(path)


def ending(how):
    def function(path):
        if path.endswith("scene-06.jpg"):
            how()
        return seatrial.Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))

    return function


def interrupted():
    raise KeyboardInterrupt


exits = ending(lambda: sys.exit(3))
ends = ending(lambda: os._exit(3))
crashes = ending(lambda: os.kill(os.getpid(), signal.SIGSEGV))
interrupts = ending(interrupted)


def no_result(path):
    return [1, 2]
"""


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "images").mkdir()
    for name in SCENES:
        shutil.copy(DEMO / "images" / name, tmp_path / "images")
    (tmp_path / "service.py").write_text(SERVICE)
    return tmp_path


def write_plan(desk, changed):
    (desk / "trial.yaml").write_text(TEXT.replace("CHANGED", changed))


def record_of(desk) -> ParityRecord:
    return ParityRecord.model_validate_json((desk / "out.json").read_text())


@pytest.mark.slow
def test_four_mistakes_of_a_plan_are_named_where_each_is_made(seatrial_cli, desk):
    write_plan(
        desk,
        "preprocess: {color: bgr, interpolation: area}\n    decode: {exif: ignore}\n    postprocess: {iou: 0.9}",
    )
    done = seatrial_cli("parity", "trial.yaml", "--json", "out.json")
    assert done.returncode == 1, done.stderr
    found = record_of(desk)
    assert [(d.fault, d.stage, d.exact) for d in found.diagnosis] == [
        ("exif", "decoded", True),
        ("interpolation", "resized", True),
        ("channel-order", "input", True),
        ("nms-settings", "results", True),
    ]
    assert found.verdict == "DIFFER"
    assert found.first_divergence.stage == "decoded"
    # Three of these scenes are turned by EXIF.
    assert (found.first_divergence.images, found.first_divergence.of) == (3, len(SCENES))
    assert found.diagnosis[2].at == "trial.yaml:6: pipelines.baseline.preprocess.color: rgb"
    assert "preprocess.color: rgb against bgr" in found.declared
    assert "channel-order  the candidate feeds BGR" in done.stdout
    page = next(desk.glob("results/*/*/report.html"))
    assert "the candidate feeds BGR" in page.read_text()
    assert json.loads(next(desk.glob("results/*/*/parity.json")).read_text())["schema"] == "seatrial.parity/1"


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [
        ("baseline", "baseline.openvino-cpu.b4"),
        pytest.param("baseline.b4", "baseline.openvino-cpu", marks=pytest.mark.slow),
    ],
)
def test_the_same_pipeline_on_another_runtime_and_batch_is_equal(seatrial_cli, desk, reference, candidate):
    write_plan(desk, "input: null")
    words = ("--reference", reference, "--candidate", candidate, "--json", "out.json")
    done = seatrial_cli("parity", "trial.yaml", *words)
    assert (done.returncode, done.stderr) == (0, "")
    found = record_of(desk)
    assert (found.verdict, found.diagnosis, found.first_divergence) == ("EQUAL", (), None)
    assert [s.stage for s in found.stages] == ["decoded", "resized", "input", "outputs", "candidates", "results"]
    assert found.stages[3].value > 0, "another runtime rounds otherwise: that is seen, and is no difference"


@pytest.mark.parametrize(
    ("colour", "code", "faults"),
    [pytest.param("None", 1, ["channel-order"], marks=pytest.mark.slow), ("cv2.COLOR_BGR2RGB", 0, [])],
)
def test_a_black_box_is_judged_by_its_answers(seatrial_cli, desk, colour, code, faults):
    write_plan(desk, "input: null")
    (desk / "service.py").write_text(SERVICE.replace("COLOUR = cv2.COLOR_BGR2RGB", f"COLOUR = {colour}"))
    done = seatrial_cli("parity", "trial.yaml", "--candidate", "service:predict", "--allow-code", "--json", "out.json")
    assert done.returncode == code, done.stderr + done.stdout
    assert [d.fault for d in record_of(desk).diagnosis] == faults


ANSWER = "return decoder([head], [seatrial.Preprocess(size=(320, 320)).geometry((height, width))])[0]"


@pytest.mark.slow
@pytest.mark.parametrize(
    "published",
    [
        "seatrial.Detections(*(np.repeat(x, 2, axis=0) for x in (b, s, c)))",
        "seatrial.Detections(b + (b[:, [2, 3, 0, 1]] - b) * np.float32(-0.01), s, c)",
        "seatrial.Detections(b, s - np.float32(0.004), c)",
    ],
)
def test_what_is_small_and_the_same_on_every_image_is_not_rounding(seatrial_cli, desk, published):
    """Each box twice, all boxes 2 % larger, all scores lower by 0.004: no known mistake, and not equal either."""
    write_plan(desk, "input: null")
    found = ANSWER.replace("return", "found =")
    code = f"{found}\n    b, s, c = found.boxes_xyxy, found.scores, found.class_ids\n    return {published}"
    (desk / "service.py").write_text(SERVICE.replace(ANSWER, code))
    done = seatrial_cli("parity", "trial.yaml", "--candidate", "service:predict", "--allow-code", "--json", "out.json")
    assert done.returncode == 1, done.stderr + done.stdout


@pytest.mark.slow
def test_final_answers_in_a_file_are_enough(seatrial_cli, desk, monkeypatch):
    """What a service logged: COCO results, one box off its class by one."""
    write_plan(desk, "input: null")
    monkeypatch.syspath_prepend(desk)
    module = importlib.import_module("service")
    monkeypatch.delitem(sys.modules, "service")
    rows = []
    for name in SCENES:
        found = module.predict(str(desk / "images" / name))
        for (x1, y1, x2, y2), score, k in zip(
            found.boxes_xyxy.tolist(), found.scores.tolist(), found.class_ids.tolist(), strict=True
        ):
            box = [x1, y1, x2 - x1, y2 - y1]
            rows.append({"image_id": name, "category_id": k + 1, "bbox": box, "score": score})
    (desk / "answers.json").write_text(json.dumps(rows))
    done = seatrial_cli("parity", "trial.yaml", "--answers", "answers.json", "--json", "out.json")
    assert done.returncode == 1, done.stderr
    assert [(d.fault, d.what) for d in record_of(desk).diagnosis] == [("label-offset", "counts classes +1")]


def test_code_that_raises_is_named_with_its_image_and_its_line(seatrial_cli, desk):
    write_plan(desk, "input: null")
    done = seatrial_cli("parity", "trial.yaml", "--candidate", "service:broken", "--allow-code")
    assert done.returncode == 4
    said = " ".join(done.stderr.split())
    assert "service:broken: raised KeyError on image scene-06.jpg: 'no such class'" in said
    assert "in broken: raise KeyError" in said


def test_code_runs_only_where_it_may(seatrial_cli, desk):
    write_plan(desk, "input: null")
    done = seatrial_cli("parity", "trial.yaml", "--candidate", "service:predict")
    assert done.returncode == 4
    assert "--allow-code" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--candidate", "candidat"], 4, "no pipeline is called 'candidat' (did you mean 'candidate'?)"),
        (["--candidate", "baseline.tensorrt"], 4, "'tensorrt' is no backend of the plan's matrix and no precision"),
        (["--taps", "t", "--answers", "a.json"], 2, "expected one candidate, got --taps and --answers"),
        (["--taps", "nowhere"], 4, "nowhere: no such folder; expected a folder of taps"),
        (["--images", "nowhere"], 4, "nowhere: no such picture or folder of pictures"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_one_line(seatrial_cli, desk, words, code, said):
    write_plan(desk, "input: null")
    done = seatrial_cli("parity", "trial.yaml", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in " ".join(done.stderr.split())


@pytest.mark.slow
def test_taps_of_other_files_are_refused_and_missing_images_are_said(seatrial_cli, desk):
    write_plan(desk, "preprocess: {color: bgr}")
    assert seatrial_cli("tap", "trial.yaml", "--pipeline", "candidate", "--out", "taps").returncode == 0
    (desk / "images" / SCENES[0]).unlink()
    done = seatrial_cli("parity", "trial.yaml", "--taps", "taps", "--json", "out.json")
    assert done.returncode == 1, done.stderr
    found = record_of(desk)
    assert [d.fault for d in found.diagnosis] == ["channel-order"]
    (alone,) = (w for w in found.warnings if w.code == "one-sided-images")
    assert alone.text == f"1 image of the candidate left out, which the plan does not have: {SCENES[0]}"
    shutil.copy(DEMO / "images" / SCENES[1], desk / "images" / SCENES[0])
    done = seatrial_cli("parity", "trial.yaml", "--taps", "taps")
    assert done.returncode == 4
    assert f"1 image of the taps was made of another file than the plan's of that name ({SCENES[0]})" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("exits", "service:exits: raised SystemExit on image scene-06.jpg: 3"),
        ("ends", "service:ends on scene-06.jpg: ended with exit status 3"),
        ("crashes", "service:crashes on scene-06.jpg: crashed with SIGSEGV"),
        ("interrupts", "service:interrupts: raised KeyboardInterrupt on image scene-06.jpg"),
        ("no_result", "service:no_result, on image scene-00.jpg, gave a list"),
    ],
)
def test_code_that_ends_its_process_differs_from_nobody(seatrial_cli, desk, function, said):
    """1 would say that they differ."""
    write_plan(desk, "input: null")
    done = seatrial_cli("parity", "trial.yaml", "--candidate", f"service:{function}", "--allow-code")
    assert done.returncode == 4, done.stderr
    assert said in " ".join(done.stderr.split())


def test_few_images_are_not_enough_to_call_anything_equal(seatrial_cli, desk):
    write_plan(desk, "input: null")
    (desk / "few").mkdir()
    for name in SCENES[:3]:
        shutil.copy(desk / "images" / name, desk / "few")
    done = seatrial_cli("parity", "trial.yaml", "--images", "few", "--json", "out.json")
    assert done.returncode == 3
    assert record_of(desk).reason == "nothing differs on 3 images; expected at least 4 to call that equal"


def test_a_detector_that_finds_nothing_on_either_side_is_no_proof(seatrial_cli, desk):
    write_plan(desk, "input: null")
    (desk / "dark").mkdir()
    import cv2

    for k in range(6):
        cv2.imwrite(str(desk / "dark" / f"{k}.png"), np.full((64, 64 + k, 3), 5, np.uint8))
    done = seatrial_cli(
        "parity", "trial.yaml", "--candidate", "service:predict", "--allow-code", "--images", "dark", "--json", "out.json"
    )  # fmt: skip
    assert done.returncode == 3, done.stdout
    assert "no image has a result on either side" in record_of(desk).reason


@pytest.mark.slow
def test_where_raw_outputs_differ_the_node_is_named(seatrial_cli, desk):
    proto = onnx.load(DEMO / "models" / "seamarks-v1.onnx")
    wrong = [n for n in proto.graph.node if n.op_type == "Relu"][3]
    wrong.op_type = "LeakyRelu"
    onnx.save(proto, desk / "wrong.onnx")
    write_plan(desk, "model: wrong.onnx")
    done = seatrial_cli("parity", "trial.yaml", "--json", "out.json")
    assert done.returncode == 1, done.stderr
    found = record_of(desk)
    assert found.first_divergence.stage == "outputs"
    assert [j.node for j in found.inside.jumps] == [wrong.name]
    assert found.inside.images == 4
    said = " ".join(done.stdout.split())
    assert f"first at Relu {wrong.name} (LeakyRelu in B)" in said
    page = next(desk.glob("results/*/*/report.html")).read_text()
    assert "<svg" in page
    assert len(page) < 2_000_000
    listed = seatrial_cli("results")
    assert listed.returncode == 0
    assert "candidate against baseline" in listed.stdout


@pytest.mark.slow
def test_what_no_mistake_explains_is_described(seatrial_cli, desk):
    write_plan(desk, "input: null")
    assert seatrial_cli("tap", "write", "trial.yaml", "--pipeline", "baseline", "--out", "taps").returncode == 0
    manifest = json.loads((desk / "taps" / "taps.json").read_text())
    (desk / "taps" / "taps.json").write_text(json.dumps(manifest | {"stages": ["decoded", "resized", "input"]}))
    for image in manifest["images"]:
        arrays = dict(np.load(desk / "taps" / image["file"]))
        arrays["input"] = arrays["input"] ** np.float32(0.8)
        np.savez(desk / "taps" / image["file"], **arrays)
    done = seatrial_cli("parity", "trial.yaml", "--reference", "baseline", "--taps", "taps", "--json", "out.json")
    found = record_of(desk)
    assert (found.verdict, found.diagnosis) == ("DIFFER", ())
    assert found.first_divergence.shape.startswith("a curve of the values, such as gamma, explains 9")
    assert 0 < found.first_divergence.largest < 0.2
    assert "looks like this: a curve of the values" in " ".join(done.stdout.split())
