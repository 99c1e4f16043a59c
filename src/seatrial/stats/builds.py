"""What builds of one engine differ by, in the interval of an effect whose pairs share builds.

For: pairs of which several ran the same build, and so are no independent ones. Not for: pairs that each have a build of their
own, whose spread holds it already (compare.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from seatrial.stats.arguments import finite
from seatrial.stats.compare import PairedEffect
from seatrial.stats.means import student_half_width


def with_builds(effect: PairedEffect, d: npt.ArrayLike, builds: Sequence[int]) -> PairedEffect:
    """The effect with an interval that holds the pairs' own and Student's about the mean of the builds' means; and the larger
    of both p-values.

    d: as paired_effect has it; builds: which build each pair ran. Where each pair has its own, or all share one, nothing
    changes: the first needs nothing, and from the second nothing is to be had. Few builds give a wide interval: with three at
    95 %, 2.5 of their standard deviations to either side.
    """
    x, numbers = finite(d), np.asarray(builds)
    means = np.array([x[numbers == n].mean() for n in np.unique(numbers)])
    if effect.low is None or effect.high is None or len(means) in (1, len(x)):
        return effect
    middle, half = float(means.mean()), student_half_width(means, (1 - effect.confidence) / 2)
    error = float(means.std(ddof=1)) / len(means) ** 0.5
    p = 2 * float(stdtr(len(means) - 1, -abs(middle) / error)) if error > 0 else 0.0
    return replace(
        effect,
        low=min(effect.low, middle - half),
        high=max(effect.high, middle + half),
        p_value=max(effect.p_value, p),
    )
