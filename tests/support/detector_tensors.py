"""Tensors of one image as each exporter writes them, of objects given as (box_xyxy in input pixels, score, class).

For: tests of decoders. Each is written from the layout's public description, not from the decoder.
"""

import numpy as np

SIDE = 64
CLASSES = 5


def f32(rows):
    return np.array(rows, np.float32)


def centred(box):
    x1, y1, x2, y2 = box
    return [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]


def one_hot(score, label):
    return [score if k == label else 0.0 for k in range(CLASSES)]


def logit(p):
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def turned(objects):
    return [f32([[*centred(b), *one_hot(s, c)] for b, s, c in objects])[None]]


def logits(objects):
    head = turned(objects)[0][0]
    head[:, 4:] = logit(head[:, 4:].astype(np.float64))
    return [head.T[None]]


def joined(objects):
    head = turned(objects)[0]
    head[..., :4] /= SIDE
    return [head]


def best_of_queries(objects):
    return [f32([[*np.array(centred(b)) / SIDE, s, c] for b, s, c in objects])[None]]


def pair(objects):
    return [f32([b for b, _, _ in objects])[None], f32([one_hot(s, c) for _, s, c in objects])[None]]


def pair_classes_first(objects):
    boxes, scores = pair(objects)
    return [boxes, scores.transpose(0, 2, 1)]


def class_then_score(objects, image=0):
    return [f32([[image, *b, c, s] for b, s, c in objects]).reshape(-1, 7)]


def score_then_class(objects, image=0):
    return [f32([[image, *b, s, c] for b, s, c in objects]).reshape(-1, 7)]


def flat(objects):
    return [f32([[*b, s, c] for b, s, c in objects]).reshape(-1, 6)]


def paddle(objects):
    return [f32([[c, s, *b] for b, s, c in objects]).reshape(-1, 6), np.array([len(objects)], np.int32)]


def nms_tensors(objects, filling=2):
    """With rows behind the count that must not count, though their scores are high."""
    boxes = np.zeros((1, len(objects) + filling, 4), np.float32)
    scores, labels = np.full(boxes.shape[:2], 0.99, np.float32), np.zeros(boxes.shape[:2], np.int32)
    boxes[:, len(objects) :] = [20, 20, 40, 40]
    for k, (b, s, c) in enumerate(objects):
        boxes[0, k], scores[0, k], labels[0, k] = b, s, c
    return [boxes, scores, labels, np.array([[len(objects)]], np.int32)]


def yxyx(objects):
    boxes, scores, labels, _ = nms_tensors(objects, filling=0)
    return [boxes[..., [1, 0, 3, 2]] / np.float32(SIDE), scores, labels.astype(np.float32)]


def mmdet(objects):
    return [f32([[*b, s] for b, s, _ in objects])[None], np.array([[c for _, _, c in objects]], np.int64)]


def cells(strides, side=SIDE):
    return [(x, y, s) for s in strides for y in range(-(-side // s)) for x in range(-(-side // s))]


def bins_of(distance, bins):
    """Logits whose softmax has that mean, between two neighbouring bins."""
    low = min(int(distance), bins - 2)
    share = distance - low
    found = np.full(bins, -60.0)
    found[low], found[low + 1] = np.log(max(1 - share, 1e-12)), np.log(max(share, 1e-12))
    return found


def distributed(objects, strides, centre, bins):
    """scores (cells, classes), distributions (cells, 4 · bins); each object at a cell that can reach its sides, inside it."""
    grid = cells(strides)
    scores, sides = np.zeros((len(grid), CLASSES)), np.zeros((len(grid), 4 * bins))
    taken = set()
    for (x1, y1, x2, y2), score, label in objects:
        for k, (x, y, s) in enumerate(grid):
            px, py = (x + centre) * s, (y + centre) * s
            away = np.array([px - x1, py - y1, x2 - px, y2 - py]) / s
            if k not in taken and (away >= 0).all() and (away <= bins - 1).all():
                taken.add(k)
                scores[k, label] = score
                sides[k] = np.concatenate([bins_of(d, bins) for d in away])
                break
        else:
            raise AssertionError(f"no cell reaches {(x1, y1, x2, y2)}")
    return scores.astype(np.float32), sides.astype(np.float32)


def nanodet(objects):
    return [np.concatenate(distributed(objects, (8, 16, 32, 64), 0.0, 8), axis=1)[None]]


def picodet(objects):
    scores, sides = distributed(objects, (8, 16, 32, 64), 0.5, 8)
    ends = np.cumsum([(-(-SIDE // s)) ** 2 for s in (8, 16, 32, 64)])[:-1]
    return [part[None] for whole in (scores, sides) for part in np.split(whole, ends)]


ENCODERS = {
    "yolov8_logits": logits, "yolov8_turned": turned, "rtdetr_joined": joined, "rtdetr_end_to_end": best_of_queries,
    "yolonas": pair, "damoyolo": pair, "ppyoloe": pair_classes_first, "yolov7_end_to_end": class_then_score,
    "yolonas_flat": score_then_class, "detections_flat": flat, "paddle": paddle, "nms_tensors": nms_tensors,
    "nms_tensors_yxyx": yxyx, "mmdet": mmdet, "nanodet": nanodet, "picodet": picodet,
}  # fmt: skip
# Formats that boxes of the input need saying for.
UNITS = {"paddle": "pixels"}
# Of these an image's rows are no row of the batch.
OF_THE_BATCH = ("yolov7_end_to_end", "yolonas_flat", "detections_flat", "paddle")


def two_images(name, first, second):
    """The outputs of a batch of two, of objects of each."""
    if name in ("yolov7_end_to_end", "yolonas_flat"):
        encode = ENCODERS[name]
        return [np.concatenate([encode(first, 0)[0], encode(second, 1)[0]])]
    return [np.concatenate(o) for o in zip(ENCODERS[name](first), ENCODERS[name](second), strict=True)]
