"""Raw samples and evaluations of a run: one .npy a cell while it runs, Parquet files when it is complete."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from seatrial.errors import ResultsError
from seatrial.history.files import why_not_written, write_atomic
from seatrial.history.records import CellRecord, Record
from seatrial.stages import SERVICE


class ImageByImage(Protocol):
    """A cell's results against the truth, image by image (parity/evaluation.py)."""

    def columns(self, names: Sequence[str]) -> Mapping[str, Any]:
        """Columns of evaluations.parquet, one entry an image or a detection."""


# Of a trial's cells, by their ids.
Evaluations = Mapping[str, ImageByImage]
EVALUATION_COLUMNS = ("value", "category", "score", "matched", "ignored", "objects", "intersection", "union")


def load_samples(work: Path, cell_id: str) -> npt.NDArray[np.int64]:
    """work: RunFolder.work. (n, 1 + stages + 1) int64 nanoseconds: start, one a stage, end to end."""
    table: npt.NDArray[np.int64] = np.load(work / cell_id / "samples.npy", allow_pickle=False)
    return table


def save_table(work: Path, cell_id: str, table_ns: npt.NDArray[np.int64]) -> None:
    """A cell's samples, as load_samples gives them back. ResultsError where they can't be written."""
    folder = work / cell_id
    buffer = io.BytesIO()
    np.save(buffer, table_ns)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ResultsError(f"{folder}: cannot be made: {why_not_written(e)}") from e
    write_atomic(folder / "samples.npy", buffer.getvalue())


def save_samples(folder: Path, work: Path, cells: Sequence[CellRecord]) -> None:
    """samples.parquet in the folder, of tables in `work`: cell, iteration, start_ns, and one column a stage in nanoseconds.

    Of cells that died too: what they had measured before.
    """
    import pandas as pd

    frames = []
    for cell in cells:
        if cell.stages:
            # A server's service time is its end to end without the wait, not a column of its own.
            names = ["start_ns", *(f"{stage}_ns" for stage in cell.stages if stage != SERVICE)]
            frame = pd.DataFrame(load_samples(work, cell.id), columns=names)
            frame.insert(0, "iteration", np.arange(len(frame)))
            frame.insert(0, "cell", cell.id)
            frames.append(frame)
    if frames:
        buffer = io.BytesIO()
        pd.concat(frames, ignore_index=True).to_parquet(buffer, index=False)
        write_atomic(folder / "samples.parquet", buffer.getvalue())


def save_evaluations(folder: Path, record: Record, evaluations: Evaluations) -> None:
    """evaluations.parquet: cell, image, and what is right there: what a bootstrap over images draws. See docs/records.md."""
    import pandas as pd

    frames = []
    for cell in record.cells:
        if cell.id in evaluations:
            frame = pd.DataFrame(evaluations[cell.id].columns(record.images.names))
            frame.insert(0, "cell", cell.id)
            frames.append(
                frame.reindex(columns=["cell", "image", *EVALUATION_COLUMNS]).astype(
                    dict.fromkeys(EVALUATION_COLUMNS, "float64")
                )
            )
    if frames:
        buffer = io.BytesIO()
        pd.concat(frames, ignore_index=True).to_parquet(buffer, index=False)
        write_atomic(folder / "evaluations.parquet", buffer.getvalue())
