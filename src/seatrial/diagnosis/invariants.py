"""What must hold of one pipeline's model by itself, whatever another says: each image for itself, whoever it is run with.

For: a run over batches, held against itself; the odd one of three; a precision that was said and not used. Not for: opening
backends, or what explains a violation (mutations/model.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.distance import Tolerance, tensor_distance
from seatrial.errors import SeatrialError, count_of
from seatrial.history.records.diagnosis import Invariant

Array = npt.NDArray[Any]
# (B, …) feeds of the image input to the outputs, each with a row an image.
RunBatch = Callable[[Array], Sequence[Array]]
# Other batches sum in another order, or by another kernel: what runtimes may differ by, not what the same run may.
OTHER_BATCH = Tolerance(1e-3, 1e-3)
# Of three, the odd one is so many times as far from both as these are from each other.
ODD_FACTOR = 5.0


def invariants(
    run: RunBatch, images: Sequence[Array], batch: int, tolerance: Tolerance = OTHER_BATCH
) -> tuple[Invariant, ...]:
    """images: inputs of unlike images, (1, …) each; run: takes `batch` rows at once, and takes one where the model's file lets
    it. tolerance: between batch sizes; the same run twice must agree to the bit, but for what `tolerance` is where it does not.
    """
    if batch < 2 or len(images) < 2:
        said = "not tried: it takes a batch of two or more, and as many images"
        return tuple(Invariant(name=n, holds=None, said=said) for n in ("row-alone", "identical-rows", "order"))
    rows = [images[k % len(images)] for k in range(batch)]
    return (
        _held("row-alone", lambda: _alone(run, rows, tolerance)),
        _held("identical-rows", lambda: _identical(run, images[0], batch, tolerance)),
        _held("order", lambda: _shuffled(run, rows, tolerance)),
    )


def dynamic_as_fixed(
    dynamic: RunBatch, fixed: RunBatch, images: Sequence[Array], tolerance: Tolerance = OTHER_BATCH
) -> Invariant:
    """A model opened for any shape against itself opened for these."""

    def violated() -> str:
        for k, image in enumerate(images):
            where = _differ(_copied(fixed(image)), _copied(dynamic(image)), tolerance)
            if where:
                return f"image {k}: opened for any shape it gives another {where} than for its own shape"
        return ""

    return _held("dynamic-shape", violated)


def odd_one_out(outputs: Mapping[str, Sequence[Sequence[Array]]]) -> str | None:
    """By backend, outputs an image: the one that differs from all others where these agree; None where there is none, or with
    fewer than three. The reference has no more right than any other."""
    names = list(outputs)
    if len(names) < 3:
        return None
    apart = {(a, b): _mean_distance(outputs[a], outputs[b]) for a in names for b in names if a < b}
    for odd in names:
        own = [d for pair, d in apart.items() if odd in pair]
        others = [d for pair, d in apart.items() if odd not in pair]
        if min(own) > ODD_FACTOR * max(others) and min(own) > LEAST_ODD:
            return odd
    return None


# Share of a tensor's spread below which backends differ by their rounding.
LEAST_ODD = 1e-3


def precision_not_applied(
    precision: str,
    computed_in: Mapping[str, int],
    in_fp32: Sequence[Sequence[Array]],
    declared: Sequence[Sequence[Array]],
) -> str:
    """Why a backend that says it computes in `precision` does not; '' where it does, or nothing shows it. computed_in: its own
    account (Backend.computed_in); in_fp32, declared: outputs an image of both."""
    if precision == "fp32":
        return ""
    wanted = "int8" if precision.startswith("int8") else precision
    if computed_in and not any(kind.startswith(wanted) and n for kind, n in computed_in.items()):
        used = ", ".join(f"{n} in {kind}" for kind, n in computed_in.items())
        return f"none of its products computes in {precision}, by the runtime's own account: {used}"
    pairs = [(a, b) for x, y in zip(in_fp32, declared, strict=True) for a, b in zip(x, y, strict=True)]
    floats = [(a, b) for a, b in pairs if a.dtype.kind == "f" and a.size > 1]
    if floats and all(a.shape == b.shape and np.array_equal(a, b, equal_nan=True) for a, b in floats):
        images = count_of(len(in_fp32), "image")
        return f"its outputs are those of fp32 to the bit, on {images}: {precision} would have rounded"
    return ""


def _held(name: str, violated: Callable[[], str]) -> Invariant:
    try:
        said = violated()
    except (SeatrialError, ValueError) as e:
        return Invariant(name=name, holds=None, said=f"not tried: {str(e).splitlines()[0][:200]}")
    return Invariant(name=name, holds=not said, said=said or _SAID[name])


_SAID = {
    "row-alone": "each row of a batch is what its image gives alone",
    "identical-rows": "identical rows of a batch are identical",
    "order": "another order changes nothing",
    "dynamic-shape": "a shape that was open gives what the fixed one gives",
}


def _alone(run: RunBatch, rows: Sequence[Array], tolerance: Tolerance) -> str:
    together = _by_row(run(np.concatenate(rows)), len(rows))
    wrong = []
    where = ""
    for k, row in enumerate(rows):
        alone = _copied(run(row))
        where = _differ(alone, together[k], tolerance) or where
        if _differ(alone, together[k], tolerance):
            wrong.append(k)
    if not wrong:
        return ""
    which = "all rows" if len(wrong) == len(rows) else f"rows {', '.join(map(str, wrong))}"
    return f"of a batch of {len(rows)}, {which} give another {where} than their images alone"


def _identical(run: RunBatch, image: Array, batch: int, tolerance: Tolerance) -> str:
    rows = _by_row(run(np.repeat(image, batch, axis=0)), batch)
    wrong = [k for k in range(1, batch) if _differ(rows[0], rows[k], tolerance)]
    if not wrong:
        return ""
    where = _differ(rows[0], rows[wrong[0]], tolerance)
    return f"of a batch of {batch} times one image, rows {', '.join(map(str, wrong))} differ from row 0 in {where}"


def _shuffled(run: RunBatch, rows: Sequence[Array], tolerance: Tolerance) -> str:
    """The same batch backwards, and once more: what is kept from one run to the next shows too."""
    first = _by_row(run(np.concatenate(rows)), len(rows))
    turned = _by_row(run(np.concatenate(rows[::-1])), len(rows))[::-1]
    again = _by_row(run(np.concatenate(rows)), len(rows))
    for said, other in (("backwards", turned), ("run once more", again)):
        wrong = [k for k in range(len(rows)) if _differ(first[k], other[k], tolerance)]
        if wrong:
            where = _differ(first[wrong[0]], other[wrong[0]], tolerance)
            return f"{said}, images {', '.join(map(str, wrong))} of {len(rows)} give another {where}"
    return ""


def _copied(outputs: Sequence[Array]) -> list[Array]:
    """The next run may write into the same memory."""
    return [np.array(o) for o in outputs]


def _by_row(outputs: Sequence[Array], batch: int) -> list[list[Array]]:
    if any(not o.ndim or len(o) != batch for o in outputs):
        shapes = ", ".join(str(o.shape) for o in outputs)
        raise ValueError(f"outputs of shape {shapes} have no row an image")
    copies = _copied(outputs)
    return [[o[k : k + 1] for o in copies] for k in range(batch)]


def _differ(reference: Sequence[Array], other: Sequence[Array], tolerance: Tolerance) -> str:
    """The first output that does, by its place; '' where none."""
    for k, (r, o) in enumerate(zip(reference, other, strict=True)):
        if not tolerance.holds(r, o):
            return f"output {k}"
    return ""


def _mean_distance(a: Sequence[Sequence[Array]], b: Sequence[Sequence[Array]]) -> float:
    return float(np.mean([tensor_distance(x, y) for i, j in zip(a, b, strict=True) for x, y in zip(i, j, strict=True)]))
