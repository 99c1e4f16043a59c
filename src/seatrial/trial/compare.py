"""A cell's results against its reference cell and the ground truth, as the cell ends. For: evidence. Not for: verdicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from seatrial.errors import SeatrialError
from seatrial.gate.budgets import baseline_name
from seatrial.history.records import Measured, ParityResult
from seatrial.history.store import RunFolder
from seatrial.parity.accuracy import accuracy
from seatrial.parity.results import agreement, paired, relabelled
from seatrial.parity.tolerance import least_agreement
from seatrial.pipeline.results import Result, load_results_file
from seatrial.trial.cells import Cell, is_reference_configuration
from seatrial.trial.preflight import Ready
from seatrial.trial.tensor_parity import between_pipelines, own_pipeline


class Comparer:
    """Knows every cell's reference; reads results from the run's work folder."""

    def __init__(self, ready: Ready, run: RunFolder, cells: Sequence[Cell]) -> None:
        self._ready = ready
        self._run = run
        self._cells = cells
        self._kept: dict[str, tuple[list[Result], list[list[Any]]]] = {}

    def compare(self, cell: Cell) -> dict[str, Any]:
        """The fields accuracy, accuracy_by_tag, parity and across of the cell's record.

        Nothing that was measured is lost to a comparison: what can't be compared becomes a note, and INCONCLUSIVE.
        """
        try:
            return self._compare(cell)
        except SeatrialError as e:
            why = str(e)
        except Exception as e:  # results of the user's own stage can be anything
            why = f"the results cannot be compared: {type(e).__name__}: {e}"
        return {"parity": ParityResult(reference="", rtol=None, atol=None, note=why)}

    def _compare(self, cell: Cell) -> dict[str, Any]:
        results, raw = load_results_file(self._run.work / cell.id / "results.npz")
        fields = self._accuracy(cell, results)
        if self._ready.plan.plan.parity is None:
            return fields
        own = self._reference_of(cell.pipeline)
        if own is not None and own.id != cell.id:
            fields["parity"] = self._against(cell, own, results, raw)
        baseline = self._reference_of(baseline_name(self._ready.plan.plan))
        if baseline is not None and baseline.pipeline != cell.pipeline:
            fields["across"] = self._across(cell, baseline, results, raw)
        return fields

    def _reference_of(self, pipeline: str) -> Cell | None:
        plan = self._ready.plan.plan
        return next((c for c in self._cells if c.pipeline == pipeline and is_reference_configuration(plan, c)), None)

    def _results_of(self, cell: Cell) -> tuple[list[Result], list[list[Any]]] | None:
        if cell.id not in self._kept:
            path = self._run.work / cell.id / "results.npz"
            if not path.is_file():
                return None
            self._kept[cell.id] = load_results_file(path)
        return self._kept[cell.id]

    def _accuracy(self, cell: Cell, results: list[Result]) -> dict[str, Any]:
        truth, images, labels = self._ready.truth, self._ready.images, self._ready.labels[cell.pipeline]
        if truth is None:
            return {}
        found = accuracy(truth, images, results, labels)
        if found is None:
            return {"accuracy_name": "none: annotations and task do not go together"}
        value, name = found
        by_tag: dict[str, list[int]] = defaultdict(list)
        for i, image in enumerate(images):
            for tag in self._ready.tags.get(image.name, []):
                by_tag[tag].append(i)
        slices = {}
        for tag, chosen in sorted(by_tag.items()):
            part = accuracy(truth, [images[i] for i in chosen], [results[i] for i in chosen], labels)
            if part is not None:
                slices[tag] = part[0]
        return {
            "accuracy": Measured(value=value, unit="fraction", n=len(images), n_eff=len(images)),
            "accuracy_name": name,
            "accuracy_by_tag": slices,
        }

    def _against(self, cell: Cell, reference: Cell, results: list[Result], raw: list[list[Any]]) -> ParityResult:
        parity = self._ready.plan.plan.parity
        assert parity is not None
        kept = self._results_of(reference)
        if kept is None:
            return _not_run(reference)
        decoded = any(r is not None for r in (*kept[0], *results))
        folders = self._run.work / reference.id, self._run.work / cell.id
        fields = own_pipeline(self._ready, cell, reference, (kept[1], raw), folders, decoded)
        least = parity.agreement if parity.agreement is not None else least_agreement(cell.precision)
        found = ParityResult(**({"reference": reference.id, "rtol": None, "atol": None} | fields))
        return self._agreement(found, kept[0], results, least)

    def _across(self, cell: Cell, baseline: Cell, results: list[Result], raw: list[list[Any]]) -> ParityResult:
        """Another pipeline's tensors may differ on purpose: decoded results are compared, where there are any."""
        kept = self._results_of(baseline)
        if kept is None:
            return _not_run(baseline)
        found = ParityResult(reference=baseline.id, rtol=None, atol=None)
        if all(r is None for r in (*kept[0], *results)):
            fields = between_pipelines(self._ready, cell, baseline, (kept[1], raw))
            return found.model_copy(update=fields)
        results = relabelled(results, self._ready.labels[cell.pipeline], self._ready.labels[baseline.pipeline])
        return self._agreement(found, kept[0], results, None)

    def _agreement(
        self, parity: ParityResult, reference: list[Result], results: list[Result], least: float | None
    ) -> ParityResult:
        try:
            found = agreement(reference, results)
        except (AttributeError, ValueError):
            return parity.model_copy(update={"note": "the two pipelines' results are of different kinds"})
        if found is None:
            return parity
        values, unit = found
        sides = paired(reference, results)
        order = np.argsort(values, kind="stable")
        worst = tuple(self._ready.images[int(i)].name for i in order[:6] if values[int(i)] < 1)
        return parity.model_copy(
            update={
                "agreement": float(np.mean(values)),
                "agreement_unit": unit,
                "least_agreement": least,
                "worst_images": worst,
                "one_sided": len(sides.one_sided),
                "both_none": len(sides.neither),
            }
        )


def _not_run(reference: Cell) -> ParityResult:
    return ParityResult(
        reference=reference.id, rtol=None, atol=None, note=f"the reference cell {reference.id} did not run"
    )
