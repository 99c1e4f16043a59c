"""Made-up inputs for a model alone, and one run on them for its errors. Needs NumPy and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seatrial.errors import CellError, option


def made_up(shape: Sequence[int], dtype: str, seed: int) -> Any:
    """Uniform 0 to 1 for floats; zeros for the rest, which are a valid index, mask and level."""
    import numpy as np

    if np.issubdtype(np.dtype(dtype), np.floating):
        return np.random.default_rng(seed).random(tuple(shape)).astype(dtype)
    return np.zeros(tuple(shape), dtype)


def first_run(backend: Any, feeds: Mapping[str, Any]) -> None:
    """One run on made-up values, for its errors: CellError where it fails, or where it gives nothing for made-up zeros."""
    zeros = made_up_zeros({name: array.dtype.name for name, array in feeds.items()})
    try:
        outputs = backend.run(feeds)
    except CellError as e:
        raise CellError(f"{e.raw}{zeros}", refusal=e.refusal) from e
    if zeros and outputs and not any(o.size for o in outputs):
        raise CellError(f"all outputs are empty{zeros}")


def made_up_zeros(dtypes: Mapping[str, str]) -> str:
    """What a message ends in where inputs were made up as zeros, which may be no index, length or shape; else ''."""
    zeros = [name for name, dtype in dtypes.items() if not dtype.startswith(("float", "complex"))]
    if not zeros:
        return ""
    return (
        f"; the values of {', '.join(map(repr, zeros))} were made up as zeros, which the model may not take for an index, a "
        "length or a shape; measure it in a plan whose preprocess stage is a Python function that gives them: PLAN:PIPELINE "
        f"{option('allow_code')}"
    )
