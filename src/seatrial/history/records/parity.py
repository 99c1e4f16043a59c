"""How far a cell's tensors and results are from another's. Not for: verdicts on it (gate/)."""

from __future__ import annotations

from seatrial.history.records.values import Frozen


class TensorDifference(Frozen):
    """One raw output, or one part of it that means one thing ('output0 scores'), against the reference's.

    share_outside: elements beyond the tolerance; None where elementwise closeness is not asked for. sqnr_db is None where
    there is no noise (max_abs is 0) or no signal (the reference is zero).
    """

    name: str
    max_abs: float
    mean_abs: float
    cosine: float | None
    sqnr_db: float | None
    share_outside: float | None
    nan_mismatch: bool
    variation_db: float | None = None
    """The reference's variance over the mean squared error: at 0 dB a constant would do as well."""
    mean_relative: float | None = None
    """Mean |Δ| over the reference's mean size."""
    reference_max_abs: float | None = None
    elements: int | None = None
    flattened: int = 0
    """Rows along one axis that vary in the reference and are constant here; counted where a tenth of them is."""
    lost_rows: int = 0
    """The same of rows of whose variation less than 3 dB is left."""
    unit_range: bool = False
    """Values are probabilities: of below 0.05 on both sides there is nothing to see."""


class Floor(Frozen):
    """The reference against itself, run once more: rebuilt alike, or at another batch size or thread count."""

    what: str
    rebuilt: bool
    tensors: tuple[TensorDifference, ...] = ()
    problem: str = ""


class ParityResult(Frozen):
    """This cell against a reference cell: its own pipeline's (`parity`), or the reference pipeline's (`across`).

    note: why nothing could be compared; tensors_note: why the raw outputs could not.
    """

    reference: str
    rtol: float | None
    atol: float | None
    tensors: tuple[TensorDifference, ...] = ()
    agreement: float | None = None
    agreement_unit: str = ""
    least_agreement: float | None = None
    worst_images: tuple[str, ...] = ()
    agreement_interval: tuple[float | None, float | None] | None = None
    """One-sided bounds at 95 % each, from so many results."""
    agreement_n: float = 0.0
    agreement_of: str = ""
    """What was counted, and how many of it: boxes, images."""
    matched: str = ""
    """3 of 3 boxes matched, 1 extra in night.jpg; 7 images empty on both sides."""
    reference_empty: bool = False
    """The reference detects nothing anywhere, or answers the same for every image: there is nothing to agree with."""
    note: str = ""
    tensors_note: str = ""
    other_shapes: bool = False
    """The raw outputs of each side have one shape on all images, and not the same: no picture explains that."""
    tolerance_from: str = ""
    """Where rtol and atol come from: the plan, or the table, or three times the floor where that is more."""
    mean_rtol: float | None = None
    floor: tuple[Floor, ...] = ()
    least_sqnr_db: float | None = None
    failing_sqnr_db: float | None = None
    """At or above the former passes, below the latter fails; between them nobody can say."""
    least_cosine: float | None = None
    sqnr_from: str = ""
    decoded: bool = False
    """Whether there are decoded results, which then decide about the raw outputs that are not destroyed."""
    special_images: int = 0
    """Images, of all, with NaN or infinity on one side only; and in `special_example` which."""
    special_example: str = ""
    one_sided: int = 0
    """Images of which one side alone gave a result; counted as disagreement."""
    both_none: int = 0
    """Images of which neither side gave a result; counted as agreement."""
