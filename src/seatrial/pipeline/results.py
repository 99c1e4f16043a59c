"""Decoded results as plain arrays on disk and back. For: passing a cell's results to the parent. Not for: judging.

One .npz a cell: no pickles, so that reading it can't run code.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.kernels.postprocess import Classification, Detections, Embedding, SemanticMask

Result = Detections | Classification | SemanticMask | Embedding | None


def save_results(path: Path, results: Sequence[Result], raw: Sequence[Sequence[npt.NDArray[Any]]]) -> None:
    """results: one an image. raw: outputs of the first images, raw[image][output], without the batch."""
    arrays: dict[str, npt.NDArray[Any]] = {"count": np.array(len(results)), "raw_count": np.array(len(raw))}
    for i, result in enumerate(results):
        if result is not None:
            arrays[f"{i}.kind"] = np.array(type(result).__name__)
            for name, value in vars(result).items():
                arrays[f"{i}.{name}"] = value
    for i, outputs in enumerate(raw):
        for k, output in enumerate(outputs):
            arrays[f"raw.{i}.{k}"] = output
    with path.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def load_results_file(path: Path) -> tuple[list[Result], list[list[npt.NDArray[Any]]]]:
    kinds = {k.__name__: k for k in (Detections, Classification, SemanticMask, Embedding)}
    with np.load(path, allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    fields: dict[int, dict[str, Any]] = {}
    raw: list[list[npt.NDArray[Any]]] = [[] for _ in range(int(arrays["raw_count"]))]
    for name, value in arrays.items():
        parts = name.split(".")
        if parts[0].isdigit():
            fields.setdefault(int(parts[0]), {})[parts[1]] = value
        elif parts[0] == "raw":
            raw[int(parts[1])].append(value)
    results: list[Result] = []
    for i in range(int(arrays["count"])):
        own = fields.get(i)
        results.append(kinds[str(own.pop("kind"))](**own) if own else None)
    return results, raw
