"""Mistakes of how a map's cells come to the picture's pixels: nearest or linear, and which point of a pixel is meant.

For: semantic masks and dense maps. Not for: the padding around them (boxes.py), classes or thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.mutation import Mutation, setting
from seatrial.diagnosis.mutations.labels import decoded_by
from seatrial.diagnosis.stages import RESULTS
from seatrial.kernels import maps, reference
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.results import DenseMap, SemanticMask
from seatrial.plan import pipelines

Array = npt.NDArray[Any]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
CENTRES, EDGES, CORNERS = "centres", "edges", "corners"
_WORDS = {
    EDGES: "takes a pixel's edge for its centre",
    CORNERS: "aligns the corners' centres (align_corners)",
    CENTRES: "aligns pixels by their centres",
}


def map_mutations(post: pipelines.Postprocess) -> Iterator[Mutation]:
    if post.task not in ("segment", "dense"):
        return
    if post.task == "segment" and post.format != "class_map":
        other = "linear" if post.resize == "nearest" else "nearest"
        words = {"linear": "draws scores out linearly", "nearest": "takes the nearest cell"}
        yield setting("interpolation", words[other], RESULTS, "postprocess", resize=other)
    for linear in (False, True):
        for grid in (EDGES, CORNERS):
            how = "draws the map out linearly" if linear else "takes the nearest cell"
            what = f"{how} and {_WORDS[grid]}"
            yield decoded_by("half-pixel", what, Sampled(post, grid, linear), "postprocess.resize")
    if post.task == "dense":
        what = "takes the nearest cell"
        yield decoded_by("interpolation", what, Sampled(post, CENTRES, False), "postprocess.resize")
        return
    if post.format in (None, "scores", "channels_last"):
        what = "takes the best class of each cell, and draws class numbers out linearly: borders get those between two"
        yield decoded_by("interpolation", what, Sampled(post, CENTRES, True, numbers=True), "postprocess.resize")
        for grid in (CENTRES, EDGES):
            what = f"draws the scores out to the input's size, and takes the nearest pixel of that; {_WORDS[grid]}"
            fault = "half-pixel" if grid == EDGES else "interpolation"
            yield decoded_by(fault, what, Sampled(post, grid, False, by_way_of_input=True), "postprocess.resize")


@dataclass(frozen=True)
class Sampled:
    """One output at the picture's size. grid: which points of pixels and cells lie upon each other. by_way_of_input: first
    drawn out linearly to the input's size. numbers: classes are drawn out, not scores."""

    post: pipelines.Postprocess
    grid: str
    linear: bool
    by_way_of_input: bool = False
    numbers: bool = False

    def __call__(self, outputs: Sequence[Array], geometries: Sequence[Geometry]) -> list[Any]:
        return [self._one(outputs[0][i], g) for i, g in enumerate(geometries[:1])]

    def _one(self, cells: Array, geometry: Geometry) -> Any:
        channels = self._channels(cells)
        if self.by_way_of_input:
            channels = np.stack([_drawn_to(c, geometry.input_hw) for c in channels])
        gone = maps.cut_away(geometry, channels.shape[1:])
        if self.post.task == "dense":
            return self._dense(self._sampled(channels[0], geometry), gone)
        if self.post.format == "one_channel":
            drawn = self._sampled(channels[0], geometry)
            drawn = reference.sigmoid(drawn) if self.post.activation == "sigmoid" else drawn
            threshold = 0.5 if self.post.threshold is None else self.post.threshold
            found = (drawn > np.float32(threshold)).astype(np.uint8)
            found[gone] = 255
            return SemanticMask(found)
        return SemanticMask(self._argmax(channels, geometry, gone))

    def _channels(self, cells: Array) -> F32:
        if self.post.format == "channels_last":
            cells = np.moveaxis(cells, 2, 0)
        return np.asarray(cells if cells.ndim == 3 else cells[None], np.float32)

    def _argmax(self, channels: F32, geometry: Geometry, gone: Array) -> Any:
        wide, none = reference.mask_kind(len(channels))
        if self.post.format == "class_map":
            wide, none = True, maps.NO_CLASS
        found = np.zeros(geometry.source_hw, np.uint16 if wide else np.uint8)
        if self.post.format == "class_map":
            found[:] = self._sampled(channels[0], geometry).astype(np.uint16)
        elif self.numbers:
            found[:] = self._between_classes(channels.argmax(axis=0), geometry)
        elif not self.linear:
            found[:] = self._sampled(channels.argmax(axis=0).astype(np.float32), geometry).astype(found.dtype)
        else:
            best = np.full(geometry.source_hw, -np.inf, np.float32)
            for k, channel in enumerate(channels):
                own = self._sampled(channel, geometry)
                better = own > best
                found[better], best[better] = k, own[better]
        found[gone] = none
        return found

    def _between_classes(self, classes: Array, geometry: Geometry) -> Array:
        """By OpenCV, which rounds halves of whole numbers its own way, where the map is all of the picture."""
        if geometry.resized_hw == geometry.input_hw and classes.max() < 256:
            size_wh = geometry.source_hw[1], geometry.source_hw[0]
            return np.asarray(cv2.resize(classes.astype(np.uint8), size_wh, interpolation=cv2.INTER_LINEAR))
        return np.rint(self._sampled(classes.astype(np.float32), geometry))

    def _dense(self, values: F32, gone: Array) -> DenseMap:
        values = values * np.float32(self.post.scale) + np.float32(self.post.shift)
        if self.post.invert:
            with np.errstate(divide="ignore"):
                values = np.where(values > 0, 1 / values, np.float32(np.nan))
        values[gone] = np.nan
        return DenseMap(values.astype(np.float32))

    def _sampled(self, cells: F32, geometry: Geometry) -> F32:
        at = [_positions(geometry, axis, cells.shape[axis], self.grid) for axis in (0, 1)]
        if not self.linear:
            shift = 0.5 if self.grid != EDGES else 0.0
            rows, columns = (
                np.clip(np.floor(p + shift + 1e-9), 0, n - 1).astype(np.int64)
                for p, n in zip(at, cells.shape, strict=True)
            )
            return cells[rows][:, columns]
        return _between(_between(cells.T, at[1]).T, at[0])


def _positions(g: Geometry, axis: int, count: int, grid: str) -> F64:
    """Of each of the picture's rows or columns, where it lies among the map's, whose centres are whole numbers (of EDGES: whose
    edges are)."""
    source, resized, inputs = g.source_hw[axis], g.resized_hw[axis], g.input_hw[axis]
    offset = (g.offset_y, g.offset_x)[axis]
    pixels = np.arange(source, dtype=np.float64)
    first, last = offset * count / inputs, (offset + resized) * count / inputs - 1
    if grid == CORNERS:
        at = first + pixels * (last - first) / max(1, source - 1)
    elif grid == EDGES:
        at = (pixels * resized / source + offset) * count / inputs
    else:
        at = ((pixels + 0.5) * resized / source + offset) * count / inputs - 0.5
    return np.clip(at, max(0.0, np.ceil(first - 0.5)), min(count - 1.0, np.floor(last + 0.5)) + (grid == EDGES))


def _between(cells: F32, at: F64) -> F32:
    """Rows at places between rows."""
    low = np.clip(np.floor(at).astype(np.int64), 0, len(cells) - 1)
    high = np.clip(low + 1, 0, len(cells) - 1)
    share = (at - low).astype(np.float32)[:, None]
    return np.asarray(cells[low] * (1 - share) + cells[high] * share)


def _drawn_to(cells: F32, size_hw: tuple[int, int]) -> F32:
    whole = Geometry(size_hw, size_hw, size_hw, 0, 0)
    return maps.linear(cells, whole)
