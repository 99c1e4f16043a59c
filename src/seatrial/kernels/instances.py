"""Instance segmentation: a detector's boxes, and for each a mask; public as seatrial.InstanceDecoder.

For: coefficients and prototypes (YOLOv5-, v8-, 11- and 26-seg), a mask a query (RF-DETR-seg, DETR), a mask a box (Mask R-CNN).
Not for: boxes alone (postprocess.py), a class a pixel (segmentation.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seatrial.kernels import native_postprocess
from seatrial.kernels.box_masks import mask_in_box
from seatrial.kernels.detection_formats import EXTENDED, image_rows, pick_head, pick_outputs
from seatrial.kernels.detector_format import SOURCE
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.masks import runs_of
from seatrial.kernels.postprocess import DetectionDecoder, Outputs, checked_outputs, real_arrays
from seatrial.kernels.reference_masks import instance_mask
from seatrial.kernels.results import Detections, Instances

F32 = npt.NDArray[np.float32]
U32 = npt.NDArray[np.uint32]
# Formats whose every query has a mask of its own, as logits over the whole input.
QUERIES = ("rtdetr", "detr")
# Formats of what a model has chosen itself, whose last tensor has a mask a detection, as probabilities.
CHOSEN = ("mask_rcnn", "mmdet_masks")


@dataclass(frozen=True)
class InstanceDecoder(DetectionDecoder):
    """Boxes are found as by DetectionDecoder; masks go to Instances by the tool's own rule, drawn out linearly to source size.

    Coefficients: two outputs, a head (B, …) whose last K columns are coefficients, and prototypes (B, K, h, w). A mask's pixel
    is set where the sum of the prototypes, each times its coefficient, is above zero, and it lies in the box: Ultralytics'
    retina masks, with the way back to the source to the fraction of a cell, where Ultralytics rounds a letterbox's padding to
    whole cells. YOLOv5's own code draws the sigmoid out, which differs at edges.

    Queries (rtdetr, detr): boxes, logits, and a map of logits a query (B, N, h, w). A pixel is set where it is above zero,
    in the box or not: RF-DETR's PostProcess.

    Chosen (mask_rcnn, mmdet_masks): a mask a detection, as probabilities over the whole input where it is as large as that
    (torchvision), else over the detection's box (28 × 28 and the like). A pixel is set at a half and above.

    Args: as of DetectionDecoder; format: one of detection_formats.EXTENDED, of QUERIES, or of CHOSEN.

    Raises:
        ValueError: an argument or an output's shape is not as expected.
    """

    formats: ClassVar[tuple[str, ...]] = (*EXTENDED, *QUERIES, *CHOSEN)

    def __call__(self, outputs: Outputs, geometries: Sequence[Geometry]) -> list[Detections]:
        if self.format in CHOSEN:
            rows = image_rows(self.format, real_arrays(outputs, geometries), len(geometries))
            return [self._of_chosen_masks(own, g) for own, g in zip(rows, geometries, strict=True)]
        arrays = checked_outputs(outputs, geometries)
        maps = [o for o in arrays if o.ndim == 4]
        if len(maps) != 1 or 0 in maps[0].shape[1:]:
            shapes = ", ".join(str(tuple(o.shape)) for o in arrays) or "none"
            what = "masks (B, queries, height, width)" if self.format in QUERIES else "prototypes (B, K, height, width)"
            raise ValueError(f"masks: expected one output of {what}, got outputs of shape {shapes}")
        with np.errstate(over="ignore"):
            masks = np.asarray(maps[0], np.float32)
        if self.format in QUERIES:
            lists = pick_outputs(self.format, [o for o in arrays if o.ndim != 4])
            if lists[0].shape[1] != masks.shape[1]:
                raise ValueError(
                    f"masks: expected one a query, {lists[0].shape[1]} of them, got an output of shape {masks.shape}"
                )
            return [self._of_queries([t[i] for t in lists], masks[i], g) for i, g in enumerate(geometries)]
        head = pick_head(self.format, arrays, masks.shape[1], f"coefficients of the prototypes {masks.shape}")
        return [self._of_prototypes(head[i], masks[i], g) for i, g in enumerate(geometries)]

    def _of_prototypes(self, head: F32, prototypes: F32, geometry: Geometry) -> Instances:
        boxes, anchors = self.found([head], geometry, len(prototypes))
        rows = self.form.behind(head, len(prototypes), anchors)
        return Instances.of_runs(boxes, self._runs(rows, prototypes, boxes.boxes_xyxy, geometry), geometry.source_hw)

    def _of_queries(self, rows: list[F32], masks: F32, geometry: Geometry) -> Instances:
        boxes, queries = self.found(rows, geometry)
        height, width = geometry.source_hw
        whole, one = np.array([[0, 0, width, height]], np.float32), np.ones((1, 1), np.float32)
        runs = [self._runs(one, masks[q : q + 1], whole, geometry)[0] for q in queries.tolist()]
        return Instances.of_runs(boxes, runs, geometry.source_hw)

    def _of_chosen_masks(self, rows: list[F32], geometry: Geometry) -> Instances:
        *lists, masks = rows
        boxes, chosen = self.found(lists, geometry)
        own = masks.reshape(len(masks), *masks.shape[-2:])[chosen]
        if self.units == SOURCE and own.shape[1:] == geometry.source_hw:
            return Instances.of_masks(boxes, list(own >= 0.5), geometry.source_hw)
        if own.shape[1:] != geometry.input_hw:
            # A mask lies over the whole of its box, also over what is beyond the picture.
            whole_boxes = self.in_source(lists[0][chosen, :4], geometry)
            places = [mask_in_box(m, b, geometry.source_hw) for m, b in zip(own, whole_boxes, strict=True)]
            return Instances.of_runs(boxes, [runs_of(*p, geometry.source_hw) for p in places], geometry.source_hw)
        height, width = geometry.source_hw
        whole, one = np.array([[0, 0, width, height]], np.float32), np.ones((1, 1), np.float32)
        # What is at a half is set, and a sum has to be above zero.
        above = own - np.nextafter(np.float32(0.5), np.float32(0))
        runs = [self._runs(one, m[None], whole, geometry)[0] for m in above]
        return Instances.of_runs(boxes, runs, geometry.source_hw)

    def _runs(self, coefficients: F32, prototypes: F32, boxes_xyxy: F32, geometry: Geometry) -> list[U32]:
        if self.engine == "native":
            runs, starts = native_postprocess.instance_runs(coefficients, prototypes, boxes_xyxy, geometry)
            return [runs[a:b] for a, b in pairwise(starts.tolist())]
        places = [instance_mask(r, prototypes, b, geometry) for r, b in zip(coefficients, boxes_xyxy, strict=True)]
        return [runs_of(*p, geometry.source_hw) for p in places]
