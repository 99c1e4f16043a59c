"""What goes wrong at users' desks: one clear message with path and cure, the right exit code, no traceback."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import seatrial.demo

DEMO = Path(seatrial.demo.__file__).parent
MODEL = DEMO / "models" / "seamarks-v1.onnx"
PHOTO = DEMO / "images" / "scene-00.jpg"


def jpeg_cut_short(path):
    path.write_bytes(PHOTO.read_bytes()[: PHOTO.stat().st_size // 2])


def jpeg_scrambled(path):
    data = bytearray(PHOTO.read_bytes())
    data[5000:9000] = np.random.default_rng(0).bytes(4000).replace(b"\xff", b"\x00")
    path.write_bytes(data)


def cmyk(path):
    Image.new("CMYK", (32, 32), (10, 20, 30, 40)).save(path)


BAD_IMAGES = [
    ("cut.jpg", jpeg_cut_short, "the image is cut short"),
    ("scrambled.jpg", jpeg_scrambled, "corrupt"),
    ("empty.png", lambda p: p.write_bytes(b""), "the file is empty (0 bytes)"),
    ("cmyk.jpg", cmyk, "CMYK JPEG"),
    ("notes.jpg", lambda p: p.write_text("dear diary"), "not an image; it looks like a text file"),
    ("noise.png", lambda p: p.write_bytes(b"\x00\x93\xfe" * 99), "not an image"),
]


def told(done, code, *words):
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    return done


@pytest.mark.parametrize(("name", "make", "said"), BAD_IMAGES, ids=[b[0] for b in BAD_IMAGES])
def test_a_bad_image(workspace, seatrial_cli, name, make, said):
    make(workspace.folder / "images" / name)
    told(seatrial_cli("run", workspace.plan()), 4, f"images/{name}", said)


def test_all_bad_images_are_named_at_once(workspace, seatrial_cli):
    for name, make, _ in BAD_IMAGES:
        make(workspace.folder / "images" / name)
    told(seatrial_cli("run", workspace.plan()), 4, *(b[0] for b in BAD_IMAGES))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1)])
def test_extreme_images_run_and_leave_a_warning(workspace, seatrial_cli, size):
    workspace.image("extreme.png", np.full((*size, 3), 127, np.uint8))
    plan = workspace.plan(
        pipelines="\n  only:\n    model: model.fake.json\n    preprocess: {size: [8, 8]}\n    postprocess: {task: classify}",
        parity="",
    )
    done = seatrial_cli("run", plan, "--json", "out.json")
    assert done.returncode == 0, done.stderr
    text = (workspace.folder / "out.json").read_text()
    assert ("little of it is left" in text) == (max(size) > 1)
    assert ("warning: pipeline only reduces 1 image so far" in done.stdout) == (max(size) > 1)


def test_an_image_that_cannot_be_fitted(workspace, seatrial_cli):
    workspace.image("long.png", np.zeros((20000, 1, 3), np.uint8))
    plan = workspace.plan()
    plan.write_text(plan.read_text().replace("mode: stretch", "mode: resize_center_crop, resize_short: 256"))
    told(seatrial_cli("run", plan), 4, "images/long.png", "use mode 'letterbox' or leave the image out")


def test_a_missing_folder_and_an_empty_one(workspace, seatrial_cli):
    told(seatrial_cli("run", workspace.plan(images="{path: nowhere}")), 4, "nowhere: no such folder of images")
    (workspace.folder / "bare").mkdir()
    told(seatrial_cli("run", workspace.plan(images="{path: bare}")), 4, "bare: no images in this folder")


def test_a_model_cut_short(workspace, seatrial_cli):
    broken = workspace.folder / "cut.onnx"
    broken.write_bytes((DEMO / "models" / "seamarks-v1.onnx").read_bytes()[:100_000])
    plan = workspace.plan()
    plan.write_text(plan.read_text().replace("model.fake.json", "cut.onnx").replace("[fake]", "[onnxruntime-cpu]"))
    for call in (("run", plan), ("bench", broken), ("init", broken, "--output", "x.yaml")):
        told(seatrial_cli(*call), 4, "cut.onnx", "the file is cut short or is not ONNX")


def test_a_model_and_format_that_do_not_go_together_are_a_bad_plan(workspace, seatrial_cli):
    """What the model's file says of its outputs is enough: nothing runs."""
    plan = workspace.plan()
    plan.write_text(plan.read_text().replace("task: classify, top_k: 3", "task: segment"))
    done = seatrial_cli("run", plan)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "gives y float32[batch, 3]; use task: raw, or a Python postprocess" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("run", "--nonsense"),
        ("nonsense",),
        ("demo", "--break", "chanel-order"),
        ("bench", "m.onnx", "--backend", "onnx"),
        ("bench", "m.onnx", "--max-time", "soon"),
        ("bench", "m.onnx", "--max-time", "-1 s"),
        ("bench", "m.onnx", "--batch", "0"),
        ("bench", "m.onnx", "--shape", "x"),
    ],
)
def test_wrong_words(seatrial_cli, arguments):
    told(seatrial_cli(*arguments), 2)


def test_a_near_word_is_offered(seatrial_cli):
    told(seatrial_cli("demo", "--break", "chanel-order"), 2, "did you mean 'channel-order'")
    told(seatrial_cli("bench", "m.onnx", "--backend", "openvino"), 2, "did you mean 'openvino-cpu'")


def test_a_missing_backend_is_the_environment(workspace, seatrial_cli):
    plan = workspace.plan(matrix="{backends: [fake, onnxruntime-cuda]}")
    told(seatrial_cli("run", plan), 5, "backend onnxruntime-cuda", "pip install 'seatrial[gpu]'")
    told(
        seatrial_cli("bench", DEMO / "models" / "seamarks-v1.onnx", "--backend", "onnxruntime-cuda"),
        5,
        "CUDAExecutionProvider",
    )


def test_python_stages_need_leave(workspace, seatrial_cli):
    plan = workspace.plan()
    plan.write_text(plan.read_text().replace("{size: [8, 8], mode: stretch}", "{python: 'os:getcwd'}"))
    told(seatrial_cli("run", plan), 4, "--allow-code")
    done = seatrial_cli("run", plan, "--allow-code")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback(workspace, seatrial_cli):
    done = seatrial_cli("run", workspace.plan(images="{path: nowhere}"), "--debug")
    assert done.returncode == 4
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    "make",
    [
        lambda p: p.write_text("{}"),
        lambda p: p.write_text("not json"),
        lambda p: p.write_text('{"images": [], "annotations": [], "categories": []}'),
        lambda p: p.write_text('{"images": [{"id": 1}], "annotations": [], "categories": [{"id": 1, "name": "a"}]}'),
    ],
)
def test_malformed_annotations(workspace, seatrial_cli, make):
    make(workspace.folder / "truth.json")
    told(seatrial_cli("run", workspace.plan(images="{path: images, annotations: truth.json}")), 4, "truth.json")


@pytest.mark.slow
def test_unreadable_results_are_listed_not_fatal(workspace, seatrial_cli):
    assert seatrial_cli("run", workspace.plan()).returncode == 0
    record = next(workspace.folder.glob("results/*/*/record.json"))
    shutil.copytree(record.parent, record.parent.with_name("2020-01-01-damaged"))
    (record.parent.with_name("2020-01-01-damaged") / "record.json").write_text("{")
    done = seatrial_cli("results")
    assert done.returncode == 0
    assert "unreadable" in done.stdout
    assert "PASS" in done.stdout
    told(seatrial_cli("report", "damaged"), 5, "record.json: the file is damaged")


@pytest.mark.slow
def test_a_record_nested_too_deeply_is_a_damaged_one(workspace, seatrial_cli):
    assert seatrial_cli("run", workspace.plan(parity="")).returncode == 0
    record = next(workspace.folder.glob("results/*/*/record.json"))
    whole = record.read_text()
    (cell,) = list(record.parent.glob("cells/baseline*.json"))
    for path, content in (
        (record, "[" * 100_000),
        (record, whole.replace('"resolved": {', f'"resolved": {{"deep": {"[" * 970 + "]" * 970},', 1)),
        (cell, "[" * 100_000),
    ):
        record.write_text(whole)
        path.write_text(content)
        other = shutil.copytree(record.parent, record.parent.with_name("2020-01-01-damaged"), dirs_exist_ok=True)
        done = seatrial_cli("results")
        assert done.returncode == 0, done.stderr
        done = seatrial_cli("report", "damaged")
        assert done.returncode == 5, done.stderr
        assert str(other.relative_to(workspace.folder)) in done.stderr


def test_an_unwritable_results_folder(workspace, seatrial_cli):
    """/proc cannot be written to, not even by root."""
    told(seatrial_cli("run", workspace.plan(), "--results", "/proc/seatrial"), 5, "/proc/seatrial", "--results FOLDER")


def test_an_unwritable_json_file(workspace, seatrial_cli):
    told(seatrial_cli("run", workspace.plan(), "--json", "/proc/x.json"), 5, "--json /proc/x.json")
    assert not (workspace.folder / "results").exists(), "found out before the work, not after it"


@pytest.mark.slow
def test_a_picture_with_another_name_is_still_decoded_by_its_content(workspace, seatrial_cli):
    data = cv2.imencode(".png", np.full((9, 9, 3), 40, np.uint8))[1]
    (workspace.folder / "images" / "really-a-png.jpg").write_bytes(data.tobytes())
    assert seatrial_cli("run", workspace.plan()).returncode == 0


NO_UTF8 = os.fsdecode(b"b\xff")


def refused(done, code, *words):
    assert done.returncode == code, done.stderr
    for word in ("b\\udcff", "UTF-8", "rename", *words):
        assert word in done.stderr
    return True


def test_an_image_whose_name_is_no_utf8_is_told_before_anything_runs(workspace, seatrial_cli):
    shutil.copy(workspace.folder / "images" / "0.png", workspace.folder / "images" / f"{NO_UTF8}.png")
    assert refused(seatrial_cli("run", workspace.plan()), 4, "b\\udcff.png")


@pytest.mark.slow
def test_a_file_left_out_may_have_any_name(workspace, seatrial_cli):
    for name in (f"{NO_UTF8}.txt", f".{NO_UTF8}.png"):
        (workspace.folder / "images" / name).write_text("no image")
    (workspace.folder / "images" / NO_UTF8).symlink_to("nowhere")
    done = seatrial_cli("run", workspace.plan(parity=""))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("b\\udcff") == 3


@pytest.mark.slow
def test_a_plan_a_folder_and_results_whose_names_are_no_utf8(workspace, seatrial_cli):
    plan = workspace.plan(parity="")
    other = shutil.copy(plan, workspace.folder / f"{NO_UTF8}.yaml")
    assert refused(seatrial_cli("run", other), 4)
    assert refused(seatrial_cli("run", plan, "--results", NO_UTF8), 5, "--results")
    assert refused(seatrial_cli("run", plan, "--resume", "--results", NO_UTF8), 5, "--results")
    assert not (workspace.folder / NO_UTF8).exists()
    (workspace.folder / NO_UTF8).mkdir()
    shutil.copytree(workspace.folder / "images", workspace.folder / NO_UTF8 / "images")
    for path in (plan, workspace.folder / "model.fake.json"):
        shutil.copy(path, workspace.folder / NO_UTF8)
    assert refused(seatrial_cli("run", "trial.yaml", cwd=workspace.folder / NO_UTF8), 4)
    bench = ["bench", "model.fake.json", "--backend", "fake", "--max-time", "100ms"]
    assert refused(seatrial_cli(*bench, "--results", workspace.folder / "out", cwd=workspace.folder / NO_UTF8), 4)
    assert refused(seatrial_cli(*bench, "--results", NO_UTF8), 5)


@pytest.mark.slow
def test_results_that_were_given_such_a_name_later(workspace, seatrial_cli):
    assert seatrial_cli("run", workspace.plan(parity="")).returncode == 0
    (workspace.folder / "results").rename(workspace.folder / NO_UTF8)
    assert refused(seatrial_cli("report", "latest", "--results", NO_UTF8), 5)
    assert "PASS" in seatrial_cli("results", "--results", NO_UTF8).stdout


def test_init_asks_for_names_that_a_plan_can_say(seatrial_cli, tmp_path):
    model = tmp_path / "model.onnx"
    model.write_bytes(MODEL.read_bytes())
    assert refused(seatrial_cli("init", model, "--images", NO_UTF8), 2, "--images")
    assert refused(seatrial_cli("init", model, "--output", NO_UTF8), 2, "--output")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / f"{NO_UTF8}.png").write_bytes(PHOTO.read_bytes())
    assert seatrial_cli("init", model).returncode == 0


def test_half_a_character_in_a_plan(workspace, seatrial_cli):
    for parts in ({"images": '{path: "\\uDCFF"}'}, {"pipelines": '{"\\uDCFF": {model: m.onnx}}'}):
        done = seatrial_cli("plan", "check", workspace.plan(parity="", **parts))
        assert done.returncode == 4, done.stderr
        assert "trial.yaml:" in done.stderr
        assert "\\udcff" in done.stderr


def test_links_that_lead_nowhere_are_told_as_such(tmp_path, seatrial_cli):
    (tmp_path / "gone.onnx").symlink_to("nowhere.onnx")
    (tmp_path / "loop.onnx").symlink_to("loop.onnx")
    (tmp_path / "photos").symlink_to("nowhere")
    (tmp_path / "plan.yaml").symlink_to("nowhere.yaml")
    (tmp_path / "model.onnx").write_bytes(MODEL.read_bytes())
    commands = (["gone.onnx"], ["inspect", "loop.onnx"], ["model.onnx", "photos"], ["run", "plan.yaml"])
    for words in commands:
        told(seatrial_cli(*words), 4, "it is a link that leads nowhere")


def test_what_is_typed_in_the_wrong_place_is_told_where_it_belongs(tmp_path, seatrial_cli):
    (tmp_path / "photos").mkdir()
    (tmp_path / "model.onnx").write_bytes(MODEL.read_bytes())
    for words, code, said in (
        (["photos", "model.onnx"], 2, "The model comes first: seatrial model.onnx photos"),
        (["run", "model.onnx"], 4, "expected a plan, got an ONNX file: 'seatrial model.onnx' tries it"),
        (
            ["compare", "model.onnx", "--images", "photos"],
            2,
            "seatrial init model.onnx --images photos --output trial.yaml",
        ),
    ):
        told(seatrial_cli(*words, env={"COLUMNS": "200"}), code, said)


@pytest.mark.slow
def test_a_name_in_brackets_is_shown_whole(tmp_path, seatrial_cli):
    (tmp_path / "a[bold]c.onnx").write_bytes(MODEL.read_bytes())
    done = seatrial_cli("inspect", "a[bold]c.onnx")
    assert done.stdout.startswith("a[bold]c.onnx "), done.stdout
    done = seatrial_cli("init", "a[bold]c.onnx", "--output", "p[red].yaml")
    assert "a[bold]c.onnx" in done.stdout
    assert "wrote p[red].yaml" in done.stdout
    assert seatrial_cli("plan", "check", "p[red].yaml").stdout.startswith("p[red].yaml: valid")


def test_help_names_no_type_behind_a_flag(seatrial_cli):
    for words in (["-h"], ["bench", "-h"], ["plan", "check", "-h"]):
        assert "<bool>" not in seatrial_cli(*words, env={"COLUMNS": "120"}).stdout
