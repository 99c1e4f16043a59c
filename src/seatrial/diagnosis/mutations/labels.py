"""Mistakes of class numbers: counted from another number on, or by another list. Not for: fitted lists (result_fits.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.mutation import Mutation, setting
from seatrial.diagnosis.stages import RESULTS
from seatrial.diagnosis.way import At, Way
from seatrial.kernels.results import SemanticMask, Text
from seatrial.kernels.text import TextDecoder
from seatrial.parity.coco_classes import COCO80
from seatrial.pipeline.build import labels_of
from seatrial.pipeline.text import text_decoder
from seatrial.plan import pipelines

I64 = npt.NDArray[np.int64]
Renumber = Callable[[I64], I64]
_KEY = "postprocess.labels"


def label_mutations(way: Way, post: pipelines.Postprocess) -> Iterator[Mutation]:
    if post.task in ("raw", "embed", "dense") or post.format == "db":
        return
    if post.format == "ctc":
        yield from _characters(way, post)
        return
    for offset in (-2, -1, 1, 2):

        def shifted(ids: I64, offset: int = offset) -> I64:
            return ids + offset

        yield renumbered("label-offset", f"counts classes {offset:+d}", shifted)
    if post.task == "classify" and not post.multi_label:
        for side in (None, "first", "last"):
            if side != post.background:
                dropped = f"takes the {side} class for the background" if side else "counts the background as a class"
                yield setting("label-offset", dropped, RESULTS, "postprocess", background=side)
    count = _class_count(way)
    if count is None or count in (80, 90, 91):
        yield from _coco()
    if count:
        yield renumbered("label-map", "counts classes backwards", lambda ids: count - 1 - ids)


def renumbered(fault: str, what: str, renumber: Renumber, parameters: int = 0) -> Mutation:
    """Results with other class numbers. What is no class in a mask stays none."""

    def change(at: At) -> At:
        return At(with_classes(at.value, renumber), at.geometry)

    return Mutation(fault, what, RESULTS, lambda way: way.behind(RESULTS, change), _KEY, parameters)


def with_classes(result: Any, renumber: Renumber) -> Any:
    if result is None:
        return None
    if isinstance(result, SemanticMask):
        none = np.iinfo(result.class_ids.dtype).max
        numbers = renumber(np.arange(none, dtype=np.int64))
        table: Any = np.append(np.clip(numbers, 0, none), none).astype(result.class_ids.dtype)
        return SemanticMask(table[result.class_ids])
    if not hasattr(result, "class_ids"):
        raise ValueError("results without classes")
    return replace(result, class_ids=renumber(np.asarray(result.class_ids, np.int64)))


def _class_count(way: Way) -> int | None:
    labels = labels_of(way.spec, way.subject.model, way.subject.folder)
    return len(labels) if labels else None


def _coco() -> Iterator[Mutation]:
    """COCO's 80 classes in order, and their category ids of 1 to 90."""
    ids = np.array(COCO80, np.int64)
    back = np.full(91, -1, np.int64)
    back[ids] = np.arange(80)
    tables: dict[str, Renumber] = {
        "gives COCO's category ids (1 to 90) for its 80 classes in order": lambda c: _looked_up(ids, c),
        "gives COCO's category ids less one (0 to 89) for its 80 classes in order": lambda c: _looked_up(ids - 1, c),
        "gives COCO's 80 classes in order for its category ids (1 to 90)": lambda c: _looked_up(back, c),
        "gives COCO's 80 classes in order for its category ids less one": lambda c: _looked_up(back[1:], c),
    }
    for what, table in tables.items():
        yield renumbered("label-map", what, table)


def _looked_up(table: I64, numbers: I64) -> I64:
    """What the table does not have stays."""
    there = (numbers >= 0) & (numbers < len(table))
    return np.where(there, table[np.where(there, numbers, 0)], numbers)


def _characters(way: Way, post: pipelines.Postprocess) -> Iterator[Mutation]:
    """Text's classes are its characters."""
    known = labels_of(way.spec, way.subject.model, way.subject.folder)
    own = text_decoder(post, known)
    assert isinstance(own, TextDecoder)
    for offset in (-1, 1):
        turned = tuple(own.characters[(k + offset) % len(own.characters)] for k in range(len(own.characters)))
        what = f"reads each character as its {'next' if offset > 0 else 'last'} in the dictionary"
        yield decoded_by("label-offset", what, replace(own, characters=turned), _KEY)
    swapped = str.maketrans({c: c.swapcase() for c in own.characters if len(c) == 1 and len(c.swapcase()) == 1})

    def other_case(at: At) -> At:
        text = at.value
        return At(Text.of(text.text.translate(swapped), float(text.score)), at.geometry)

    if swapped and any(k != ord(str(v)) for k, v in swapped.items()):
        what = "has a dictionary with upper and lower case turned round"
        yield Mutation("label-map", what, RESULTS, lambda way: way.behind(RESULTS, other_case), _KEY)


def decoded_by(fault: str, what: str, decoder: Callable[..., Any], key: str) -> Mutation:
    """The outputs that the plan names, by another decoder."""

    def change(way: Way) -> Way:
        post = way.spec.postprocess
        assert isinstance(post, pipelines.Postprocess)
        names = [o.name for o in way.subject.model.outputs]
        read = [names.index(n) for n in post.outputs or names]

        def step(at: At) -> At:
            return At(decoder([at.value[i] for i in read], [at.geometry])[0], at.geometry)

        return way.with_maker(RESULTS, lambda _maker: lambda _subject, _spec: step)

    return Mutation(fault, what, RESULTS, change, key)
