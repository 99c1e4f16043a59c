"""A cell's results against its reference cell and the ground truth, as the cell ends. For: evidence. Not for: verdicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from seatrial.cells.matrix import Cell
from seatrial.cells.preflight import Ready
from seatrial.errors import SeatrialError
from seatrial.gate.accuracy import accuracy_interval, undefined
from seatrial.history.records import Accuracy, CellRecord, Measured, ParityResult
from seatrial.history.run_folder import RunFolder
from seatrial.parity.accuracy import evaluate
from seatrial.parity.dense import ErrorEvaluation
from seatrial.parity.evaluation import Evaluation, judged_images, noted_of, said_beside, value_of
from seatrial.parity.likelier import likelier
from seatrial.parity.relabel import relabelled
from seatrial.parity.results import agreement
from seatrial.parity.seen import nothing_found, seen, unknown_classes
from seatrial.parity.tolerance import least_agreement
from seatrial.pipeline.results import Result
from seatrial.pipeline.stored import Raw, StoredResults, kinds_of, load_results_file
from seatrial.plan.reference import baseline_name, is_reference_configuration
from seatrial.stats.sample import CONFIDENCE
from seatrial.trial.by_class import by_class
from seatrial.trial.tensor_parity import between_pipelines, own_pipeline
from seatrial.warning import Warning

# Classes of a cell that its record has figures of: the worst.
MOST_CLASSES = 100


@dataclass(frozen=True)
class Compared:
    """What a cell's results are worth: parts of its record. failed: nothing could be compared, and parity says why."""

    seen: str = ""
    accuracy: Accuracy | None = None
    parity: ParityResult | None = None
    across: ParityResult | None = None
    failed: bool = False

    def put_into(self, record: CellRecord) -> CellRecord:
        """What the record knew of the results by themselves outlives a comparison that failed."""
        parts = {"parity": self.parity, "across": self.across}
        own = {} if self.failed else {"seen": self.seen, "accuracy": self.accuracy}
        return record.model_copy(update={**own, **parts})


class Comparer:
    """Knows every cell's reference; reads results from the run's work folder."""

    def __init__(self, ready: Ready, run: RunFolder, cells: Sequence[Cell]) -> None:
        self._ready = ready
        self._run = run
        self._cells = cells
        self._kept: dict[str, tuple[StoredResults, Raw]] = {}
        self._evaluations: dict[str, Evaluation | None] = {}
        self._warnings: dict[str, tuple[Warning, ...]] = {}

    def compare(self, cell: Cell) -> Compared:
        """Nothing that was measured is lost to a comparison: what can't be compared becomes a note, and INCONCLUSIVE."""
        try:
            return self._compare(cell)
        except SeatrialError as e:
            why = e.for_command_line()
        except Exception as e:  # results of the user's own stage can be anything
            why = f"the results cannot be compared: {type(e).__name__}: {e}"
        return Compared(parity=ParityResult(reference="", rtol=None, atol=None, note=why), failed=True)

    def _compare(self, cell: Cell) -> Compared:
        results, raw = load_results_file(self._run.work / cell.id / "results.npz")
        self._warnings[cell.id] = self._warnings_of(cell, results)
        accuracy = self._accuracy_or_why_not(cell)
        self._warnings[cell.id] += noted_of(self.evaluation(cell.id)).warnings
        what = seen(results, self._ready.labels[cell.pipeline])
        found = Compared("; ".join(filter(None, (what, said_beside(self.evaluation(cell.id))))), accuracy)
        if self._ready.plan.plan.parity is None:
            return found
        own = self._reference_of(cell.pipeline)
        if own is not None and own.id != cell.id:
            found = replace(found, parity=self._against(cell, own, results, raw))
        baseline = self._reference_of(baseline_name(self._ready.plan.plan))
        if baseline is not None and baseline.pipeline != cell.pipeline:
            found = replace(found, across=self._across(cell, baseline, results, raw))
        return found

    def warnings(self, cell: Cell) -> tuple[Warning, ...]:
        """What the results of a compared cell show by themselves, and no figure would."""
        return self._warnings.get(cell.id, ())

    def _warnings_of(self, cell: Cell, results: Sequence[Result]) -> tuple[Warning, ...]:
        labels, class_map = self._ready.labels[cell.pipeline], self._ready.class_maps[cell.pipeline]
        classes = len(labels or ()) or len(class_map.ids if class_map else ())
        said = (
            nothing_found(results),
            unknown_classes(results, classes) if classes else None,
            self._likelier(cell, results),
        )
        return tuple(filter(None, said))

    def _likelier(self, cell: Cell, results: Sequence[Result]) -> Warning | None:
        truth, found = self._ready.truth, self.evaluation(cell.id)
        if truth is None or found is None:
            return None
        return likelier(truth, self._ready.images, results, self._ready.class_maps[cell.pipeline], value_of(found))

    def _reference_of(self, pipeline: str) -> Cell | None:
        plan = self._ready.plan.plan
        return next((c for c in self._cells if c.pipeline == pipeline and is_reference_configuration(plan, c)), None)

    def _results_of(self, cell: Cell) -> tuple[StoredResults, Raw] | None:
        if cell.id not in self._kept:
            path = self._run.work / cell.id / "results.npz"
            if not path.is_file():
                return None
            self._kept[cell.id] = load_results_file(path)
        return self._kept[cell.id]

    def evaluation(self, cell_id: str) -> Evaluation | None:
        """The cell's results against the truth, image by image; None where there is no truth, or none for its task, or where
        they cannot be compared, which a note of the cell says."""
        try:
            return self._evaluated(cell_id)
        except Exception:  # results of the user's own stage can be anything
            return None

    def _evaluated(self, cell_id: str) -> Evaluation | None:
        if cell_id not in self._evaluations:
            cell = next(c for c in self._cells if c.id == cell_id)
            path = self._run.work / cell_id / "results.npz"
            truth = self._ready.truth
            found = None
            if truth is not None and path.is_file():
                results, _ = load_results_file(path)
                found = evaluate(truth, self._ready.images, results, self._ready.class_maps[cell.pipeline])
            self._evaluations[cell_id] = found
        return self._evaluations[cell_id]

    def _accuracy_or_why_not(self, cell: Cell) -> Accuracy | None:
        """What cannot be scored costs no other figure of the cell."""
        try:
            return self._accuracy(cell)
        except SeatrialError as e:
            return Accuracy(note=e.for_command_line())
        except Exception as e:  # results of the user's own stage can be anything
            return Accuracy(note=f"the results cannot be scored: {type(e).__name__}: {e}")

    def _accuracy(self, cell: Cell) -> Accuracy | None:
        truth = self._ready.truth
        if truth is None:
            return None
        found = self._evaluated(cell.id)
        if found is None:
            return Accuracy(note="the annotations and the pipeline's results do not go together")
        value = value_of(found)
        if value is None:
            return Accuracy(metric=found.metric, note=undefined(found.metric))
        by_tag: dict[str, list[int]] = defaultdict(list)
        for i, image in enumerate(self._ready.images):
            for tag in self._ready.tags.get(image.name, []):
                by_tag[tag].append(i)
        ready, name = self._ready, cell.pipeline
        classes = by_class(found, truth, ready.images, ready.class_maps[name], ready.labels[name])
        second = found.second if isinstance(found, ErrorEvaluation) else None
        n = judged_images(found)
        interval = accuracy_interval(found, self._ready.plan.plan.measure.seed)
        confidence = 2 * CONFIDENCE - 1
        return Accuracy(
            metric=found.metric,
            value=Measured(value=value, unit="fraction", interval=interval, confidence=confidence, n=n, n_eff=n),
            by_tag={tag: value_of(found, chosen) for tag, chosen in sorted(by_tag.items())},
            by_class=tuple(classes[:MOST_CLASSES]),
            classes=len(classes),
            second={second.metric: v} if second and (v := value_of(second)) is not None else {},
        )

    def _against(self, cell: Cell, reference: Cell, results: Sequence[Result], raw: Raw) -> ParityResult:
        parity = self._ready.plan.plan.parity
        assert parity is not None
        kept = self._results_of(reference)
        if kept is None:
            return _not_run(reference)
        decoded = any(k is not None for k in (*kept[0].kinds, *kinds_of(results)))
        folders = self._run.work / reference.id, self._run.work / cell.id
        fields = own_pipeline(self._ready, cell, reference, (kept[1], raw), folders, decoded)
        least = parity.agreement if parity.agreement is not None else least_agreement(cell.precision)
        found = ParityResult(**({"reference": reference.id, "rtol": None, "atol": None} | fields))
        return self._agreement(found, kept[0], results, least)

    def _across(self, cell: Cell, baseline: Cell, results: Sequence[Result], raw: Raw) -> ParityResult:
        """Another pipeline's tensors may differ on purpose: decoded results are compared, where there are any."""
        kept = self._results_of(baseline)
        if kept is None:
            return _not_run(baseline)
        found = ParityResult(reference=baseline.id, rtol=None, atol=None)
        if all(k is None for k in (*kept[0].kinds, *kinds_of(results))):
            folders = self._run.work / baseline.id, self._run.work / cell.id
            fields = between_pipelines(self._ready, cell, baseline, (kept[1], raw), folders)
            return found.model_copy(update=fields)
        translation = self._ready.relabellings.get(cell.pipeline)
        if translation is not None and translation.problem:
            return found.model_copy(update={"note": str(translation.problem)})
        results = relabelled(results, translation.ids if translation else None)
        return self._agreement(found, kept[0], results, None)

    def _agreement(
        self, parity: ParityResult, reference: Sequence[Result], results: Sequence[Result], least: float | None
    ) -> ParityResult:
        try:
            found = agreement(reference, results)
        except (AttributeError, ValueError):
            return parity.model_copy(update={"note": "the two pipelines' results are of different kinds"})
        if found is None:
            return parity
        value = found.value
        if value is None:
            # Empty on both sides throughout: they agree, and nobody has seen anything.
            value = 1.0
        by_image = found.by_image
        order = np.argsort(by_image, kind="stable")
        names = [i.name for i in self._ready.images]
        return parity.model_copy(
            update={
                "agreement": value,
                "agreement_unit": found.unit,
                "agreement_interval": found.interval(self._ready.plan.plan.measure.seed),
                "agreement_n": found.count,
                "agreement_of": found.counted,
                "matched": found.said(names),
                "reference_empty": found.reference_empty,
                "least_agreement": least,
                "worst_images": tuple(names[int(i)] for i in order[:6] if by_image[int(i)] < 1),
                "one_sided": len(found.one_sided),
                "both_none": found.neither,
            }
        )


def _not_run(reference: Cell) -> ParityResult:
    return ParityResult(
        reference=reference.id, rtol=None, atol=None, note=f"the reference cell {reference.id} did not run"
    )
