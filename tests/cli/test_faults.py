"""seatrial faults: the list, one explained, its picture, and the pictures that show them."""

import io
import json

import cv2
import numpy as np
import pytest
from rich.console import Console

from seatrial.faults.names import NAMES
from seatrial.faults.pictures import PICTURES
from seatrial.report.faults_text import print_sides


def test_all_are_listed_in_the_catalogues_order(seatrial_cli):
    done = seatrial_cli("faults")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(NAMES)
    assert lines[1].split()[-1] == "input"


def test_one_is_explained(seatrial_cli):
    done = seatrial_cli("faults", "channel-order")
    assert done.returncode == 0
    assert done.stdout.startswith("channel-order  BGR and RGB swapped\n")
    for said in ("Reds are blue", "cv2.COLOR_BGR2RGB", "47.6 against 44.2 mAP", "saturated colours"):
        assert said in done.stdout
    assert "seatrial faults channel-order --output channel-order.png writes it" in done.stdout


def test_its_picture_is_written(seatrial_cli, tmp_path):
    done = seatrial_cli("faults", "pad-value", "--output", "pad.png", "--json", "facts.json")
    assert done.returncode == 0
    assert "wrote pad.png" in done.stdout
    assert cv2.imread(str(tmp_path / "pad.png")).shape[2] == 3
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["name"] == "pad-value"
    assert facts["picture"] == "pad.png"
    assert facts["wrong_side"] == "pads with 0"
    assert set(facts) >= {"title", "stage", "is", "shows", "cure", "reported", "telling", "image"}


def test_where_there_is_no_picture_it_says_why(seatrial_cli, tmp_path):
    done = seatrial_cli("faults", "precision-not-applied", "--output", "no.png")
    assert done.returncode == 0
    assert "no picture     results are float32's own; what is missing is the speed" in done.stdout
    assert not (tmp_path / "no.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["chanel-order"],
            "no fault is called 'chanel-order' (did you mean 'channel-order'?); seatrial faults lists them",
        ),
        (["exif", "--output", "exif.jpg"], "--output: expected a file that ends in .png, got 'exif.jpg'"),
        (
            ["--output", "x.png"],
            "--output: expected a fault whose picture to write, such as seatrial faults exif -o x.png",
        ),
        (["precision-not-applied", "--pictures", "p"], "--pictures: no picture shows precision-not-applied"),
    ],
)
def test_what_cannot_be_is_told_with_the_cure(seatrial_cli, words, said):
    done = seatrial_cli("faults", *words)
    assert done.returncode == 2
    assert said in done.stderr


def test_pictures_of_one_fault_or_all(seatrial_cli, tmp_path):
    done = seatrial_cli("faults", "exif", "--pictures", "some/of")
    assert done.returncode == 0
    assert "wrote 7 pictures to some/of" in done.stdout
    assert {p.name for p in (tmp_path / "some" / "of").iterdir()} == {f"exif-{k}.jpg" for k in range(2, 9)}
    done = seatrial_cli("faults", "--pictures", "all", "--json", "-")
    assert {p["file"] for p in json.loads(done.stdout)} == {p.file for p in PICTURES}
    assert {p.name for p in (tmp_path / "all").iterdir()} == {p.file for p in PICTURES}


def test_a_folder_that_cannot_be_is_an_error_with_the_cure(seatrial_cli, tmp_path):
    (tmp_path / "file").write_text("")
    done = seatrial_cli("faults", "--pictures", "file/below")
    assert done.returncode == 5
    assert "name a folder that you may write to" in done.stderr


def test_a_terminal_shows_the_sides_in_half_blocks():
    out = Console(file=io.StringIO(), width=40, force_terminal=True, color_system="truecolor", markup=False)
    red, blue = (np.full((30, 30, 3), c, np.uint8) for c in ((0, 0, 255), (255, 0, 0)))
    print_sides(out, [("right", red), ("wrong", blue), ("difference x 2", red)])
    text = out.file.getvalue()
    lines = text.splitlines()
    assert len(lines) == 1 + 6
    assert all(line.count("▀") == 36 for line in lines[1:])
    assert "38;2;255;0;0;48;2;255;0;0" in text
    assert "38;2;0;0;255;48;2;0;0;255" in text


def test_a_terminal_without_room_shows_nothing():
    out = Console(file=io.StringIO(), width=5, force_terminal=True, color_system="truecolor")
    print_sides(out, [(k, np.zeros((4, 4, 3), np.uint8)) for k in "abc"])
    assert out.file.getvalue() == ""
