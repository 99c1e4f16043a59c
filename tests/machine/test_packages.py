"""Which installed distributions a record names: those that are there, by the version that is."""

import sys

import pytest

from seatrial.machine.packages import BYSTANDERS, OPENCV, PACKAGES, packages
from seatrial.runtimes import names


def install(folder, name, version):
    """As pip leaves it."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def only(tmp_path, monkeypatch):
    """Nothing is installed but what a test puts there."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def test_nothing_installed_is_no_error(only):
    assert packages() == {}


@pytest.mark.parametrize(
    ("installed", "found"),
    [
        ({"numpy": "2.1.0"}, {"numpy": "2.1.0"}),
        ({"somebody-elses": "1"}, {}),
        # Two that bring the same module: which of them runs nobody knows, so both are told.
        ({"opencv-python": "4.11.0.86", "opencv-python-headless": "5.0.0.93"}, {"opencv-python": "4.11.0.86", "opencv-python-headless": "5.0.0.93"}),
        ({"onnxruntime-gpu": "1.22.0+cu12"}, {"onnxruntime-gpu": "1.22.0+cu12"}),
        # Nothing here runs on it.
        ({"torch": "2.9.0"}, {}),
    ],
)  # fmt: skip
def test_what_is_installed_is_named(only, installed, found):
    for name, version in installed.items():
        install(only, name, version)
    assert packages() == found


def test_what_brings_a_backend_counts_with_what_it_requires(only):
    """Its runtime in another version is another thing measured, as ONNX Runtime's would be."""
    install(only, "their-pack", "2")
    install(only, "their-runtime", "3.1")
    install(only, "their-tests", "9")
    info = only / "their_pack-2.dist-info"
    with (info / "METADATA").open("a") as f:
        f.write(
            "Requires-Dist: their-runtime>=3,<4\nRequires-Dist: not-here\nRequires-Dist: their-tests; extra == 'test'\n"
        )
    (info / "entry_points.txt").write_text("[seatrial.backends]\ntheirs = their_module:Backend\n")
    names.third_party.cache_clear()
    try:
        assert packages() == {"their-pack": "2", "their-runtime": "3.1"}
    finally:
        names.third_party.cache_clear()


def test_bystanders_are_asked_for_by_themselves(only):
    install(only, "torch", "2.9.0")
    assert packages(BYSTANDERS) == {"torch": "2.9.0"}
    assert packages(()) == {}


def test_no_name_twice_and_in_the_order_of_the_list(only):
    assert len(set(PACKAGES)) == len(PACKAGES)
    for name in reversed(OPENCV):
        install(only, name, "1")
    assert list(packages()) == list(OPENCV)


def test_this_environment_has_what_it_runs_on():
    assert {"numpy", "onnx"} <= packages().keys()
    assert set(packages()) & set(OPENCV)
