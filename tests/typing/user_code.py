# ruff: noqa: B018
"""Code as users write it, for mypy --strict alone: what the public names give, and what is no use of them.

Not for: running. Each `type: ignore` says which error stands there, and --warn-unused-ignores that it does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, assert_type

import numpy as np
import numpy.typing as npt
import pandas as pd

import seatrial
from seatrial.errors import ExitCode
from seatrial.history.records import CellRecord, Decision, Measured, Measurement, StageSummary
from seatrial.kernels.images import ImageLike
from seatrial.plan import PlanFile

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]


def a_trial(plan: str | Path) -> str:
    assert_type(seatrial.__version__, str)
    record = seatrial.run(plan, results="results", allow_code=True, resume=False)
    assert_type(record, seatrial.Record)
    assert_type(record.verdict, Verdict)
    assert_type(record.status, Literal["complete", "interrupted"])
    assert_type(record.kind, Literal["trial", "bench", "compare"])
    assert_type(record.cells, tuple[CellRecord, ...])
    assert_type(record.decisions, tuple[Decision, ...])
    assert_type(record.environment.packages, dict[str, str])
    assert_type(record.to_json(), dict[str, Any])
    assert_type(seatrial.Record.model_validate_json("{}"), seatrial.Record)
    seatrial.run(Path("trial.yaml"), results=Path("results"))

    seatrial.run()  # type: ignore[call-arg]
    seatrial.run(plan, "results")  # type: ignore[call-arg]
    seatrial.run(plan, resume="yes")  # type: ignore[arg-type]
    seatrial.run(plan, max_time=3)  # type: ignore[call-arg]
    if record.verdict == "PASSED":  # type: ignore[comparison-overlap]
        return ""
    return record.verdict


def parts_of_a_record(record: seatrial.Record) -> float:
    cell = record.cells[0]
    assert_type(cell.measured, Measurement)
    assert_type(cell.measurement, Measurement | None)
    assert_type(cell.measured.stages["end_to_end"], StageSummary)
    assert_type(cell.measured.stages["end_to_end"].p50, Measured)
    assert_type(cell.measured.stages["end_to_end"].p50.value, float)
    assert_type(cell.measured.stages["end_to_end"].p50.interval, tuple[float | None, float | None] | None)
    assert_type(cell.measured.stages["end_to_end"].p50.ends, tuple[float, float])
    assert_type(cell.measured.throughput, Measured | None)
    assert_type(cell.status, Literal["ok", "failed", "skipped"])
    assert_type(cell.batch, int)
    assert_type(record.decisions[0].value, float | None)
    assert_type(record.decisions[0].verdict, Verdict)
    if cell.load is not None and cell.load.found_rate is not None:
        assert_type(cell.load.found_rate.value, float)

    cell.measurement.stages  # type: ignore[union-attr]
    cell.measured.throughput.value  # type: ignore[union-attr]
    cell.measured.stages.end_to_end  # type: ignore[attr-defined]
    cell.latency  # type: ignore[attr-defined]
    record.cells.append(cell)  # type: ignore[attr-defined]
    return cell.measured.stages["end_to_end"].p50.value


def a_table() -> pd.DataFrame:
    frame = seatrial.load_results("results")
    assert_type(frame, pd.DataFrame)
    seatrial.load_results(Path("results"))
    seatrial.load_results(["results"])  # type: ignore[arg-type]
    return frame


def a_plan() -> list[str]:
    plan = seatrial.load_plan("trial.yaml")
    assert_type(plan, PlanFile)
    assert_type(plan.path, Path)
    assert_type(plan.digest, str)
    assert_type(plan.plan.matrix.batch_sizes[0], int)
    seatrial.load_plan(Path("trial.yaml"))
    seatrial.load_plan(b"trial.yaml")  # type: ignore[arg-type]
    plan.plan.pipeline  # type: ignore[attr-defined]
    return list(plan.plan.pipelines)


def pixels(images: list[npt.NDArray[np.uint8]], data: bytes) -> npt.NDArray[Any]:
    pre = seatrial.Preprocess(size=(640, 640), mean=(0.5, 0.5, 0.5), dtype="float16", layout="nhwc", engine="reference")
    assert_type(pre(images[0]), npt.NDArray[Any])
    assert_type(pre.batch(images, threads=2), npt.NDArray[Any])
    tensor, geometries = pre.batch_with_geometries(images, out=np.empty((1, 3, 640, 640), np.float32), threads=4)
    assert_type(tensor, npt.NDArray[Any])
    assert_type(geometries, list[seatrial.Geometry])
    assert_type(pre.geometry((480, 640)), seatrial.Geometry)
    assert_type(pre.shape, tuple[int, int, int])
    decoded = seatrial.decode_image(data)
    assert_type(decoded, npt.NDArray[np.uint8])
    takes_an_image: ImageLike = decoded
    pre(takes_an_image)

    seatrial.Preprocess()  # type: ignore[call-arg]
    seatrial.Preprocess(size=640)  # type: ignore[arg-type]
    seatrial.Preprocess(size=(640, 640), colour="rgb")  # type: ignore[call-arg]
    pre("cat.jpg")  # type: ignore[arg-type]
    pre.batch(images, threads="all")  # type: ignore[arg-type]
    pre.size = (320, 320)  # type: ignore[misc]
    pre.geometry(640)  # type: ignore[arg-type]
    return tensor


def results(outputs: list[npt.NDArray[np.float32]], geometries: list[seatrial.Geometry]) -> int:
    detections = seatrial.DetectionDecoder(format="yolov8", confidence=0.3, iou=0.5)(outputs, geometries)
    assert_type(detections, list[seatrial.Detections])
    assert_type(detections[0].boxes_xyxy, npt.NDArray[np.float32])
    assert_type(detections[0].class_ids, npt.NDArray[np.int64])
    assert_type(len(detections[0]), int)
    classes = seatrial.ClassificationDecoder(top_k=3)(outputs, geometries)
    assert_type(classes, list[seatrial.Classification])
    assert_type(classes[0].scores, npt.NDArray[np.float32])
    masks = seatrial.SegmentationDecoder()(outputs, geometries)
    assert_type(masks, list[seatrial.SemanticMask])
    vectors = seatrial.EmbeddingDecoder(normalize=False)(outputs, geometries)
    assert_type(vectors, list[seatrial.Embedding])
    assert_type(vectors[0].vector, npt.NDArray[np.float32])

    for one in seatrial.InstanceDecoder(format="yolov8")(outputs, geometries):
        assert isinstance(one, seatrial.Instances)
        assert_type(one.mask(0), npt.NDArray[np.bool_])
    for pose in seatrial.PoseDecoder(keypoints=(17, 3))(outputs, geometries):
        assert isinstance(pose, seatrial.Poses)
        assert_type(pose.keypoints, npt.NDArray[np.float32])
    for turned in seatrial.OrientedDecoder(nms="polygon")(outputs, geometries):
        assert isinstance(turned, seatrial.OrientedBoxes)
        assert_type(turned.corners_xy, npt.NDArray[np.float32])
    depths = seatrial.DenseDecoder(scale=0.001)(outputs, geometries)
    assert_type(depths, list[seatrial.DenseMap])
    assert_type(depths[0].values, npt.NDArray[np.float32])
    tags = seatrial.LabelDecoder(confidence=0.5)(outputs, geometries)
    assert_type(tags, list[seatrial.Labels])
    regions = seatrial.TextRegionDecoder(unclip_ratio=1.6)(outputs, geometries)
    assert_type(regions, list[seatrial.TextRegions])
    texts = seatrial.TextDecoder(characters=("a", "b"))(outputs, geometries)
    assert_type(texts, list[seatrial.Text])
    assert_type(texts[0].text, str)

    seatrial.DetectionDecoder(threshold=0.3)  # type: ignore[call-arg]
    seatrial.DetectionDecoder(confidence="high")  # type: ignore[arg-type]
    seatrial.ClassificationDecoder()(outputs)  # type: ignore[call-arg]
    detections[0].boxes  # type: ignore[attr-defined]
    detections[0].scores = classes[0].scores  # type: ignore[misc]
    return len(detections)


def errors() -> int:
    try:
        seatrial.load_plan("trial.yaml")
    except seatrial.SeatrialError as e:
        assert_type(e.exit_code, ExitCode)
        assert_type(e.text, str)
        assert_type(e.key, str)
        assert_type(e.option, str)
        e.hint  # type: ignore[attr-defined]
        seatrial.Preproces  # type: ignore[attr-defined]
        return int(e.exit_code)
    return 0
