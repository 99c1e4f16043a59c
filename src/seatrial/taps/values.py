"""What the keys of an image's file mean: pictures, tensors, and results of seatrial's kinds.

For: one value each, sound or refused by name. Not for: the file (npz.py), or which stages there are (folder.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import did_you_mean, short_list
from seatrial.kernels.poses import sigmas_of
from seatrial.kernels.results import Classification, Detections, Instances, Labels, Poses, SemanticMask
from seatrial.pipeline.results import KINDS, Result, sound_result
from seatrial.taps.npz import Npz
from seatrial.taps.shown import U8, Array

KIND = "kind"
NONE = "None"
_BY_NAME: dict[str, type[Any]] = {k.__name__: k for k in KINDS} | {NONE: type(None)}
# Of Classification and Labels, which have the same fields, the former.
_BY_FIELDS: dict[frozenset[str], type[Any]] = {frozenset(k.__dataclass_fields__): k for k in reversed(KINDS)} | {
    frozenset({*Detections.__dataclass_fields__, "keypoints"}): Poses,
    frozenset({*Detections.__dataclass_fields__, "masks"}): Instances,
}
_CHANNELS = (1, 3, 4)
# A pose's sigmas are its pipeline's; scores that nobody logged are NaN.
_SCORES = {"scores", "score"}
_BY_DEFAULT = {"sigmas", *_SCORES}


def picture(file: Npz, key: str) -> U8:
    """(H, W, C) uint8; a picture without an axis of channels gets one."""
    array = file.array(key)
    if array.dtype != np.uint8:
        raise file.error(
            key, f"is of {array.dtype}", "expected uint8, as decoded and resized pixels are before they are normalised"
        )
    whole = array[..., None] if array.ndim == 2 else array
    if whole.ndim != 3 or whole.shape[2] not in _CHANNELS or 0 in whole.shape:
        channels_first = ": channels come last" if array.ndim == 3 and array.shape[0] in _CHANNELS else ""
        raise file.error(
            key, f"has shape {array.shape}", f"expected (height, width) or (height, width, 1, 3 or 4){channels_first}"
        )
    return whole


def tensor(file: Npz, key: str) -> Array:
    """As the model has it, of one image."""
    array = file.array(key)
    if array.dtype.kind not in "fiub":
        raise file.error(key, f"is of {array.dtype}", "expected numbers")
    if not array.ndim or (key == "input" and not array.size):
        raise file.error(key, f"has shape {array.shape}", "expected the model's tensor of one image")
    if key == "input" and array.ndim == 4 and array.shape[0] != 1:
        raise file.error(
            key, f"has shape {array.shape}, which is a batch", "write each image's own row into its own file"
        )
    return array


def result(file: Npz, stage: str) -> Result:
    """Fields `STAGE.FIELD` as one of seatrial's results, objects and classes by descending score; None where it says so."""
    fields = {k.removeprefix(f"{stage}.") for k in file.keys if k.startswith(f"{stage}.")} - {KIND}
    kind = _named(file, f"{stage}.{KIND}") if f"{stage}.{KIND}" in file.keys else _by_fields(file, stage, fields)
    if kind is type(None):
        return None
    if kind is Instances and "masks" in fields:
        return _with_masks(file, stage, fields)
    own = set(kind.__dataclass_fields__)
    default = own - fields & _BY_DEFAULT
    if lacking := own - fields - default:
        raise file.error(stage, f"is called {kind.__name__} and lacks {_listed(stage, lacking)}", "add it")
    values = _values(file, stage, kind, sorted(own - default))
    if "sigmas" in default:
        points = values["keypoints"]
        values["sigmas"] = np.array(
            sigmas_of(points.shape[1]) if points.ndim == 3 and points.shape[1] else (), np.float32
        )
    for unknown in _SCORES & default:
        # Sound but for them, which nobody knows.
        shape = values["class_ids"].shape if unknown == "scores" else ()
        found: Any = _sound(file, stage, kind, values | {unknown: np.ones(shape, np.float32)})
        none: Result = replace(found, **{unknown: np.full(shape, np.nan, np.float32)})
        return none
    return _by_score(_sound_but_scores(file, stage, kind, values))


def _sound_but_scores(file: Npz, stage: str, kind: type[Any], values: dict[str, Array]) -> Result:
    """A model that overflowed gives NaN for scores: so the candidate answers, and that is what is to be compared."""
    scores = values.get("scores")
    if scores is None or not np.isnan(scores).any():
        return _sound(file, stage, kind, values)
    found = _sound(
        file, stage, kind, values | {"scores": np.nan_to_num(scores, nan=0.0, posinf=np.inf, neginf=-np.inf)}
    )
    return replace(found, scores=scores)  # type: ignore[type-var]


def _named(file: Npz, key: str) -> type[Any]:
    array = file.array(key)
    text = str(array) if array.dtype.kind == "U" and array.ndim == 0 else ""
    if text not in _BY_NAME:
        given = repr(text) if text else f"{array.dtype} {array.shape}"
        near = did_you_mean(text, list(_BY_NAME)) if text else ""
        raise file.error(
            key, f"is {given}{near}", f"expected the text of one of {', '.join(_BY_NAME)}, or leave it out"
        )
    return _BY_NAME[text]


def _by_fields(file: Npz, stage: str, fields: set[str]) -> type[Any]:
    """The kind that has exactly these. DataError with the nearest where none has: a field that is called otherwise than it
    should be would else make another kind of the result."""
    if kind := _BY_FIELDS.get(frozenset(fields)):
        return kind
    nearest = min(_BY_FIELDS, key=lambda own: (len(own ^ fields), sorted(own)))
    kind = _BY_FIELDS[nearest]
    add, drop = (_listed(stage, names) for names in (nearest - fields, fields - nearest))
    cure = " and ".join(filter(None, (add and f"add {add}", drop and f"leave out {drop}")))
    said = f"has {_listed(stage, fields)}, which no kind of result has; {kind.__name__} is the nearest"
    raise file.error(
        stage, said, f"{cure}, or write {stage}.{KIND}, with which others are passed over" if drop else cure
    )


def _listed(stage: str, names: Iterable[str]) -> str:
    return short_list([f"{stage}.{name}" for name in sorted(names)])


def _values(file: Npz, stage: str, kind: type[Any], names: Iterable[str]) -> dict[str, Array]:
    return {name: _typed(file, f"{stage}.{name}", file.array(f"{stage}.{name}"), kind) for name in names}


def _sound(file: Npz, stage: str, kind: type[Any], values: dict[str, Array]) -> Result:
    if kind is Classification and values["class_ids"].shape == values["scores"].shape == (0,):
        # Nothing is an answer of a model of labels alone, which has the same fields.
        raise file.error(
            stage, "is of no class", f"expected one or more; of a model of labels write {stage}.{KIND} = 'Labels'"
        )
    try:
        return sound_result(kind, values)
    except ValueError as e:
        raise file.error(stage, f"is {e}", "docs/taps.md has them too") from None


def _typed(file: Npz, key: str, value: Array, kind: type[Any]) -> Array:
    """In the type that seatrial's own results have; whole numbers may come as floats."""
    field = key.rpartition(".")[2]
    if value.dtype.kind not in "fiu":
        raise file.error(key, f"is of {value.dtype}", "expected numbers")
    if field in ("class_ids", "run_starts", "source_hw", "runs", "code_points"):
        if value.dtype.kind == "f" and not (np.isfinite(value) & (value == np.floor(value))).all():
            raise file.error(key, "holds numbers that are not whole", "expected class ids or counts as integers")
        if kind is SemanticMask and value.dtype.kind != "f":
            return value  # whose largest value of its own type means no class
        if field in ("runs", "code_points") and not ((value >= 0) & (value < 2**32)).all():
            raise file.error(key, "holds numbers below 0 or beyond 32 bits", "expected uint32")
        return value.astype(np.uint32 if field in ("runs", "code_points") else np.int64)
    with np.errstate(over="ignore"):
        return value.astype(np.float32)


def _with_masks(file: Npz, stage: str, fields: set[str]) -> Result:
    """Instances from `STAGE.masks` (N, H, W), which is easier to write than runs."""
    own = set(Detections.__dataclass_fields__)
    if lacking := own - fields:
        raise file.error(stage, f"has masks and lacks {_listed(stage, lacking)}", "add it")
    boxes = _sound(file, stage, Detections, _values(file, stage, Detections, sorted(own)))
    assert isinstance(boxes, Detections)
    masks = file.array(f"{stage}.masks")
    if masks.ndim != 3 or len(masks) != len(boxes) or not np.isin(masks, (0, 1, 255)).all():
        expected = f"expected ({len(boxes)}, height, width) of bool, or of 0 and 1 or 255"
        raise file.error(f"{stage}.masks", f"is {masks.dtype} {masks.shape}", expected)
    height, width = masks.shape[1:]
    return _by_score(Instances.of_masks(boxes, list(masks.astype(np.bool_)), (height, width)))


def _by_score(found: Result) -> Result:
    """Rows may be written in any order; equal scores stay in theirs."""
    if not isinstance(found, Detections | Classification | Labels):
        return found
    order: npt.NDArray[np.int64] = np.argsort(-found.scores, kind="stable")
    if (order[1:] > order[:-1]).all():
        return found
    if isinstance(found, Instances):
        boxes = Detections(found.boxes_xyxy[order], found.scores[order], found.class_ids[order])
        height, width = map(int, found.source_hw)
        return Instances.of_runs(boxes, [found.runs_of(int(i)) for i in order], (height, width))
    moved: dict[str, Any] = {name: value[order] for name, value in vars(found).items() if name != "sigmas"}
    return replace(found, **moved)
