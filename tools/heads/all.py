"""Every rebuilt head: the one place that names the modules which add to HEADS."""

from heads import chosen_masks, detectors, fractions, maps, oriented, text
from heads.encode import HEADS, build

__all__ = ["HEADS", "build", "chosen_masks", "detectors", "fractions", "maps", "oriented", "text"]
