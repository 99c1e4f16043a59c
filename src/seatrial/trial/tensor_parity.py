"""Raw outputs of one cell against a reference cell's, as fields of a ParityResult. For: evidence. Not for: verdicts (gate)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.cells.matrix import Cell
from seatrial.cells.preflight import Ready
from seatrial.errors import count_of
from seatrial.history.records import Floor, TensorDifference
from seatrial.parity.floor import load_floors, unmeasured, usable
from seatrial.parity.parts import Parts, split
from seatrial.parity.specials import unlike
from seatrial.parity.tensors import compare_tensors
from seatrial.parity.tolerance import PLANS, SQNR_DB, SQNR_DB_OF_EIGHT_BITS, Closeness, automatic_tolerance, sqnr_limits
from seatrial.pipeline.stored import Raw, load_specials
from seatrial.plan.models import Parity, Tolerance


def own_pipeline(
    ready: Ready, cell: Cell, reference: Cell, raw: tuple[Raw, Raw], folders: tuple[Path, Path], decoded: bool
) -> dict[str, Any]:
    """Fields of `cell` against the reference of its own pipeline; raw and folders are (reference's, cell's).

    Same precision: elementwise. Reduced: SQNR of each part. NaN and infinity: on all images.
    """
    plan = ready.plan.plan
    assert plan.parity
    measured = load_floors(folders[0])
    floors = usable(measured)
    tolerance = _tolerance(plan.parity, cell, reference, floors)
    postprocess = plan.pipelines[cell.pipeline].postprocess
    outputs = ready.models[cell.pipeline].outputs
    sides = [split(postprocess, outputs, arrays, by_rank=tolerance is None) for arrays in raw]
    fields: dict[str, Any] = {"floor": measured, "decoded": decoded} | _specials(
        ready, [o.name for o in outputs], folders
    )
    try:
        if tolerance is None:
            limits = sqnr_limits(cell.precision, reference.precision, decoded, plan.parity.sqnr, floors)
            fields |= {
                "tensors": _compare(sides[0], sides[1], None),
                "least_sqnr_db": limits.least,
                "failing_sqnr_db": limits.failing,
                "least_cosine": plan.parity.cosine,
                "sqnr_from": limits.source + unmeasured(measured),
            }
        else:
            fields |= _elementwise(sides[0], sides[1], tolerance, cell, reference)
            fields["tolerance_from"] += unmeasured(measured)
    except ValueError as e:
        fields |= {"tensors_note": str(e), "other_shapes": _other_shapes(*raw)}
    return fields


def _other_shapes(a: Raw, b: Raw) -> bool:
    """Whether shapes differ that do not depend on the picture: on several images each side has its own and no other. What lists
    objects, as a model with NMS in it does, has another length on each image."""
    shapes = [{tuple(np.shape(output) for output in image) for image in side} for side in (a, b)]
    return min(len(a), len(b)) > 1 and all(len(own) == 1 for own in shapes) and shapes[0] != shapes[1]


def between_pipelines(
    ready: Ready, cell: Cell, baseline: Cell, raw: tuple[Raw, Raw], folders: tuple[Path, Path]
) -> dict[str, Any]:
    """Fields of `cell` against the reference pipeline, where neither decodes anything: by SQNR, if shapes agree.

    A better version differs on purpose: without a limit in the plan only the same outputs pass.
    """
    plan = ready.plan.plan
    assert plan.parity
    sides = [
        split(plan.pipelines[c.pipeline].postprocess, ready.models[c.pipeline].outputs, arrays)
        for c, arrays in zip((baseline, cell), raw, strict=True)
    ]
    if len(sides[0].names) != len(sides[1].names):
        counts = f"{len(sides[0].names)} and {len(sides[1].names)}"
        return {"tensors_note": f"the two pipelines have {counts} outputs"}
    # By name where both have the same names; a new export may call the same outputs otherwise, in the same order.
    if set(sides[0].names) == set(sides[1].names):
        order = [sides[1].names.index(name) for name in sides[0].names]
        sides[1] = Parts(sides[0].names, sides[0].unit_range, [[row[k] for k in order] for row in sides[1].arrays])
    try:
        tensors = _compare(sides[0], sides[1], None)
    except ValueError as e:
        return {"tensors_note": str(e)}
    special = _specials(ready, sides[0].names, folders) if len(ready.models[cell.pipeline].outputs) else {}
    given = plan.parity.sqnr is not None or plan.parity.cosine is not None
    default = min(SQNR_DB.get(p, SQNR_DB_OF_EIGHT_BITS)[0] for p in (cell.precision, baseline.precision))
    return {
        "tensors": tensors,
        "least_sqnr_db": plan.parity.sqnr if given else default,
        "failing_sqnr_db": plan.parity.sqnr,
        "least_cosine": plan.parity.cosine,
        "sqnr_from": PLANS if given else "",
        **special,
    }


def _tolerance(parity: Parity, cell: Cell, reference: Cell, floors: tuple[Floor, ...]) -> Closeness | None:
    if isinstance(parity.tolerance, Tolerance):
        same = cell.precision == reference.precision
        return Closeness(parity.tolerance.rtol, parity.tolerance.atol, source=PLANS) if same else None
    return automatic_tolerance(cell.precision, reference.precision, cell.choice == reference.choice, floors)


def _elementwise(a: Parts, b: Parts, tolerance: Closeness, cell: Cell, reference: Cell) -> dict[str, Any]:
    """By the table; where that does not do, by three times the floor.

    The same runtime at another batch size or thread count is the reference against itself: this cell measures that floor,
    which is bounded by the pair across runtimes.
    """
    tensors = _compare(a, b, Closeness(tolerance.rtol, tolerance.atol, mean_rtol=tolerance.mean_rtol))
    source = tolerance.source
    if any(t.share_outside for t in tensors) and tolerance.source != PLANS:
        floors = tolerance.floors
        if (cell.batch, cell.threads) != (reference.batch, reference.threads):
            here = f"batch {cell.batch}, {count_of(cell.threads, 'thread')}"
            floors = (*floors, Floor(what=here, rebuilt=False, tensors=tensors))
        wider = Closeness(tolerance.rtol, tolerance.atol, tolerance.wide, floors)
        tensors = _compare(a, b, wider)
        source += _floor_words(wider)
    return {
        "tensors": tensors,
        "rtol": tolerance.rtol,
        "atol": tolerance.atol,
        "mean_rtol": tolerance.mean_rtol,
        "tolerance_from": source,
    }


def _floor_words(tolerance: Closeness) -> str:
    """Which of the reference's own differences widened the tolerance."""
    used = [f for f in tolerance.floors if any(t.max_abs > 0 for t in f.tensors) and (f.rebuilt or tolerance.wide)]
    if not used:
        return ""
    words = ", ".join(f"{f.what}: {max(t.max_abs for t in f.tensors):.2g}" for f in used)
    bound = f", at most rtol {tolerance.wide[0]:g}, atol {tolerance.wide[1]:g}" if tolerance.wide else ""
    return f", or 3 × the floor ({words}{bound})"


def _compare(a: Parts, b: Parts, tolerance: Closeness | None) -> tuple[TensorDifference, ...]:
    return tuple(compare_tensors(a.names, a.arrays, b.arrays, tolerance, a.unit_range))


def _specials(ready: Ready, names: Sequence[str], folders: tuple[Path, Path]) -> dict[str, Any]:
    own: list[npt.NDArray[np.int64] | None] = [load_specials(folder / "results.npz") for folder in folders]
    if own[0] is None or own[1] is None:
        return {}
    if own[0].shape != own[1].shape:  # told by the tensors themselves
        return {}
    images, outputs = unlike(own[0], own[1])
    if not images:
        return {}
    called = ", ".join(names[k] if len(names) == own[0].shape[1] else str(k) for k in outputs)
    where = f"{ready.images[images[0]].name} (output {called})"
    return {"special_images": len(images), "special_example": where}
