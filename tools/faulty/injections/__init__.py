"""Every fault of the catalogue as a wrong variant of a right pipeline. For: what is injected where, and where it can show.

Not for: names that no production pipeline can be given from outside (UNSEEN says why), or how the tool finds them.
"""

from __future__ import annotations

from itertools import chain

from faulty.injections import decode, model, places, resize, results, scores, sizes, suppression, values
from faulty.injections.injection import Injection, Setting, together

INJECTIONS: tuple[Injection, ...] = tuple(
    chain.from_iterable(
        family.INJECTIONS for family in (decode, resize, sizes, values, model, results, places, scores, suppression)
    )
)
# Two pipelines of one plan show these, not what production wrote: numbers alone do not say what computed them.
UNSEEN = {
    "precision-not-applied": "an fp16 engine that computes in fp32 gives the reference's own numbers; its types tell",
    "backend-wrong": "other numbers of one backend are those of other weights; a third backend tells",
}
# Stages apart, so that both can be seen; each variant once or twice.
PAIRS = (
    ("channel-order", "pad-value"), ("channel-order", "interpolation"), ("scale-wrong", "interpolation"),
    ("exif", "channel-order"), ("mean-std", "antialias"), ("interpolation", "label-offset"),
    ("channel-order", "nms-settings"), ("pad-anchor", "channel-order"), ("resize-mode", "mean-std"),
    ("yuv-range", "antialias"), ("crop-fraction", "channel-order"), ("half-pixel", "mean-std"),
    ("alpha-or-depth", "label-map"), ("scale-missing", "label-offset"), ("unletterbox", "channel-order"),
    ("box-format", "interpolation"), ("pad-value", "label-map"), ("pooling-mode", "channel-order"),
    ("chroma-subsampling", "scale-wrong"), ("normalise-order", "exif"),
)  # fmt: skip


def injections_of(task: str, fault: str = "", level: str = "") -> list[Injection]:
    """Those that the task can be given and, where a level is named, that can be seen there."""
    return [
        i
        for i in INJECTIONS
        if task in i.tasks and fault in ("", i.fault) and level in ("", *i.levels) and i.is_there()
    ]


def pairs_of(task: str, level: str = "") -> list[Injection]:
    """Both faults of each pair in one pipeline, of the first variants that the task can be given."""
    out = []
    for first, second in PAIRS:
        one, other = injections_of(task, first, level), injections_of(task, second, level)
        if one and other:
            out.append(together(one[0], other[0]))
    return out


__all__ = ["INJECTIONS", "UNSEEN", "Injection", "Setting", "injections_of", "pairs_of"]
