"""What must hold of one pipeline's model by itself, whatever another says: each image for itself, whoever it is run with.

For: a run over batches, held against itself. Not for: opening backends (alone.py), what a violation means for the verdict
(by_itself.py), or what explains it (mutations/model.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.tolerances import WIDE, Same
from seatrial.errors import SeatrialError
from seatrial.history.records.diagnosis import Invariant

Array = npt.NDArray[Any]
# By input, a row an image.
Feeds = Mapping[str, Array]
# Feeds of as many images as they have rows to the outputs, each with a row an image.
RunBatch = Callable[[Feeds], Sequence[Array]]
# More rows are not run alone each: the first, the last, and two between.
MOST_ALONE = 4


def invariants(run: RunBatch, images: Sequence[Feeds], batch: int, same: Same = WIDE.holds) -> tuple[Invariant, ...]:
    """images: feeds of unlike images, a row each; run: takes `batch` rows at once, and one alone, which may mean the same one
    in all rows of a model that takes no fewer."""
    if batch < 2 or len(images) < 2:
        said = "not tried: it takes a batch of two or more, and as many images"
        return tuple(Invariant(name=n, holds=None, said=said) for n in ("row-alone", "identical-rows", "order"))
    rows = [images[k % len(images)] for k in range(batch)]
    first: list[list[list[Array]]] = []

    def together() -> list[list[Array]]:
        if not first:
            first.append(_by_row(run(_stacked(rows)), batch))
        return first[0]

    return (
        _held("row-alone", batch, lambda: _alone(run, rows, together(), same)),
        _held("identical-rows", batch, lambda: _identical(run, images[0], batch, same)),
        _held("order", batch, lambda: _shuffled(run, rows, together(), same)),
    )


def dynamic_as_fixed(dynamic: RunBatch, fixed: RunBatch, images: Sequence[Feeds], same: Same = WIDE.holds) -> Invariant:
    """A model opened for any shape against itself opened for these."""

    def violated() -> str:
        for k, image in enumerate(images):
            where = _differ(_copied(fixed(image)), _copied(dynamic(image)), same)
            if where:
                return f"image {k}: opened for any shape it gives another {where} than for its own shape"
        return ""

    return _held("dynamic-shape", 1, violated)


def _held(name: str, batch: int, violated: Callable[[], str]) -> Invariant:
    try:
        said = violated()
    except (SeatrialError, ValueError) as e:
        return Invariant(name=name, holds=None, said=f"not tried: {str(e).splitlines()[0][:200]}")
    return Invariant(name=name, holds=not said, said=said or _SAID[name].format(batch=batch))


_SAID = {
    "row-alone": "each row of a batch of {batch} is what its image gives alone",
    "identical-rows": "identical rows of a batch of {batch} are identical",
    "order": "another order of a batch of {batch} changes nothing",
    "dynamic-shape": "a shape that was open gives what the fixed one gives",
}


def _stacked(rows: Sequence[Feeds]) -> dict[str, Array]:
    return {name: np.concatenate([r[name] for r in rows]) for name in rows[0]}


def _alone(run: RunBatch, rows: Sequence[Feeds], together: Sequence[Sequence[Array]], same: Same) -> str:
    tried = sorted({round(k) for k in np.linspace(0, len(rows) - 1, min(len(rows), MOST_ALONE))})
    wrong = {k: where for k in tried if (where := _differ(_copied(run(rows[k])), together[k], same))}
    if not wrong:
        return ""
    which = "all rows" if len(wrong) == len(tried) else f"rows {', '.join(map(str, wrong))}"
    of = "" if len(tried) == len(rows) else f" of {len(tried)} that were tried"
    return f"of a batch of {len(rows)}, {which}{of} give another {next(iter(wrong.values()))} than their images alone"


def _identical(run: RunBatch, image: Feeds, batch: int, same: Same) -> str:
    rows = _by_row(run(_stacked([image] * batch)), batch)
    wrong = [k for k in range(1, batch) if _differ(rows[0], rows[k], same)]
    if not wrong:
        return ""
    where = _differ(rows[0], rows[wrong[0]], same)
    return f"of a batch of {batch} times one image, rows {', '.join(map(str, wrong))} differ from row 0 in {where}"


def _shuffled(run: RunBatch, rows: Sequence[Feeds], first: Sequence[Sequence[Array]], same: Same) -> str:
    """The same batch backwards, and once more: what is kept from one run to the next shows too."""
    turned = _by_row(run(_stacked(rows[::-1])), len(rows))[::-1]
    again = _by_row(run(_stacked(rows)), len(rows))
    for said, other in (("backwards", turned), ("run once more", again)):
        wrong = [k for k in range(len(rows)) if _differ(first[k], other[k], same)]
        if wrong:
            where = _differ(first[wrong[0]], other[wrong[0]], same)
            return f"{said}, images {', '.join(map(str, wrong))} of a batch of {len(rows)} give another {where}"
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


def _differ(reference: Sequence[Array], other: Sequence[Array], same: Same) -> str:
    """The first output that does, by its place; '' where none. One whose rows are ordered by score changes places for
    nothing."""
    for k, (r, o) in enumerate(zip(reference, other, strict=True)):
        if not same(r, o) and not same(np.sort(r, axis=None), np.sort(o, axis=None)):
            return f"output {k}"
    return ""
