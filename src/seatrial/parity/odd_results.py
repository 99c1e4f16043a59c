"""What results and truth show beside each other that no figure says: a truth of a few pixels, images that nobody annotated,
another unit, texts that differ in capitals alone.

For: words beside a figure, and warnings with the likely cause. Not for: the figures (evaluation.py), or what is odd in a truth
by itself (odd_truth.py).
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from seatrial.errors import count_of
from seatrial.parity.evaluation import NOTHING_NOTED, Noted
from seatrial.warning import Warning

F64 = npt.NDArray[np.float64]
# Below it a truth says little of what users see. Label images with a border around each object judge some 95 %.
LEAST_JUDGED = 0.1
# Fewer images without an annotation may well be empty.
MANY_BARE = 0.1
# From here on values are another unit's, or none.
FAR_OFF = 5.0
# How near to a power of ten, in powers of ten: 25 %.
NEAR_POWER = 0.1


def judged_pixels(judged: int, total: int) -> Noted:
    """How much of the images a truth judges, where that is not nearly all."""
    share = judged / total if total else 1.0
    if not judged or share > 0.995:
        return NOTHING_NOTED
    said = f"judged {share:.0%} of the pixels" if share >= 0.01 else f"judged {share:.2g} of the pixels"
    if share >= LEAST_JUDGED:
        return Noted(said)
    # Rounded, so that cells that differ in nothing else say the same.
    what = f"the truth judges {share:.1%} of the pixels: of the rest nothing is known, and anything may be there"
    return Noted(said, (Warning("few-pixels", what, "unless it is meant so, as of a LiDAR's depth, complete it"),))


def bare_images(annotated: Sequence[bool], found: F64, of: str) -> Noted:
    """annotated, found (images,): whether the truth has anything on each, and how much the model finds there, such as the sum
    of its scores. of: what a model finds, many of them."""
    there, images = np.array(annotated, bool), len(annotated)
    bare = int((~there).sum())
    if not bare or bare == images:
        return NOTHING_NOTED
    said = f"{bare} of {count_of(images, 'image')} without an annotation"
    if bare < MANY_BARE * images or not found[there].any() or found[~there].mean() < 0.5 * found[there].mean():
        return Noted(said)
    what = f"{said}, but the model finds about as many {of} there as on the others: each counts as wrong"
    return Noted(said, (Warning("bare-images", what, "annotate these images, or leave them out of images.path"),))


def odd_values(ratios: F64, below: int, judged: int) -> tuple[Warning, ...]:
    """ratios (images,): the median of value / truth on each, NaN where nothing is judged. below: of the `judged` pixels, how
    many have a value below 0 where the truth is above."""
    warnings = []
    if below:
        said = f"{below / judged:.1%} of the judged pixels have a value below 0, where the truth is above 0"
        warnings.append(
            Warning("negative-values", said, "are postprocess.scale, shift, invert and the preprocessing right?")
        )
    ratio = float(np.nanmedian(ratios)) if np.isfinite(ratios).any() else 1.0
    if ratio > 0 and not 1 / FAR_OFF < ratio < FAR_OFF:
        warnings.append(_another_unit(ratio))
    return tuple(warnings)


def _another_unit(ratio: float) -> Warning:
    said = f"the median of value / truth is {float(f'{ratio:.2g}'):,g}, as of another unit"
    power = round(math.log10(ratio))
    if abs(math.log10(ratio) - power) < NEAR_POWER:
        cure = f"make postprocess.scale {10.0**-power:g} times what it is, or correct images.map_scale"
    else:
        cure = "correct postprocess.scale or images.map_scale; or is it a relative depth, or an inverse (invert: true)?"
    return Warning("other-unit", said, cure)


_ALIKE: dict[str, Callable[[str], str]] = {
    "capitals": str.casefold,
    "spaces": lambda text: "".join(text.split()),
    "full-width and other forms": lambda text: unicodedata.normalize("NFKC", text),
    "capitals, spaces and full-width forms": lambda text: "".join(
        unicodedata.normalize("NFKC", text).casefold().split()
    ),
}


def alike_but_for(pairs: Sequence[tuple[str, str]]) -> tuple[Warning, ...]:
    """pairs: the truth and what was read, of texts that are not the same. A warning where most differ in their form alone."""
    for what, fold in _ALIKE.items():
        alike = [pair for pair in pairs if fold(pair[0]) == fold(pair[1])]
        if pairs and 2 * len(alike) >= len(pairs):
            true, read = alike[0]
            many = f"{len(alike)} of {count_of(len(pairs), 'wrong text')}"
            said = f"{many} are right but for {what}, such as {read!r} for {true!r}"
            cure = "write the truth as the model reads, or take a dictionary that has both"
            return (Warning("folded-texts", said, cure),)
    return ()
