"""A guess at a model with a look at what it gives on a picture: what `init` writes, and what a bench of images measures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seatrial.demo import PICTURE
from seatrial.errors import is_utf8
from seatrial.model.file import ModelInfo
from seatrial.model.image_size import Size
from seatrial.plan.guess import Guess, guess

MOST_LOOKED_AT = 64


def guess_seen(
    info: ModelInfo, images: Path | None, backends: Sequence[str], size: Size | None = None
) -> tuple[Guess, str]:
    """A first guess says how to run the model on a picture, and that says more; and why it was not run, or ''.

    images: a folder or a file, which need not be there; None: one that is bundled. size: as `guess` takes it.

    Raises:
        ModelError: no plan with a built-in preprocess can run the model.
    """
    from seatrial.jobs.glimpse import glimpse

    first = guess(info, size=size)
    if not backends:
        problem = "no runtime is installed; python -m pip install 'seatrial[cpu]'"
        return guess(info, not_run=problem, size=size), problem
    batch = first.batch_fixed or 1
    seen = glimpse(info, first.preprocess, batch, (_pictures(images) if images else []) or [PICTURE], backends[0])
    if not seen.seen and not seen.problem:  # none of the files is a picture
        seen = glimpse(info, first.preprocess, batch, [PICTURE], backends[0])
    return guess(info, seen.seen, seen.problem, size), seen.problem


def _pictures(images: Path) -> list[Path]:
    found = [images] if images.is_file() else sorted(images.rglob("*")) if images.is_dir() else []
    return [p for p in found if p.is_file() and is_utf8(p.absolute())][:MOST_LOOKED_AT]
