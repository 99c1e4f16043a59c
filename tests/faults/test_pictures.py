"""The pictures that tell faults apart have what they are said to have, and show what they are said to show."""

import cv2
import numpy as np
import onnxruntime
import pytest
from PIL import Image

from seatrial.demo import MODEL, PICTURE, PLAN
from seatrial.diagnosis.distance import distance
from seatrial.diagnosis.mutations.every import mutations_of
from seatrial.diagnosis.runner import Runner
from seatrial.diagnosis.stages import RESULTS
from seatrial.diagnosis.telling import telling_said
from seatrial.diagnosis.way import Subject, way_of
from seatrial.errors import SeatrialError
from seatrial.faults.catalogue import FAULTS
from seatrial.faults.names import NAMES
from seatrial.faults.patterns import fine_detail, levels, stored_turned
from seatrial.faults.pictures import PICTURES, picture_for, write_pictures
from seatrial.images.decode import decode_image, find_problem
from seatrial.model.file import inspect_model
from seatrial.plan.load import load_plan

BY_FILE = {p.file: p for p in PICTURES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures")
    write_pictures(path, PICTURE.parent)
    return path


@pytest.fixture(scope="module")
def ways():
    """The demo's detector, and the same with what some faults need in a plan to be possible."""
    session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    subject = Subject("baseline", inspect_model(MODEL), PLAN.parent, lambda feeds: session.run(None, feeds))
    otherwise = [
        {},
        {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "interpolation": "antialias_linear"},
        {"mode": "resize_center_crop", "resize_short": 366},
    ]
    made = []
    for changes in otherwise:
        plan = load_plan(PLAN, {f"pipelines.baseline.preprocess.{k}": v for k, v in changes.items()})
        made.append(way_of(subject, plan.plan.pipelines["baseline"]))
    return made


def test_they_are_the_same_each_time_and_small(folder, tmp_path):
    write_pictures(tmp_path, PICTURE.parent)
    written = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == written
    assert set(written) == set(BY_FILE)
    assert sum(map(len, written.values())) < 2 << 20


@pytest.mark.parametrize("file", BY_FILE)
def test_each_is_sound(folder, file):
    data = (folder / file).read_bytes()
    assert find_problem(data) is None
    assert decode_image(data).ndim == 3


@pytest.mark.parametrize("file", BY_FILE)
def test_each_shows_the_faults_that_it_is_said_to_show(folder, ways, file):
    """Made by a mutation, the fault changes what the demo's pipeline has of the picture; faults without one are left out."""
    unseen = set(BY_FILE[file].tells)
    possible = set()
    for way in ways:
        runner = Runner(lambda _: (folder / file).read_bytes())
        for m in mutations_of(way):
            if m.fault not in unseen:
                continue
            try:
                changed = m.change(way)
                # What images do to each other takes several.
                if changed.mates:
                    continue
                possible.add(m.fault)
                right, wrong = (runner.at(w, 0, m.stage).value for w in (way, changed))
            except (SeatrialError, ValueError):
                continue
            if distance(m.stage, right, wrong) > 1e-4:
                unseen.discard(m.fault)
    assert not unseen & possible
    # Boxes tell nothing where the detector finds none.
    if "box-format" in BY_FILE[file].tells:
        assert len(runner.at(ways[0], 0, RESULTS).value) >= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_comes_out_upright(folder, orientation):
    path = folder / f"exif-{orientation}.jpg"
    with Image.open(path) as image:
        assert image.getexif()[0x0112] == orientation
    upright = decode_image(folder / "exif-1.jpg").astype(int)
    turned = decode_image(path).astype(int)
    assert turned.shape == upright.shape
    # JPEG's blocks lie otherwise in the stored picture.
    assert np.abs(turned - upright).mean() < 6
    if orientation > 1:
        ignored = decode_image(path, exif="ignore").astype(int)
        assert ignored.shape != upright.shape or np.abs(ignored - upright).mean() > 20


def test_turning_to_be_stored_is_its_own_way_back():
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    back = {6: 8, 8: 6}
    for k in range(1, 9):
        np.testing.assert_array_equal(stored_turned(stored_turned(image, k), back.get(k, k)), image)


def test_what_names_say_is_so(folder):
    def raw(file):
        return cv2.imread(str(folder / file), cv2.IMREAD_UNCHANGED)

    assert raw("grey.png").ndim == 2
    assert raw("alpha.png").shape[2] == 4
    assert raw("sixteen-bits.png").dtype == np.uint16
    assert (raw("sixteen-bits.png") % 257).any()
    height, width = raw("odd-size.png").shape[:2]
    assert height % 2 == width % 2 == 1
    assert raw("fine-detail-1280.png").shape == (960, 1280, 3)
    assert set(np.unique(raw("fine-detail-1280.png"))) == {0, 255}
    assert set(np.unique(levels())) == set(range(256))
    for file, sampling in (("coloured-edges-420.jpg", (2, 2)), ("coloured-edges-444.jpg", (1, 1))):
        with Image.open(folder / file) as image:
            assert image.layer[0][1:3] == sampling
    assert fine_detail(640).shape == (480, 640, 3)


def test_a_fault_has_its_picture_and_of_several_the_one_that_the_others_are_not_in():
    assert picture_for("channel-order") == "saturated-colours.png"
    assert picture_for("pad-value") == "wide.jpg"
    assert picture_for("precision-not-applied") == ""
    assert picture_for("interpolation", ("antialias",)) == "small.png"
    named = set(NAMES) - {"precision-not-applied", "graph-attribute"}
    assert {f for p in PICTURES for f in p.tells} == named


def test_what_would_tell_is_said_in_words_with_the_picture():
    assert telling_said("channel-order", ["mean-std"]) == "saturated colours (coloured-edges-420.jpg)"
    assert telling_said("precision-not-applied", []) == FAULTS["precision-not-applied"].telling
    assert telling_said("of-a-later-version", []) == ""
