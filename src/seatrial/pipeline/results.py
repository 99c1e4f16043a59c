"""Decoded results as plain arrays on disk and back. For: passing a cell's results to the parent. Not for: judging.

One .npz a cell: no pickles, so that reading it can't run code.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import PlanError
from seatrial.kernels.postprocess import Classification, Detections, Embedding, SemanticMask

Result = Detections | Classification | SemanticMask | Embedding | None


def checked_result(result: Any) -> Result:
    """One result of a user's own stage, as its plain kind with sound arrays. PlanError says what is wrong with it."""
    kind = next((k for k in (Detections, Classification, SemanticMask, Embedding) if isinstance(result, k)), None)
    if result is None:
        return None
    if kind is None:
        raise PlanError(
            f"the Python postprocess gave a {type(result).__name__}; expected seatrial.Detections, Classification, "
            "SemanticMask, Embedding or None for each image"
        )
    values = {name: np.asarray(getattr(result, name)) for name in kind.__dataclass_fields__}
    for name, value in values.items():
        if value.dtype.kind not in "fiu" or not np.isfinite(value).all():
            raise PlanError(
                f"the Python postprocess gave {kind.__name__}.{name} of {value.dtype}; expected finite numbers"
            )
    if kind is Detections:
        count = len(values["scores"]) if values["scores"].ndim == 1 else -1
        sound = values["boxes_xyxy"].shape == (count, 4) and values["class_ids"].shape == (count,)
    elif kind is Classification:
        sound = (
            values["class_ids"].ndim == 1
            and values["scores"].shape == values["class_ids"].shape
            and values["scores"].size > 0
        )
    else:
        sound = next(iter(values.values())).ndim == (2 if kind is SemanticMask else 1)
    if not sound:
        shapes = ", ".join(f"{name} {value.shape}" for name, value in values.items())
        raise PlanError(
            f"the Python postprocess gave {kind.__name__} of {shapes}; see seatrial.{kind.__name__} for the shapes"
        )
    return kind(**values)


def save_results(
    path: Path, results: Sequence[Result], raw: Sequence[Sequence[npt.NDArray[Any]]],
    specials: npt.NDArray[np.int64] | None = None,
) -> None:  # fmt: skip
    """results: one an image. raw: outputs of the first images, raw[image][output], without the batch.

    specials: (images, outputs, 4) signatures of NaN and infinity, of all images.
    """
    arrays: dict[str, npt.NDArray[Any]] = {"count": np.array(len(results)), "raw_count": np.array(len(raw))}
    if specials is not None:
        arrays["specials"] = specials
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


def load_specials(path: Path) -> npt.NDArray[np.int64] | None:
    """(images, outputs, 4): what save_results was given; None where it was not."""
    with np.load(path, allow_pickle=False) as data:
        return np.asarray(data["specials"], np.int64) if "specials" in data.files else None
