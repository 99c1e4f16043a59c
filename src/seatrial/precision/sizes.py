"""Which numbers of a graph are sizes and counts, worked out in floats: 16 bits hold whole numbers up to 2048 or 256.

For: half.py. Not for: the numbers that a model computes from a picture's pixels.
"""

from __future__ import annotations

from typing import Any

from seatrial.model.nodes import names_read

_COUNTS = ("Shape", "Size", "NonZero")


def of_sizes(graph: Any) -> set[str]:
    """Values that follow from shapes, counts of things and constants alone, whatever type they are cast to."""
    constants = {t.name for t in graph.initializer}
    found: set[str] = set()
    for node in graph.node:
        read = names_read(node) - constants
        if node.op_type in _COUNTS or (read and read <= found):
            found.update(filter(None, node.output))
    return found
