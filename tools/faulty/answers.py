"""What a black box logs: a COCO results file of boxes, or a CSV of image and class. For: candidates without any stage between."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path

from faulty.way import Trace

# A mask is in no such file.
TASKS = ("detect", "classify", "text")


def write_answers(folder: Path, task: str, traces: Iterable[Trace], labels: tuple[str, ...]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if task == "classify":
        path = folder / "answers.csv"
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["image", "class", "score"])
            for trace in traces:
                for k, score in zip(trace.results["class_ids"], trace.results["scores"]):
                    rows.writerow([trace.name, label_of(int(k), labels), f"{score:.6f}"])
        return path
    path = folder / "answers.json"
    path.write_text(json.dumps([row for trace in traces for row in coco_rows(trace)]))
    return path


def label_of(class_id: int, labels: tuple[str, ...]) -> str:
    """What the service looks up; a number where its list has no such class."""
    return labels[class_id] if 0 <= class_id < len(labels) else str(class_id)


def coco_rows(trace: Trace) -> Iterable[dict]:
    found = trace.results
    for k, (x0, y0, x1, y1) in enumerate(found["boxes_xyxy"].tolist()):
        row = {
            "image_id": trace.name,
            "category_id": int(found["class_ids"][k]),
            "bbox": [round(v, 3) for v in (x0, y0, x1 - x0, y1 - y0)],
            "score": round(float(found["scores"][k]), 5),
        }
        if "polygons" in found:
            row["segmentation"] = [[round(v, 3) for v in found["polygons"][k].reshape(-1).tolist()]]
        yield row
