"""seatrial tap as users call it."""

import json

import numpy as np
from taps_folders import BOXES, PICTURE, one_image


def test_a_sound_folder_passes(seatrial_cli, tmp_path):
    one_image(tmp_path / "taps", {"decoded": PICTURE, **BOXES, "tracks": np.zeros(2)}, ["decoded", "results"])
    done = seatrial_cli("tap", "check", "taps", "--json", "check.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "taps: 1 image; sound",
        "  decoded: uint8 (6, 8, 3)",
        "  results: Detections",
        "note: no sha256 for 1 of 1 image: nothing tells whether they are the plan's own; add it",
        "note: 1 key of no stage that taps.json lists, which are not read: tracks in 1 image",
    ]
    found = json.loads((tmp_path / "check.json").read_text())
    assert (found["images"], found["sound"], found["problems"]) == (1, 1, [])
    assert found["stages"] == {"decoded": ["uint8 (6, 8, 3)"], "results": ["Detections"]}


def test_an_unsound_folder_fails_with_every_fault(seatrial_cli, tmp_path):
    one_image(tmp_path / "taps", {"decoded": PICTURE / 1}, ["decoded", "results"])
    done = seatrial_cli("tap", "check", "taps", "--json", "-")
    assert done.returncode == 4
    assert "taps: 1 image; 0 of 1 are sound" in done.stderr
    assert "decoded: is of float64; expected uint8" in done.stderr
    assert [p["key"] for p in json.loads(done.stdout)["problems"]] == ["decoded", "results"]


def test_what_is_no_folder_of_taps_is_one_line(seatrial_cli, tmp_path):
    done = seatrial_cli("tap", "check", ".")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        "error: taps.json: cannot be read: No such file or directory; expected a folder of taps with taps.json in it, see docs/taps.md\n"
    )


def test_a_pipeline_is_written_and_its_folder_is_sound(seatrial_cli, workspace):
    workspace.plan()
    done = seatrial_cli("tap", "trial.yaml", "--pipeline", "candidate", "--out", "new/taps", "--json", "-")
    assert (done.returncode, done.stderr) == (
        0,
        "new/taps: 4 images of candidate.fake.fp32.b1.t1: decoded, resized, input, outputs, results\n",
    )
    assert json.loads(done.stdout) == {
        "taps": "new/taps",
        "side": "candidate.fake.fp32.b1.t1",
        "images": 4,
        "stages": ["decoded", "resized", "input", "outputs", "results"],
        "changed": [],
    }
    done = seatrial_cli("tap", "check", "new/taps", "--images", "images")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "new/taps: 4 images; sound")
    # Options may come first, and a folder that has taps keeps them.
    done = seatrial_cli("tap", "--out", "new/taps", "trial.yaml")
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == (
        "error: new/taps: has 00000-0.npz in it; expected an empty folder; delete it, or give --out another\n"
    )


def test_other_images_than_the_plans_are_tapped_by_their_own_names(seatrial_cli, workspace):
    workspace.plan()
    (workspace.folder / "others").mkdir()
    (workspace.folder / "images" / "0.png").rename(workspace.folder / "others" / "night.png")
    done = seatrial_cli("tap", "trial.yaml", "--images", "others", "--out", "taps")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((workspace.folder / "taps" / "taps.json").read_text())["images"][0]["name"] == "night.png"


def test_words_that_are_no_plan_pipeline_or_folder_are_refused(seatrial_cli, workspace):
    workspace.plan()
    for words, code, said in (
        (("model.onnx", "--out", "t"), 2, "error: expected a trial plan (.yaml) or 'demo', got 'model.onnx'"),
        (
            ("trial.yaml", "--pipeline", "candidat", "--out", "t"),
            4,
            "no pipeline is called 'candidat' (did you mean 'candidate'?)",
        ),
        (("trial.yaml", "--images", "no", "--out", "t"), 4, "error: no: no such picture or folder of pictures"),
        (("trial.yaml",), 2, "--out"),
    ):
        done = seatrial_cli("tap", *words)
        assert (done.returncode, done.stdout) == (code, "")
        assert said in done.stderr
        assert not (workspace.folder / "t").exists()
