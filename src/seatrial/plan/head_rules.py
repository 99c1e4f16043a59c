"""The rules by which heads.py tells heads apart: one function a kind of outputs, each from the surest sign down.

Facts behind them, from public descriptions of the exports: YOLOv8 and 11 write (4 + classes, anchors), their obb, pose and
segment heads append rows; YOLOv5 and v7 write (anchors, 5 + classes) with three anchors a cell, YOLOX one a cell and
undecoded, YOLOv6 one a cell and decoded; YOLO26 and exports with NMS write (detections, 6 …); RF-DETR writes dets and labels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.model.image_size import main_input
from seatrial.plan.head_behind import find_instances, find_pose, find_queries
from seatrial.plan.head_finding import Finding, Hw, Shape, shape_of
from seatrial.plan.head_lists import find_in_list
from seatrial.plan.head_maps import find_in_maps, find_one_channel, is_one_channel
from seatrial.plan.head_nms import find_chosen, find_flat
from seatrial.plan.head_pairs import find_in_pair
from seatrial.plan.head_text import find_regions, find_text
from seatrial.plan.seen import Seen

# Widths that backbones give their features.
_FEATURES = (64, 128, 192, 256, 320, 384, 512, 640, 768, 1024, 1280, 1536, 2048)
# Columns of classifiers on well-known sets with a background, or a category 0 that stands for nothing.
_WITH_BACKGROUND = (91, 1001, 21842)


def find(info: ModelInfo, seen: Mapping[str, Seen], hw: Hw) -> Finding:
    outputs = info.outputs
    ranks = [len(shape_of(o, seen)) for o in outputs]
    names = {o.name.lower() for o in outputs}
    if len(outputs) == 1:
        return _one(info, outputs[0], seen.get(outputs[0].name), hw)
    boxes = [o for o, rank in zip(outputs, ranks, strict=True) if rank == 3]
    if ranks == [3, 3]:
        return find_in_pair(outputs[0], outputs[1], seen)
    if chosen := find_chosen(info, seen):
        return chosen
    if any(re.search(r"num_det|num_dets|numdet", n) for n in names) or {"boxes", "scores", "labels"} <= names:
        return Finding("detections_unknown", f"outputs are {', '.join(map(str, outputs))}")
    if len(outputs) in (6, 8) and set(ranks) == {3}:
        return Finding("picodet", f"{len(outputs)} lists of cells")
    if len(boxes) == 1 and sorted(ranks) == [3, 4]:
        return find_instances(info, seen, "a list of anchors and a map of prototypes")
    if len(boxes) == 2 and len(ranks) == 3 and max(ranks) == 4:
        return find_queries(outputs, seen)
    if len(boxes) == 1 and all(r in (3, 4, 5) for r in ranks) and len(ranks) >= 3:
        found = _one(info, boxes[0], seen.get(boxes[0].name), hw)
        return Finding(found.key, f"{found.because}; the other outputs are its levels", False, (boxes[0].name,))
    if found_map := find_in_maps(info, seen, hw):
        return found_map
    if all(r in (4, 5) for r in ranks):
        return Finding("levels", f"{len(ranks)} maps")
    return Finding("unknown", f"outputs are {', '.join(map(str, outputs))}")


def _one(info: ModelInfo, output: TensorInfo, seen: Seen | None, hw: Hw) -> Finding:
    shape = seen.shape if seen else output.shape
    if len(shape) == 2 or (len(shape) == 4 and shape[2:] == (1, 1)):
        return _rows_of_scores(info, output, shape, seen)
    whole = (seen.dtype if seen else output.dtype).startswith(("int", "uint", "bool"))
    if len(shape) == 3 and not whole and (text := find_text(info, output, shape, seen)) is not None:
        return text
    if len(shape) == 4 and (regions := find_regions(info, shape, seen)) is not None:
        return regions
    if is_one_channel(shape, hw) or (len(shape) == 3 and whole):
        return find_one_channel(info, output, shape, seen)
    if len(shape) == 3 and not whole and seen and _a_softmax_a_row(seen, shape[2]):
        said = f"each of {shape[1]} rows sums to 1 on a picture: a softmax a step, or a classifier of as many places"
        return Finding("ctc_nameless", said)
    if len(shape) == 3:
        found = find_in_list(info, shape, seen, hw)
        by_name = {output.name: seen} if seen else {}
        if found.key not in ("pose", "end_to_end_more"):
            return found
        pose = find_pose(info, by_name, found.because)
        return found if pose.key == "pose_other" and found.key == "end_to_end_more" else pose
    if len(shape) == 4:
        return _map(info, shape, seen)
    if not seen and not output.ranked:
        return Finding("unknown", "the file does not say its output's shape")
    return Finding("unknown", f"one output of {len(shape)} dimensions")


def _a_softmax_a_row(seen: Seen, width: int | str | None) -> bool:
    """Rows of probabilities that sum to 1, of more than one class: no list of boxes has those."""
    there = seen.columns is not None and seen.columns.probabilities and width not in (1, 2)
    return there and seen.sums[0] >= 0.99 and seen.sums[1] <= 1.01


def _rows_of_scores(info: ModelInfo, output: TensorInfo, shape: Shape, seen: Seen | None) -> Finding:
    width, classes = shape[1], len(info.labels() or [])
    if not _an_image_a_row(info, output, seen):
        if seen and _a_softmax_a_row(seen, width):
            said = f"{output}: its first dimension is not the batch, and each row sums to 1 on a picture"
            return Finding("ctc_without_batch", said)
        return find_flat(output, width, seen)
    if seen and seen.columns is not None:
        one = seen.sums[0] >= 0.99 and seen.sums[1] <= 1.01
        if seen.columns.probabilities and one and width != 1:
            because = f"each row sums to 1 on a picture{_width_in_words(width, classes)}"
            sure = classes == width or (not classes and width not in _WITH_BACKGROUND)
            return Finding("classify", because, sure, activation="none")
        unit = seen.lengths[0] >= 0.99 and seen.lengths[1] <= 1.01
        if unit and not classes:
            return Finding("embed", "each row has length 1 on a picture")
        if seen.columns.probabilities and width != 1 and (classes or width not in _FEATURES) and not seen.columns.blank:
            return _activated(width, classes, seen.sums)
    if width == 1:
        return Finding("unknown", "one value an image: a score or a regression")
    if classes:
        because = f"one output of two dimensions{_width_in_words(width, classes)}"
        return Finding("classify", because, classes == width)
    if width in _FEATURES:
        return Finding("embed", "one output of two dimensions without labels; it may be a classifier")
    return Finding(
        "classify", f"one output of two dimensions without labels; it may be an embedding{_width_in_words(width, 0)}"
    )


def _activated(width: int | str | None, classes: int, sums: tuple[float, float]) -> Finding:
    """Of a row of values from 0 to 1 an image, which do not sum to 1."""
    said = f"values from 0 to 1 that sum to {sums[0]:.3g} on a picture, not to 1: an activation is inside"
    embedding = "" if classes else "; it may be an embedding"
    end = f"{embedding}{_width_in_words(width, classes)}"
    if min(sums) >= 0.9 and max(sums) <= 1.1:
        return Finding(
            "classify", f"{said}; where several classes may be true: multi_label: true{end}", activation="none"
        )
    said = f"{said}, a sigmoid a class, so that several may be true (multi_label: true; leave it out where one is){end}"
    return Finding("classify", said, activation="none", keys=(("multi_label", "true"),))


def _width_in_words(width: int | str | None, classes: int) -> str:
    if classes and classes != width:
        return f"; {classes} labels for {width} columns: which column is which class?"
    if width in _WITH_BACKGROUND:
        return f"; {width} columns: the first is often a background, which shifts all classes by one: background: first if so"
    return f", {classes} labels for as many columns" if classes else ""


def _an_image_a_row(info: ModelInfo, output: TensorInfo, seen: Seen | None) -> bool:
    if seen is not None and not seen.an_image_a_row:
        return False
    image = main_input(info).shape if info.inputs else ()
    batch = image[0] if image else None
    own, width = output.shape[0] if output.shape else None, output.shape[-1] if output.shape else None
    if own is None or batch is None or own == batch:
        return True
    if isinstance(own, int):
        return seen is not None or not isinstance(batch, int)
    # An open count of rows may be two words for the batch, or a count of detections, with their class as a whole number.
    if width not in (6, 7):
        return True
    return seen is not None and seen.columns is not None and not seen.columns.whole[5]


def _map(info: ModelInfo, shape: Shape, seen: Seen | None) -> Finding:
    classes, channels = len(info.labels() or []), shape[1]
    if isinstance(shape[3], int) and isinstance(channels, int) and shape[3] * 4 <= channels and shape[3] != channels:
        return Finding("channels_last", f"shape {_dims(shape)}")
    if classes and classes == channels:
        doubt = _not_exclusive(seen) if seen else ""
        return Finding("segment", f"{classes} labels for as many channels{doubt}", not doubt)
    doubt = "; an image has three channels too" if channels == 3 else ""
    return Finding("segment", f"one output of four dimensions, {_dims(shape)}{doubt}")


def _not_exclusive(seen: Seen) -> str:
    """Why channels are hardly classes of which each pixel has one: probabilities that do not sum to 1, or none above 0."""
    low, high = seen.span
    if low >= -0.01 and high <= 1.01:
        least, most = seen.channel_sums
        if least >= 0.98 and most <= 1.02:
            return ""
        return f"; on a picture they sum to {least:.2g} to {most:.2g} a pixel: a heat map a class, or labels that may overlap?"
    if seen.share("cells_negative") > 0.5:
        return f"; on a picture all are below 0 in {seen.share('cells_negative'):.0%} of the pixels: heat maps?"
    return ""


def _dims(shape: Shape) -> str:
    return " × ".join("?" if d is None else str(d) for d in shape)
