"""The guess at a model's pipeline with what a picture gives: a first guess says how to run it, and running it says more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seatrial.demo import PICTURE
from seatrial.errors import is_utf8
from seatrial.jobs.glimpse import glimpse
from seatrial.model.file import ModelInfo
from seatrial.plan.guess import Guess, guess

MOST_CANDIDATES = 64


def guess_on_pictures(info: ModelInfo, images: Path | None, backends: Sequence[str]) -> Guess:
    """images: a file or a folder that is searched deeply; where it has no picture, or is None, one that is bundled.

    backends: the first of them runs it; without any, the guess is from the file alone and says so.

    Raises:
        ModelError: as guess() does.
    """
    first = guess(info)
    if not backends:
        return guess(info, not_run="no runtime is installed; python -m pip install 'seatrial[cpu]'")
    candidates = _candidates(images) if images else []
    batch = first.batch_fixed or 1
    seen = glimpse(info, first.preprocess, batch, candidates or [PICTURE], backends[0])
    if not seen.seen and not seen.problem:  # none of the files is a picture
        seen = glimpse(info, first.preprocess, batch, [PICTURE], backends[0])
    return guess(info, seen.seen, seen.problem)


def _candidates(images: Path) -> list[Path]:
    if images.is_file():
        return [images] if is_utf8(images.absolute()) else []
    files = (p for p in images.rglob("*") if p.is_file() and is_utf8(p.absolute())) if images.is_dir() else ()
    return sorted(files)[:MOST_CANDIDATES]
