"""What each of a detector's several outputs holds, by its name and type: boxes, scores, classes, or a count.

For: formats that read tensors of like shapes, where taking class numbers for scores would find nothing right. Pure: only what
the file says of outputs. Not for: which format it is (heads.py), or a pair of boxes and scores by width (head_pairs.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import permutations

from seatrial.model.file import TensorInfo

# The first that a name matches, so that 'num_dets' is a count and 'class_scores' are scores.
_ROLES = (
    ("count", re.compile(r"num|count|valid", re.I)),
    ("masks", re.compile(r"mask", re.I)),
    ("scores", re.compile(r"scor|conf|prob", re.I)),
    ("classes", re.compile(r"class|label|categ|cls", re.I)),
    ("boxes", re.compile(r"box|dets|coord|loc|reg|dis", re.I)),
)
# As TensorFlow's detection API calls what went into the suppression, beside what came out of it.
_BEFORE = re.compile(r"raw_|multiclass_scores|anchor", re.I)
WHOLE = ("int", "uint")


def role_of(output: TensorInfo) -> str:
    """'' where its name says nothing."""
    return next((role for role, pattern in _ROLES if pattern.search(output.name)), "")


def is_before(output: TensorInfo) -> bool:
    """Whether it is called like what went into a suppression, not like what came out."""
    return bool(_BEFORE.search(output.name))


def in_order(
    outputs: Sequence[TensorInfo], roles: Sequence[str], fits: Callable[[Sequence[TensorInfo]], bool]
) -> tuple[list[TensorInfo], bool]:
    """Those outputs in the order of the roles, and whether anything says so; nothing where no order fits.

    fits: by shapes. Of orders that fit, the one that names and types speak for; where two are as good, the file's.
    """
    count = min(len(roles), len(outputs))
    if len(outputs) > 4:
        return _levels(outputs, roles, fits)
    orders = [list(order) for order in permutations(outputs, count) if fits(order)]
    if not orders:
        return [], False
    points = [_points(order, roles) for order in orders]
    best = max(points)
    return orders[points.index(best)], points.count(best) == 1


def _points(order: Sequence[TensorInfo], roles: Sequence[str]) -> int:
    total = 0
    for output, role in zip(order, roles, strict=False):
        own = role_of(output)
        total += 4 * (own == role) - 4 * (own not in ("", role)) - 2 * is_before(output)
        if output.dtype.startswith(WHOLE):
            total += 3 if role in ("classes", "count") else -3
    return total


def _levels(
    outputs: Sequence[TensorInfo], roles: Sequence[str], fits: Callable[[Sequence[TensorInfo]], bool]
) -> tuple[list[TensorInfo], bool]:
    """Scores of every level, then boxes of every level, the most cells first: as they are, or by width."""
    if len(roles) != 8:
        return [], False
    widths = list(dict.fromkeys(o.shape[-1] for o in outputs if o.shape))
    groups = [[o for o in outputs if o.shape and o.shape[-1] == w] for w in widths]
    if len(groups) == 2 and len(groups[0]) == len(groups[1]):
        boxes_first = {role_of(o) for o in groups[0]} == {"boxes"} or {role_of(o) for o in groups[1]} <= {
            "scores",
            "classes",
        }
        groups = groups[::-1] if boxes_first else groups
        order = [o for group in groups for o in sorted(group, key=_cells)]
    else:
        order = list(outputs)
    return (order, True) if fits(order) else ([], False)


def _cells(output: TensorInfo) -> int:
    """The most first; where the file leaves it open, as the file has them."""
    cells = output.shape[1] if len(output.shape) == 3 else None
    return -cells if isinstance(cells, int) else 0
