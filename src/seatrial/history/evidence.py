"""What a decision rests on, as one digest: written with it, and made again where a record is loaded.

For: telling that a cell, a sample, a match, a figure, a limit or the verdict itself was changed after the run. Not for: who
changed it, or a forger who makes the digests anew: nothing here is signed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import ResultsError
from seatrial.history.records import Record

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Evidence:
    """The files of one run that its decisions rest on, read once."""

    folder: Path

    def digest(self, record: Mapping[str, Any], decision: Mapping[str, Any]) -> str:
        """sha256 over all that the decision follows from: see docs/records.md.

        record: as record.json has it, whatever its schema; decision: one of its own.
        """
        cell, against = decision.get("cell", ""), decision.get("against", "")
        if not record.get("rules"):
            return self._digest_before_rules(cell) if cell else ""
        ids = sorted({cell, against} - {""})
        pipeline = cell.rsplit(".", 4)[0]
        parts = {
            "rules": record["rules"],
            "decision": {k: v for k, v in decision.items() if k != "evidence"},
            # A decision that was taken away, or another verdict of the whole, shows in those that are left.
            "verdict": record["verdict"],
            "decisions": [[d["check"], d["verdict"], d.get("cell", "")] for d in record["decisions"]],
            "plan": record["plan"],
            "images": record["images"],
            "models": record["models"],
            "cells": {i: self._cell(i).hex() for i in ids},
            "samples": {i: self._samples(i).hex() for i in ids},
            "evaluations": {i: _rows(self._evaluations.get(i)).hex() for i in ids},
            "comparisons": [c for c in record.get("comparisons", []) if not pipeline or c["b"] == pipeline],
        }
        if record.get("noise_floor") is not None:
            parts["noise_floor"] = record["noise_floor"]
        return "sha256:" + hashlib.sha256(_canonical(parts)).hexdigest()

    def bound(self, record: Record) -> Record:
        """The record with each decision's evidence, read back from the files that are kept."""
        data = record.to_json()
        digests = [self.digest(data, d) for d in data["decisions"]]
        decisions = tuple(d.model_copy(update={"evidence": e}) for d, e in zip(record.decisions, digests, strict=True))
        return record.model_copy(update={"decisions": decisions})

    def check(self, record: Mapping[str, Any]) -> None:
        """ResultsError where a decision's evidence is not what its files give, or a cell's figures are not its file's.

        record: as record.json has it, whatever its schema, and found to be whole.
        """
        rules = record.get("rules")
        if rules and record.get("kind", "trial") != "bench" and not record["decisions"]:
            raise self._changed("a verdict without a decision")
        for d in record["decisions"]:
            if (d.get("evidence") or rules) and d.get("evidence", "") != self.digest(record, d):
                of = f" of {d['cell']}" if d.get("cell") else ""
                raise self._changed(f"the decision {d['check']!r}{of}")
        for c in record["cells"] if rules else ():
            path = self.folder / "cells" / f"{c['id']}.json"
            if not path.is_file():
                raise self._changed(f"the cell {c['id']} as record.json has it")
            try:
                own = json.loads(path.read_bytes())
            except (ValueError, RecursionError):
                own = None
            if not isinstance(own, dict) or {k: v for k, v in own.items() if k != "schema"} != c:
                raise self._changed(f"the cell {c['id']} as record.json has it")

    def _changed(self, what: str) -> ResultsError:
        return ResultsError(
            f"{self.folder}: {what} does not follow from the run's files: record.json, cells/, samples.parquet or "
            "evaluations.parquet were changed after the run; restore them, or run the trial again"
        )

    def _cell(self, cell_id: str) -> bytes:
        try:
            return hashlib.sha256((self.folder / "cells" / f"{cell_id}.json").read_bytes()).digest()
        except OSError:
            return b"missing"

    def _samples(self, cell_id: str) -> bytes:
        table = self._tables.get(cell_id)
        return b"none" if table is None else hashlib.sha256(table.tobytes()).digest()

    def _digest_before_rules(self, cell: str) -> str:
        total = hashlib.sha256(self._cell(cell))
        if cell in self._tables:
            total.update(self._samples(cell))
        return "sha256:" + total.hexdigest()

    @cached_property
    def _tables(self) -> Mapping[str, npt.NDArray[np.int64]]:
        """Each cell's samples as little-endian int64, row by row, from start_ns on."""
        frames = _by_cell(self.folder / "samples.parquet")
        return {
            name: np.ascontiguousarray(f.drop(columns=["cell", "iteration"]).dropna(axis=1, how="all").to_numpy("<i8"))
            for name, f in frames.items()
        }

    @cached_property
    def _evaluations(self) -> Mapping[str, pd.DataFrame]:
        return _by_cell(self.folder / "evaluations.parquet")


def _by_cell(path: Path) -> dict[str, pd.DataFrame]:
    import pandas as pd

    if not path.is_file():
        return {}
    try:
        frame = pd.read_parquet(path)
        return {str(name): rows for name, rows in frame.groupby("cell", sort=False)}
    except (OSError, ValueError, KeyError) as e:
        raise ResultsError(f"{path}: cannot be read ({e}); restore it, or run the trial again") from None


def _rows(frame: pd.DataFrame | None) -> bytes:
    """Of a cell's evaluation: images by name, all else as float64; what is not there is the same NaN everywhere."""
    if frame is None:
        return b"none"
    total = hashlib.sha256("\0".join(frame["image"]).encode())
    for name in frame.columns.drop(["cell", "image"]):
        values = frame[name].to_numpy("<f8")
        total.update(name.encode() + np.where(np.isnan(values), np.nan, values).tobytes())
    return total.digest()


def _canonical(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
