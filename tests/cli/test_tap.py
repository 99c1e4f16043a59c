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
