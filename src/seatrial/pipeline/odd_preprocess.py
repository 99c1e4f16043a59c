"""Means and deviations that cannot belong to the pixels they are taken from: of another scale, as other tools count.

For: warnings before anything runs. mmseg, mmdet and torch count pixels from 0 to 255 or from 0 to 1; a plan's scale says which,
and is 1/255 where the plan says nothing. Not for: what the kernels refuse (kernels/preprocess.py).
"""

from __future__ import annotations

from itertools import zip_longest

from seatrial.plan import pipelines
from seatrial.warning import Warning

# Of rounded numbers, such as 255.5 / 255.
SLACK = 1.01
# Steps between neighbouring pixel values in the model's input: no training tool draws them further apart than pixels are.
WIDEST_STEP = 2.0


def odd_normalisation(where: str, spec: pipelines.Pipeline) -> list[Warning]:
    """where: the pipeline's place in the plan. [] of a Python stage, of which nobody knows what it does."""
    p = spec.preprocess
    if not isinstance(p, pipelines.Preprocess):
        return []
    most = 255 * p.scale
    if all(0 <= m <= SLACK * most for m in p.mean) and all(p.scale / WIDEST_STEP <= s <= SLACK * most for s in p.std):
        return []
    pairs = list(zip_longest(p.mean, p.std, fillvalue=(p.mean if len(p.mean) < len(p.std) else p.std)[0]))
    low, high = min(-m / s for m, s in pairs), max((most - m) / s for m, s in pairs)
    said = (
        f"{where}.preprocess: mean {_numbers(p.mean)} and std {_numbers(p.std)} do not fit pixels × scale, which go from 0 to "
        f"{most:.3g}: the model would get values from {low:.3g} to {high:.3g}"
    )
    return [Warning("normalisation", said, _cure(p))]


def _cure(p: pipelines.Preprocess) -> str:
    if p.scale < 1 and all(0 <= m <= 255 for m in p.mean) and all(WIDEST_STEP**-1 <= s <= 255 * SLACK for s in p.std):
        return "they look like those of pixels from 0 to 255: set scale: 1, or divide both by 255"
    if p.scale == 1 and all(0 <= m <= 1 for m in p.mean) and all(s <= 1 for s in p.std):
        return "they look like those of pixels from 0 to 1: set scale: 1/255, or multiply both by 255"
    return "give both of pixels × scale, from which the mean is taken first: (pixel * scale - mean) / std"


def _numbers(values: tuple[float, ...]) -> str:
    return f"[{', '.join(f'{v:g}' for v in values)}]"
